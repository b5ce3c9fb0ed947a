"""Input normalization as part of the network, so that whoever runs it feeds raw values."""

from collections.abc import Sequence

import torch
from torch import nn


class Normalize(nn.Module):
    """`(x - mean) / std` per channel, in float32, for `(N, C, *S)`; the statistics travel with the weights.

    >>> Normalize([2.0], [4.0], ndim=1)(torch.full((1, 1, 3), 10.0)).tolist()
    [[[2.0, 2.0, 2.0]]]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], ndim: int) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"{len(mean)} means for {len(std)} standard deviations")
        if min(std) <= 0:
            raise ValueError(f"standard deviations must be positive, got {list(std)}")
        shape = (1, -1, *[1] * ndim)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize raw values of any dtype."""
        return (x.to(self.mean.dtype) - self.mean) / self.std  # type: ignore[operator]
