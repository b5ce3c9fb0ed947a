"""Operators that move numbers without mixing them: views, permutes, slices, pads, concatenation, pixel shuffle."""

import math
from collections.abc import Sequence

from atrous.geometry.axis import Along, Axis, Refused, aligned, same
from atrous.geometry.borders import Bordered
from atrous.geometry.graph import Op
from atrous.geometry.maps import IDENTITY, Everything, Map, Read, Regrouped, Sliding


def pad_pairs(op: Op) -> dict[int, tuple[int, int]]:
    """Return for every padded dimension (counted from 0) the positions added before and after; negative ones crop."""
    flat = list(op.arguments.get("pad") or op.arguments["padding"])
    n = len(op.shape)
    return {n - 1 - i: (flat[2 * i], flat[2 * i + 1]) for i in range(len(flat) // 2)}


def pad_mode(op: Op) -> str:
    """Return the mode of a pad: "constant", "reflect", "replicate" or "circular"."""
    if op.kind == "constant_pad_nd":
        return "constant"
    return (
        op.kind.split("_pad")[0].replace("reflection", "reflect").replace("replication", "replicate")
        if "_pad" in op.kind
        else op.arguments["mode"]
    )


def pad_map(mode: str, before: int, after: int, length: int) -> Map:
    """Return the map of a pad of `before` and `after` rows on `length` rows; one that only crops copies rows in any
    mode.
    """
    if mode == "constant" or (before <= 0 and after <= 0):
        return Sliding(padding=before)
    return Bordered(mode, before, after, length)


def pad(op: Op, axis: Axis) -> Along:
    """Return how a pad acts. A circular pad needs all rows, since its first rows are copies of the last."""
    dim = axis.dim(op.inputs[0])
    before, after = pad_pairs(op).get(-1 if dim is None else dim, (0, 0))
    step = pad_map(pad_mode(op), before, after, axis.length(op.inputs[0]))
    if step.wraps:
        step = Everything(axis.length(op.inputs[0]))
    return same(op, axis, dim, step=step)


def permute(op: Op, axis: Axis) -> Along:
    """Return how a permute or transpose acts: the axis moves to another dimension."""
    dim = _dim(op, axis)
    a, n = op.arguments, len(op.shape)
    if op.kind == "permute":
        order = [d % n for d in a["dims"]]
    else:
        order = list(range(n))
        first, second = (0, 1) if op.kind in ("t", "numpy_T") else (a["dim0"] % n, a["dim1"] % n)
        order[first], order[second] = order[second], order[first]
    return same(op, axis, order.index(dim))


def unsqueeze(op: Op, axis: Axis) -> Along:
    """Return how a new dimension acts: an axis at or behind it moves on by one."""
    dim, added = _dim(op, axis), op.arguments["dim"] % len(op.shape)
    return same(op, axis, dim + (added <= dim))


def squeeze(op: Op, axis: Axis) -> Along:
    """Return how the removal of dimensions of size one acts. Refuse to remove the axis."""
    dim = _dim(op, axis)
    shape = axis.graph.ops[op.inputs[0]].shape
    asked = op.arguments.get("dim", list(range(len(shape))))
    dims = {d % len(shape) for d in ([asked] if isinstance(asked, int) else asked)}
    removed = {d for d in dims if shape[d] == 1}
    if dim in removed:
        raise Refused(op, "removes the axis")
    return same(op, axis, dim - sum(d < dim for d in removed))


def view_group(before: Sequence[int], after: Sequence[int], dim: int) -> tuple[int, int, int] | None:
    """Return where dimension `dim` goes when shape `before` is viewed as `after`: `(dim', inner, outer)`, or None.

    Both shapes are cut into the shortest groups of neighbouring dimensions with equal products: (6, 8 * 5) and (2 * 3,
    40), say. A view only regroups elements within a group. An axis that is the outermost dimension of its group keeps
    its order there: one of its rows holds `inner` elements of the group, and one row of the outermost dimension `dim'`
    after the view holds `outer`. None when the axis is not outermost, or rows before and after do not nest, so that
    positions are mixed with other dimensions.

    >>> view_group((1, 6, 8, 5), (1, 2, 3, 8, 5), 2), view_group((1, 6, 8, 5), (1, 6, 40), 2)
    ((3, 1, 1), (2, 5, 1))
    >>> view_group((1, 6, 8), (48,), 2) is None
    True
    """
    i = j = 0  # where the next group begins in each shape
    while i < len(before) or j < len(after):
        start_i, start_j = i, j
        p, q = before[i] if i < len(before) else 1, after[j] if j < len(after) else 1
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while p != q:  # products of the two groups
            if p < q:
                p, i = p * before[i], i + 1
            else:
                q, j = q * after[j], j + 1
        if i == len(before) or j == len(after):  # what is left are ones
            i, j = len(before), len(after)
        if start_i <= dim < i:
            return _within(before[start_i:i], after[start_j:j], dim - start_i, start_j)
    return None


def _within(before: Sequence[int], after: Sequence[int], dim: int, offset: int) -> tuple[int, int, int] | None:
    """Return where dimension `dim` of one group goes; `offset` is the first dimension of the group after the view."""
    if any(size != 1 for size in before[:dim]) or not after:
        return None
    outermost = next((k for k, size in enumerate(after) if size != 1), min(dim, len(after) - 1))
    inner, outer = math.prod(before[dim + 1 :]), math.prod(after[outermost + 1 :])
    if inner % outer and outer % inner:
        return None
    return offset + outermost, inner, outer


def view(op: Op, axis: Axis) -> Along:
    """Return how a view acts, if it keeps the positions of the axis together."""
    source = axis.graph.ops[op.inputs[0]]
    group = view_group(source.shape, op.shape, _dim(op, axis))
    if group is None:
        raise Refused(op, "mixes positions with other dimensions")
    dim, inner, outer = group
    return same(op, axis, dim, step=IDENTITY if inner == outer else Regrouped(inner, outer))


def expand(op: Op, axis: Axis) -> Along:
    """Return how the expansion of dimensions of size one acts; a pooled vector spread over the grid becomes rows."""
    source = axis.graph.ops[op.inputs[0]]
    shift = len(op.shape) - len(source.shape)
    if axis.streamed(source.index):
        dim = _dim(op, axis)
        step = IDENTITY if op.shape[dim + shift] == source.shape[dim] else Everything(1)
        return same(op, axis, dim + shift, step=step)
    dim = 2 + axis.index
    if len(op.shape) != 2 + axis.graph.ndim or op.shape[dim] == 1 or dim < shift or op.numel == source.numel:
        return Along(None)
    grows = source.shape[dim - shift] == 1
    if not grows and not axis.spreads:
        return Along(None)
    return Along(dim, (Read(source.index, dim - shift, Everything(1) if grows else IDENTITY),))


def slices(op: Op, axis: Axis) -> Along:
    """Return how a slice acts: along the axis, output `o` copies row `start + o*step`."""
    dim, a = _dim(op, axis), op.arguments
    if a["dim"] % len(op.shape) != dim:
        return same(op, axis)
    length = axis.length(op.inputs[0])
    start, _, step = slice(a["start"], a["end"], a["step"]).indices(length)
    return same(op, axis, dim, step=Sliding(stride=step, padding=-start))


def select(op: Op, axis: Axis) -> Along:
    """Return how the choice of one index of a dimension acts. Refuse that of the axis."""
    dim, chosen = _dim(op, axis), op.arguments["dim"] % (len(op.shape) + 1)
    if chosen == dim:
        raise Refused(op, "picks one position of the axis")
    return same(op, axis, dim - (chosen < dim))


def split(op: Op, axis: Axis) -> Along:
    """Return how part `op.item` of a split acts: along the axis, it is shifted by the parts before."""
    dim, a = _dim(op, axis), op.arguments
    shape = axis.graph.ops[op.inputs[0]].shape
    split_dim = a["dim"] % len(shape)
    if op.kind == "unbind":
        if split_dim == dim:
            raise Refused(op, "picks one position of the axis")
        return same(op, axis, dim - (split_dim < dim))
    if split_dim != dim:
        return same(op, axis)
    sizes = a.get("split_sizes") or a["split_size"]
    item = op.item or 0
    start = item * sizes if isinstance(sizes, int) else sum(sizes[:item])
    return same(op, axis, dim, step=Sliding(padding=-start))


def cat(op: Op, axis: Axis) -> Along:
    """Return how a concatenation acts: along the axis, output `o` copies row `o - start` of the input that holds it."""
    inputs, joined = [r.index for r in op.args[0]], op.arguments.get("dim", 0) % len(op.shape)
    dims = {axis.dim(i) for i in inputs if axis.streamed(i)}
    if dims != {joined}:
        return aligned(op, axis)
    if len(set(inputs)) < len(inputs):
        raise Refused(op, "concatenates a value with itself along the axis")
    reads, start = [], 0
    for i in inputs:
        reads.append(Read(i, joined, Sliding(padding=start)))
        start += axis.graph.ops[i].shape[joined]
    return Along(joined, tuple(reads))


def stack(op: Op, axis: Axis) -> Along:
    """Return how a stack of values along a new dimension acts."""
    dims = {axis.dim(i) for i in op.inputs if axis.streamed(i)}
    if len(dims) != 1:
        raise Refused(op, "stacks values that have the axis in different dimensions")
    dim = dims.pop() or 0
    added = op.arguments.get("dim", 0) % len(op.shape)
    return Along(dim + (added <= dim), tuple(Read(i, dim) for i in op.inputs))


def shuffle(op: Op, axis: Axis) -> Along:
    """Return how a pixel shuffle (one row becomes `r` rows) or unshuffle (`r` rows become one) acts."""
    dim, a = _dim(op, axis), op.arguments
    if dim < len(op.shape) - 2:
        raise Refused(op, "shuffles other dimensions than the grid's")
    step = Regrouped(a["upscale_factor"], 1) if op.kind == "pixel_shuffle" else Regrouped(1, a["downscale_factor"])
    return same(op, axis, dim, step=step)


def repeat(op: Op, axis: Axis) -> Along:
    """Return how copies side by side act. Refuse copies of the axis; a pooled vector repeated over the grid becomes
    rows.
    """
    source = axis.graph.ops[op.inputs[0]]
    if not axis.streamed(source.index):
        dim = 2 + axis.index
        if len(op.shape) != 2 + axis.graph.ndim or len(source.shape) != len(op.shape) or source.shape[dim] != 1:
            return Along(None)
        return Along(dim, (Read(source.index, dim, Everything(1)),)) if op.shape[dim] > 1 else Along(None)
    dim, repeats = _dim(op, axis), op.arguments["repeats"]
    output_dim = dim + len(repeats) - len(source.shape)
    if repeats[output_dim] != 1:
        raise Refused(op, "repeats the axis")
    return same(op, axis, output_dim)


def index_select(op: Op, axis: Axis) -> Along:
    """Return how the choice of some channels acts. Refuse the choice of positions."""
    dim = _dim(op, axis)
    if op.arguments["dim"] % len(op.shape) == dim:
        raise Refused(op, "picks positions of the axis")
    return same(op, axis)


def index(op: Op, axis: Axis) -> Along:
    """Return how the choice by one list of numbers acts: of channels, as in `x[:, [2, 0, 1]]`, or of rows of a table.

    In `table[labels]` the numbers have the axis, and their dimensions stand in the place of the one that is indexed.
    """
    source, indices = op.args[0].index, op.arguments["indices"]
    used = [(d, i.index) for d, i in enumerate(indices) if i is not None]
    if len(used) != 1:
        raise Refused(op, "picks by several lists of numbers")
    place, numbers = used[0]
    if not axis.streamed(source):
        return same(op, axis, place + (axis.dim(numbers) or 0), numbers)
    dim = axis.dim(source)
    if dim is None or len(axis.graph.ops[numbers].shape) != 1 or place == dim or axis.streamed(numbers):
        raise Refused(op, "picks by several lists of numbers, or along the axis")
    return same(op, axis)


def scattered(op: Op, axis: Axis) -> Along:
    """Return how writing into a slice or one index of another dimension acts. Refuse that of the axis."""
    dims = {axis.dim(i) for i in op.inputs[:1] if axis.streamed(i)} or {2 + axis.index}
    dim, changed = dims.pop() or 0, op.arguments["dim"] % len(op.shape)
    if changed == dim:
        raise Refused(op, "writes into a part of the axis")
    if op.kind == "slice_scatter":
        return aligned(op, axis)
    written, src = op.inputs
    return Along(dim, (Read(written, dim), Read(src, dim - (changed < dim))))


def repeat_interleave(op: Op, axis: Axis) -> Along:
    """Return how the repetition of every row acts, which is an enlargement to the nearest."""
    dim, a = _dim(op, axis), op.arguments
    if not isinstance(a["repeats"], int) or a["dim"] is None:
        raise Refused(op, "repeats a number of times that the data decide, or mixes the axis with other dimensions")
    return same(op, axis, dim, step=Regrouped(a["repeats"], 1) if a["dim"] % len(op.shape) == dim else IDENTITY)


def turned(op: Op, axis: Axis) -> Along:
    """Return how a flip or roll acts. Refuse those of the axis."""
    dim = _dim(op, axis)
    dims = [d % len(op.shape) for d in op.arguments["dims"]]
    if not dims:
        raise Refused(op, "moves all numbers around in a circle, over all dimensions together")
    if dim in dims and op.kind == "roll":
        raise Refused(op, "moves the rows around in a circle, so that the first rows need the last")
    if dim in dims:
        raise Refused(op, "turns the axis around")
    return same(op, axis)


def _dim(op: Op, axis: Axis) -> int:
    """Return the dimension of the first argument that is the axis. Raises `Refused` if it has no rows."""
    dim = axis.dim(op.inputs[0])
    if dim is None:
        raise Refused(op, "only a secondary argument runs along the axis")
    return dim


PADS = ("pad", "constant_pad_nd", *(f"{m}_pad{n}d" for m in ("reflection", "replication") for n in (1, 2, 3)))
RULES = {
    **dict.fromkeys(PADS, pad),
    **dict.fromkeys(("permute", "transpose", "t", "numpy_T"), permute),
    **dict.fromkeys(("view", "flatten", "unflatten"), view),
    **dict.fromkeys(("split", "split_with_sizes", "unbind"), split),
    **dict.fromkeys(("flip", "roll"), turned),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle),
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "expand": expand,
    "slice": slices,
    "select": select,
    "cat": cat,
    "repeat": repeat,
    "index_select": index_select,
    "index": index,
    **dict.fromkeys(("slice_scatter", "select_scatter"), scattered),
    "repeat_interleave": repeat_interleave,
    "stack": stack,
}
