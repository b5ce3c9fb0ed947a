"""A light encoder that strides early and has no norms: for inputs so large that they are trained on in strips."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV, per_axis
from atrous.nn.blocks import initialize


class Strided(nn.Module):
    """Stages of a strided convolution and a convolution, with ReLU; the first stage has the strided one alone.

    Each stage has twice the channels of the one before. Without norms a step on a whole input has one pass, and costs
    little on inputs of any size: what most positions cost is the first convolution, on the coarse grid.

    Args:
        ndim: spatial axes.
        in_channels: channels of the input.
        width: channels of the first stage.
        strides: of the stages, a number or one for each axis.

    >>> encoder = Strided(2, in_channels=1, width=8, strides=(4, 2, 2))
    >>> encoder.channels, encoder.strides
    ((8, 16, 32), ((4, 4), (8, 8), (16, 16)))
    """

    pretrained = False

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        *,
        width: int = 16,
        strides: Sequence[int | tuple[int, ...]] = (4, 2, 2),
    ) -> None:
        super().__init__()
        if not strides:
            raise ValueError("strides are missing: give one for each stage")
        self.ndim, self.in_channels = ndim, in_channels
        steps = [per_axis(stride, ndim) for stride in strides]
        self.channels = tuple(width * 2**stage for stage in range(len(steps)))
        totals = [(1,) * ndim]
        for step in steps:
            totals.append(tuple(before * s for before, s in zip(totals[-1], step, strict=True)))
        self.strides = tuple(totals[1:])
        self.stages = nn.ModuleList()
        inputs = in_channels
        for stage, (outputs, step) in enumerate(zip(self.channels, steps, strict=True)):
            layers = [_convolution(ndim, inputs, outputs, step), nn.ReLU(inplace=True)]
            if stage:
                layers += [_convolution(ndim, outputs, outputs, (1,) * ndim), nn.ReLU(inplace=True)]
            self.stages.append(nn.Sequential(*layers))
            inputs = outputs
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps of all stages, `(N, channels[i], *(S / strides[i]))`."""
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


def _convolution(ndim: int, inputs: int, outputs: int, stride: tuple[int, ...]) -> nn.Module:
    """A convolution whose kernel covers its stride: 3, or the next odd number; the size becomes ceil(S / stride)."""
    kernel = tuple(max(3, step // 2 * 2 + 1) for step in stride)
    return CONV[ndim](inputs, outputs, kernel, stride=stride, padding=tuple(k // 2 for k in kernel))
