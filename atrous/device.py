"""Check that this machine has a device, given its name in torch."""

import torch

from atrous.errors import UserError


def check_device(name: str, given_as: str = "--device") -> None:
    """Raise UserError if this machine does not have a device.

    Args:
        name: cpu, cuda, cuda:1, mps or another name that torch knows.
        given_as: the option or key in which the user named the device, for the message.

    Raises:
        UserError: torch knows no such device, or this machine does not have it.

    >>> check_device("cpu")
    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    atrous.errors.UserError: --device gpu: no device has this name: write cpu, cuda, cuda:1 or mps
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"{given_as} {name}: no device has this name: write cpu, cuda, cuda:1 or mps") from None
    if device.type == "cpu":
        return
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None or accelerator.type != device.type:
        available = "cpu" if accelerator is None else f"cpu and {accelerator.type}"
        raise UserError(f"{given_as} {name}: torch finds no {device.type} on this machine: it has {available}")
    count = torch.accelerator.device_count()
    if (device.index or 0) >= count:
        raise UserError(f"{given_as} {name}: this machine has {count}, counted from 0: give a lower number")
