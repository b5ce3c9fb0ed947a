"""Where a network's result holds the grid: after the batch and the channels, or the network is refused by name.

Strips are written into a result `(1, K, *S)` or `(1, *S)`: a batch of one image, then any other dimensions, then the
grid. A network may return other layouts. This file checks the layout before anything is computed:

- A result without batch axis, `(K, *S)` or `(*S)`, gets one.
- A batch of several images, a grid in other dimensions than the last, and a result without positions are refused. The
  message names the operator, the shape and what to change.
"""

import dataclasses

import torch

from atrous.geometry.axis import Axis, Refused
from atrous.geometry.grams import can_be_joined, with_grams
from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.norms import NORMS, with_statistics
from atrous.geometry.plan import follow_axes
from atrous.geometry.rules.rows import SUMS_POSITIONS


def followed(graph: Graph) -> tuple[Graph, dict[int, Axis], dict[int, Refused]]:
    """Return the graph with a result `(1, ..., *S)`, the axes along which it can be cut, and why not along the others.

    The graph is the given one, with two exceptions. If its result has no batch axis, an operator that adds one follows.
    If a layer norm over positions, or a product of channels summed over positions, stops all axes, it is written as the
    statistics that it takes and what follows from them.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> network = nn.Sequential(nn.Conv1d(1, 4, 3), nn.Flatten(0, 1))
    >>> graph, axes, refused = followed(export_graph(network, (1, 32)))
    >>> graph.ops[graph.output].shape, sorted(axes), refused
    ((1, 4, 30), [0], {})
    """
    graph, axes, refused = rewritten(graph)
    output = graph.ops[graph.output]
    reason = layout_fault(graph, axes)
    if reason is not None:
        return graph, {}, {g: refused.get(g, Refused(output, reason)) for g in range(graph.ndim)}
    leading = len(output.shape) - graph.ndim
    if axes and (leading == 0 or (leading == 1 and output.shape[0] != 1)):
        return followed(_with_batch(graph))
    for g in [g for g, axis in axes.items() if not axis.streamed(output.index)]:
        del axes[g]
        refused[g] = Refused(output, f"its output {output.shape[1:]} has no positions along axis {g}")
    return graph, axes, refused


def rewritten(graph: Graph) -> tuple[Graph, dict[int, Axis], dict[int, Refused]]:
    """Return what `followed` does, whatever the layout of the result: a classifier's, say, has no positions.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> network = nn.Sequential(nn.Conv1d(1, 4, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> graph, axes, refused = rewritten(export_graph(network, (1, 32)))
    >>> graph.ops[graph.output].shape, sorted(axes), refused
    ((1, 2), [0], {})
    """
    axes, refused = follow_axes(graph)
    norms = {reason.index for reason in refused.values() if reason.operator in NORMS}
    if norms and not axes:
        return rewritten(with_statistics(graph, norms))
    products = {reason.index for reason in refused.values() if reason.reason == SUMS_POSITIONS}
    if not axes and any(can_be_joined(graph, graph.ops[i]) for i in products):
        return rewritten(with_grams(graph, [i for i in products if can_be_joined(graph, graph.ops[i])]))
    return graph, axes, refused


def layout_fault(graph: Graph, axes: dict[int, Axis]) -> str | None:
    """Return what is wrong with the layout of the result, and what to change; None when strips can be written into it.

    `axes` are those that could be followed through the graph; nothing is said of the others.
    """
    shape, ndim = graph.ops[graph.output].shape, graph.ndim
    dims = {g: dim for g, axis in axes.items() if (dim := axis.dim(graph.output)) is not None}
    if not dims:
        no_positions = f"its output {shape[1:]} has no positions along the input's axes"
        return f"{no_positions}: convert the classifier to a fully convolutional network first" if axes else None
    leading = len(shape) - ndim
    if any(dim != leading + g for g, dim in dims.items()):
        lost = [g for g in axes if g not in dims]
        if lost and leading < min(dim - g for g, dim in dims.items()):
            return f"its output {shape} lost axis {lost[0]}: keep that axis with one position (keepdim=True)"
        where = ", ".join(f"axis {g} in dimension {dim}" for g, dim in dims.items())
        return (
            f"its output {shape} has {where}: permute it, so that the axes of the input are its last {ndim} dimensions "
            "in their order"
        )
    if leading > 1 and shape[0] != 1:
        return (
            f"its output {shape} is a batch of {shape[0]} for one input: return one result per input, "
            f"(1, {', '.join(map(str, shape[1:]))})"
        )
    return None


def _with_batch(graph: Graph) -> Graph:
    """Return the graph with an operator at its end that puts a batch axis of one in front of the result."""
    output = graph.ops[graph.output]
    added: Op = dataclasses.replace(
        output,
        index=len(graph.ops),
        kind="unsqueeze",
        shape=(1, *output.shape),
        target=torch.ops.aten.unsqueeze.default,
        args=(Ref(output.index), 0),
        kwargs={},
        item=None,
        tensor=None,
    )
    return Graph((*graph.ops, added), added.index, graph.network)
