"""VGG in 1-D, 2-D and 3-D (Simonyan & Zisserman 2015), with batch norm and without the classifier."""

import torch
from torch import nn

from atrous._nd import MAX_POOL
from atrous.nn.blocks import conv_norm_act, initialize

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
"""3-wide convolutions per stage, by the depth that names the network (the three fully connected layers counted)."""


class VGG(nn.Module):
    """Five stages of convolutions with a max pool of stride 2 between them.

    >>> encoder = VGG(2, in_channels=3, depth=11, width=8)
    >>> encoder.channels, encoder.strides[-1]
    ((8, 16, 32, 64, 64), (16, 16))
    """

    pretrained = False

    def __init__(self, ndim: int, in_channels: int, *, depth: int = 16, width: int = 64) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise ValueError(f"depth {depth} is not one of {sorted(CONVOLUTIONS)}")
        self.ndim, self.in_channels = ndim, in_channels
        self.channels = tuple(width * min(2**level, 8) for level in range(5))
        self.strides = tuple((2**level,) * ndim for level in range(5))
        self.pool = MAX_POOL[ndim](2)
        inputs, stages = in_channels, []
        for count, outputs in zip(CONVOLUTIONS[depth], self.channels, strict=True):
            stages.append(
                nn.Sequential(*(conv_norm_act(ndim, inputs if i == 0 else outputs, outputs) for i in range(count)))
            )
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, finest first, each taken before its pool."""
        levels = [self.stages[0](x)]
        for stage in list(self.stages)[1:]:
            levels.append(stage(self.pool(levels[-1])))
        return levels
