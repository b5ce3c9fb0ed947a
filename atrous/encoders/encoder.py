"""What a decoder may expect of an encoder."""

from typing import Protocol, runtime_checkable

import torch


@runtime_checkable
class Encoder(Protocol):
    """Maps `(N, in_channels, *S)` to one feature map per level, finest first.

    `S` must be divisible by the last of `strides`; `DenseNetwork` pads so that any size will do.
    """

    ndim: int
    """Spatial axes: 1, 2 or 3."""
    in_channels: int
    channels: tuple[int, ...]
    """Channels per level, finest first."""
    strides: tuple[tuple[int, ...], ...]
    """Input positions per output position, per level and axis."""
    pretrained: bool
    """Whether the weights were trained before: training then uses a lower rate for them."""

    def __call__(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps `(N, channels[i], *(S / strides[i]))`."""
        ...
