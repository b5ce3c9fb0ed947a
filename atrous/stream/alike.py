"""Whether a network is the same function of rows at two input lengths: what windows and open-ended sessions rest on.

A forward pass may read the size of its input: to pad to a multiple, to scale by the number of positions, to add
coordinates. Such a network is another one at another length.
"""

from itertools import zip_longest
from typing import Any

from torch.utils._pytree import tree_leaves

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Op, Ref
from atrous.geometry.rules.rearrange import PADS
from atrous.geometry.rules.resize import MODES

SIZED = {
    *("view", "flatten", "unflatten", "expand", "repeat", "slice", "split", "split_with_sizes", "filled"),
    *(f"max_unpool{n}d" for n in (1, 2, 3)),
    *(f"adaptive_{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("max", "avg")),
    *PADS,
    *MODES,
}
"""Operators whose arguments are sizes; how they act on rows is compared by their maps."""


def first_difference(one: Axis, other: Axis) -> Op | None:
    """The first operator of `one` that acts otherwise on rows in `other`, whatever the lengths; None when none does."""
    pairs = zip_longest(zip(one.graph.ops, one.along, strict=True), zip(other.graph.ops, other.along, strict=True))
    for mine, yours in pairs:
        if mine is None or yours is None:
            return one.graph.ops[one.graph.output]
        maps = [[r.map.signature for r in along.reads] for _, along in (mine, yours)]
        if mine[0].kind != yours[0].kind or maps[0] != maps[1] or _numbers(mine[0]) != _numbers(yours[0]):
            return mine[0]
    return None


def per_position(axis: Axis) -> Op | None:
    """The first operator that reads a number per position (coordinates, say) that does not come from the input."""
    for op, along in zip(axis.graph.ops, axis.along, strict=True):
        for read in along.reads:
            given = axis.graph.ops[read.input]
            several = given.shape[read.dim] > 1 and not read.map.interpolates
            if not axis.streamed(read.input) and several and given.kind != "filled":
                return op
    return None


def _numbers(op: Op) -> list[Any]:
    if op.kind in SIZED:
        return []
    return [None if isinstance(leaf, Ref) else leaf for leaf in tree_leaves((op.args, op.kwargs))]
