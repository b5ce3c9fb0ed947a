"""A light encoder that strides early, with norms at each position alone: for inputs that are trained on in strips."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV, per_axis
from atrous.nn.blocks import initialize
from atrous.surgery.dense import ChannelNorm

EPSILON = 1e-3
"""Added to the variance of the channels: where all are nearly alike, differences are not to be amplified."""


class Strided(nn.Module):
    """Stages of a strided convolution and a convolution, with norms and ReLU; the first is a strided convolution alone.

    Each stage has twice the channels of the one before. Norms are layer norms over the channels of a position: a batch
    of one is enough for them, and a step on a whole input in strips has one pass, where a norm over positions adds one.

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
            layers = _layers(ndim, inputs, outputs, step, norm=stage > 0)
            if stage:
                layers += _layers(ndim, outputs, outputs, (1,) * ndim, norm=True)
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


def _layers(ndim: int, inputs: int, outputs: int, stride: tuple[int, ...], *, norm: bool) -> list[nn.Module]:
    """A convolution, perhaps a norm, and a ReLU; the kernel covers the stride, the size becomes ceil(S / stride)."""
    kernel = tuple(max(3, step // 2 * 2 + 1) for step in stride)
    convolution = CONV[ndim](inputs, outputs, kernel, stride=stride, padding=tuple(k // 2 for k in kernel))
    norms = [ChannelNorm(outputs, eps=EPSILON)] if norm else []
    return [convolution, *norms, nn.ReLU(inplace=True)]
