"""What geometry proves of a network at an input shape: sizes, receptive field, halo, barriers, and whether it
streams."""

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.lower import lower
from atrous.geometry.memory import macs
from atrous.geometry.passes import passes_of
from atrous.geometry.plan import Plan, byte_count, choose_axis, follow_axes, make_plan, whole_peak
from atrous.geometry.program import full_box
from atrous.geometry.strides import period, strides


@dataclass(frozen=True)
class AxisField:
    """One spatial axis: input and output positions, and what one output can depend on.

    `stride` is input positions per output position. An output depends on `receptive_field` input positions, padding
    included, at most (barriers aside, which see everything); those of output `o` begin at `o * stride + offset` or
    later. `halo` is how many positions before and after its own footprint, `o * stride` to `(o + 1) * stride`, a
    region needs.
    """

    axis: int
    inputs: int
    outputs: int
    stride: float
    receptive_field: int
    offset: float
    halo: tuple[int, int]


@dataclass(frozen=True)
class Barrier:
    """An operator that needs the whole extent before the network can go on."""

    module: str
    operator: str


@dataclass(frozen=True)
class Certificate:
    """What geometry proves of a network at one input shape `(C, *S)`.

    `verdict` is "exact", "exact in k passes" or "refused because <module> (<operator>): <reason>". `fields` has an
    entry
    per axis along which positions can be followed; `refused` says why for the others. `macs` counts the multiply-adds
    of one forward pass; `peak_whole` and `peak_streamed` are predicted bytes, weights included (`plan` says how).
    """

    network: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    verdict: str
    exact: bool
    passes: int
    fields: tuple[AxisField, ...]
    barriers: tuple[Barrier, ...]
    refused: dict[int, str]
    macs: int
    parameters: int
    peak_whole: int
    peak_streamed: int | None
    plan: Plan | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON."""
        found = asdict(self)
        found["plan"] = None if self.plan is None else self.plan.text()
        return found

    def text(self) -> str:
        """The certificate as a table."""
        lines = [
            f"{self.network}: {_times(self.shape)} -> {_times(self.output_shape)}",
            f"verdict          {self.verdict}",
        ]
        for f in self.fields:
            lines.append(
                f"axis {f.axis}           {f.inputs} -> {f.outputs}, stride {f.stride:g}, "
                f"receptive field {f.receptive_field}, "
                f"from {f.offset:+g}, halo {f.halo[0]} before and {f.halo[1]} after"
            )
        lines += [f"axis {a}           refused: {why}" for a, why in self.refused.items()]
        if self.barriers:
            names = [f"{b.module} ({b.operator})" for b in self.barriers]
            lines.append(
                f"barriers         {len(names)}: " + ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            )
        lines.append(f"parameters       {self.parameters:,}")
        lines.append(f"multiply-adds    {self.macs / 1e9:,.3f} G")
        lines.append(f"memory, whole    {self.peak_whole / 2**20:,.0f} MiB")
        if self.peak_streamed is not None:
            lines.append(f"memory, streamed {self.peak_streamed / 2**20:,.0f} MiB")
        return "\n".join(lines)


def certify(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    output: int | str | None = None,
    memory: float | str | None = None,
) -> Certificate:
    """The certificate of `network` for inputs of `shape` `(C, *S)`; needs neither data nor the memory for it.

    `output` says which tensor, when the network returns several; `memory` is what the streamed run may take (768 MiB of
    rows when None). Raises `UserError` when the network cannot be exported at this shape.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    >>> found = certify(network, (3, 64, 96))
    >>> found.verdict, found.fields[0].receptive_field, found.fields[0].stride, found.fields[0].halo
    ('exact', 7, 2.0, (3, 2))
    """
    parameters = sum(p.numel() for p in network.parameters())
    graph = lower(export_graph(network, shape, output=output))
    axes, refused = follow_axes(graph)
    streamable = {g: axis for g, axis in axes.items() if axis.streamed(graph.output)}
    itemsize = next((p.dtype.itemsize for p in network.parameters()), torch.float32.itemsize)
    whole = int(whole_peak(graph, itemsize)) + graph.parameters * itemsize
    fields = tuple(axis_field(axis) for axis in streamable.values())
    reasons = {g: str(why) for g, why in refused.items()}
    reasons.update({g: "the output has no positions along it" for g in axes if g not in streamable})
    made, passes, barriers = None, 0, ()
    if streamable:
        stream = choose_axis(graph, streamable, refused, None)
        axis = streamable[stream]
        passes = len(passes_of(axis))
        barriers = tuple(Barrier(op.module, op.kind) for op in axis.barriers)
        made = make_plan(graph, streamable, stream, full_box(streamable, graph.output), memory=byte_count(memory))
        verdict = "exact" if passes == 1 else f"exact in {passes} passes"
    else:
        verdict = f"refused because {reasons[min(reasons)]}"
    return Certificate(
        type(network).__name__,
        tuple(shape),
        graph.ops[graph.output].shape[1:],
        verdict,
        made is not None,
        passes,
        fields,
        barriers,
        reasons,
        sum(macs(op, graph.ops) for op in graph.ops),
        parameters,
        whole,
        None if made is None else made.peak_bytes,
        made,
    )


def depends_on(axis: Axis, o: int) -> tuple[int, int]:
    """The input interval `[lo, hi)`, padding included, that output `o` depends on: the union over all paths."""
    return value_spans(axis, o).get(0, (0, 0))


def value_spans(axis: Axis, o: int, held: dict[int, int] | None = None) -> dict[int, tuple[int, int]]:
    """For every value the rows `[lo, hi)`, padding included, that output `o` depends on.

    With `held` those that it waits for, when operators hold back so many of the rows that they could give.
    """
    graph: Graph = axis.graph
    spans: dict[int, tuple[int, int]] = {graph.output: (o, o + 1)}
    for op in reversed(graph.ops):
        if op.index not in spans or axis.along[op.index].barrier:
            continue
        lo, hi = spans[op.index]
        for read in axis.along[op.index].reads:
            if axis.streamed(read.input):
                a, b = read.map.first(lo), read.map.last(hi - 1 + (held or {}).get(op.index, 0))
                if op.kind == "cat" and (b <= 0 or a >= graph.ops[read.input].shape[read.dim]):
                    continue  # joined along the axis: other rows come from this input
                c, d = spans.get(read.input, (a, b))
                spans[read.input] = (min(a, c), max(b, d))
    return spans


def axis_field(axis: Axis) -> AxisField:
    """Sizes, stride, receptive field and halo along one axis, measured in the middle over one period of the network."""
    inputs, outputs = axis.length(0), axis.length(axis.graph.output)
    stride, samples = _one_period(axis)
    intervals = {o: depends_on(axis, o) for o in samples}
    size = max(hi - lo for lo, hi in intervals.values())
    offset = min(float(lo - o * stride) for o, (lo, _) in intervals.items())
    before = max(int(o * stride) - lo for o, (lo, _) in intervals.items())
    after = max(hi - -int(-(o + 1) * stride // 1) for o, (_, hi) in intervals.items())
    return AxisField(axis.index, inputs, outputs, float(stride), size, offset, (max(0, before), max(0, after)))


def latency(axis: Axis, held: dict[int, int]) -> int:
    """How many input rows beyond its own an output waits for, when operators hold back so many rows."""
    stride, samples = _one_period(axis)
    waits = (value_spans(axis, o, held).get(0, (0, 0))[1] + int(-(o + 1) * stride // 1) for o in samples)
    return max(0, *waits)


def _one_period(axis: Axis) -> tuple[Fraction, range]:
    """The stride of the output, and outputs in the middle over one period of the network."""
    outputs = axis.length(axis.graph.output)
    stride = strides(axis).get(axis.graph.output, Fraction(axis.length(0), outputs))
    repeat = max(1, int(period(axis) / stride))
    middle = max(0, outputs // 2 - repeat // 2)
    return stride, range(middle, min(outputs, middle + repeat))


def margins(axis: Axis) -> tuple[int, int]:
    """How far a window of the input must reach beyond the footprint of its outputs to give what the whole input gives.

    That is the halo, and more where values between are cropped: a row that the crop takes away in the window must not
    be one that a later operator reads, for it would read padding there.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> from atrous.geometry.rules import follow
    >>> network = nn.Sequential(nn.ConstantPad1d((-3, -1), 0.0), nn.Conv1d(1, 1, 3, padding=1))
    >>> axis = follow(export_graph(network, (1, 100)), 0)
    >>> axis_field(axis).halo, margins(axis)
    ((0, 4), (1, 5))
    """
    per_row, (stride, samples) = strides(axis), _one_period(axis)
    inputs, whole = axis.length(0), axis.length(0) % period(axis) == 0
    before = after = Fraction(0)
    for o in samples:
        for value, (lo, hi) in value_spans(axis, o).items():
            if value in per_row:
                step = per_row[value]
                missing = inputs - axis.length(value) * step + (0 if whole else max(step - 1, 0))
                before = max(before, o * stride - lo * step)
                after = max(after, hi * step + missing - (o + 1) * stride)
    return math.ceil(before), math.ceil(after)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
