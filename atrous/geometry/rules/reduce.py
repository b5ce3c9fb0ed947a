"""Reductions: over other dimensions they are rows like any; over the axis itself they are barriers."""

import math

from atrous.geometry.axis import Along, Axis, Refused, same
from atrous.geometry.graph import Op
from atrous.geometry.maps import Everything

ACCUMULATED = {"mean", "sum", "amax", "amin", "max", "min", "var", "std", "linalg_vector_norm"}


def reduced_dims(op: Op, ndim: int) -> list[int]:
    """The dimensions that a reduction of an `ndim`-dimensional input takes away."""
    dims = op.arguments.get("dim", op.arguments.get("dims"))
    if dims is None or dims == []:
        return list(range(ndim))
    return [d % ndim for d in ([dims] if isinstance(dims, int) else dims)]


def reduction(op: Op, axis: Axis) -> Along:
    """mean, sum, max, norm, variance and the like."""
    source = op.inputs[0]
    dim, ndim = axis.dim(source), len(axis.graph.ops[source].shape)
    if dim is None:
        raise Refused(op, "only a secondary argument runs along the axis")
    dims = reduced_dims(op, ndim)
    if dim in dims:
        if op.kind not in ACCUMULATED or op.item == 1:
            raise Refused(op, "needs the whole axis, and has no rule to gather it piece by piece")
        if op.kind == "linalg_vector_norm" and -math.inf < op.arguments["ord"] <= 0:
            raise Refused(op, f"gathers a norm of order {op.arguments['ord']}, which has no rule")
        return Along(None, same(op, axis, dim, step=Everything(axis.length(source))).reads, barrier=True)
    kept = bool(op.arguments.get("keepdim", False))
    return same(op, axis, dim if kept else dim - sum(d < dim for d in dims))


def moments(op: Op, axis: Axis) -> Along:
    """The statistics of group norm: a barrier."""
    source = op.inputs[0]
    step = Everything(axis.length(source))
    return Along(None, same(op, axis, axis.dim(source), source, step).reads, barrier=True)


def picked(op: Op, axis: Axis) -> Along:
    """The largest few, the median and the like, over another dimension."""
    along = reduction(op, axis)
    if op.kind in KEEP_DIM:
        return same(op, axis)
    return along


UNGATHERED = ("argmax", "argmin", "logsumexp", "prod", "any", "all", "median", "mode", "kthvalue")
KEEP_DIM = ("topk", "cumsum", "cumprod", "cummax", "cummin", "sort", "argsort")
RULES = {
    **dict.fromkeys((*sorted(ACCUMULATED), *UNGATHERED), reduction),
    **dict.fromkeys(KEEP_DIM, picked),
    "moments": moments,
}
