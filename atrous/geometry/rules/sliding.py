"""Convolutions, transposed convolutions, pools and unpooling: windows that slide over the last dimensions."""

from typing import Any

from atrous.geometry.axis import Along, Axis, Refused, same, spatial
from atrous.geometry.graph import Op
from atrous.geometry.maps import IDENTITY, Bins, Everything, Read, Sliding, Transposed

NARROW_BINS = 8  # adaptive pools whose bins are at most this many rows stream; wider ones are barriers


def dimensions(op: Op) -> int:
    """The number of dimensions that the operator slides over, from its name."""
    return int(op.kind[op.kind.index("d", op.kind.index("pool") if "pool" in op.kind else 4) - 1])


def each(value: Any, count: int, default: int = 0) -> tuple[int, ...]:
    """An ATen int-or-list argument as one int per dimension; an empty list means the default."""
    if isinstance(value, int):
        return (value,) * count
    items = tuple(value or ())
    if not items:
        return (default,) * count
    return items * count if len(items) == 1 else items


def window(op: Op, weight_shape: tuple[int, ...] | None = None) -> list[Sliding]:
    """The sliding window of a convolution or pool, per dimension."""
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
    """Output o reads o*s - p ... o*s - p + d*(k-1)."""
    weight = axis.graph.ops[op.arguments["weight"].index]
    if axis.streamed(weight.index):
        raise Refused(op, "its weights depend on the position")
    n = len(weight.shape) - 2
    if over_batch(op, axis, n):
        return same(op, axis)
    dim, k = spatial(op, axis, n)
    return same(op, axis, dim, step=window(op, weight.shape)[k])


def over_batch(op: Op, axis: Axis, count: int) -> bool:
    """Whether the axis is the batch of an operator that slides over `count` dimensions: frames, each by itself."""
    x = axis.graph.ops[op.inputs[0]]
    return axis.dim(x.index) == 0 and len(x.shape) == count + 2


def transposed(op: Op, axis: Axis) -> Along:
    """Input i adds to outputs i*s - p ... i*s - p + d*(k-1)."""
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
    """As a convolution; one window over everything is a barrier."""
    windows = window(op)
    if over_batch(op, axis, len(windows)):
        return same(op, axis)
    dim, k = spatial(op, axis, len(windows))
    extent = axis.graph.ops[op.inputs[0]].shape[-len(windows) :]
    if all(w.reach + 1 == size and w.padding == 0 for w, size in zip(windows, extent, strict=True)) and extent[k] > 1:
        return _whole(op, axis, dim)
    return same(op, axis, dim, step=windows[k])


def adaptive(op: Op, axis: Axis) -> Along:
    """Adaptive pools: bins that grow with the input are a barrier."""
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
    if op.item == 1 or "indices" in op.kind:
        raise Refused(op, "indices of a pool over the whole extent")
    source = op.inputs[0]
    return Along(None, same(op, axis, dim, step=Everything(axis.length(source))).reads, barrier=True)


def unpool(op: Op, axis: Axis) -> Along:
    """Indices must come straight from a pool whose input had this operator's output size."""
    x, indices = op.args[0], op.args[1]
    source = axis.graph.ops[indices.index]
    if source.kind not in POOLS_WITH_INDICES or source.item != 1:
        raise Refused(op, "its indices do not come straight from a max pool")
    pooled = axis.graph.ops[source.inputs[0]].shape
    n = dimensions(source)
    if tuple(pooled[-n:]) != tuple(op.shape[-n:]):
        raise Refused(op, f"unpools to {op.shape[-n:]}, but its indices count positions in {tuple(pooled[-n:])}")
    w = window(source)
    dim, k = spatial(op, axis, n)
    if any(v.stride < v.reach + 1 for v in w):
        raise Refused(op, "its pool's windows overlap, so two values can meet in one position")
    step = Transposed(w[k].kernel, w[k].stride, w[k].dilation, w[k].padding)
    both = tuple(dict.fromkeys((x.index, indices.index)))
    if any(axis.dim(i) != dim for i in both):
        raise Refused(op, "its inputs have the axis in different dimensions")
    return Along(dim, tuple(Read(i, dim, step) for i in both))


POOLS_WITH_INDICES = {f"max_pool{n}d_with_indices" for n in (1, 2, 3)}
RULES = {
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": pool for n in (1, 2, 3) for kind in ("max", "avg")},
    **dict.fromkeys(POOLS_WITH_INDICES, pool),
    **{f"adaptive_{kind}_pool{n}d": adaptive for n in (1, 2, 3) for kind in ("max", "avg")},
    **{f"max_unpool{n}d": unpool for n in (1, 2, 3)},
}
