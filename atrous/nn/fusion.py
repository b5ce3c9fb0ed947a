"""Ways to join two paths: what comes up from the coarse level, and what the encoder kept at this one."""

from typing import Literal

import torch
from torch import nn

from atrous._nd import CONV

FusionKind = Literal["sum", "concat", "gated"]


class Sum(nn.Module):
    """`coarse + fine`, as FCN (Long et al. 2015) and feature pyramids (Lin et al. 2017) join.

    >>> Sum()(torch.ones(1, 2, 3), torch.ones(1, 2, 3)).shape
    torch.Size([1, 2, 3])
    """

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Two maps `(N, C, *S)` to one."""
        return coarse + fine


class Concat(nn.Module):
    """Channels side by side, as U-Net (Ronneberger et al. 2015) joins."""

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """`(N, A, *S)` and `(N, B, *S)` to `(N, A + B, *S)`."""
        return torch.cat([coarse, fine], dim=1)


class Gated(nn.Module):
    """`g * coarse + (1 - g) * fine`, where `g` in 0..1 is chosen from both at every position and channel.

    The gate is a highway's (Srivastava, Greff & Schmidhuber 2015); it begins at one half.

    >>> Gated(1, 2)(torch.ones(1, 2, 3), torch.zeros(1, 2, 3))[0, 0].tolist()
    [0.5, 0.5, 0.5]
    """

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        self.gate = CONV[ndim](2 * channels, channels, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)  # type: ignore[arg-type]

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Two maps `(N, C, *S)` to one."""
        gate = torch.sigmoid(self.gate(torch.cat([coarse, fine], dim=1)))
        return fine + gate * (coarse - fine)


def fusion(kind: FusionKind, ndim: int, channels: int) -> nn.Module:
    """The module that joins two maps of `channels` channels each; it returns twice as many for "concat"."""
    if kind == "gated":
        return Gated(ndim, channels)
    return {"sum": Sum, "concat": Concat}[kind]()
