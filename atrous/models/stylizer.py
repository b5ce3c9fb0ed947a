"""A network that paints every picture in one style: few instance norms, all of them early, and resize-convolutions."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV, INSTANCE_NORM, REPLICATION_PAD
from atrous.models.network import crop_to, pad_to_multiple
from atrous.nn.blocks import Normalize, initialize

STRIDE = 4
GAIN = 0.25
"""Of the output. The last convolution sums many products, which a step of Adam moves all alike: without it the first
steps drive the sigmoid to its ends, and the loss falls more slowly."""
LEAST = 2
"""Positions along each axis of the coarsest map: one position alone has no contrast to normalize."""


class StylizerBlock(nn.Module):
    """Adds two 3x3 convolutions with a ReLU between them to its input; it begins as the identity."""

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(ndim, channels, channels), _convolution(ndim, channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(N, channels, *S)`."""
        return x + self.second(torch.relu(self.first(x)))


class Stylizer(nn.Module):
    """`(N, C, *S)` raw values -> `(N, K, *S)` for every `S`; a sigmoid of the output is a color from 0 to 1.

    The network of Johnson et al. 2016 ("Perceptual losses for real-time style transfer and super-resolution"): two
    strided convolutions, residual blocks, and the way back by nearest-neighbor resizing and convolutions, which leaves
    no checkerboard (Odena et al. 2016). Borders are repeated, not padded with zeros.

    Instance norm (Ulyanov et al. 2017) takes the contrast of the picture away. Theirs is behind every convolution, 15
    times in sequence. It needs the whole picture, so a stream reads the input once for each, and computes all that
    stands before it again. Here it stands behind the first three convolutions alone, of which two are cheap: a stream
    reads the input four times, and computes about a tenth more than one pass.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        outputs: channels of the output.
        width: channels at the full resolution; a half has twice as many, a quarter four times.
        blocks: residual blocks at a quarter of the resolution.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> Stylizer(2, 3, 3, width=4)(torch.zeros(1, 3, 21, 34)).shape
    torch.Size([1, 3, 21, 34])
    """

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        outputs: int,
        *,
        width: int = 32,
        blocks: int = 5,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.ndim, self.in_channels, self.outputs = ndim, in_channels, outputs
        self.stride = (STRIDE,) * ndim
        self.normalize = Normalize(mean or [0.0] * in_channels, std or [1.0] * in_channels, ndim)
        self.down = nn.Sequential(
            *_normalized(ndim, in_channels, width, 5, 1),
            *_normalized(ndim, width, 2 * width, 3, 2),
            *_normalized(ndim, 2 * width, 4 * width, 3, 2),
        )
        self.blocks = nn.Sequential(*(StylizerBlock(ndim, 4 * width) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), _convolution(ndim, 4 * width, 2 * width), nn.ReLU(),
            nn.Upsample(scale_factor=2), _convolution(ndim, 2 * width, width), nn.ReLU(),
        )  # fmt: skip
        initialize(self)
        for block in self.blocks:
            nn.init.zeros_(block.second[-1].weight)  # type: ignore[union-attr, index]
        self.last = _convolution(ndim, width, outputs, 5)
        nn.init.normal_(self.last[-1].weight, std=0.02 / GAIN)  # type: ignore[arg-type]
        nn.init.zeros_(self.last[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(N, outputs, *S)` of `(N, C, *S)`."""
        if x.ndim != self.ndim + 2 or x.shape[1] != self.in_channels:
            grid = ", ".join(f"S{i + 1}" for i in range(self.ndim))
            raise ValueError(
                f"the network reads (N, {self.in_channels}, {grid}), got a tensor of shape {tuple(x.shape)}"
            )
        size = tuple(x.shape[2:])
        x = pad_to_multiple(self.normalize(x), self.stride, LEAST * STRIDE)
        return crop_to(GAIN * self.last(self.up(self.blocks(self.down(x)))), size)


def _convolution(ndim: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution whose border is repeated: `(N, inputs, *S)` to `(N, outputs, *ceil(S / stride))`."""
    return nn.Sequential(
        REPLICATION_PAD[ndim](kernel // 2), CONV[ndim](inputs, outputs, kernel, stride=stride, padding=0)
    )


def _normalized(ndim: int, inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """A convolution, an instance norm and a ReLU."""
    norm = INSTANCE_NORM[ndim](outputs, affine=True)
    return [_convolution(ndim, inputs, outputs, kernel, stride), norm, nn.ReLU()]
