"""What operators really read, found by changing one input row at a time, to compare what geometry says of them with."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, Op, Ref, export_graph
from atrous.geometry.lower import lower, prune
from atrous.geometry.rules import follow
from tests.toy_models import Lambda


def network_of(function: Callable[[Tensor], Tensor]) -> nn.Module:
    return Lambda(lambda _, x: function(x))


def graphs_of(networks: Mapping[Any, Any], shape: tuple[int, ...]) -> dict[Any, Graph]:
    """The lowered graph of each network or function at one input shape, by one export of all of them together."""
    names = {f"part{k}": key for k, key in enumerate(networks)}
    modules = [n if isinstance(n, nn.Module) else network_of(n) for n in networks.values()]

    def forward(m, x):
        return [getattr(m, name)(x) for name in names]

    whole = export_graph(Lambda(forward, **dict(zip(names, modules, strict=True))), shape, output=0)
    last = {op.module.split(".")[0]: op.index for op in whole.ops if op.kind != "constant"}
    return {key: lower(prune(Graph(whole.ops, last[name], "Lambda"))) for name, key in names.items() if name in last}


def followed(network: Any, shape: tuple[int, ...], index: int = 0) -> Axis:
    """Axis `index` of the lowered network at an input shape `(C, *S)`."""
    network = network if isinstance(network, nn.Module) else network_of(network)
    return follow(lower(export_graph(network, shape)), index)


def run_op(op: Op, tensors: dict[int, Tensor]) -> Tensor:
    args, kwargs = tree_map(lambda a: tensors[a.index] if isinstance(a, Ref) else a, (op.args, op.kwargs))
    result = op.target(*args, **kwargs)
    return result if op.item is None else result[op.item]


def run_graph(graph: Graph, x: Tensor) -> dict[int, Tensor]:
    """All values of a graph for one input `(1, C, *S)`."""
    tensors: dict[int, Tensor] = {}
    for op in graph.ops:
        if op.kind == "input":
            tensors[op.index] = x
        else:
            tensors[op.index] = op.tensor if op.tensor is not None else run_op(op, tensors)
    return tensors


def rows_read(op: Op, tensors: dict[int, Tensor], value: int, dim: int, output_dim: int) -> list[set[int]]:
    """For each row of the output, the rows of `value` (along its dimension `dim`) that change it."""
    generator = torch.Generator().manual_seed(0)
    before = run_op(op, tensors).movedim(output_dim, 0)
    reads: list[set[int]] = [set() for _ in before]
    for i in range(tensors[value].shape[dim]):
        for scale in (1e3, -1e3):
            changed = tensors[value].clone()
            row = changed.movedim(dim, 0)[i]
            row.copy_(scale * (0.5 + torch.rand(row.shape, generator=generator)))
            after = run_op(op, {**tensors, value: changed}).movedim(output_dim, 0)
            for o in torch.nonzero((after != before).reshape(len(after), -1).any(1)).flatten().tolist():
                reads[o].add(i)
    return reads


def check_axis(axis: Axis, *, tight: bool = True) -> None:
    """Every operator reads just the rows that its map says, of the dimension that its map says.

    `first` and `last` must enclose the rows that are read. If `tight`, they must also be the least and the greatest of
    them, over all outputs from `o` on and up to `o`, where they are not outside the input.
    """
    generator = torch.Generator().manual_seed(1)
    tensors = run_graph(axis.graph, torch.randn(axis.graph.ops[0].shape, generator=generator))
    for op in axis.graph.ops:
        along = axis.along[op.index]
        for i in op.inputs:  # what is streamed is read row by row
            assert not axis.streamed(i) or i in {read.input for read in along.reads}
        for read in along.reads:
            if along.dim is not None and tensors[read.input].is_floating_point():
                reads = rows_read(op, tensors, read.input, read.dim, along.dim)
                check_map(read.map, reads, tensors[read.input].shape[read.dim], tight=tight)


def check_map(step: Any, reads: list[set[int]], length: int, *, tight: bool = True) -> None:
    highest, lowest = 0, length
    for o, rows in enumerate(reads):
        highest = max([highest, *(i + 1 for i in rows)])
        last = max(step.last(o), 0)
        assert highest <= last, o
        if tight and rows and last <= length:
            assert highest == last, o
    for o, rows in reversed(list(enumerate(reads))):
        lowest = min([lowest, *rows])
        first = min(step.first(o), length)
        assert first <= lowest, o
        if tight and rows and first >= 0:
            assert first == lowest, o
