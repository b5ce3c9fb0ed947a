"""The second exact strategy: the network as it is, on windows of one shape that overlap by the halo.

The output is cut into parts. For each part, a window of the input is run through the unmodified network, and the rows
of its output that are right are kept:

- A window starts at a multiple of the network's period (its total stride), so that strided operators take the same
  positions in the window as in the whole input.
- At an edge where the input goes on, the network pads although it should read on. That reaches at most one halo into
  the output, so each window is wider than the part that it is for, by the halo on either side.
- At the true border the padding is right, and nothing is dropped. The last window ends where the input ends.

This is more work than strips, which compute nothing twice. But all windows have the same shape, they can be computed in
any order, and any engine can run them. Networks with barriers need the whole input at once and are refused.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from atrous.data.source import Source
from atrous.geometry.axis import Refused, period
from atrous.geometry.field import AxisField
from atrous.geometry.graph import Graph
from atrous.geometry.memory import macs
from atrous.geometry.plan import StreamPlan, whole_peak
from atrous.geometry.program import Box
from atrous.stream.alike import first_difference, per_position
from atrous.stream.compiled import Compiler
from atrous.stream.options import Options
from atrous.stream.post import post_function, result_like
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.process import steady_process
from atrous.stream.source import checked_sink, read_box, write_box
from atrous.stream.values import constants, evaluate

CORE = {1: 65536, 2: 512, 3: 64}
"""Input positions along each axis of a window without what it shares with the next one, to begin with, for networks of
1, 2 and 3 axes."""
SMALLEST = 32
"""To fit into memory the length in `CORE` is halved, but not below this one."""


@dataclass(frozen=True)
class AxisWindow:
    """A window along one axis: input rows `[start, stop)`, of whose output the rows `[lo, hi)` are kept.

    All four count from the start of the whole input or output.
    """

    start: int
    stop: int
    lo: int
    hi: int


def axis_windows(field: AxisField, step: int, size: int, wanted: tuple[int, int]) -> list[AxisWindow]:
    """Return windows of about `size` input rows along one axis that together give the output rows `wanted`.

    An output row depends on the input rows that lie under it and on `field.halo` more before and after them. `step` is
    the network's period in input rows. `size` includes the halo. A window that would pass the end of the input is moved
    back so that it ends there; if the input's length is no multiple of `step`, it is longer by the remainder.

    >>> field = AxisField(0, 1000, 1000, 1.0, 31, -15.0, (15, 15))
    >>> [(w.start, w.stop, w.lo, w.hi) for w in axis_windows(field, 8, 512, (0, 1000))]
    [(0, 512, 0, 497), (480, 992, 497, 977), (488, 1000, 977, 1000)]
    """
    first, last = _needed(field, step, wanted)
    size = max(_up(size, step), min(_overlap(field, step) + step, _up(last - first, step)))
    windows, lo = [], wanted[0]
    while lo < wanted[1]:
        start = _start(field, step, lo)
        if start + size + field.inputs % step >= field.inputs:  # the last one: it ends with the input
            start = max(0, (field.inputs - size) // step * step)
            windows.append(AxisWindow(start, field.inputs, lo, wanted[1]))
            break
        hi = min(wanted[1], int((start + size - field.halo[1]) / field.stride))
        windows.append(AxisWindow(start, start + size, lo, hi))
        lo = hi
    return windows


def window_size(field: AxisField, step: int, core: int, wanted: tuple[int, int]) -> int:
    """Return the input rows of a window along one axis, halo included, for `axis_windows`.

    There are as few windows as possible that are longer than what two of them share by at most `core` and one step,
    and they are no longer than so many need to be. A part of `core` output rows of a network without strides is given
    by one window, wherever it begins.

    >>> field = AxisField(0, 5000, 5000, 1.0, 101, -50.0, (50, 50))
    >>> window_size(field, 16, 512, (1000, 1512))
    624
    >>> axis_windows(field, 16, 624, (1000, 1512))
    [AxisWindow(start=944, stop=1568, lo=1000, hi=1512)]
    """
    first, last = _needed(field, step, wanted)
    if last == field.inputs:
        last -= last % step  # the last window is longer by this remainder
    shared = _overlap(field, step)
    count = max(1, -(-(last - first - shared) // _up(core + step, step)))
    return _up(-(-(last - first + (count - 1) * shared) // count), step)


def _up(length: int, step: int) -> int:
    """A length rounded up to whole steps."""
    return -(-length // step) * step


def _start(field: AxisField, step: int, lo: int) -> int:
    """The first input row of a window whose output is right from row `lo` on."""
    return max(0, (int(lo * field.stride) - field.halo[0]) // step * step)


def _needed(field: AxisField, step: int, wanted: tuple[int, int]) -> tuple[int, int]:
    """The input rows `[first, last)` that the output rows `wanted` depend on, from the start of a step on."""
    return _start(field, step, wanted[0]), min(field.inputs, math.ceil(wanted[1] * field.stride) + field.halo[1])


def _overlap(field: AxisField, step: int) -> int:
    """Input rows that a window of whole steps shares with the next one."""
    after = math.ceil(math.ceil(field.halo[1] / field.stride) * field.stride)  # whole output rows are dropped
    return _up(field.halo[0] + after, step)


def window_plan(ready: Prepared, plan: StreamPlan, box: Box, memory: float | None, dtype: torch.dtype) -> StreamPlan:
    """Return `plan` with windows in place of strips: their shape, their number, their work and their peak memory.

    The windows are made smaller until one of them fits into `memory` bytes, or until they are hardly larger than their
    halo. `box` is the output rows to compute.

    Raises `Refused` where windows cannot give the exact answer.
    """
    graph = ready.graph
    check_windows(ready)
    core = CORE[graph.ndim]
    while True:
        sizes = {g: window_size(ready.fields[g], period(a), core, box[g]) for g, a in ready.axes.items()}
        by_axis = _windows(ready, sizes, box)
        shape = tuple(max(w.stop - w.start for w in by_axis[g]) for g in range(graph.ndim))
        share = torch.Size(shape).numel() / torch.Size(graph.shape[1:]).numel()
        peak = whole_peak(graph, dtype.itemsize) * share + graph.parameters * dtype.itemsize
        if memory is None or peak <= memory or core <= SMALLEST:
            break
        core //= 2
    count = torch.Size([len(by_axis[g]) for g in range(graph.ndim)]).numel()
    whole = float(sum(macs(op, graph.ops) for op in graph.ops))
    shapes = ([w.stop - w.start for w in window] for window in window_product(by_axis, graph.ndim))
    positions = sum(torch.Size(sizes).numel() for sizes in shapes)
    return dataclasses.replace(
        plan,
        strategy="windows",
        window=shape,
        blocks=count,
        peak_bytes=int(peak),
        macs=whole * positions / torch.Size(graph.shape[1:]).numel(),
        reason="one static shape",
    )


def check_windows(ready: Prepared) -> None:
    """Raise `Refused` for a network whose output rows depend on more than the input rows around them."""
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


def run_windows(
    ready: Prepared,
    plan: StreamPlan,
    box: Box,
    source: Source,
    sink: Any,
    options: Options,
    compiler: Compiler | None = None,
) -> Any:
    """Run every window of a plan, write the right part of each into the sink, and return the sink.

    Windows of a shape that occurs more than once are compiled, where there is a compiler.

    Raises `Refused` when the network computes something else on a window than on the whole input.
    """
    graph, ndim = ready.graph, ready.graph.ndim
    assert plan.window is not None
    dtype = options.dtype or ready.dtype
    # The longest window may be longer than whole steps, by the remainder of the input's length.
    sizes = {g: plan.window[g] // period(axis) * period(axis) for g, axis in ready.axes.items()}
    by_axis = _windows(ready, sizes, box)
    output = graph.ops[graph.output]
    shape = (*output.shape[:-ndim], *(box[g][1] - box[g][0] for g in range(ndim)))
    output_dtype = dtype if output.dtype.is_floating_point else output.dtype
    sink = checked_sink(sink, *result_like(shape, output_dtype, options.post, ndim))
    post = post_function(options.post)
    engines: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}
    windows = list(window_product(by_axis, ndim))
    with steady_process(plan.peak_bytes, ready.device) as between, torch.inference_mode():
        for number, window in enumerate(windows):
            x = read_box(source, {g: (w.start, w.stop) for g, w in enumerate(window)}, dtype, ready.device)
            size = tuple(x.shape[2:])
            if size not in engines:
                repeated = sum(size == tuple(w.stop - w.start for w in other) for other in windows) > 1
                engines[size] = window_engine(ready, (graph.shape[0], *size), dtype, compiler if repeated else None)
            write_window(engines[size](x), window, ready.fields, box, sink, post)
            del x
            between()
            if options.progress is not None:
                options.progress((number + 1) / len(windows))
    return sink


def write_window(
    out: Tensor,
    window: tuple[AxisWindow, ...],
    fields: dict[int, AxisField],
    box: Box,
    sink: Any,
    post: Callable[[Tensor], Tensor] | None,
) -> None:
    """Write the right part of a window's output `(1, K, *S)` or `(1, *S)` to its place in a sink of the rows `box`."""
    ndim = len(window)
    for g, w in enumerate(window):
        first = round(w.start / fields[g].stride)  # the output row that the window's own output begins at
        out = out.narrow(out.dim() - ndim + g, w.lo - first, w.hi - w.lo)
    out = post(out) if post else out
    write_box(sink, out, [(w.lo - box[g][0], w.hi - box[g][0]) for g, w in enumerate(window)], ndim)


