"""The second exact strategy: the network as it is, on windows of one shape that overlap by the halo.

Windows start at multiples of the total stride, so that every window sees the network's own grid; what their cut edges
touched is dropped, and at the true border a window ends where the input ends. More work than strips, but one static
shape, no order between windows, and any engine. Networks with barriers cannot be run so.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from atrous.geometry.axis import Refused, period
from atrous.geometry.field import AxisField
from atrous.geometry.graph import Graph
from atrous.geometry.memory import macs
from atrous.geometry.plan import StreamPlan, whole_peak
from atrous.geometry.program import Box
from atrous.stream.alike import first_difference, per_position
from atrous.stream.compiled import Compiler
from atrous.stream.post import Post, post_function, result_like
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.process import steady_process
from atrous.stream.source import checked_sink, read_box, write_box
from atrous.stream.values import constants, evaluate

CORE = {1: 65536, 2: 512, 3: 64}  # positions per axis that a window contributes, by default, for 1 to 3 axes


@dataclass(frozen=True)
class Window:
    """One axis of one window: input `[start, stop)`, of whose outputs `[lo, hi)` (global) are kept."""

    start: int
    stop: int
    lo: int
    hi: int


def axis_windows(field: AxisField, step: int, size: int, wanted: tuple[int, int]) -> list[Window]:
    """Windows of about `size` input positions along one axis that together give the outputs `wanted`.

    Windows that end at the end of an input whose length is no multiple of `step` are longer by the remainder.

    >>> field = AxisField(0, 1000, 1000, 1.0, 31, -15.0, (15, 15))
    >>> [(w.start, w.stop, w.lo, w.hi) for w in axis_windows(field, 8, 512, (0, 1000))]
    [(0, 512, 0, 496), (480, 992, 496, 976), (488, 1000, 976, 1000)]
    """
    before, after = (-(-h // step) * step for h in field.halo)
    size = max(-(-size // step) * step, before + after + step)
    found, done = [], wanted[0]
    while done < wanted[1]:
        start = max(0, int(done * field.stride) // step * step - before)
        if start + size >= field.inputs:
            start = max(0, (field.inputs - size) // step * step)
            found.append(Window(start, field.inputs, done, wanted[1]))
            break
        hi = min(wanted[1], int((start + size - after) / field.stride))
        found.append(Window(start, start + size, done, hi))
        done = hi
    return found


def window_plan(ready: Prepared, made: StreamPlan, box: Box, memory: float | None, dtype: torch.dtype) -> StreamPlan:
    """The plan for windows in place of strips. Raises `Refused` where windows cannot be exact."""
    graph = ready.graph
    if len(ready.axes) < graph.ndim:
        raise next(iter(ready.refused.values()))
    for axis in ready.axes.values():
        if axis.barriers:
            raise Refused(axis.barriers[0], "needs the whole extent, so windows cannot be exact: use strips")
        for op, along in zip(graph.ops, axis.along, strict=True):
            if any(r.map.depends_on_length for r in along.reads):
                raise Refused(op, "its rows depend on the length of the input, so windows cannot be exact: use strips")
        placed = per_position(axis)
        if placed is not None:
            raise Refused(placed, "reads a value that depends on the position, so windows cannot be exact: use strips")
    fields = ready.fields
    core = CORE[graph.ndim]
    while True:
        sizes = {g: core + sum(f.halo) for g, f in fields.items()}
        lists = _windows(ready, fields, sizes, box)
        shape = tuple(max(w.stop - w.start for w in lists[g]) for g in range(graph.ndim))
        positions = torch.Size(shape).numel() / torch.Size(graph.shape[1:]).numel()
        peak = whole_peak(graph, dtype.itemsize) * positions + graph.parameters * dtype.itemsize
        if memory is None or peak <= memory or core <= 32:
            break
        core //= 2
    count = torch.Size([len(lists[g]) for g in range(graph.ndim)]).numel()
    whole = float(sum(macs(op, graph.ops) for op in graph.ops))
    done = sum(torch.Size([w.stop - w.start for w in window]).numel() for window in _product(lists, graph.ndim))
    return dataclasses.replace(
        made,
        strategy="windows",
        window=shape,
        blocks=count,
        peak_bytes=int(peak),
        macs=whole * done / torch.Size(graph.shape[1:]).numel(),
        reason="one static shape",
    )


def run_windows(
    ready: Prepared,
    made: StreamPlan,
    box: Box,
    source: Any,
    sink: Any,
    dtype: torch.dtype,
    post: Post,
    progress: Callable[[float], None] | None,
    compiler: Compiler | None = None,
) -> Any:
    """Run every window and keep what its cut edges did not touch; windows of the usual size compiled, if asked for."""
    graph, ndim = ready.graph, ready.graph.ndim
    assert made.window is not None
    fields = ready.fields
    lists = _windows(ready, fields, dict(enumerate(made.window)), box)
    output = graph.ops[graph.output]
    shape = (*output.shape[:-ndim], *(box[g][1] - box[g][0] for g in range(ndim)))
    kind = dtype if output.dtype.is_floating_point else output.dtype
    sink = checked_sink(sink, *result_like(shape, kind, post, ndim))
    function = post_function(post)
    engines: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}
    windows = list(_product(lists, ndim))
    with steady_process(made.peak_bytes) as between, torch.inference_mode():
        for number, window in enumerate(windows):
            x = read_box(source, {g: (w.start, w.stop) for g, w in enumerate(window)}, dtype, ready.device)
            size = tuple(x.shape[2:])
            if size not in engines:
                usual = sum(size == tuple(w.stop - w.start for w in other) for other in windows) > 1
                engines[size] = window_engine(ready, (graph.shape[0], *size), dtype, compiler if usual else None)
            out = engines[size](x)
            for g, w in enumerate(window):
                offset = round(w.start / fields[g].stride)
                out = out.narrow(len(output.shape) - ndim + g, w.lo - offset, w.hi - w.lo)
            out = function(out) if function else out
            write_box(sink, out, [(w.lo - box[g][0], w.hi - box[g][0]) for g, w in enumerate(window)], ndim)
            del x, out
            between()
            if progress is not None:
                progress((number + 1) / len(windows))
    return sink


class WindowNetwork(nn.Module):
    """A lowered graph as a module, for compilers."""

    def __init__(self, graph: Graph, known: dict[int, Tensor]):
        super().__init__()
        self.graph, self.known = graph, tuple(known)
        for i, value in known.items():
            self.register_buffer(f"constant{i}", value)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The output, as the one of a tuple."""
        return (evaluate(self.graph, {i: getattr(self, f"constant{i}") for i in self.known}, x),)


