"""Run a network for a measurement without changing it."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.exportable import one_line, require_computable
from atrous.machine import memory_limit
from atrous.nn.blocks import Normalize

Output = int | str | None
"""Which tensor to use if a network returns several: an index, a key, or None for the key "out" or the only tensor."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Switch the network to evaluation mode within a block; afterwards every module gets its own mode back.

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
    """Return the network's output for x `(N, C, *S)` as one tensor.

    Raises:
        UserError: the network cannot run on this shape, it returns several tensors and `output` is none of them, or
            the tensor does not hold one result per input.
    """
    chosen = _chosen(network, x, output)
    if chosen.dim() < 2 or len(chosen) != len(x):
        raise UserError(
            f"{type(network).__name__}: returns {tuple(chosen.shape)} for {len(x)} inputs of shape "
            f"{tuple(x.shape[1:])}: return one result per input, with the batch as its first axis"
        )
    return chosen


def _chosen(network: nn.Module, x: Tensor, output: Output) -> Tensor:
    """Run the network and pick the tensor that `output` names."""
    require_computable(network)
    try:
        result: Any = network(x)
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
        raise UserError(
            f"{type(network).__name__}: does not run on inputs of shape {tuple(x.shape[1:])}: {one_line(error)}: "
            "try another"
        ) from error
    if isinstance(result, Tensor):
        return result
    tensors: dict[Any, Any] = dict(result) if isinstance(result, Mapping) else dict(enumerate(result))
    if output is None:
        output = "out" if "out" in tensors else next(iter(tensors)) if len(tensors) == 1 else None
    if output not in tensors or not isinstance(tensors[output], Tensor):
        raise UserError(
            f"the network returns {len(tensors)} values, named {list(tensors)}, not {output!r}: choose an output"
        )
    return tensors[output]


def like(network: nn.Module) -> Tensor:
    """Return an empty tensor of the device and number type that the network computes in.

    Raises:
        UserError: nothing can be computed: it is no module, takes several inputs, or has weights without numbers.
    """
    require_computable(network)
    return next((p.detach().new_empty(0) for p in network.parameters() if p.is_floating_point()), torch.empty(0))


def require_memory(network: nn.Module, numbers: float, shape: tuple[int, ...], remedy: str) -> None:
    """Raise UserError if this many numbers, in the network's number type, need more memory than this process may use.

    Networks on other devices than the CPU are not checked.

    Args:
        network: the network that would hold the numbers.
        numbers: how many.
        shape: shape `(C, *S)` of the input, for the message.
        remedy: what the user can do, for the message.
    """
    example = like(network)
    if example.device.type != "cpu":
        return
    needed, available = numbers * example.element_size(), memory_limit()
    if needed > available:
        raise UserError(
            f"{type(network).__name__}: inputs of {' x '.join(map(str, shape))} take at least {needed / 1e9:,.0f} GB "
            f"of memory, and this process may use {available / 1e9:,.0f}: {remedy}"
        )


def shared_copy(network: nn.Module) -> nn.Module:
    """Return a copy with modules of its own that shares all parameters and buffers with the original."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, memo={id(tensor): tensor for tensor in tensors})


def pictures_of_noise(network: nn.Module, count: int, shape: tuple[int, ...], *, seed: int = 0) -> Tensor:
    """Return random pictures with the spectrum of natural ones, in the range of values that the network reads.

    Their amplitude falls as 1 / frequency (Field 1987). Each channel has mean 0 and standard deviation 1, except for a
    network that begins with a `Normalize` layer, which gets them in its raw units. The same seed gives the same
    pictures.

    Args:
        network: the network that will read the pictures.
        count: number of pictures.
        shape: `(C, *S)` of one picture.
        seed: random seed.

    Returns:
        `(count, C, *S)` of the network's device and number type.
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
    """Convert x `(N, C, *S)` of mean 0 and standard deviation 1 to the raw units of the network's first `Normalize`."""
    for module in network.modules():
        if isinstance(module, Normalize) and module.get_buffer("mean").numel() == x.shape[1]:
            mean, std = module.get_buffer("mean"), module.get_buffer("std")
            return x * std.to(x) + mean.to(x)
    return x


def variation(x: Tensor) -> float:
    """Return how much an output `(N, K, *S)` varies over positions.

    This is the root mean square deviation from the mean of each channel of each sample.

    >>> variation(torch.tensor([[[1.0, 3.0], [10.0, 12.0]]]))
    1.0
    """
    axes = tuple(range(2, x.ndim))
    return float((x - x.mean(axes, keepdim=True)).double().square().mean().sqrt())
