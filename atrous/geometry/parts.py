"""Operators of a graph replaced by several simpler ones each."""

import dataclasses
from collections.abc import Callable, Collection

from torch.utils._pytree import tree_map

from atrous.geometry.graph import Graph, Op, Ref


def in_parts(graph: Graph, chosen: Collection[int], append_parts: Callable[[Op, list[Op]], None]) -> Graph:
    """Return the graph with each of the operators `chosen` in its parts.

    Args:
        graph: the graph.
        chosen: indices of the operators.
        append_parts: appends the parts of an operator, whose arguments refer to the list, to the list. The last part
            has the operator's value.
    """
    ops: list[Op] = []
    new_index: dict[int, int] = {}
    for op in graph.ops:
        args, kwargs = (
            tree_map(lambda a: Ref(new_index[a.index]) if isinstance(a, Ref) else a, tree)
            for tree in (op.args, op.kwargs)
        )
        moved = dataclasses.replace(op, index=len(ops), args=args, kwargs=kwargs)
        if op.index in chosen:
            append_parts(moved, ops)
        else:
            ops.append(moved)
        new_index[op.index] = len(ops) - 1
    return Graph(tuple(ops), new_index[graph.output], graph.network)
