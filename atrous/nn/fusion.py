"""Ways to join two maps of one grid: the upsampled coarse map, and the encoder's map of this level."""

from typing import Literal

import torch
from torch import nn

from atrous._nd import CONV

FusionKind = Literal["sum", "concat", "gated"]


class Sum(nn.Module):
    """`coarse + fine`, as in FCN (Long et al. 2015) and feature pyramids (Lin et al. 2017).

    >>> Sum()(torch.ones(1, 2, 3), torch.ones(1, 2, 3)).shape
    torch.Size([1, 2, 3])
    """

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Join two maps `(N, C, *S)` to one of the same shape."""
        return coarse + fine


class Concat(nn.Module):
    """The channels of both maps, as in U-Net (Ronneberger et al. 2015)."""

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Join `(N, A, *S)` and `(N, B, *S)` to `(N, A + B, *S)`."""
        return torch.cat([coarse, fine], dim=1)


class Gated(nn.Module):
    """`g * coarse + (1 - g) * fine`, where a 1x1 convolution of both maps gives `g` in 0..1 per position and channel.

    The gate is that of a highway network (Srivastava, Greff & Schmidhuber 2015); it starts at one half.

    >>> Gated(1, 2)(torch.ones(1, 2, 3), torch.zeros(1, 2, 3))[0, 0].tolist()
    [0.5, 0.5, 0.5]
    """

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        self.gate = CONV[ndim](2 * channels, channels, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)  # type: ignore[arg-type]

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Join two maps `(N, C, *S)` to one of the same shape."""
        gate = torch.sigmoid(self.gate(torch.cat([coarse, fine], dim=1)))
        return fine + gate * (coarse - fine)


def fusion(kind: FusionKind, ndim: int, channels: int) -> nn.Module:
    """Build the module that joins two maps of `channels` channels each; "concat" gives twice as many channels."""
    if kind == "gated":
        return Gated(ndim, channels)
    return {"sum": Sum, "concat": Concat}[kind]()
