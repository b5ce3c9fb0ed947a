"""Which operators must change when values move to a finer grid, and into what; refused by name where none is exact."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from atrous.errors import UserError
from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, Op
from atrous.geometry.maps import IDENTITY
from atrous.geometry.rules import sliding
from atrous.geometry.rules.rearrange import PADS, pad_mode, pad_pairs
from atrous.surgery.window import Window

Rates = dict[int, int | None]
"""For every value along one axis the fine positions per coarse one; values without a grid are absent."""
CONVS = ("conv1d", "conv2d", "conv3d")
POOLS = tuple(f"{kind}_pool{n}d{more}" for n in (1, 2, 3) for kind in ("max", "avg") for more in ("", "_with_indices"))


@dataclass(frozen=True)
class Edit:
    """What one operator becomes.

    `windows` are set for convolutions and pools (`pad` is the operator before it that belongs to it, `others` the
    windows that pad as much at this length, by another rule); `rates` and
    `dims` for what reads all positions of some dimensions; `amounts` for padding by constants, innermost axis first.
    """

    op: Op
    windows: tuple[Window, ...] = ()
    others: tuple[Window, ...] = ()
    pad: Op | None = None
    rates: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()
    amounts: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.windows:
            return ", ".join(dict.fromkeys(map(str, self.windows)))
        every = "x".join(map(str, dict.fromkeys(self.rates)))
        return f"reads every {every}-th position only" if self.rates else f"pads by {self.amounts}"


def find_edits(graph: Graph, axes: Sequence[Axis], rates: Sequence[Rates]) -> list[Edit]:
    """The operators that must change, in graph order, given the rate of every value along every axis.

    Raises:
        UserError: one of them cannot be put on a finer grid exactly.
    """
    found: list[Edit] = []
    merged: set[int] = set()
    last = {graph.output, *graph.ops[graph.output].inputs}
    for op in graph.ops:
        reads = {g: axis.along[op.index].reads for g, axis in enumerate(axes)}
        if op.index in last or not any(reads.values()):
            continue
        incoming = {g: [rates[g].get(r.input) for r in each] for g, each in reads.items()}
        known = {g: {r for r in each if r is not None} for g, each in incoming.items()}
        after = {g: rates[g].get(op.index) or 1 for g in reads}
        if not any(r > 1 for each in known.values() for r in each) and max(after.values()) == 1:
            continue
        if any(len(each) > 1 for each in known.values()):
            raise refusal(op, f"its inputs would lie on grids that differ ({known})")
        edit = _edit(graph, op, axes, [next(iter(known[g]), 1) for g in range(len(axes))], list(after.values()))
        if edit is not None:
            found.append(edit)
            merged |= {edit.pad.index} if edit.pad is not None else set()
    return [edit for edit in found if edit.op.index not in merged]


def refusal(op: Op, reason: str) -> UserError:
    """Why the network is not dilated, naming module and operator."""
    return UserError(
        f"{op.module or 'the network'} ({op.kind}): cannot be put on a finer grid exactly: {reason}; "
        "take a larger output_stride, or dilate the part of the network before it"
    )


def _edit(graph: Graph, op: Op, axes: Sequence[Axis], before: list[int], after: list[int]) -> Edit | None:
    """The edit of one operator, or None when it is the same function on any grid."""
    whole = [g for g, axis in enumerate(axes) if axis.along[op.index].barrier]
    if whole:
        return _whole(op, axes, whole, before)
    if not any(_moves(op, axis) for axis in axes):
        return None
    if op.kind in CONVS or op.kind in POOLS:
        return _window(graph, op, before, after)
    if op.kind in PADS:
        amounts = _amounts(op)
        if pad_mode(op) != "constant":
            raise refusal(op, f"{pad_mode(op)} padding takes other values there")
        if min(amounts) < 0:
            raise refusal(op, "it crops positions")
        scaled = [a * before[len(before) - 1 - i // 2] for i, a in enumerate(amounts)]
        return Edit(op, amounts=tuple(scaled))
    raise refusal(op, "it resizes, moves or mixes positions")


def _moves(op: Op, axis: Axis) -> bool:
    """Whether outputs read anything but the position they stand at, or positions are added or cropped."""
    for read in axis.along[op.index].reads:
        if read.map.is_broadcast:
            continue
        if not axis.streamed(read.input):
            raise refusal(op, f"it meets a constant of {axis.graph.ops[read.input].shape[read.dim]} positions")
        if read.map != IDENTITY or axis.length(op.index) != axis.graph.ops[read.input].shape[read.dim]:
            return True
    return False


def _amounts(op: Op) -> list[int]:
    """The padding of an operator, innermost axis first, as `torch.nn.functional.pad` takes it."""
    pairs = pad_pairs(op)
    return [side for dim in sorted(pairs, reverse=True) for side in pairs[dim]]


def _whole(op: Op, axes: Sequence[Axis], whole: list[int], before: list[int]) -> Edit | None:
    rates = tuple(before[g] for g in whole)
    if max(rates) == 1:
        return None
    if op.kind == "moments":
        raise refusal(op, "it normalizes over positions, and the finer grid has more of them")
    dims = tuple(axes[g].along[op.index].reads[0].dim for g in whole)
    return Edit(op, rates=rates, dims=dims)


def _window(graph: Graph, op: Op, before: list[int], after: list[int]) -> Edit | None:
    a = op.arguments
    weight = graph.ops[a["weight"].index].shape if op.kind in CONVS else None
    slides = sliding.window(op, weight)
    if op.item == 1 or ("indices" in op.kind and any(o.item == 1 and o.args == op.args for o in graph.ops)):
        raise refusal(op, "its indices would count positions of the finer grid")
    pad = _own_pad(graph, op)
    ceil = bool(a.get("ceil_mode", False))
    source = graph.ops[op.inputs[0] if pad is None else pad.inputs[0]]
    fixed, same = [], []
    for g, (s, rate, rate_out) in enumerate(zip(slides, before, after, strict=True)):
        start, end = s.padding, s.reach - s.padding if a["padding"] == "same" else s.padding
        if pad is not None:
            start, end = _own_padding(graph, op, pad, g, s)
        window = Window(s.kernel, s.stride, s.dilation, start, end, rate, s.stride * rate // rate_out, ceil)
        fixed.append(window)
        length = source.shape[len(source.shape) - graph.ndim + g]
        same.append(_as_same(window, length) if s.padding == 0 and not ceil else window)
    if all(w.kernel == 1 and w.stride == w.fine_stride == 1 and not w.before and w.after == 0 for w in fixed):
        return None
    windows, others = tuple(fixed), tuple(same)
    if pad is not None and pad.module == op.module:  # a function of the input's length, more often than not
        windows, others = others, windows
    return Edit(op, windows=windows, others=others if others != windows else (), pad=pad)


def _as_same(window: Window, length: int) -> Window:
    """The window with TensorFlow's "same" padding where at this length that pads just as much."""
    same = replace(window, before=None, after=0)
    start, count = same.coarse(length)
    total = max((count - 1) * window.stride + window.dilation * (window.kernel - 1) + 1 - length, 0)
    return same if (window.before, window.after) == (start, total - start) else window


