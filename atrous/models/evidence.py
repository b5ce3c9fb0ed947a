"""A map of evidence for each class, on the grid of an encoder's coarsest level: for classes of whole inputs.

A classifier whose pool comes after its last layer is a fully convolutional network (Lin et al., "Network in network",
2013; Oquab et al., "Is object localization for free?", CVPR 2015). Here the pool is the task's
(`atrous.tasks.classification`), and the network ends with the map.
"""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.network import pad_to_multiple
from atrous.nn.blocks import Normalize


class EvidenceNetwork(nn.Module):
    """`(N, C, *S)` raw values -> `(N, K, *ceil(S / stride))`, for every `S`.

    The steps: normalize the input; pad it at the far side to a multiple of the stride, with its outermost values; run
    the encoder; a 1x1 convolution of its coarsest level. That begins small, so that no position stands out.

    Args:
        encoder: any `Encoder`.
        outputs: channels of the output.
        head: maps the encoder's coarsest level to `outputs`; a 1x1 convolution when None.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.strided import Strided
    >>> EvidenceNetwork(Strided(2, 1, width=4, strides=(4, 2)), 1)(torch.zeros(1, 1, 45, 64)).shape
    torch.Size([1, 1, 6, 8])
    """

    def __init__(
        self,
        encoder: Encoder,
        outputs: int,
        *,
        head: nn.Module | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.ndim, self.outputs, self.stride = encoder.ndim, outputs, encoder.strides[-1]
        channels = encoder.in_channels
        self.normalize = Normalize(mean or [0.0] * channels, std or [1.0] * channels, self.ndim)
        self.encoder = encoder
        self.head = head or CONV[self.ndim](encoder.channels[-1], outputs, 1)
        if head is None:
            nn.init.normal_(self.head.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the evidence `(N, K, *S')` of `(N, C, *S)`."""
        if x.ndim != self.ndim + 2 or x.shape[1] != self.encoder.in_channels:
            grid = ", ".join(f"S{i + 1}" for i in range(self.ndim))
            raise ValueError(
                f"the network reads (N, {self.encoder.in_channels}, {grid}), got a tensor of shape {tuple(x.shape)}"
            )
        return self.head(self.encoder(pad_to_multiple(self.normalize(x), self.stride))[-1])
