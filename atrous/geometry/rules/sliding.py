"""Convolutions, transposed convolutions, pools and unpooling: windows that slide over the last dimensions.

With kernel `k`, stride `s`, dilation `d` and padding `p`, output `o` of a convolution or pool reads input rows
`o*s - p, ..., o*s - p + d*(k-1)`; input row `i` of a transposed convolution adds to the outputs of that formula.
"""

import re
from typing import Any

from atrous.geometry.axis import Along, Axis, Refused, same, spatial
from atrous.geometry.graph import Op
from atrous.geometry.maps import IDENTITY, Bins, Everything, Read, Sliding, Transposed

NARROW_BINS = 8
"""Rows per bin up to which an adaptive pool is streamed; one with wider bins is a barrier."""


def dimensions(op: Op) -> int:
    """Return the number of dimensions that the operator slides over, from its name.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> dimensions(export_graph(nn.AdaptiveAvgPool3d(2), (1, 4, 4, 4)).ops[-1])
    3
    """
    digit = re.search(r"(\d)d", op.kind)
    assert digit is not None
    return int(digit[1])


def each(value: Any, count: int, default: int = 0) -> tuple[int, ...]:
    """Return an ATen argument, a number or a list, as one number per dimension; an empty list is the default."""
    if isinstance(value, int):
        return (value,) * count
    items = tuple(value or ())
    if not items:
        return (default,) * count
    return items * count if len(items) == 1 else items


def window(op: Op, weight_shape: tuple[int, ...] | None = None) -> list[Sliding]:
    """Return the window of a convolution (with the shape of its weight) or of a pool, per dimension that it slides
    over.
    """
    a = op.arguments
    if weight_shape is not None:
        n = len(weight_shape) - 2
        kernel, dilation = tuple(weight_shape[2:]), each(a["dilation"], n, 1)
        stride = each(a["stride"], n, 1)
    else:
        n = dimensions(op)
        kernel = each(a["kernel_size"], n)
        dilation = each(a.get("dilation", 1), n, 1)
        stride = tuple(s or k for s, k in zip(each(a.get("stride"), n), kernel, strict=True))
    if a["padding"] == "same":
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
    else:
        padding = each(0 if a["padding"] == "valid" else a["padding"], n)
    return [Sliding(*w) for w in zip(kernel, stride, dilation, padding, strict=True)]


def convolution(op: Op, axis: Axis) -> Along:
    """Return how a convolution acts. Its weight must not depend on the position."""
    weight = axis.graph.ops[op.arguments["weight"].index]
    if axis.streamed(weight.index):
        raise Refused(op, "its weights depend on the position")
    n = len(weight.shape) - 2
    if over_batch(op, axis, n):
        return same(op, axis)
    dim, k = spatial(op, axis, n)
    return same(op, axis, dim, step=window(op, weight.shape)[k])


def over_batch(op: Op, axis: Axis, count: int) -> bool:
    """Return whether the axis is the batch of an operator that slides over `count` dimensions: each frame by itself."""
    x = axis.graph.ops[op.inputs[0]]
    return axis.dim(x.index) == 0 and len(x.shape) == count + 2


def transposed(op: Op, axis: Axis) -> Along:
    """Return how a transposed convolution acts. Its weight must not depend on the position."""
    weight = axis.graph.ops[op.arguments["weight"].index]
    if axis.streamed(weight.index):
        raise Refused(op, "its weights depend on the position")
    n = len(weight.shape) - 2
    if over_batch(op, axis, n):
        return same(op, axis)
    dim, k = spatial(op, axis, n)
    a = op.arguments
    stride, padding, dilation = (each(a[name], n, d)[k] for name, d in (("stride", 1), ("padding", 0), ("dilation", 1)))
    return same(op, axis, dim, step=Transposed(weight.shape[2 + k], stride, dilation, padding))


def pool(op: Op, axis: Axis) -> Along:
    """Return how a pool acts: as a convolution, or as a barrier if one window covers the whole input."""
    windows = window(op)
    if over_batch(op, axis, len(windows)):
        return same(op, axis)
    dim, k = spatial(op, axis, len(windows))
    extent = axis.graph.ops[op.inputs[0]].shape[-len(windows) :]
    if all(w.reach + 1 == size and w.padding == 0 for w, size in zip(windows, extent, strict=True)) and extent[k] > 1:
        return _whole(op, axis, dim)
    return same(op, axis, dim, step=windows[k])


def adaptive(op: Op, axis: Axis) -> Along:
    """Return how an adaptive pool acts: in narrow bins row by row, in wide ones as a barrier."""
    if over_batch(op, axis, dimensions(op)):
        return same(op, axis)
    dim, _ = spatial(op, axis, dimensions(op))
    length, bins = axis.graph.ops[op.inputs[0]].shape[dim], op.shape[dim]
    if bins == length:
        return same(op, axis, dim, step=IDENTITY)
    if bins > 1 and length <= NARROW_BINS * bins and op.item != 1:
        return same(op, axis, dim, step=Bins(length, bins))
    return _whole(op, axis, dim)


def _whole(op: Op, axis: Axis, dim: int) -> Along:
    """Return how a pool over the whole axis acts: as a barrier. Indices of the largest values cannot be gathered."""
    if op.item == 1 or "indices" in op.kind:
        raise Refused(op, "indices of a pool over the whole extent")
    source = op.inputs[0]
    return Along(None, same(op, axis, dim, step=Everything(axis.length(source))).reads, barrier=True)


def unpool(op: Op, axis: Axis) -> Along:
    """Return how unpooling acts: as the transposed convolution of the window of its pool.

    Its indices count positions of the input of that pool. So they must come straight from it, and the output must have
    the size of that input. The windows must not overlap, or two values could meet in one position.
    """
    x, indices = op.args[0], op.args[1]
    source = axis.graph.ops[indices.index]
    if source.kind not in POOLS_WITH_INDICES or source.item != 1:
        raise Refused(op, "its indices do not come straight from a max pool")
    pooled = axis.graph.ops[source.inputs[0]].shape
    n = dimensions(source)
    if tuple(pooled[-n:]) != tuple(op.shape[-n:]):
        raise Refused(op, f"unpools to {op.shape[-n:]}, but its indices count positions in {tuple(pooled[-n:])}")
    windows = window(source)
    dim, k = spatial(op, axis, n)
    if any(w.stride < w.reach + 1 for w in windows):
        raise Refused(op, "its pool's windows overlap, so two values can meet in one position")
    step = Transposed(windows[k].kernel, windows[k].stride, windows[k].dilation, windows[k].padding)
    both = tuple(dict.fromkeys((x.index, indices.index)))
    if any(axis.dim(i) != dim for i in both):
        raise Refused(op, "its inputs have the axis in different dimensions")
    return Along(dim, tuple(Read(i, dim, step) for i in both))


POOLS_WITH_INDICES = {f"max_pool{n}d_with_indices" for n in (1, 2, 3)}
"""Max pools that also return where the largest values were."""

RULES = {
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": pool for n in (1, 2, 3) for kind in ("max", "avg")},
    **dict.fromkeys(POOLS_WITH_INDICES, pool),
    **{f"adaptive_{kind}_pool{n}d": adaptive for n in (1, 2, 3) for kind in ("max", "avg")},
    **{f"max_unpool{n}d": unpool for n in (1, 2, 3)},
}