def window_engine(
    ready: Prepared, shape: tuple[int, ...], dtype: torch.dtype, compiler: Compiler | None
) -> Callable[[Tensor], Tensor]:
    """The network at one window shape; checked to be the same network there as at the whole shape."""
    small = prepare(ready.network, shape, output=ready.output) if shape != ready.graph.shape else ready
    for g, axis in ready.axes.items():
        last = ready.graph.ops[ready.graph.output]
        other = first_difference(axis, small.axes[g]) if g in small.axes else last
        if other is not None:
            raise Refused(
                other, f"the network is another one on a window of {shape} than on {ready.graph.shape}: use strips"
            )
    known = constants(small.graph, dtype)
    if compiler is None:
        return lambda x: evaluate(small.graph, known, x)
    output = small.graph.ops[small.graph.output]
    layout = torch.channels_last if len(output.shape) == 4 else torch.contiguous_format
    out = torch.empty(output.shape, dtype=dtype, device=ready.device, memory_format=layout)
    like = torch.zeros(small.graph.ops[0].shape, dtype=dtype, device=ready.device)
    like = like.contiguous(memory_format=layout) if like.dim() == 4 else like
    call = compiler(WindowNetwork(small.graph, known).eval(), [like], [out])

    def run(x: Tensor) -> Tensor:
        call([x], [out])
        return out

    return run


def _windows(ready: Prepared, fields: dict[int, AxisField], sizes: dict[int, int], box: Box) -> dict[int, list[Window]]:
    return {g: axis_windows(fields[g], period(axis), sizes[g], box[g]) for g, axis in ready.axes.items()}


def _product(lists: dict[int, list[Window]], ndim: int) -> Iterator[tuple[Window, ...]]:
    return itertools.product(*(lists[g] for g in range(ndim)))