class WindowNetwork(nn.Module):
    """The operators of a graph as a module, for compilers."""

    def __init__(self, graph: Graph, known: dict[int, Tensor]):
        super().__init__()
        self.graph, self.known = graph, tuple(known)
        for i, value in known.items():
            self.register_buffer(f"constant{i}", value)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the output as the only item of a tuple, as compilers expect it."""
        return (evaluate(self.graph, {i: getattr(self, f"constant{i}") for i in self.known}, x),)


def window_engine(
    ready: Prepared, shape: tuple[int, ...], dtype: torch.dtype, compiler: Compiler | None
) -> Callable[[Tensor], Tensor]:
    """Return a function that runs the network on windows `(1, *shape)`, compiled where there is a compiler.

    Raises `Refused` when the network, exported at this shape, is another function of its rows than at the whole shape.
    """
    small = prepare(ready.network, shape, output=ready.output) if shape != ready.graph.shape else ready
    for g, axis in ready.axes.items():
        last = ready.graph.ops[ready.graph.output]
        changed = first_difference(axis, small.axes[g]) if g in small.axes else last
        if changed is not None:
            raise Refused(
                changed, f"computes something else on a window of {shape} than on {ready.graph.shape}: use strips"
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


def _windows(ready: Prepared, sizes: dict[int, int], box: Box) -> dict[int, list[AxisWindow]]:
    """Return the windows along each axis, of about `sizes[g]` input rows along axis `g`."""
    return {g: axis_windows(ready.fields[g], period(axis), sizes[g], box[g]) for g, axis in ready.axes.items()}


def window_product(by_axis: dict[int, list[AxisWindow]], ndim: int) -> Iterator[tuple[AxisWindow, ...]]:
    """Yield every window: one of each axis, the last axis first to change."""
    return itertools.product(*(by_axis[g] for g in range(ndim)))
