"""A network made ready for one input shape: exported, lowered, followed along every axis. Reusable for many runs."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused
from atrous.geometry.field import AxisField, axis_field, margins
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.lower import lower
from atrous.geometry.plan import StreamPlan, follow_axes
from atrous.geometry.program import Box, full_box
from atrous.geometry.segments import Segment
from atrous.stream.compiled import Call

Region = tuple[slice, ...]


@dataclass(frozen=True)
class Prepared:
    """The operators of `network` at one input shape, the axes that can be cut, and why the others cannot.

    `output` is the name of the result that was asked for.
    What an engine compiles is kept here for the next run (`compiled`), with the
    memory for rows (`spare`), and where it cuts (`cuts`).
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
        """The type that the network computes in."""
        output = self.graph.ops[self.graph.output]
        weights = (op.dtype for op in self.graph.ops if op.kind == "constant" and op.dtype.is_floating_point)
        return next(weights, output.dtype if output.dtype.is_floating_point else torch.float32)

    @cached_property
    def fields(self) -> dict[int, AxisField]:
        """Per axis its field, with the margins of windows for its halo."""
        return {g: replace(axis_field(axis), halo=margins(axis)) for g, axis in self.axes.items()}


def prepare(network: nn.Module, shape: tuple[int, ...], *, output: int | str | None = None) -> Prepared:
    """Export `network` for inputs of `shape` `(C, *S)` once, for several calls of `stream` (regions, blocks, repeats).

    The weights are those of this moment. Raises `UserError` when the network cannot be exported.

    >>> ready = prepare(nn.Conv1d(1, 2, 3), (1, 100))
    >>> sorted(ready.axes), ready.refused
    ([0], {})
    """
    graph = lower(export_graph(network, tuple(shape), output=output))
    axes, refused = follow_axes(graph)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    return Prepared(network, graph, axes, refused, device, output)


def output_region(graph: Graph, axes: dict[int, Axis], region: Region | None) -> Box:
    """The output rows asked for, per axis that can be cut; all when `region` is None."""
    output = graph.ops[graph.output]
    first = len(output.shape) - graph.ndim  # 2, or 1 when the network gives one number per position
    if first not in (1, 2) or any(a.dim(graph.output) != first + g for g, a in axes.items()):
        raise UserError(
            f"{graph.network} gives {output.shape[1:]}, which has no positions along the input's axes: "
            "convert the classifier to a fully convolutional network first"
        )
    box = full_box(axes, graph.output)
    if region is None:
        return box
    if len(region) != graph.ndim:
        raise UserError(f"region has {len(region)} slices, but the output has {graph.ndim} spatial axes")
    for g, part in enumerate(region):
        length = output.shape[first + g]
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


def rows_limit(ready: Prepared, made: StreamPlan, dtype: torch.dtype) -> float:
    """The bytes of a plan that a run adds to the network and to the copy that was prepared."""
    own = ready.graph.parameters * ready.dtype.itemsize
    return made.peak_bytes - own - (own if dtype == ready.dtype else 0)
