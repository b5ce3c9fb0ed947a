"""What a decoder may expect of an encoder, and the smallest network that fulfils it."""

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from atrous._nd import per_axis
from atrous.nn.blocks import conv_norm_act, initialize


@runtime_checkable
class Encoder(Protocol):
    """A network that maps `(N, in_channels, *S)` to one feature map per level, finest first.

    `S` must be divisible by the last of `strides`. `DenseNetwork` pads its input, so it takes any size.
    """

    ndim: int
    """Spatial axes: 1, 2 or 3."""
    in_channels: int
    channels: tuple[int, ...]
    """Channels per level, finest first."""
    strides: tuple[tuple[int, ...], ...]
    """Input positions per output position, per level and axis."""
    pretrained: bool
    """Whether the weights are pretrained: training then uses a lower learning rate for them."""

    def __call__(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps `(N, channels[i], *(S / strides[i]))`."""
        ...


class Plain(nn.Module):
    """The smallest encoder: a 1x1 convolution, then a strided convolution with a kernel of 3; one level.

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
        """Return the one feature map `(N, 2 * width, *(S / stride))`."""
        return [self.look(self.lift(x))]
