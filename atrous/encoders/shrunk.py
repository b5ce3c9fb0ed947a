"""An encoder that works on the means of blocks of its input: large objects need no more, and cost less."""

from typing import cast

import torch
from torch import nn

from atrous._nd import AVG_POOL
from atrous.encoders.encoder import Encoder


class Shrunk(nn.Module):
    """Another encoder behind an average pooling: all strides are `factor` times as large.

    With factor 2 an image costs a quarter. A network around it still answers at every position of the input.

    Args:
        encoder: what sees the means of the blocks; it becomes part of this one.
        factor: length of a block along each axis.

    >>> from atrous.encoders.resnet import ResNet
    >>> encoder = Shrunk(ResNet(1, in_channels=1, depth=10, width=8), 2)
    >>> encoder.strides[0], encoder(torch.zeros(1, 1, 64))[0].shape
    ((2,), torch.Size([1, 8, 32]))
    """

    def __init__(self, encoder: Encoder, factor: int) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"factor {factor} is less than 1")
        self.ndim, self.in_channels, self.pretrained = encoder.ndim, encoder.in_channels, encoder.pretrained
        self.channels = encoder.channels
        self.strides = tuple(tuple(factor * step for step in level) for level in encoder.strides)
        self.pool = AVG_POOL[encoder.ndim](factor)
        self.inner = cast(nn.Module, encoder)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, finest first."""
        return self.inner(self.pool(x))
