"""VGG in 1-D, 2-D and 3-D (Simonyan & Zisserman 2015), with batch norm and without the classifier."""

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import MAX_POOL
from atrous.nn.blocks import conv_norm_act, initialize
from atrous.nn.blurpool import MaxBlurPool, StillBlur

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
"""Convolutions per stage, by the depth that names the network, which counts its three fully connected layers too."""


class StillPool(nn.Module):
    """A max pool over windows of 2 without its stride, dilated: the maximum of `x[i]` and `x[i + dilation]`.

    For inputs that are nowhere negative, as after a ReLU, since it pads with zeros beyond the far border.

    >>> StillPool(1, 2)(torch.tensor([[[1.0, 2.0, 3.0, 0.0]]])).tolist()
    [[[3.0, 2.0, 3.0, 0.0]]]
    """

    def __init__(self, ndim: int, dilation: int) -> None:
        super().__init__()
        self.pads = [0, dilation] * ndim
        self.pool = MAX_POOL[ndim](2, stride=1, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool `(N, C, *S)` to the same shape."""
        return self.pool(F.pad(x, self.pads))


class VGG(nn.Module):
    """Five stages of convolutions with a max pool of stride 2 between them.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        depth: 11, 13 or 16.
        width: channels of the first stage; every later stage has twice as many, up to 8 times as many.
        output_stride: the largest total stride, 1 to 16. Pools beyond it stay, at stride 1, and later layers are
            dilated.
        antialias: blur before a pool thins the grid out (Zhang 2019); a pool that lost its stride keeps its blur.

    Raises:
        ValueError: there is no VGG of this depth, or the output stride is less than 1.

    >>> encoder = VGG(2, in_channels=3, depth=11, width=8)
    >>> encoder.channels, encoder.strides[-1]
    ((8, 16, 32, 64, 64), (16, 16))
    >>> VGG(2, in_channels=3, depth=11, width=8, output_stride=4).strides
    ((1, 1), (2, 2), (4, 4), (4, 4), (4, 4))
    """

    pretrained = False

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        *,
        depth: int = 16,
        width: int = 64,
        output_stride: int | None = None,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise ValueError(f"depth {depth} is not one of {sorted(CONVOLUTIONS)}")
        if output_stride is not None and output_stride < 1:
            raise ValueError(f"output stride {output_stride} is less than 1")
        self.ndim, self.in_channels = ndim, in_channels
        self.channels = tuple(width * min(2**level, 8) for level in range(5))
        stride, dilation, inputs = 1, 1, in_channels
        strides, pools, stages = [], [], []
        for level, (count, outputs) in enumerate(zip(CONVOLUTIONS[depth], self.channels, strict=True)):
            if level and output_stride is not None and 2 * stride > output_stride:
                still = StillPool(ndim, dilation)
                pools.append(nn.Sequential(still, StillBlur((dilation,) * ndim)) if antialias else still)
                dilation *= 2
            elif level:
                pools.append(MaxBlurPool(ndim, inputs) if antialias else MAX_POOL[ndim](2))
                stride *= 2
            widths = [inputs, *[outputs] * count]
            stages.append(
                nn.Sequential(*(conv_norm_act(ndim, widths[i], outputs, dilation=dilation) for i in range(count)))
            )
            strides.append((stride,) * ndim)
            inputs = outputs
        self.strides = tuple(strides)
        self.stages, self.pools = nn.ModuleList(stages), nn.ModuleList(pools)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, finest first, each taken before the next pool."""
        levels = [self.stages[0](x)]
        for pool, stage in zip(self.pools, list(self.stages)[1:], strict=True):
            levels.append(stage(pool(levels[-1])))
        return levels
