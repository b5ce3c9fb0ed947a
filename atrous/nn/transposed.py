"""Transposed convolutions that begin as linear interpolation (Long, Shelhamer & Darrell 2015, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV_TRANSPOSE


def linear_taps(stride: int) -> torch.Tensor:
    """Weights along one axis by which a transposed convolution of this stride interpolates linearly.

    The kernel is `2 * stride` long (one less when the stride is odd) and is the triangle of half-pixel centers, so that
    with padding `(len - stride) / 2` the output has `stride` times the input's length. Every output gets weights that
    add up to 1: a kernel that its stride does not divide would give some outputs more than others (a checkerboard).

    >>> linear_taps(2).tolist(), linear_taps(3).tolist()
    ([0.25, 0.75, 0.75, 0.25], [0.3333333432674408, 0.6666666865348816, 1.0, 0.6666666865348816, 0.3333333432674408])
    """
    size = 2 * stride - stride % 2
    at = torch.arange(size, dtype=torch.float64)
    return (1 - (at - (size - 1) / 2).abs() / stride).float()


def linear_upsampling(ndim: int, channels: int, stride: int | Sequence[int], *, mix: bool = False) -> nn.Module:
    """A learnable upsampling `(N, channels, *S)` to `(N, channels, *(S * stride))`, at first a linear interpolation.

    Away from the border it then equals `resize`; at the border outputs fade, since zeros stand beyond it. With `mix`
    every output channel may read every input channel, as in the paper, though at first it reads its own alone.

    Args:
        ndim: spatial axes.
        channels: of input and output.
        stride: positions of the output per position of the input, one number or one per axis.
        mix: one kernel for every pair of channels instead of one per channel.

    >>> up = linear_upsampling(1, 1, 2)
    >>> up(torch.tensor([[[0.0, 4.0, 8.0]]])).tolist()
    [[[0.0, 1.0, 3.0, 5.0, 7.0, 6.0]]]
    """
    strides = (stride,) * ndim if isinstance(stride, int) else tuple(stride)
    if all(step == 1 for step in strides):
        return nn.Identity()
    kernel = torch.ones(())
    for step in strides:
        kernel = kernel.unsqueeze(-1) * linear_taps(step)
    sizes = tuple(kernel.shape)
    layer = CONV_TRANSPOSE[ndim](
        channels,
        channels,
        sizes,
        stride=strides,
        padding=tuple((size - step) // 2 for size, step in zip(sizes, strides, strict=True)),
        groups=1 if mix else channels,
        bias=False,
    )
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel if mix else 0] = kernel
    return layer
