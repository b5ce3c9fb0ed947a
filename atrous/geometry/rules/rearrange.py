"""Operators that move numbers without mixing them: views, permutes, slices, pads, concatenation, pixel shuffle."""

import math
from collections.abc import Sequence

from atrous.geometry.axis import Along, Axis, Refused, aligned, same
from atrous.geometry.graph import Op
from atrous.geometry.maps import IDENTITY, Bordered, Everything, Map, Read, Regrouped, Sliding


def pad_pairs(op: Op) -> dict[int, tuple[int, int]]:
    """For every padded dimension (counted from 0) the positions added before and after; negative ones crop."""
    flat = list(op.arguments.get("pad") or op.arguments["padding"])
    n = len(op.shape)
    return {n - 1 - i: (flat[2 * i], flat[2 * i + 1]) for i in range(len(flat) // 2)}


def pad_mode(op: Op) -> str:
    """constant, reflect, replicate or circular."""
    if op.kind == "constant_pad_nd":
        return "constant"
    return (
        op.kind.split("_pad")[0].replace("reflection", "reflect").replace("replication", "replicate")
        if "_pad" in op.kind
        else op.arguments["mode"]
    )


def pad_map(mode: str, before: int, after: int, length: int) -> Map:
    """Which input row each row of a padded axis copies."""
    if mode == "constant" or (before <= 0 and after <= 0):
        return Sliding(padding=before)
    return Bordered(mode, before, after, length)


def pad(op: Op, axis: Axis) -> Along:
    """Output o copies input o - before; borders by mode."""
    dim = axis.dim(op.inputs[0])
    before, after = pad_pairs(op).get(-1 if dim is None else dim, (0, 0))
    step = pad_map(pad_mode(op), before, after, axis.length(op.inputs[0]))
    if isinstance(step, Bordered) and step.wraps:
        step = Everything(axis.length(op.inputs[0]))
    return same(op, axis, dim, step=step)


def permute(op: Op, axis: Axis) -> Along:
    """The axis moves to another dimension."""
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
    """A new dimension of one."""
    dim, at = _dim(op, axis), op.arguments["dim"] % len(op.shape)
    return same(op, axis, dim + (at <= dim))


def squeeze(op: Op, axis: Axis) -> Along:
    """Dimensions of one go."""
    dim = _dim(op, axis)
    shape = axis.graph.ops[op.inputs[0]].shape
    asked = op.arguments.get("dim", list(range(len(shape))))
    dims = {d % len(shape) for d in ([asked] if isinstance(asked, int) else asked)}
    gone = {d for d in dims if shape[d] == 1}
    if dim in gone:
        raise Refused(op, "removes the axis")
    return same(op, axis, dim - sum(d < dim for d in gone))


def view_group(before: Sequence[int], after: Sequence[int], dim: int) -> tuple[int, int, int] | None:
    """Where dimension `dim` goes when shape `before` is viewed as `after`: `(dim', inner, outer)`, or None when it
    is mixed.

    A row of the axis holds `inner` elements of the smallest group of dimensions that the view keeps together; after the
    view a row of `dim'` holds `outer` of them.

    >>> view_group((1, 6, 8, 5), (1, 2, 3, 8, 5), 2), view_group((1, 6, 8, 5), (1, 6, 40), 2)
    ((3, 1, 1), (2, 5, 1))
    >>> view_group((1, 6, 8), (48,), 2) is None
    True
    """
    i = j = 0
    while i < len(before) or j < len(after):
        start_i, start_j = i, j
        p, q = before[i] if i < len(before) else 1, after[j] if j < len(after) else 1
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while p != q:
            if p < q:
                p, i = p * before[i], i + 1
            else:
                q, j = q * after[j], j + 1
        last = i == len(before) or j == len(after)
        if last:  # trailing ones
            i, j = len(before), len(after)
        if start_i <= dim < i:
            return _within(before[start_i:i], after[start_j:j], dim - start_i, start_j)
    return None


def _within(before: Sequence[int], after: Sequence[int], at: int, offset: int) -> tuple[int, int, int] | None:
    if any(size != 1 for size in before[:at]) or not after:
        return None
    to = next((k for k, size in enumerate(after) if size != 1), min(at, len(after) - 1))
    inner, outer = math.prod(before[at + 1 :]), math.prod(after[to + 1 :])
    if inner % outer and outer % inner:
        return None
    return offset + to, inner, outer


def view(op: Op, axis: Axis) -> Along:
    """A view keeps the axis when it is the outermost dimension of the group that the view regroups."""
    source = axis.graph.ops[op.inputs[0]]
    found = view_group(source.shape, op.shape, _dim(op, axis))
    if found is None:
        raise Refused(op, "mixes positions with other dimensions")
    dim, inner, outer = found
    return same(op, axis, dim, step=IDENTITY if inner == outer else Regrouped(inner, outer))


def expand(op: Op, axis: Axis) -> Along:
    """Dimensions of one are repeated; a pooled vector spread over the grid becomes rows again."""
    source = axis.graph.ops[op.inputs[0]]
    shift = len(op.shape) - len(source.shape)
    if axis.streamed(source.index):
        dim = _dim(op, axis)
        step = IDENTITY if op.shape[dim + shift] == source.shape[dim] else Everything(1)
        return same(op, axis, dim + shift, step=step)
    dim = 2 + axis.index
    if len(op.shape) != 2 + axis.graph.ndim or op.shape[dim] == 1 or dim < shift or op.numel == source.numel:
        return Along(None)
    step = Everything(1) if source.shape[dim - shift] == 1 else IDENTITY
    return Along(dim, (Read(source.index, dim - shift, step),))


def slices(op: Op, axis: Axis) -> Along:
    """A slice along the axis shifts and thins it."""
    dim, a = _dim(op, axis), op.arguments
    if a["dim"] % len(op.shape) != dim:
        return same(op, axis)
    length = axis.length(op.inputs[0])
    start, _, step = slice(a["start"], a["end"], a["step"]).indices(length)
    return same(op, axis, dim, step=Sliding(stride=step, padding=-start))


def select(op: Op, axis: Axis) -> Along:
    """One index of another dimension."""
    dim, at = _dim(op, axis), op.arguments["dim"] % (len(op.shape) + 1)
    if at == dim:
        raise Refused(op, "picks one position of the axis")
    return same(op, axis, dim - (at < dim))


def split(op: Op, axis: Axis) -> Along:
    """One part of a split (`op.item`)."""
    dim, a = _dim(op, axis), op.arguments
    shape = axis.graph.ops[op.inputs[0]].shape
    at = a["dim"] % len(shape)
    if op.kind == "unbind":
        if at == dim:
            raise Refused(op, "picks one position of the axis")
        return same(op, axis, dim - (at < dim))
    if at != dim:
        return same(op, axis)
    sizes = a.get("split_sizes") or a["split_size"]
    item = op.item or 0
    start = item * sizes if isinstance(sizes, int) else sum(sizes[:item])
    return same(op, axis, dim, step=Sliding(padding=-start))


def cat(op: Op, axis: Axis) -> Along:
    """Concatenation along another dimension; along the axis, each input is read from where it begins."""
    refs, at = [r.index for r in op.args[0]], op.arguments.get("dim", 0) % len(op.shape)
    dims = {axis.dim(i) for i in refs if axis.streamed(i)}
    if dims != {at}:
        return aligned(op, axis)
    if len(set(refs)) < len(refs):
        raise Refused(op, "concatenates a value with itself along the axis")
    reads, start = [], 0
    for i in refs:
        reads.append(Read(i, at, Sliding(padding=start)))
        start += axis.graph.ops[i].shape[at]
    return Along(at, tuple(reads))


def stack(op: Op, axis: Axis) -> Along:
    """A new dimension beside the axis."""
    dims = {axis.dim(i) for i in op.inputs if axis.streamed(i)}
    if len(dims) != 1:
        raise Refused(op, "stacks values that have the axis in different dimensions")
    dim = dims.pop() or 0
    at = op.arguments.get("dim", 0) % len(op.shape)
    return Along(dim + (at <= dim), tuple(Read(i, dim) for i in op.inputs))


def shuffle(op: Op, axis: Axis) -> Along:
    """Pixel shuffle: one row becomes r rows; unshuffle: r rows become one."""
    dim, a = _dim(op, axis), op.arguments
    if dim < len(op.shape) - 2:
        raise Refused(op, "shuffles other dimensions than the grid's")
    step = Regrouped(a["upscale_factor"], 1) if op.kind == "pixel_shuffle" else Regrouped(1, a["downscale_factor"])
    return same(op, axis, dim, step=step)


def repeat(op: Op, axis: Axis) -> Along:
    """Copies side by side, along other dimensions; a pooled vector repeated over the grid becomes rows again."""
    source = axis.graph.ops[op.inputs[0]]
    if not axis.streamed(source.index):
        dim = 2 + axis.index
        if len(op.shape) != 2 + axis.graph.ndim or len(source.shape) != len(op.shape) or source.shape[dim] != 1:
            return Along(None)
        return Along(dim, (Read(source.index, dim, Everything(1)),)) if op.shape[dim] > 1 else Along(None)
    dim, repeats = _dim(op, axis), op.arguments["repeats"]
    at = dim + len(repeats) - len(axis.graph.ops[op.inputs[0]].shape)
    if repeats[at] != 1:
        raise Refused(op, "repeats the axis")
    return same(op, axis, at)


def index_select(op: Op, axis: Axis) -> Along:
    """Chosen channels."""
    dim = _dim(op, axis)
    if op.arguments["dim"] % len(op.shape) == dim:
        raise Refused(op, "picks positions of the axis")
    return same(op, axis)


def index(op: Op, axis: Axis) -> Along:
    """Channels chosen by a list of numbers, as in `x[:, [2, 0, 1]]`."""
    dim, indices = _dim(op, axis), op.arguments["indices"]
    used = [(at, i) for at, i in enumerate(indices) if i is not None]
    shapes = [axis.graph.ops[i.index].shape for _, i in used]
    if len(used) != 1 or len(shapes[0]) != 1 or used[0][0] == dim or axis.streamed(used[0][1].index):
        raise Refused(op, "picks by several lists of numbers, or along the axis")
    return same(op, axis)


def scattered(op: Op, axis: Axis) -> Along:
    """Writing into a slice or one index of another dimension."""
    dims = {axis.dim(i) for i in op.inputs[:1] if axis.streamed(i)} or {2 + axis.index}
    dim, at = dims.pop() or 0, op.arguments["dim"] % len(op.shape)
    if at == dim:
        raise Refused(op, "writes into a part of the axis")
    if op.kind == "slice_scatter":
        return aligned(op, axis)
    written, src = op.inputs
    return Along(dim, (Read(written, dim), Read(src, dim - (at < dim))))


def repeat_interleave(op: Op, axis: Axis) -> Along:
    """Every row several times: nearest enlargement."""
    dim, a = _dim(op, axis), op.arguments
    if not isinstance(a["repeats"], int) or a["dim"] is None:
        raise Refused(op, "repeats a number of times that the data decide, or mixes the axis with other dimensions")
    return same(op, axis, dim, step=Regrouped(a["repeats"], 1) if a["dim"] % len(op.shape) == dim else IDENTITY)


def turned(op: Op, axis: Axis) -> Along:
    """Flip and roll, of other dimensions only."""
    dim = _dim(op, axis)
    dims = [d % len(op.shape) for d in op.arguments["dims"]]
    if dim in dims or not dims:
        raise Refused(op, "turns the axis around")
    return same(op, axis)


def _dim(op: Op, axis: Axis) -> int:
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
