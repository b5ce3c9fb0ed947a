"""Values that are joined, worked on position by position, and split again: each part by itself.

Coordinate attention (Hou, Zhou and Feng 2021) pools a map along each of its axes, joins the two pooled lines to one of
`H + W` positions, convolves it by 1x1, and splits it again. The joined line has no axis of the grid. Every operator
between `cat` and the split works on each position by itself, so that each part of the split follows from one of the
joined values alone. Here the split part is written so: the same operators, on that value.
"""

import dataclasses
import math

from torch.utils._pytree import tree_map

from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.rules import is_pointwise

WINDOWS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}


def part_by_part(graph: Graph) -> Graph:
    """Return the graph in which split parts of joined values are computed from one of these, where that is exact."""
    if not any(op.kind == "cat" for op in graph.ops):
        return graph
    writer = _PartWriter(graph)
    for op in graph.ops:
        writer.write(op)
    return Graph(tuple(writer.ops), writer.new_index[graph.output], graph.network)


def _taken(op: Op, length: int) -> tuple[int, int, int] | None:
    """Return `(dim, start, stop)` of the positions that a split or slice takes; None for other operators."""
    if op.kind not in ("split", "split_with_sizes", "slice"):
        return None
    a = op.arguments
    dim = a["dim"] % len(op.shape)
    if op.kind == "slice":
        start, stop, step = slice(a["start"], a["end"], a["step"]).indices(length)
        return (dim, start, stop) if step == 1 else None
    sizes, item = a.get("split_sizes") or a["split_size"], op.item or 0
    start = item * sizes if isinstance(sizes, int) else sum(sizes[:item])
    return dim, start, start + op.shape[dim]


class _PartWriter:
    """Writes the new graph. `new_index` says where the value of an old operator is in it."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.ops: list[Op] = []
        self.new_index: dict[int, int] = {}
        self.parts: dict[tuple[int, int, int, int], int] = {}

    def write(self, op: Op) -> None:
        """Append an operator, or what takes its place."""
        if op.kind in ("split", "split_with_sizes", "slice"):
            source = self.graph.ops[op.inputs[0]]
            taken = _taken(op, source.shape[op.arguments["dim"]])
            if taken is not None and source.kind != "cat" and self._follows(source.index, *taken):
                self.new_index[op.index] = self._part(source.index, *taken)
                return
        self._append(op, self.new_index, op.shape, op.index)

    def _append(self, op: Op, index_of: dict[int, int], shape: tuple[int, ...], key: int | None = None) -> int:
        args, kwargs = (
            tree_map(lambda a: Ref(index_of[a.index]) if isinstance(a, Ref) else a, tree)
            for tree in (op.args, op.kwargs)
        )
        self.ops.append(dataclasses.replace(op, index=len(self.ops), args=args, kwargs=kwargs, shape=shape))
        if key is not None:
            self.new_index[key] = len(self.ops) - 1
        return len(self.ops) - 1

    def _sources(self, op: Op, dim: int) -> dict[int, int] | None:
        """Return the inputs that an operator reads position by position along `dim`, with their own dimension.

        None when it does not work on each position along `dim` by itself.
        """
        if op.kind in WINDOWS:
            a, n = op.arguments, WINDOWS[op.kind]
            weight = self.graph.ops[a["weight"].index]
            alone = math.prod(weight.shape[2:]) == 1 and set(a["stride"]) == {1} and not any(_numbers(a["padding"]))
            return {op.inputs[0]: dim} if alone and dim >= len(op.shape) - n else None
        if op.kind == "affine":
            return {op.inputs[0]: dim} if dim != 1 else None
        if not is_pointwise(op):
            return None
        sources = {}
        for i in op.inputs:
            own = dim - len(op.shape) + len(self.graph.ops[i].shape)
            if own >= 0 and self.graph.ops[i].shape[own] > 1:
                sources[i] = own
        return sources

    def _follows(self, value: int, dim: int, start: int, stop: int) -> bool:
        """Whether positions `[start, stop)` of a value follow from one of the values that a `cat` joins."""
        op = self.graph.ops[value]
        if op.kind == "cat":
            return self._joined(op, dim, start, stop) is not None
        sources = self._sources(op, dim)
        return bool(sources) and all(self._follows(i, own, start, stop) for i, own in (sources or {}).items())

    def _joined(self, op: Op, dim: int, start: int, stop: int) -> int | None:
        """Return which value a `cat` along `dim` puts just at positions `[start, stop)`."""
        if op.arguments.get("dim", 0) % len(op.shape) != dim:
            return None
        first = 0
        for ref in op.args[0]:
            if (first, first + self.graph.ops[ref.index].shape[dim]) == (start, stop):
                return ref.index
            first += self.graph.ops[ref.index].shape[dim]
        return None

    def _part(self, value: int, dim: int, start: int, stop: int) -> int:
        """Append what gives positions `[start, stop)` of a value, and return its index."""
        key = (value, dim, start, stop)
        if key not in self.parts:
            op = self.graph.ops[value]
            joined = self._joined(op, dim, start, stop) if op.kind == "cat" else None
            if joined is not None:
                self.parts[key] = self.new_index[joined]
            else:
                own = {i: self._part(i, d, start, stop) for i, d in (self._sources(op, dim) or {}).items()}
                shape = (*op.shape[:dim], stop - start, *op.shape[dim + 1 :])
                self.parts[key] = self._append(op, {**self.new_index, **own}, shape)
        return self.parts[key]


def _numbers(padding: object) -> list[int]:
    return [0] if padding == "valid" else [1] if isinstance(padding, str) else list(padding)  # pyright: ignore
