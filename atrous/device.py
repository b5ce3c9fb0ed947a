"""Hardware by its name in torch: whether this machine has it."""

import torch

from atrous.errors import UserError


def check_device(name: str, given_as: str = "--device") -> None:
    """Refuse a device that this machine does not have.

    Args:
        name: cpu, cuda, cuda:1, mps or another name of torch's.
        given_as: the option or key that named it, for the message.

    Raises:
        UserError: torch knows no such device, or it is not there.

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
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None or found.type != device.type:
        has = "cpu" if found is None else f"cpu and {found.type}"
        raise UserError(f"{given_as} {name}: torch finds no {device.type} on this machine: it has {has}")
    count = torch.accelerator.device_count()
    if (device.index or 0) >= count:
        raise UserError(f"{given_as} {name}: there are {count} of them, counted from 0")
