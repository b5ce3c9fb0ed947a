"""Operators that write their new rows directly behind the buffered ones.

Otherwise the new rows would be computed into memory of their own and joined with the buffered ones afterwards. That
reads and writes every input of a convolution once more and takes an eighth of the time of a streamed run.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from atrous.geometry.graph import Op, Ref
from atrous.stream.compute import resize
from atrous.stream.compute.fast import join, rows_last
from atrous.stream.rows import OutputSpan

POINTWISE: dict[str, Callable[..., Any]] = {
    "relu": partial(torch.clamp_min, min=0),
    "silu": torch.ops.aten.silu.out,
    "hardswish": torch.ops.aten.hardswish.out,
    "hardtanh": torch.ops.aten.hardtanh.out,
    "leaky_relu": torch.ops.aten.leaky_relu.out,
    "sigmoid": torch.sigmoid,
    "add": torch.add,
    "mul": torch.mul,
}
"""Pointwise operators by kind, in a form that takes `out=`."""


def writes(op: Op) -> bool:
    """Whether `write` can compute the operator."""
    return op.dtype.is_floating_point and (
        op.kind in resize.KERNELS or (not op.kwargs and (op.kind == "cat" or op.kind in POINTWISE))
    )


def write(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...], place: Tensor) -> None:
    """Compute what `compute` returns, into `place`."""
    if op.kind in resize.KERNELS:
        resize.resize(op, tensors, spans, place)
        return
    args = tree_map(lambda a: tensors[a.index] if isinstance(a, Ref) else a, op.args)
    if op.kind == "cat":
        join(*args, out=place)
    else:
        POINTWISE[op.kind](*args, out=place)


def with_room(held: Tensor, dim: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return a copy of the `held` rows with room for `rows` more behind them along `dim`, and a view of that room.

    The copy has the memory layout of `held`.

    >>> grown, room = with_room(torch.ones(1, 3, 2, 8), 2, 5)
    >>> grown.shape, room.shape, bool((grown[:, :, :2] == 1).all())
    (torch.Size([1, 3, 7, 8]), torch.Size([1, 3, 5, 8]), True)
    """
    sizes, count = list(held.shape), held.shape[dim]
    sizes[dim] += rows
    if rows_last(held):
        grown = held.new_empty((sizes[0], sizes[2], sizes[1])).transpose(1, 2)
    else:
        grown = torch.empty(sizes, dtype=held.dtype, device=held.device, memory_format=_layout(held))
    grown.narrow(dim, 0, count).copy_(held)
    return grown, grown.narrow(dim, count, rows)


def _layout(x: Tensor) -> torch.memory_format:
    """The order in which numbers lie, also those of a part of a value, which has gaps behind its rows."""
    for rank, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.dim() == rank and (x.is_contiguous(memory_format=layout) or x.stride(1) == 1):
            return layout
    return torch.contiguous_format
