"""Strided 1x1 convolutions of few channels, whose backward pass corrupts memory in oneDNN.

In torch 2.14.1 on x86 the backward pass of a 2-D convolution with a 1x1 kernel, a stride above 1 and less than 16 input
channels, channels last, writes beyond its memory: the process ends with a segmentation fault or `free(): invalid next
size`. Such a convolution reads every `stride`-th position, so a convolution at stride 1 of just those computes the
same, by other kernels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from atrous.nn.patched import other_forward

CHANNELS = 16
"""From so many input channels on, oneDNN's kernels are right."""


def _at_risk(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < CHANNELS
        and module.groups == 1
        and module.padding == (0, 0)
    )


def _forward(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Convolve the positions `(N, C, H', W')` of `(N, C, H, W)` that a strided 1x1 convolution reads."""
    down, right = conv.stride
    return F.conv2d(x[:, :, ::down, ::right], conv.weight, conv.bias)


@contextmanager
def safe_strided(network: nn.Module) -> Iterator[int]:
    """Run the convolutions at risk by other kernels within the block; yield their number.

    Afterwards the network is as it was before.

    >>> with safe_strided(nn.Sequential(nn.Conv2d(8, 16, 1, stride=2), nn.Conv2d(16, 16, 1, stride=2))) as changed:
    ...     changed
    1
    """
    chosen = [module for module in network.modules() if _at_risk(module)]
    with other_forward(chosen, _forward) as count:
        yield count
