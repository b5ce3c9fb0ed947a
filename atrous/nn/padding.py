"""Layers that pad their input in their own forward pass, and how other code learns what they add.

A torch layer states its padding in `padding`. A layer whose padding depends on the input's size (TensorFlow's "same"
rule, a window on a finer grid) cannot: it pads inside `forward`. Code that replaces or repeats that forward pass must
know the padding, so such a layer implements `PadsItself`. `padding_rule` finds the rule of any layer, including the
layers of timm, which do not know our protocol and are adapted here by class.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn

Pads = tuple[tuple[int, int], ...]
"""Positions added before and after the input, one pair per spatial axis, first axis first."""


@runtime_checkable
class PadsItself(Protocol):
    """A convolution or pool that pads its input in its own forward pass: its window then needs no other padding."""

    @property
    def pad_value(self) -> float:
        """The constant written into the added positions: 0 for convolutions and average pools, -inf for max pools."""
        ...

    def pads_for(self, size: Sequence[int]) -> Pads:
        """Return the padding of an input `(N, C, *size)`."""
        ...


def pad_input(layer: PadsItself, x: Tensor) -> Tensor:
    """Pad `x (N, C, *S)` as `layer` pads it, which gives `(N, C, *(S + before + after))`.

    >>> import torch
    >>> pad_input(Conv3dSame(1, 1, 3, stride=2), torch.zeros(1, 1, 8, 8, 7)).shape
    torch.Size([1, 1, 9, 9, 9])
    """
    pads = layer.pads_for(x.shape[2:])
    flat = [amount for pair in reversed(pads) for amount in pair]  # `F.pad` wants the last axis first
    return F.pad(x, flat, value=layer.pad_value) if any(flat) else x


def same_pads(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Pads:
    """Return the padding of TensorFlow's "same" rule: `ceil(size / stride)` outputs, the odd position at the far end.

    All arguments hold one number per axis.

    >>> same_pads((8, 7), (3, 3), (2, 2), (1, 1))
    ((0, 1), (1, 1))
    """
    pads = []
    for length, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        outputs = -(-length // s)
        total = max((outputs - 1) * s + d * (k - 1) + 1 - length, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


class Conv3dSame(nn.Conv3d):
    """A 3-D convolution with TensorFlow's "same" padding: `(N, C, D, H, W)` to `(N, C_out, *ceil(S / stride))`.

    `repeated` names an axis that is padded with its outermost values instead of zeros.
    """

    pad_value = 0.0
    repeated: int | None = None

    def pads_for(self, size: Sequence[int]) -> Pads:
        """Return the padding of an input `(N, C, *size)`."""
        return same_pads(size, self.kernel_size, self.stride, self.dilation)

    def forward(self, input: Tensor) -> Tensor:
        """Pad `(N, C, D, H, W)` and convolve it."""
        if self.repeated is not None:
            return super().forward(self._pad_repeated(input, self.repeated))
        return super().forward(pad_input(self, input))

    def _pad_repeated(self, x: Tensor, axis: int) -> Tensor:
        """Pad `axis` with its outermost values and the other axes with zeros."""
        pads = self.pads_for(x.shape[2:])
        along = [pair if i == axis else (0, 0) for i, pair in enumerate(pads)]
        others = [(0, 0) if i == axis else pair for i, pair in enumerate(pads)]
        x = F.pad(x, [amount for pair in reversed(along) for amount in pair], mode="replicate")
        return F.pad(x, [amount for pair in reversed(others) for amount in pair])


class BatchNormAct3d(nn.BatchNorm3d):
    """Batch norm, then the submodules `drop` and `act`, on `(N, C, D, H, W)`: timm's `BatchNormAct2d` for volumes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize, drop and activate `(N, C, D, H, W)`."""
        return self.act(self.drop(super().forward(input)))  # pyright: ignore[reportCallIssue]


@dataclass(frozen=True)
class _TimmSame:
    """The rule of timm's `Conv2dSame`, which pads by TensorFlow's "same" rule in its forward pass."""

    conv: nn.Conv2d
    pad_value: float = 0.0

    def pads_for(self, size: Sequence[int]) -> Pads:
        """Return the padding of an input `(N, C, *size)`."""
        conv = self.conv
        return same_pads(size, conv.kernel_size, conv.stride, conv.dilation)


@dataclass(frozen=True)
class ForeignLayer:
    """What other code must know of a layer class of another library.

    `volume` is the class of the same layer for three spatial axes; `rule` adapts an instance to `PadsItself`, or is
    None for a layer that does not pad in its forward pass.
    """

    volume: type[nn.Module]
    rule: type[_TimmSame] | None = None


def foreign_layer(layer: nn.Module) -> ForeignLayer | None:
    """Look the exact class of `layer` up among the known layers of other libraries; None if it is not one of them.

    timm takes seconds to import, and a network can hold its layers only once it is imported. So an unimported timm has
    no entries here.
    """
    timm_layers: Any = sys.modules.get("timm.layers")
    if timm_layers is None:
        return None
    table = {
        timm_layers.Conv2dSame: ForeignLayer(Conv3dSame, _TimmSame),
        timm_layers.BatchNormAct2d: ForeignLayer(BatchNormAct3d),
    }
    return table.get(type(layer))


def padding_rule(layer: nn.Module) -> PadsItself | None:
    """Return what says how `layer` pads in its own forward pass, or None if it does not say.

    That is the layer itself if it implements `PadsItself`, or the adapter of a known layer of another library. None
    does not mean that the layer adds no padding: an unknown layer may do anything in its forward pass.

    >>> padding_rule(nn.Conv2d(1, 1, 3, padding=1)) is None
    True
    """
    if isinstance(layer, PadsItself):
        return layer
    foreign = foreign_layer(layer)
    return None if foreign is None or foreign.rule is None else foreign.rule(cast(nn.Conv2d, layer))
