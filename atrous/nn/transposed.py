"""Transposed convolutions that start as linear interpolation (Long, Shelhamer & Darrell 2015, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV_TRANSPOSE, REPLICATION_PAD


def linear_taps(stride: int) -> torch.Tensor:
    """Return the weights along one axis with which a transposed convolution of this stride interpolates linearly.

    There are `n = 2 * stride` of them (one less when the stride is odd), in the shape of a triangle:

        weight[i] = 1 - |i - (n - 1) / 2| / stride.

    With padding `(n - stride) / 2` the output has `stride` times the input's length, at half-pixel centers. The weights
    that reach one output add up to 1 for every output. (With a length that the stride does not divide they would add
    up to more for some outputs than for others, which shows as a checkerboard.)

    >>> linear_taps(2).tolist(), linear_taps(3).tolist()
    ([0.25, 0.75, 0.75, 0.25], [0.3333333432674408, 0.6666666865348816, 1.0, 0.6666666865348816, 0.3333333432674408])
    """
    size = 2 * stride - stride % 2
    index = torch.arange(size, dtype=torch.float64)
    return (1 - (index - (size - 1) / 2).abs() / stride).float()


def linear_kernel(strides: Sequence[int]) -> torch.Tensor:
    """Return the weights of linear interpolation, `(*kernel)`: the product of `linear_taps` along each axis."""
    kernel = torch.ones(())
    for step in strides:
        kernel = kernel.unsqueeze(-1) * linear_taps(step)
    return kernel


def linear_upsampling(ndim: int, channels: int, stride: int | Sequence[int], *, mix: bool = False) -> nn.Module:
    """Build a learnable upsampling of `(N, channels, *S)` to `(N, channels, *(S * stride))`.

    It starts as linear interpolation. Away from the border it then equals `resize`; at the border it gives smaller
    values, since it reads zeros there. With `mix` every output channel may learn to read every input channel, as in the
    paper; at first it reads its own.

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
    kernel = linear_kernel(strides)
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


def learned_resize(ndim: int, inputs: int, outputs: int, strides: Sequence[int]) -> nn.Sequential:
    """Build a 1x1 convolution and a linear resize as one layer that learns both: a transposed convolution.

    It maps `(N, inputs, *S)` to `(N, outputs, *(S * strides))`. Each of the positions that take the place of one may
    learn to differ from its neighbors in any way, where linear interpolation lets it be a mean of them only. At first
    it is a 1x1 convolution with random weights, then `resize`, up to the border: what lies outside is replicated.

    Args:
        ndim: spatial axes.
        inputs: channels of the input.
        outputs: channels of the output.
        strides: positions of the output per position of the input, per axis.

    >>> learned_resize(2, 8, 3, (2, 2))(torch.zeros(1, 8, 5, 6)).shape
    torch.Size([1, 3, 10, 12])
    """
    kernel = linear_kernel(strides)
    around = [int(step > 1) for step in strides]
    pads = [amount for amount in reversed(around) for _ in range(2)]  # the last axis comes first
    layer = CONV_TRANSPOSE[ndim](
        inputs,
        outputs,
        tuple(kernel.shape),
        stride=tuple(strides),
        padding=tuple(
            (size - step) // 2 + step * more for size, step, more in zip(kernel.shape, strides, around, strict=True)
        ),
    )
    with torch.no_grad():
        weight = torch.empty(inputs, outputs, *[1] * ndim)
        nn.init.normal_(weight, std=inputs**-0.5)
        layer.weight.copy_(weight * kernel)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(REPLICATION_PAD[ndim](tuple(pads)), layer)
