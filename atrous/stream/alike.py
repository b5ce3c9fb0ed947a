"""Whether a network computes the same function of its input rows at two lengths of the input.

Windows and sessions of open length run a network at another length than that of the input, and rely on this. A forward
pass may read the size of its input: to pad to a multiple of the stride, to scale by the number of positions, to add
coordinates. Such a network is another function at another length.
"""

from collections.abc import Collection
from itertools import zip_longest
from typing import Any

from torch.utils._pytree import tree_leaves

from atrous.geometry.axis import Along, Axis
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
"""Operators whose arguments hold sizes. Those may differ; how they act on rows is compared by their maps."""


def first_difference(one: Axis, other: Axis, besides: Collection[str] = ()) -> Op | None:
    """Return the first operator of `one` that acts differently on rows in `other`; None when all act alike.

    Both are the same axis of the same network, exported at two shapes. Operators of the kinds `besides` are left out
    where they leave rows in their place, as those do that only pad or crop at the end.
    """
    pairs = zip_longest(_acting(one, besides), _acting(other, besides))
    for first, second in pairs:
        if first is None or second is None:
            return one.graph.ops[one.graph.output]
        maps = [[r.map.signature for r in along.reads] for _, along in (first, second)]
        if first[0].kind != second[0].kind or maps[0] != maps[1] or _numbers(first[0]) != _numbers(second[0]):
            return first[0]
    return None


def _acting(axis: Axis, besides: Collection[str]) -> list[tuple[Op, Along]]:
    pairs = zip(axis.graph.ops, axis.along, strict=True)
    return [(op, along) for op, along in pairs if op.kind not in besides or not _in_place(along)]


def _in_place(along: Along) -> bool:
    """Whether each row inside is the input's row of the same number."""
    return all((read.map.first(row), read.map.last(row)) == (row, row + 1) for read in along.reads for row in (1, 2))


def per_position(axis: Axis) -> Op | None:
    """Return the first operator that reads a number per row that does not come from the input, such as a coordinate."""
    for op, along in zip(axis.graph.ops, axis.along, strict=True):
        for read in along.reads:
            given = axis.graph.ops[read.input]
            several = given.shape[read.dim] > 1 and not read.map.interpolates
            if not axis.streamed(read.input) and several and given.kind != "filled":
                return op
    return None


def _numbers(op: Op) -> list[Any]:
    """Return the arguments of an operator that are not values and not sizes."""
    if op.kind in SIZED:
        return []
    return [None if isinstance(leaf, Ref) else leaf for leaf in tree_leaves((op.args, op.kwargs))]
