"""The smallest encoder: two convolutions."""

import torch
from torch import nn

from atrous._nd import per_axis
from atrous.nn.blocks import conv_norm_act, initialize


class Plain(nn.Module):
    """A 1x1 convolution, the same small fully connected layer at every position, then a strided 3-wide one.

    >>> encoder = Plain(2, in_channels=3, width=8)
    >>> encoder.channels, encoder.strides
    ((16,), ((2, 2),))
    """

    pretrained = False

    def __init__(self, ndim: int, in_channels: int, *, width: int = 32, stride: int | tuple[int, ...] = 2) -> None:
        super().__init__()
        self.ndim, self.in_channels = ndim, in_channels
        self.channels, self.strides = (2 * width,), (per_axis(stride, ndim),)
        self.lift = conv_norm_act(ndim, in_channels, width, 1)
        self.look = conv_norm_act(ndim, width, 2 * width, stride=stride)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """One feature map."""
        return [self.look(self.lift(x))]
