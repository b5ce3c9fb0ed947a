"""Modules of a graph as one operator each, where their parts have no form on a finer grid but the whole module has.

A module that reads one map and gives one map of the same size can run on each phase of a finer grid by itself
(`phases.py`), whatever its operators are. Here such a module is found around an operator that has no rule, and all its
operators become one, of kind `block`.
"""

import dataclasses
from collections.abc import Iterator

from torch import fx, nn
from torch.utils._pytree import tree_map

from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.rules.rows import BLOCK


def collapsed(graph: Graph, index: int, network: nn.Module) -> Graph | None:
    """Return the graph in which the smallest suitable module around operator `index` is one operator.

    None if no module around it reads one map `(1, C, *S)` and gives one map of the same `*S`. The network itself is
    none: its output would be nothing but the original's on every phase.
    """
    op = graph.ops[index]
    for path in _around(op):
        ends = _ends(graph, path)
        if ends is not None and _can_change_class(network.get_submodule(path)):
            return _replaced(graph, path, *ends)
    return None


def _around(op: Op) -> Iterator[str]:
    """Return the names of the modules around an operator, from the smallest; of a block, those around the block."""
    path = op.module
    if op.kind == BLOCK:
        path = path.rpartition(".")[0]
    while path:
        yield path
        path = path.rpartition(".")[0]


def _can_change_class(module: nn.Module) -> bool:
    """Whether a module's forward pass is that of its class."""
    return not isinstance(module, fx.GraphModule) and "forward" not in vars(module)


def _inside(op: Op, path: str) -> bool:
    """Whether a module or a part of it runs the operator."""
    return op.kind not in ("input", "constant") and (op.module == path or op.module.startswith(f"{path}."))


def _ends(graph: Graph, path: str) -> tuple[int, int] | None:
    """Return the one map that a module reads and the one that it gives, or None if they are not of one size."""
    inside = {op.index for op in graph.ops if _inside(op, path)}
    constant = {op.index for op in graph.ops if op.kind == "constant"}
    read = {i for index in inside for i in graph.ops[index].inputs} - inside - constant
    given = {i for op in graph.ops if op.index not in inside for i in op.inputs if i in inside}
    if len(read) != 1 or len(given) != 1:
        return None
    source, result = read.pop(), given.pop()
    shapes = graph.ops[source].shape, graph.ops[result].shape
    fits = all(len(shape) == 2 + graph.ndim and shape[0] == 1 for shape in shapes) and shapes[0][2:] == shapes[1][2:]
    return (source, result) if fits else None


def _replaced(graph: Graph, path: str, source: int, result: int) -> Graph:
    """Return the graph with one operator in the place of all those of the module `path`."""
    ops: list[Op] = []
    new_index: dict[int, int] = {}
    for op in graph.ops:
        if op.index == result:
            block = dataclasses.replace(op, kind=BLOCK, module=path, target=None, item=None)
            new = dataclasses.replace(block, index=len(ops), args=(Ref(new_index[source]),), kwargs={})
        elif _inside(op, path):
            continue
        else:
            args, kwargs = (
                tree_map(lambda a: Ref(new_index[a.index]) if isinstance(a, Ref) else a, tree)
                for tree in (op.args, op.kwargs)
            )
            new = dataclasses.replace(op, index=len(ops), args=args, kwargs=kwargs)
        new_index[op.index] = len(ops)
        ops.append(new)
    return Graph(tuple(ops), new_index[graph.output], graph.network)
