"""Layers that compute the same by other operations for a while."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType

import torch
from torch import nn


@contextmanager
def other_forward(layers: Sequence[nn.Module], forward: Callable[..., torch.Tensor]) -> Iterator[int]:
    """Run layers by another function within the block, and yield how many; afterwards they are as they were before.

    Blocks may lie within each other: the innermost counts.

    Args:
        layers: whose forward pass is replaced.
        forward: called with the layer and its input.

    >>> layer = nn.ReLU()
    >>> with other_forward([layer], lambda module, x: -x):
    ...     layer(torch.ones(1)).item()
    -1.0
    >>> layer(torch.ones(1)).item()
    1.0
    """
    before = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.forward = MethodType(forward, layer)
    try:
        yield len(layers)
    finally:
        for layer, own in zip(layers, before, strict=True):
            if own is None:
                del layer.forward
            else:
                layer.forward = own
