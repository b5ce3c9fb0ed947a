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
        x = pad_to_multiple(x, self.stride)
        padded = tuple(x.shape[2:])
        maps = self.decoder.maps(self.encoder(x))
        if self.fuse is None and not (self.training and self.auxiliary):
            return crop_to(resize(self.head(maps[-1]), padded), size)
        heads = zip([self.head, *self.auxiliary], maps[::-1], strict=True)
        logits = [resize(head(feature), padded) for head, feature in heads]
        if self.fuse is not None:
            logits = [self.fuse(torch.cat(logits, dim=1)), *logits]
        return [crop_to(one, size) for one in logits] if self.training else crop_to(logits[0], size)


def pad_to_multiple(x: torch.Tensor, steps: Sequence[int], least: int = 1) -> torch.Tensor:
    """Pad `(N, C, *S)` at the far side to multiples of `steps`, and to `least`, with its outermost values.

    When `torch.export` follows a network for inputs of any size, sizes are symbols, on which no branch may depend. The
    values are then read by their index, which stays at the last one:

        padded[i] = x[min(i, length - 1)].

    A symbol is taken for a size of `least` or more.

    >>> pad_to_multiple(torch.tensor([[[1.0, 2.0, 3.0]]]), (4,)).tolist()
    [[[1.0, 2.0, 3.0, 3.0]]]
    """
    size = tuple(x.shape[2:])
    if _symbolic(size):
        for axis, (length, step) in enumerate(zip(size, steps, strict=True), 2):
            if step > 1:
                index = torch.arange((length + step - 1) // step * step, device=x.device)
                x = x.index_select(axis, index.clamp(max=length - 1))
        return x
    pads = [max(-length % step, least - length) for length, step in zip(size, steps, strict=True)]
    if not any(pads):
        return x
    return F.pad(x, [value for pad in reversed(pads) for value in (0, pad)], mode="replicate")


def crop_to(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Crop `(N, C, *S)` to `(N, C, *size)` at the far side."""
    if _symbolic((*x.shape[2:], *size)):  # a slice would compare the sizes
        for axis, (before, length) in enumerate(zip(x.shape[2:], size, strict=True), 2):
            if not _same(before, length):
                x = x.index_select(axis, torch.arange(length, device=x.device))
        return x
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return x[(slice(None), slice(None), *(slice(0, length) for length in size))]


def _symbolic(sizes: Sequence[object]) -> bool:
    """Whether `torch.export` follows the network for inputs of any size."""
    return any(isinstance(length, torch.SymInt) for length in sizes)


def _same(one: int | torch.SymInt, other: int | torch.SymInt) -> bool:
    """Whether two sizes are written alike; to compare their values would fix them."""
    if isinstance(one, torch.SymInt) and isinstance(other, torch.SymInt):
        return one.node.expr == other.node.expr
    return isinstance(one, int) and isinstance(other, int) and one == other
