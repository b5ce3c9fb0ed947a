"""A network exported and analyzed for one input shape, once, for any number of runs on inputs of that shape."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused
from atrous.geometry.enlarged import on_small_grid
from atrous.geometry.field import AxisField, axis_field, margins
from atrous.geometry.graph import EXPORTING, Graph, export_graph
from atrous.geometry.layout import followed
from atrous.geometry.lower import lower
from atrous.geometry.plan import COMFORT, StreamPlan
from atrous.geometry.program import Box, full_box
from atrous.geometry.segments import Segment
from atrous.stream.compiled import Call
from atrous.stream.options import Region


@dataclass(frozen=True)
class Prepared:
    """The operators of a network at one input shape, and what is known of them along every spatial axis.

    Attributes:
        network: the module itself.
        graph: its operators for inputs of `graph.shape` `(C, *S)`.
        axes: the spatial axes along which the network can be cut.
        refused: for every other spatial axis, the reason why it cannot be cut.
        device: where the network computes.
        output: the name or index of the returned tensor that was asked for.
        compiled: functions that an engine compiled in earlier runs, by engine, type and axis.
        spare: storage for rows that earlier runs left to the next one, by value.
        cuts: where earlier runs cut the network into segments, and how long the windows of each segment are.
    """

    network: nn.Module
    graph: Graph
    axes: dict[int, Axis]
    refused: dict[int, Refused]
    device: torch.device
    output: int | str | None = None
    compiled: dict[object, dict[object, Call]] = field(default_factory=dict, compare=False, repr=False)
    spare: dict[int, Tensor] = field(default_factory=dict, compare=False, repr=False)
    cuts: dict[object, tuple[list[Segment], dict[int, int]]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """The element type that the network computes in: that of its first floating-point weight."""
        output = self.graph.ops[self.graph.output]
        weights = (op.dtype for op in self.graph.ops if op.kind == "constant" and op.dtype.is_floating_point)
        return next(weights, output.dtype if output.dtype.is_floating_point else torch.float32)

    @cached_property
    def fields(self) -> dict[int, AxisField]:
        """The receptive field along each axis; its halo is the margin that windows need, which may be larger."""
        return {g: replace(axis_field(axis), halo=margins(axis)) for g, axis in self.axes.items()}


def prepare(network: nn.Module, shape: tuple[int, ...], *, output: int | str | None = None) -> Prepared:
    """Export `network` for inputs of `shape` `(C, *S)`, to pass the result to `stream` several times.

    Exporting takes seconds for a large network; regions, blocks and repeated runs need it only once. The weights are
    those at the time of the call. `output` is the name or index of the tensor to compute when the network returns
    several.

    Raises `UserError` when the network cannot be exported.

    >>> ready = prepare(nn.Conv1d(1, 2, 3), (1, 100))
    >>> sorted(ready.axes), ready.refused
    ([0], {})
    """
    lowered = lower(export_graph(network, tuple(shape), output=output))
    graph, axes, refused = followed(on_small_grid(lowered))
    if refused:  # the reason is told of the network as it is
        graph, axes, refused = followed(lowered)
    with EXPORTING:
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
    return Prepared(network, graph, axes, refused, device, output)


def output_region(graph: Graph, axes: dict[int, Axis], region: Region | None) -> Box:
    """Return the output rows `[lo, hi)` to compute, for each axis that can be cut; all rows when `region` is None.

    Raises `UserError` when a slice is empty, has a step, or cuts an axis that cannot be cut.
    """
    output = graph.ops[graph.output]
    box = full_box(axes, graph.output)
    if region is None:
        return box
    if len(region) != graph.ndim:
        raise UserError(f"region has {len(region)} slices, but the output has {graph.ndim} spatial axes")
    for g, part in enumerate(region):
        length = output.shape[g - graph.ndim]
        lo, hi, step = part.indices(length)
        if step != 1 or hi <= lo:
            raise UserError(
                f"region {part} on axis {g} of {length} positions: give a slice that is not empty, without a step"
            )
        if (lo, hi) != (0, length) and g not in axes:
            raise UserError(f"axis {g} cannot be cut in this network, so region must take all of it")
        if g in axes:
            box[g] = (lo, hi)
    return box


def rows_limit(ready: Prepared, plan: StreamPlan, dtype: torch.dtype, memory: float | None = None) -> float:
    """Return the bytes that rows may hold before free memory is given back: what was allowed, at least what is needed.

    `memory` is the limit of the run; without one, half of what plans aim at is allowed. (Given back at the very need,
    memory goes to and fro: a unit of a cluster, which needs little, took half as long again.) Not counted is what is in
    memory before the run starts: the network's own weights, and the graph's copy of them when the run computes in the
    same type.
    """
    own = ready.graph.parameters * ready.dtype.itemsize
    weights = own + (own if dtype == ready.dtype else 0)
    return max(plan.peak_bytes - weights, COMFORT / 2 if memory is None else memory - weights)
