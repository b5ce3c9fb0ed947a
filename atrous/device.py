"""Devices by their names in torch: whether this machine has one, which one is there, what it is fast at."""

import torch

from atrous.errors import UserError
from atrous.machine import has_bfloat16, memory_limit


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


def choose_device(name: str) -> str:
    """Return the device that a recipe names; for "auto" the accelerator of this machine, or "cpu" without one.

    >>> choose_device("cuda:1")
    'cuda:1'
    """
    if name != "auto":
        return name
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator is None else accelerator.type


def device_memory(name: str) -> int:
    """Return the bytes of memory of a device; of the CPU what this process may use.

    >>> device_memory("cpu") == memory_limit()
    True
    """
    device = torch.device(choose_device(name))
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device.index or 0).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return memory_limit()


def is_fast_in_bfloat16(name: str) -> bool:
    """Return whether a device multiplies bfloat16 in hardware."""
    device = torch.device(choose_device(name))
    if device.type == "cpu":
        return has_bfloat16()
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
