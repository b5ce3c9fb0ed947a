"""Run someone's network for a measurement, and leave it as it was found."""

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.nn.blocks import Normalize

Output = int | str | None
"""Which tensor of a network that returns several: an index, a key, or None (the key "out", or the only one)."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode; every module gets its own mode back.

    >>> network = nn.Dropout()
    >>> with evaluating(network) as inside:
    ...     inside.training
    False
    >>> network.training
    True
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, training in modes:
            module.training = training


def forward(network: nn.Module, x: Tensor, output: Output = None) -> Tensor:
    """The network's output for `x` `(N, C, *S)`, as one tensor.

    Raises:
        UserError: the network cannot run on this shape, or returns several tensors and `output` names none of them.
    """
    try:
        found: Any = network(x)
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{type(network).__name__}: does not run on inputs of shape {tuple(x.shape[1:])}: {first}: try others"
        ) from error
    if isinstance(found, Tensor):
        return found
    named: dict[Any, Any] = dict(found) if isinstance(found, Mapping) else dict(enumerate(found))
    if output is None:
        output = "out" if "out" in named else next(iter(named)) if len(named) == 1 else None
    if output not in named or not isinstance(named[output], Tensor):
        raise UserError(
            f"the network returns {len(named)} values, named {list(named)}, not {output!r}: choose an output"
        )
    return named[output]


def like(network: nn.Module) -> Tensor:
    """An empty tensor of the device and number type that the network computes in."""
    return next((p.detach().new_empty(0) for p in network.parameters() if p.is_floating_point()), torch.empty(0))


def require_memory(network: nn.Module, numbers: float, shape: tuple[int, ...], mend: str) -> None:
    """Refuse what would hold so many numbers at once, in the network's type, when the machine has not that memory.

    Raises:
        UserError: says for which input `shape`, how much, and how to `mend` it.
    """
    kind = like(network)
    if kind.device.type != "cpu":
        return
    need, have = numbers * kind.element_size(), machine_memory()
    if need > have:
        raise UserError(
            f"{type(network).__name__}: inputs of {' x '.join(map(str, shape))} take at least {need / 1e9:,.0f} GB of "
            f"memory, and this machine has {have / 1e9:,.0f}: {mend}"
        )


def machine_memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not say."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else float("inf")


def shared_copy(network: nn.Module) -> nn.Module:
    """A copy whose modules are its own while its parameters and buffers are the very tensors of the original."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, memo={id(tensor): tensor for tensor in tensors})


def pictures_of_noise(network: nn.Module, count: int, shape: tuple[int, ...], *, seed: int = 0) -> Tensor:
    """Random pictures `(count, C, *S)` with the spectrum of natural ones, in the range that the network reads.

    Their amplitude falls as 1 / frequency (Field 1987), each channel has mean 0 and standard deviation 1; a network
    that begins with our `Normalize` gets them in its own raw units. Same seed, same pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    axes = tuple(range(2, white.ndim))
    frequency = torch.zeros(shape[1:], dtype=torch.float64)
    for axis, size in enumerate(shape[1:]):
        along = torch.fft.fftfreq(size, dtype=torch.float64)
        frequency = frequency + along.reshape(-1, *(1,) * (len(shape) - 2 - axis)) ** 2
    frequency = frequency.sqrt().clamp_min(1 / max(shape[1:]))
    pink = torch.fft.ifftn(torch.fft.fftn(white, dim=axes) / frequency, dim=axes).real
    pink = pink - pink.mean(axes, keepdim=True)
    pink = pink / pink.square().mean(axes, keepdim=True).sqrt().clamp_min(1e-12)
    return raw_units(network, pink).to(like(network))


def raw_units(network: nn.Module, x: Tensor) -> Tensor:
    """Numbers of mean 0 and deviation 1 in the units of the network's first `Normalize`, if it has one."""
    for module in network.modules():
        if isinstance(module, Normalize) and module.get_buffer("mean").numel() == x.shape[1]:
            mean, std = module.get_buffer("mean"), module.get_buffer("std")
            return x * std.to(x) + mean.to(x)
    return x


def variation(x: Tensor) -> float:
    """How much an output `(N, K, *S)` varies over positions: root mean square deviation from each channel's mean.

    >>> variation(torch.tensor([[[1.0, 3.0], [10.0, 12.0]]]))
    1.0
    """
    axes = tuple(range(2, x.ndim))
    return float((x - x.mean(axes, keepdim=True)).double().square().mean().sqrt())
