"""Reductions (mean, sum, maximum, norm and the like) over some dimensions.

Over other dimensions than the axis, each row is reduced by itself. Over the axis, a reduction is a barrier: it reads
all rows and gives a whole value, gathered strip by strip.
"""

from atrous.geometry.axis import Along, Axis, Refused, same
from atrous.geometry.grams import GRAM
from atrous.geometry.graph import Op
from atrous.geometry.maps import Everything

ACCUMULATED = {"mean", "sum", "amax", "amin", "max", "min", "var", "std", "linalg_vector_norm"}
"""Reductions over the axis that can be gathered strip by strip."""


def reduced_dims(op: Op, ndim: int) -> list[int]:
    """Return the dimensions, counted from 0, over which an operator reduces its `ndim`-dimensional input."""
    dims = op.arguments.get("dim", op.arguments.get("dims"))
    if dims is None or dims == []:
        return list(range(ndim))
    return [d % ndim for d in ([dims] if isinstance(dims, int) else dims)]


def reduction(op: Op, axis: Axis) -> Along:
    """Return how mean, sum, max, norm, variance and the like act: row by row, or as a barrier."""
    source = op.inputs[0]
    dim, ndim = axis.dim(source), len(axis.graph.ops[source].shape)
    if dim is None:
        raise Refused(op, "only a secondary argument runs along the axis")
    dims = reduced_dims(op, ndim)
    if dim in dims:
        if op.kind not in ACCUMULATED or op.item == 1:
            raise Refused(op, "needs the whole axis, and has no rule to gather it piece by piece")
        return Along(None, same(op, axis, dim, step=Everything(axis.length(source))).reads, barrier=True)
    keeps_dims = bool(op.arguments.get("keepdim", False))
    return same(op, axis, dim if keeps_dims else dim - sum(d < dim for d in dims))


def moments(op: Op, axis: Axis) -> Along:
    """Return how the statistics of group norm act: as a barrier."""
    source = op.inputs[0]
    dim, step = axis.dim(source), Everything(axis.length(source))
    if dim is not None and dim < 2:
        raise Refused(op, "normalizes over dimensions of which the axis is none, which has no rule")
    return Along(None, same(op, axis, dim, source, step).reads, barrier=True)


def gram(op: Op, axis: Axis) -> Along:
    """Return how a product of channels with channels over all positions acts (`geometry/grams.py`): as a barrier."""
    source = op.inputs[0]
    dim, last = axis.dim(source), len(axis.graph.ops[source].shape) - 1
    if dim == last:
        return Along(None, same(op, axis, dim, step=Everything(axis.length(source))).reads, barrier=True)
    if dim == last - 1:
        raise Refused(op, "multiplies positions with positions (attention)")
    return same(op, axis)


def over_one_dim(op: Op, axis: Axis) -> Along:
    """Return how sorting, cumulative sums and the like act, which keep the dimension that they go over."""
    reduction(op, axis)  # refuses those that go over the axis
    return same(op, axis)


UNGATHERED = ("argmax", "argmin", "logsumexp", "prod", "any", "all", "median", "mode", "kthvalue", "count_nonzero")
"""Reductions that have a rule over other dimensions only."""

KEEP_DIM = ("topk", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "sort", "argsort")
"""Operators over one dimension, which the result has too."""

RULES = {
    **dict.fromkeys((*sorted(ACCUMULATED), *UNGATHERED), reduction),
    **dict.fromkeys(KEEP_DIM, over_one_dim),
    "moments": moments,
    GRAM: gram,
}
