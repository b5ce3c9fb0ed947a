"""Encoders that are given two images at once, before and after or a frame and its background, and compare them."""

from typing import cast

import torch
from torch import nn

from atrous.encoders.encoder import Encoder


class Siamese(nn.Module):
    """One encoder that looks at two images, each by itself, and gives both their features and how these differ.

    The features `f` of the first and `g` of the second image come from the same weights, so that what is alike in both
    has the same features. Each level is `(f, g, |f - g|)`: the two fully convolutional siamese networks of Daudt, Le
    Saux and Boulch 2018 ("Fully convolutional siamese networks for change detection", arXiv:1810.08462), which join
    `f` and `g` or give `|f - g|`, in one. Features of coarse levels hardly differ where an image is shifted by a pixel.

    Args:
        encoder: what looks at one image; it becomes part of this one.

    >>> from atrous.encoders.resnet import ResNet
    >>> encoder = Siamese(ResNet(2, in_channels=3, depth=10, width=8))
    >>> encoder.in_channels, encoder(torch.zeros(1, 6, 64, 64))[0].shape
    (6, torch.Size([1, 24, 64, 64]))
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.ndim, self.pretrained, self.strides = encoder.ndim, encoder.pretrained, encoder.strides
        self.in_channels = 2 * encoder.in_channels
        self.channels = tuple(3 * channels for channels in encoder.channels)
        self.inner = cast(nn.Module, encoder)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, the first image's channels first; finest level first."""
        half = self.in_channels // 2
        first, second = x[:, :half], x[:, half:]
        if self.training:  # as one batch, so that batch norm has one mean for both, as it has in prediction
            pairs = [tuple(level.chunk(2)) for level in self.inner(torch.cat([first, second]))]
        else:  # one after the other, which a stream follows
            pairs = list(zip(self.inner(first), self.inner(second), strict=True))
        return [torch.cat([f, g, (f - g).abs()], dim=1) for f, g in pairs]


class WithDifference(nn.Module):
    """An encoder of two images that is given how they differ as further channels: `(a, b, |a - b|)`.

    Early fusion: it costs no more than one image, and edges stay as sharp as those of the input.

    Args:
        encoder: of three images' channels; it becomes part of this one.

    >>> from atrous.encoders.resnet import ResNet
    >>> encoder = WithDifference(ResNet(2, in_channels=9, depth=10, width=8))
    >>> encoder.in_channels, encoder(torch.zeros(1, 6, 64, 64))[0].shape
    (6, torch.Size([1, 8, 64, 64]))
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        if encoder.in_channels % 3:
            raise ValueError(f"{encoder.in_channels} channels: an encoder of two images and their difference has 3 n")
        self.ndim, self.pretrained, self.strides = encoder.ndim, encoder.pretrained, encoder.strides
        self.in_channels = encoder.in_channels // 3 * 2
        self.channels = encoder.channels
        self.inner = cast(nn.Module, encoder)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, the first image's channels first; finest level first."""
        half = self.in_channels // 2
        return self.inner(torch.cat([x, (x[:, :half] - x[:, half:]).abs()], dim=1))