def _own_pad(graph: Graph, op: Op) -> Op | None:
    """The padding that the same module, or a child of a convolution, does right before."""
    source = graph.ops[op.inputs[0]]
    child = op.kind in CONVS and op.module != "" and source.module.startswith(f"{op.module}.")
    if source.kind in PADS and (child or source.module == op.module):
        if pad_mode(source) != "constant":
            raise refusal(op, f"{pad_mode(source)} padding takes other values there")
        return source
    return None


def _own_padding(graph: Graph, op: Op, pad: Op, g: int, s: sliding.Sliding) -> tuple[int, int]:
    """Padding before and after along axis `g`, at this length."""
    if s.padding:
        raise refusal(op, "it is padded twice")
    return pad_pairs(pad).get(len(pad.shape) - graph.ndim + g, (0, 0))


def value_of_pad(op: Op) -> float:
    """The constant that a padding operator writes."""
    value = op.arguments.get("value")
    return 0.0 if value is None or isinstance(value, torch.Tensor) else float(value)


def is_zero_or_lowest(op: Op, pooled: str) -> bool:
    """Whether padding by this constant is what the pool or convolution after it would do by itself."""
    value = value_of_pad(op)
    return (value == -math.inf or value <= torch.finfo(torch.float32).min) if "max" in pooled else value == 0
