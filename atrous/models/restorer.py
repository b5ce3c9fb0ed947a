"""A U-Net of residual blocks at the full resolution, which adds what it finds to its input: images from images."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from atrous._nd import CONV, CONV_TRANSPOSE
from atrous.models.network import crop_to, pad_to_multiple
from atrous.nn.blocks import Normalize, resize

SMALL = 0.1
"""Without the input the output of a new network has this part of the deviation of the features."""


class ResidualBlock(nn.Module):
    """Adds two 3x3 convolutions with a ReLU between them to its input, without normalization of the contrast.

    It starts as the identity: the second convolution is zero (Zhang, Dauphin & Ma, "Fixup initialization", ICLR 2019).
    Otherwise each block would multiply the variance, and the first steps of a training would ruin the output.
    """

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        self.first = CONV[ndim](channels, channels, 3, padding=1, bias=False)
        self.second = CONV[ndim](channels, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(N, channels, *S)`."""
        return x + self.second(torch.relu(self.first(x)))


class Restorer(nn.Module):
    """`(N, C, *S)` raw values -> `(N, K, *(S * factor))` normalized values, for every `S`.

    The network of Zhang et al. 2021 ("Plug-and-play image restoration with deep denoiser prior"), smaller: at every
    level residual blocks; strided convolutions to the coarser levels, transposed ones back, and the finer level added.
    Convolutions have no bias, so that the answer scales with contrasts it has not seen (Mohan et al. 2020).

    With `residual` the output is the normalized input, resized to the grid of the output, plus what the network finds;
    the last convolution starts at zero. For a finer output grid it is sub-pixel convolution (Shi et al. 2016) in the
    form of a transposed convolution whose kernel is as wide as its stride, which is the same and works along any number
    of axes.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        outputs: channels of the output.
        width: channels of the finest level; each coarser one has twice as many.
        blocks: residual blocks of each level, on the way down and on the way up.
        levels: grids, each coarser by 2 than the one before.
        stride: the finest level is coarser than the input by this factor: a network so many times as wide costs less
            than one on the grid of the input.
        factor: the grid of the output is finer than that of the input by this factor along each axis.
        residual: whether the input is added; it must have as many channels as the output.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    Raises:
        ValueError: `residual` with other numbers of channels.

    >>> Restorer(2, 1, 1, width=8, factor=2)(torch.zeros(1, 1, 21, 34)).shape
    torch.Size([1, 1, 42, 68])
    """

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        outputs: int,
        *,
        width: int = 32,
        blocks: int = 2,
        levels: int = 3,
        stride: int = 1,
        factor: int = 1,
        residual: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if residual and in_channels != outputs:
            raise ValueError(f"{outputs} outputs cannot be added to {in_channels} channels: set model.residual = false")
        self.ndim, self.in_channels, self.outputs = ndim, in_channels, outputs
        self.factor, self.residual = factor, residual
        self.stride = (stride * 2 ** (levels - 1),) * ndim
        self.normalize = Normalize(mean or [0.0] * in_channels, std or [1.0] * in_channels, ndim)
        conv, transposed, widths = CONV[ndim], CONV_TRANSPOSE[ndim], [width * 2**level for level in range(levels)]
        near = {"stride": stride, "padding": stride, "bias": False}  # 3 x 3 blocks of stride x stride positions
        self.first = conv(in_channels, width, 3 * stride, **near)
        self.down, self.coarser, self.finer, self.up = (nn.ModuleList() for _ in range(4))
        for level, channels in enumerate(widths):
            self.down.append(nn.Sequential(*(ResidualBlock(ndim, channels) for _ in range(blocks))))
            if level + 1 < levels:
                self.coarser.append(conv(channels, 2 * channels, 2, stride=2, bias=False))
                self.finer.append(transposed(2 * channels, channels, 2, stride=2, bias=False))
                self.up.append(nn.Sequential(*(ResidualBlock(ndim, channels) for _ in range(blocks))))
        last = outputs if factor == 1 else width
        self.last = conv(width, last, 3, **near) if stride == 1 else transposed(width, last, 3 * stride, **near)
        self.enlarge = transposed(last, outputs, factor, stride=factor, bias=False) if factor > 1 else nn.Identity()
        self._initialize()

    def _initialize(self) -> None:
        """Keep the variance from layer to layer; the output is small, and the input alone if that is added."""
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                _keep_variance(module.first)
        for module in (self.first, *self.coarser, *self.finer, self.last, self.enlarge):
            if not isinstance(module, nn.Identity):
                _keep_variance(module)
        with torch.no_grad():
            end = self.last if self.factor == 1 else self.enlarge
            end.weight.mul_(0.0 if self.residual else SMALL)  # type: ignore[operator]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(N, K, *(S * factor))` of `(N, C, *S)`."""
        if x.ndim != self.ndim + 2 or x.shape[1] != self.in_channels:
            grid = ", ".join(f"S{i + 1}" for i in range(self.ndim))
            raise ValueError(
                f"the network reads (N, {self.in_channels}, {grid}), got a tensor of shape {tuple(x.shape)}"
            )
        size = tuple(x.shape[2:])
        given = self.normalize(x)
        x = pad_to_multiple(given, self.stride)
        x = crop_to(self.enlarge(self.last(self._features(x))), [length * self.factor for length in size])
        if not self.residual:
            return x
        return x + (given if self.factor == 1 else resize(given, [length * self.factor for length in size]))

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        """The finest features `(N, width, *S)`, of an input whose size is a multiple of the coarsest stride."""
        x = self.first(x)
        levels = []
        for blocks, coarser in zip(self.down, [*self.coarser, nn.Identity()], strict=True):
            x = blocks(x)
            levels.append(x)
            x = coarser(x)
        for finer, blocks, level in zip(reversed(self.finer), reversed(self.up), levels[-2::-1], strict=True):
            x = blocks(finer(x) + level)
        return x


def _keep_variance(conv: Any) -> None:
    """Draw weights with a variance of 1 / (values that make one output), in place.

    A transposed convolution makes an output of kernel / stride positions along each axis.
    """
    weight = conv.weight
    inputs = weight.shape[0] if conv.transposed else weight.shape[1]
    strides = conv.stride if conv.transposed else (1,) * len(conv.stride)
    taps = math.prod(kernel / stride for kernel, stride in zip(conv.kernel_size, strides, strict=True))
    nn.init.normal_(weight, std=(inputs * taps) ** -0.5)
