"""A dense network: encoder, decoder and head around the same grid, at any input size."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.nn.normalize import Normalize
from atrous.nn.resize import resize


class Decoder(Protocol):
    """Maps an encoder's levels (finest first) to one feature map `(N, channels, *S_level)`."""

    channels: int

    def __call__(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Feature map on the grid of one of the levels."""
        ...


class DenseNetwork(nn.Module):
    """`(N, C, *S)` raw values -> `(N, K, *S)` logits, for every `S`.

    Normalizes, pads on the far side to a multiple of the encoder's stride (repeating the border), runs encoder, decoder
    and a 1x1 head, resizes the logits to the padded grid and crops back.

    >>> from atrous.encoders.resnet import ResNet
    >>> from atrous.models.fcn import FeaturePyramid
    >>> encoder = ResNet(2, in_channels=1, depth=10, width=8)
    >>> network = DenseNetwork(encoder, FeaturePyramid(encoder, 16), outputs=3)
    >>> network(torch.zeros(1, 1, 45, 70)).shape
    torch.Size([1, 3, 45, 70])
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        outputs: int,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.ndim, self.outputs = encoder.ndim, outputs
        self.stride = encoder.strides[-1]
        channels = encoder.in_channels
        self.normalize = Normalize(mean or [0.0] * channels, std or [1.0] * channels, self.ndim)
        self.encoder, self.decoder = encoder, decoder
        self.head = CONV[self.ndim](decoder.channels, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every position."""
        if x.ndim != self.ndim + 2 or x.shape[1] != self.encoder.in_channels:
            grid = ", ".join(f"S{i + 1}" for i in range(self.ndim))
            raise ValueError(
                f"the network reads (N, {self.encoder.in_channels}, {grid}), got a tensor of shape {tuple(x.shape)}"
            )
        size = tuple(x.shape[2:])
        x = self.normalize(x)
        pads = [-length % step for length, step in zip(size, self.stride, strict=True)]
        if any(pads):
            x = F.pad(x, [value for pad in reversed(pads) for value in (0, pad)], mode="replicate")
        logits = self.head(self.decoder(self.encoder(x)))
        logits = resize(logits, tuple(x.shape[2:]))
        if any(pads):
            logits = logits[(slice(None), slice(None), *(slice(0, length) for length in size))]
        return logits
