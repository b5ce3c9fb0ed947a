"""Receptive fields, and the certificate: what can be proved of a network at one input shape without running it.

The receptive field of output row `o` is found by walking backwards through the graph. At first the output needs rows
`[o, o+1)` of itself. Every operator turns the rows `[lo, hi)` that are needed of its value into the rows
`[first(lo), last(hi-1))` of each of its inputs (`maps.py`). A value that several operators read needs the union. What
arrives at the input is the receptive field, padding included.
"""

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from atrous.geometry.axis import Axis, period, strides
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.layout import followed
from atrous.geometry.lower import lower
from atrous.geometry.memory import macs
from atrous.geometry.plan import Limits, StreamPlan, byte_count, choose_axis, make_plan, whole_peak
from atrous.geometry.program import full_box


@dataclass(frozen=True)
class AxisField:
    """What one output position can depend on, along one spatial axis of `inputs` and `outputs` positions.

    `stride` is input positions per output position. An output depends on at most `receptive_field` input positions,
    padding included and barriers aside, which see everything. Those of output `o` begin at `o * stride + offset` or
    later. The footprint of output `o` is the interval from `o * stride` to `(o + 1) * stride`; `halo` is how many input
    positions before and after its footprint an output needs.
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
    """An operator that needs the whole input, by the name of its module, before later ones can be computed."""

    module: str
    operator: str


@dataclass(frozen=True)
class Certificate:
    """What is proved of a network at one input shape `(C, *S)`.

    `verdict` is "exact", "exact in k passes" or "refused because <module> (<operator>): <reason>", and says whether the
    network can be streamed. `fields` has an entry per axis along which positions can be followed; `refused` says for
    each other axis why they cannot. `macs` are the multiply-adds of one forward pass, `parameters` the number of
    weights. `peak_whole` and `peak_streamed` are predicted bytes of that pass and of a streamed run by `plan`, weights
    included.
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
    plan: StreamPlan | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain numbers, strings and lists, for JSON."""
        return {**asdict(self), "plan": None if self.plan is None else self.plan.text()}

    def text(self) -> str:
        """Return the certificate as a table."""
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
    """Return the certificate of `network` for inputs of `shape` `(C, *S)`. It needs neither data nor their memory.

    `output` names the tensor to look at when the network returns several. `memory` is what a streamed run may take, in
    bytes or as text such as "1GB" (about 768 MiB of rows when None). Raises `UserError` when the network cannot be
    exported at this shape.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    >>> certificate = certify(network, (3, 64, 96))
    >>> field = certificate.fields[0]
    >>> certificate.verdict, field.receptive_field, field.stride, field.halo
    ('exact', 7, 2.0, (3, 2))
    """
    graph, axes, refused = followed(lower(export_graph(network, shape, output=output)))
    parameters = sum(p.numel() for p in network.parameters())
    itemsize = next((p.dtype.itemsize for p in network.parameters()), torch.float32.itemsize)
    whole = int(whole_peak(graph, itemsize)) + graph.parameters * itemsize
    fields = tuple(axis_field(axis) for axis in axes.values())
    reasons = {g: str(refused[g]) for g in sorted(refused)}
    plan, barriers = None, ()
    if axes:
        stream = choose_axis(graph, axes, refused, None)
        barriers = tuple(Barrier(op.module, op.kind) for op in axes[stream].barriers)
        box = full_box(axes, graph.output)
        plan = make_plan(graph, axes, stream, box, limits=Limits(memory=byte_count(memory)))
        verdict = "exact" if len(plan.passes) == 1 else f"exact in {len(plan.passes)} passes"
    else:
        verdict = f"refused because {reasons[min(reasons)]}"
    return Certificate(
        network=type(network).__name__,
        shape=tuple(shape),
        output_shape=graph.ops[graph.output].shape[1:],
        verdict=verdict,
        exact=plan is not None,
        passes=0 if plan is None else len(plan.passes),
        fields=fields,
        barriers=barriers,
        refused=reasons,
        macs=sum(macs(op, graph.ops) for op in graph.ops),
        parameters=parameters,
        peak_whole=whole,
        peak_streamed=None if plan is None else plan.peak_bytes,
        plan=plan,
    )


def depends_on(axis: Axis, o: int) -> tuple[int, int]:
    """Return the input rows `[lo, hi)`, padding included, that output row `o` depends on: the union over all paths."""
    return value_spans(axis, o).get(0, (0, 0))


def value_spans(axis: Axis, o: int, withheld: dict[int, int] | None = None) -> dict[int, tuple[int, int]]:
    """Return for every value the rows `[lo, hi)`, padding included, that output row `o` depends on.

    `withheld` says for some operators how many of the rows that are ready they hold back. Then `hi` counts the rows
    that must have arrived before the output is given.
    """
    graph: Graph = axis.graph
    spans: dict[int, tuple[int, int]] = {graph.output: (o, o + 1)}
    for op in reversed(graph.ops):
        if op.index not in spans or axis.along[op.index].barrier:
            continue
        lo, hi = spans[op.index]
        for read in axis.along[op.index].reads:
            if axis.streamed(read.input):
                start, stop = read.map.first(lo), read.map.last(hi - 1 + (withheld or {}).get(op.index, 0))
                if op.kind == "cat" and (stop <= 0 or start >= graph.ops[read.input].shape[read.dim]):
                    continue  # joined along the axis: the rows come from another input
                old_start, old_stop = spans.get(read.input, (start, stop))
                spans[read.input] = (min(start, old_start), max(stop, old_stop))
    return spans


def axis_field(axis: Axis) -> AxisField:
    """Return sizes, stride, receptive field and halo along one axis.

    Outputs differ within one period of the network, so those of one period in the middle are looked at. With stride
    `t`, and rows `[lo, hi)` that output `o` depends on, the halo before is the largest `floor(o*t) - lo`, and the halo
    after the largest `hi - ceil((o+1)*t)`.
    """
    inputs, outputs = axis.length(0), axis.length(axis.graph.output)
    stride, samples = _one_period(axis)
    intervals = {o: depends_on(axis, o) for o in samples}
    size = max(hi - lo for lo, hi in intervals.values())
    offset = min(float(lo - o * stride) for o, (lo, _) in intervals.items())
    before = max(math.floor(o * stride) - lo for o, (lo, _) in intervals.items())
    after = max(hi - math.ceil((o + 1) * stride) for o, (_, hi) in intervals.items())
    return AxisField(axis.index, inputs, outputs, float(stride), size, offset, (max(0, before), max(0, after)))


def latency(axis: Axis, withheld: dict[int, int]) -> int:
    """Return how many input rows after its footprint an output waits for, when operators hold back so many rows."""
    stride, samples = _one_period(axis)
    ends = {o: value_spans(axis, o, withheld).get(0, (0, 0))[1] for o in samples}
    return max(0, *(end - math.ceil((o + 1) * stride) for o, end in ends.items()))


def _one_period(axis: Axis) -> tuple[Fraction, range]:
    """Return the stride of the output, and the output rows of one period of the network in the middle."""
    outputs = axis.length(axis.graph.output)
    stride = strides(axis).get(axis.graph.output, Fraction(axis.length(0), outputs))
    count = max(1, int(period(axis) / stride))
    start = max(0, outputs // 2 - count // 2)
    return stride, range(start, min(outputs, start + count))


def margins(axis: Axis) -> tuple[int, int]:
    """Return how many input rows a window must hold before and after the footprint of its outputs.

    Then the network on the window gives these outputs as on the whole input. That is the halo, and more where values in
    between are cropped: rows that a crop drops in the window must not be rows that a later operator reads in the whole
    input, where it would read padding in the window.

    A value of `n` rows with stride `t` covers `n*t` of the `inputs` input rows. The window must reach as far as the
    rows that an output depends on, times `t`, and by the `inputs - n*t` rows that are missing at the end further.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> from atrous.geometry.rules import follow
    >>> network = nn.Sequential(nn.ConstantPad1d((-3, -1), 0.0), nn.Conv1d(1, 1, 3, padding=1))
    >>> axis = follow(export_graph(network, (1, 100)), 0)
    >>> axis_field(axis).halo, margins(axis)
    ((0, 4), (1, 5))
    """
    stride_of, (stride, samples) = strides(axis), _one_period(axis)
    inputs = axis.length(0)
    in_whole_periods = inputs % period(axis) == 0
    before = after = Fraction(0)
    for o in samples:
        for value, (lo, hi) in value_spans(axis, o).items():
            if value in stride_of:
                step = stride_of[value]
                missing = inputs - axis.length(value) * step + (0 if in_whole_periods else max(step - 1, 0))
                before = max(before, o * stride - lo * step)
                after = max(after, hi * step + missing - (o + 1) * stride)
    return math.ceil(before), math.ceil(after)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
