"""A dense network: encoder, decoder and head around the same grid, at any input size."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.nn.blocks import Normalize, resize

Attend = Callable[[int, int], nn.Module]
"""Builds an attention module for `(ndim, channels)`, for example `functools.partial(attention, "se")`."""


class Decoder(Protocol):
    """Maps an encoder's levels, finest first, to feature maps, coarse to fine; the head reads the last one."""

    channels: int
    """Channels of the last map."""
    all_channels: tuple[int, ...]
    """Channels of every map."""

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return feature maps on the grids of one or more levels; the last one is the decoder's result."""
        ...


def attended(attend: Attend | None, ndim: int, channels: int) -> nn.Module:
    """Build the attention module for `(N, channels, *S)`, or the identity when `attend` is None."""
    return nn.Identity() if attend is None else attend(ndim, channels)


class DenseNetwork(nn.Module):
    """`(N, C, *S)` raw values -> `(N, K, *S)` logits, for every `S`.

    The steps: normalize the input; pad it at the far side to a multiple of the stride, with its outermost values; run
    encoder, decoder and head; resize the logits to the padded size; crop them to the input's size.

    With `deep_supervision` the network returns a list in training mode: the logits, then those of the decoder's coarser
    maps, finest first, all on the input's grid (Lee et al. 2015, "Deeply-supervised nets"). In evaluation mode it
    returns the logits alone. If `fused` too, the logits are a 1x1 convolution of those of all maps, which starts as
    their mean, and in training mode those of the finest map come second (Xie & Tu 2015, "Holistically-nested edge
    detection").

    Args:
        encoder: any `Encoder`.
        decoder: any `Decoder` for that encoder.
        outputs: channels of the output.
        head: maps the decoder's channels to `outputs`; a 1x1 convolution when None.
        stride: the padded size is a multiple of this; the encoder's coarsest stride when None.
        deep_supervision: whether coarser maps get heads of their own.
        fused: whether the logits are made of those of all maps; it needs deep supervision.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    Raises:
        ValueError: deep supervision is asked for, but the decoder has one feature map only; or fusion without it.

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
        head: nn.Module | None = None,
        stride: tuple[int, ...] | None = None,
        deep_supervision: bool = False,
        fused: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.ndim, self.outputs = encoder.ndim, outputs
        self.stride = stride or encoder.strides[-1]
        channels = encoder.in_channels
        self.normalize = Normalize(mean or [0.0] * channels, std or [1.0] * channels, self.ndim)
        self.encoder, self.decoder = encoder, decoder
        self.head = CONV[self.ndim](decoder.channels, outputs, 1) if head is None else head
        self.auxiliary = nn.ModuleList()
        if deep_supervision:
            if len(decoder.all_channels) < 2:
                raise ValueError(f"{type(decoder).__name__} has one feature map: deep supervision needs coarser ones")
            for coarser in reversed(decoder.all_channels[:-1]):
                self.auxiliary.append(CONV[self.ndim](coarser, outputs, 1))
        self.fuse = self._fusion() if fused else None

    def _fusion(self) -> nn.Module:
        """A 1x1 convolution of the logits of all maps, which starts as their mean."""
        if not self.auxiliary:
            raise ValueError("the outputs of several maps are fused: that needs deep supervision")
        count = 1 + len(self.auxiliary)
        fuse = CONV[self.ndim](count * self.outputs, self.outputs, 1)
        mean = torch.eye(self.outputs).repeat(1, count) / count
        with torch.no_grad():
            fuse.weight.copy_(mean.view(*mean.shape, *[1] * self.ndim))
            fuse.bias.zero_()  # type: ignore[union-attr]
        return fuse

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return the logits `(N, K, *S)` of `(N, C, *S)`; a list of such with deep supervision in training mode."""
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
        padded = tuple(x.shape[2:])
        maps = self.decoder.maps(self.encoder(x))
        if self.fuse is None and not (self.training and self.auxiliary):
            return crop_to(resize(self.head(maps[-1]), padded), size)
        heads = zip([self.head, *self.auxiliary], maps[::-1], strict=True)
        logits = [resize(head(feature), padded) for head, feature in heads]
        if self.fuse is not None:
            logits = [self.fuse(torch.cat(logits, dim=1)), *logits]
        return [crop_to(one, size) for one in logits] if self.training else crop_to(logits[0], size)


def crop_to(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Crop `(N, C, *S)` to `(N, C, *size)` at the far side."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return x[(slice(None), slice(None), *(slice(0, length) for length in size))]
