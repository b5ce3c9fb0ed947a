"""Run a program in compiled segments: rows are kept at few cuts, and between two cuts one compiled function runs.

A step that is compiled as it stands spends most of its time copying, because every operator keeps rows of its own and
joins them with the new ones. So the operators are cut into segments (`geometry/segments.py`), and rows are kept at the
cuts only, each value in one `Ring`. A segment runs like this:

1. The rows that its outputs are to give are known (`SegmentRun.wanted`). They lie in a window of whole units, where a
   unit is the number of rows after which the network's strides repeat. All windows of a segment have the same length,
   so that one compiled function serves them all.
2. The function reads the rows of the window from the rings of its inputs and runs the operators as they stand, with
   their own padding at both ends of the window. Rows that depend on padding that is not at the true border are wrong.
3. It writes the whole window into the rings of its outputs. The wanted rows are right. Rows before them, which the ring
   held already, are put back; rows after them are overwritten later.

Where no such window exists (at an end that is no whole unit, and for operators that act differently at different
positions) the same rows are computed operator by operator, as in `run.py`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from atrous.geometry.graph import Op
from atrous.geometry.lattice import Lattice
from atrous.geometry.program import Program
from atrous.geometry.segments import Segment, SegmentRun, SegmentStep
from atrous.stream.compute import compute, on_window
from atrous.stream.gather import Gatherer
from atrous.stream.process import give_back
from atrous.stream.rows import (
    InputPiece,
    OutputSpan,
    barrier_rows,
    cross_rows,
    cross_spans,
    input_rows,
    no_rows,
    output_span,
)
from atrous.stream.run import Deliver, Read

Call = Callable[[list[Tensor], list[Tensor]], None]
"""A compiled function: reads the tensors of its first argument and writes its results into those of its second."""


class Compiler(Protocol):
    """Compiles a module that maps tensors of fixed shapes to a tuple of tensors."""

    def __call__(self, module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
        """Return the compiled function, for inputs and outputs of the shapes and types of these examples."""
        ...


class Ring:
    """The kept rows `[start, end)` of one value, in one block of memory with room for more rows.

    Row `base` is the first row of the memory. In 2-D the memory is channels last, so that one row lies together. A view
    may reach beyond `[start, end)` on either side; what it shows there has no meaning until somebody writes it.
    """

    def __init__(self, dim: int, shape: tuple[int, ...], like: Tensor):
        self.dim, self.shape, self.like = dim, shape, like
        self.storage = self._new(0)
        self.base = self.start = self.end = 0

    def view(self, lo: int, hi: int) -> Tensor:
        """Return the memory of rows `[lo, hi)`, after making room for it where needed."""
        if lo < self.base or hi > self.base + self.storage.shape[self.dim]:
            self._move(lo, hi)
        return self.storage.narrow(self.dim, lo - self.base, hi - lo)

    def extend(self, hi: int) -> None:
        """Record that the rows up to `hi` hold values now."""
        self.end = max(self.end, hi)

    def drop(self, first: int) -> None:
        """Record that the rows before `first` are not needed any more."""
        self.start = min(max(first, self.start), self.end)

    def _move(self, lo: int, hi: int) -> None:
        """Move the kept rows so that rows `[lo, hi)` fit as well, into new memory when the old is too small."""
        held = self.end - self.start
        base, stop = (min(lo, self.start), max(hi, self.end)) if held else (lo, hi)
        old, source, target = self.storage, self.start - self.base, self.start - base
        if stop - base > old.shape[self.dim]:
            self.storage = self._new(stop - base + (hi - lo))  # room for one more view, so that moves are rare
            self.storage.narrow(self.dim, target, held).copy_(old.narrow(self.dim, source, held))
        elif target != source:
            self._shift(source, target, held)
        self.base = base

    def _shift(self, source: int, target: int, count: int) -> None:
        """Move `count` rows within the memory, from row `source` of it to row `target`.

        One copy must not read what it has written. So the rows go in parts as long as the shift, in the order in which
        a part only overwrites rows that have been moved.
        """
        shift = abs(target - source)
        starts = range(0, count, shift)
        for first in starts if target < source else reversed(starts):
            part = min(shift, count - first)
            self.storage.narrow(self.dim, target + first, part).copy_(
                self.storage.narrow(self.dim, source + first, part)
            )

    def _new(self, count: int) -> Tensor:
        sizes = list(self.shape)
        sizes[self.dim] = count
        layout = torch.channels_last if len(sizes) == 4 else torch.contiguous_format
        return torch.empty(sizes, dtype=self.like.dtype, device=self.like.device, memory_format=layout).zero_()


class SegmentModule(nn.Module):
    """The operators of one segment on windows of one fixed length: a module that can be traced and compiled.

    Its inputs are the rows of the segment's inputs (one tensor per port of the lattice), then the values `measured`
    that barriers gave in earlier passes. `constants` are compiled in. `cross` holds each operator's spans along the
    cross axes.
    """

    def __init__(
        self,
        run: SegmentRun,
        program: Program,
        constants: dict[int, Tensor],
        measured: tuple[int, ...],
        cross: dict[int, tuple[OutputSpan, ...]],
    ):
        super().__init__()
        assert run.window is not None
        self.run, self.program, self.measured, self.cross = run, program, measured, cross
        self.constants = tuple(constants)
        self.ops = tuple(_on_window(op, run, program) for op in run.part.ops)
        for i, value in constants.items():
            self.register_buffer(f"constant{i}", value.contiguous())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return all rows of the window for each output of the segment."""
        lattice = self.run.part.lattice
        assert lattice is not None
        kept = dict(zip(lattice.ports, inputs, strict=False))
        values = dict(zip(self.measured, inputs[len(kept) :], strict=True))
        values.update((i, getattr(self, f"constant{i}")) for i in self.constants)
        for op in self.ops:
            spans = self.cross[op.index]
            tensors = {}
            for i in op.inputs:
                port = lattice.port.get((op.index, i))
                tensors[i] = input_rows(self.program, i, values[i] if port is None else kept[port], None, spans)
            # an operator that reads rows from beyond its window must not pad along the streamed axis
            unpadded = () if lattice.padded(op.index) else (_inner_span(op, self.program),)
            values[op.index] = on_window(op, tensors, (*unpadded, *spans))
        return tuple(values[v] for v in self.run.wanted)


def _inner_span(op: Op, program: Program) -> OutputSpan:
    """Return a span far from both borders: an operator that is given it does not pad along the streamed axis."""
    read = program.axis.along[op.index].reads[0]
    far = 2**20
    return OutputSpan(read.dim, far, far + 1, {read.input: InputPiece(read.dim, 0, 0, far * far, read.map)})


def _on_window(op: Op, run: SegmentRun, program: Program) -> Op:
    """Return the operator with the shape that its value has on the window."""
    assert run.window is not None
    assert run.part.lattice is not None
    lo, hi = run.part.lattice.span(op.index, run.window)
    shape = list(op.shape)
    shape[program.axis.dim(op.index) or 0] = hi - lo
    return replace(op, shape=tuple(shape))


def evaluate_segment(
    run: SegmentRun,
    program: Program,
    inputs: dict[int, Tensor],
    whole: dict[int, Tensor],
    cross: dict[int, tuple[OutputSpan, ...]],
) -> dict[int, Tensor]:
    """Return the wanted rows of each output of a segment, computed operator by operator.

    `inputs` holds rows `run.rows[v]` of each segment input `v`. Every operator computes its rows in `run.rows`, which
    are those that the wanted ones follow from. `whole` holds the values without rows; `cross` the spans along the cross
    axes.
    """
    values = dict(inputs)
    unread = Counter(i for op in run.part.ops if op.index in run.rows for i in op.inputs)
    for op in run.part.ops:
        if op.index in run.rows:
            along = output_span(op, program.axis, *run.rows[op.index])
            spans = cross[op.index] if along is None else (along, *cross[op.index])
            tensors = {i: _input(i, values, whole, run, program, spans) for i in op.inputs}
            values[op.index] = compute(op, tensors, spans)
            for i in op.inputs:
                unread[i] -= 1
                if unread[i] == 0 and i not in run.wanted:
                    values.pop(i, None)
    dim = program.axis.dim
    return {v: values[v].narrow(dim(v) or 0, lo - run.rows[v][0], hi - lo) for v, (lo, hi) in run.wanted.items()}


def _input(
    value: int,
    values: dict[int, Tensor],
    whole: dict[int, Tensor],
    run: SegmentRun,
    program: Program,
    spans: tuple[OutputSpan, ...],
) -> Tensor:
    if value not in program.boxes:  # a value without rows
        return input_rows(program, value, whole[value], None, spans)
    if value in values:
        return input_rows(program, value, values[value], run.rows[value][0], spans)
    return no_rows(program, value, spans, (*values.values(), *whole.values()))


class SegmentRunner:
    """The state of a program that runs in compiled segments: one ring of rows for each value at a cut.

    `whole` and `gathered` are those of `run.Runner`. `like` is an empty tensor of the compute type. `compiled` keeps
    the functions that `compiler` makes, for later runs as well. `measured` names the values in `whole` that barriers
    gave: they are inputs of the compiled functions, not constants of them. `spare` is memory of an earlier run.
    """

    def __init__(
        self,
        program: Program,
        whole: dict[int, Tensor],
        gathered: dict[int, Gatherer],
        compiler: Compiler,
        like: Tensor,
        compiled: dict[object, Call],
        measured: set[int],
        spare: dict[int, Tensor],
    ):
        self.program, self.whole, self.gathered, self.compiler, self.like = program, whole, gathered, compiler, like
        self.rings: dict[int, Ring] = {}
        self.cross = {op.index: cross_spans(program, op) for op in program.order}
        self.calls, self.measured, self.spare = compiled, measured, spare

    def step(self, step: SegmentStep, read: Read, deliver: Deliver) -> None:
        """Read one strip, compute all that follows from it, and deliver the rows that are finished."""
        for value, lo, hi in step.feeds:
            rows = read(value, lo, hi)
            ring = self._ring(value, rows, lo)
            ring.view(lo, hi).copy_(rows)
            ring.extend(hi)
            if value in self.program.targets:
                deliver(value, lo, hi, rows)
        for run in step.runs:
            self._on_rows(run) if run.window is None else self._on_window(run)
            for value, (lo, hi) in run.wanted.items():
                self.rings[value].extend(hi)
                if value in self.program.targets:
                    deliver(value, lo, hi, self.rings[value].view(lo, hi).clone())
        for barrier, lo, hi in step.gathers:
            source = self.program.axis.along[barrier].reads[0].input
            rows = self.rings[source].view(lo, hi)
            self.gathered[barrier].update(*barrier_rows(self.program, barrier, rows, lo, hi))
        for value, (first, _) in step.keep.items():
            if value in self.rings:
                self.rings[value].drop(first)

    def put_back(self) -> None:
        """Leave the rings' memory to the next run: functions that an engine compiled still refer to it."""
        self.spare.update((value, ring.storage) for value, ring in self.rings.items())

    def _on_rows(self, run: SegmentRun) -> None:
        """Compute the wanted rows operator by operator, from just the rows that they follow from."""
        inputs = {v: self._ring(v).view(*run.rows.get(v, (0, 0))) for v in run.part.inputs}
        results = evaluate_segment(run, self.program, inputs, self.whole, self.cross)
        for value, (lo, hi) in run.wanted.items():
            self._ring(value, None, lo).view(lo, hi).copy_(results[value])

    def _on_window(self, run: SegmentRun) -> None:
        """Run the compiled segment on its window.

        It writes the rows of the whole window into the rings. The kept rows before the wanted ones would then be wrong,
        so they are copied first and put back afterwards.
        """
        assert run.part.lattice is not None
        assert run.window is not None
        outputs, saved = [], []
        for value, (lo, _) in run.wanted.items():
            ring, span = self._ring(value, None, lo), run.part.lattice.span(value, run.window)
            outputs.append(ring.view(*span))
            before = ring.view(max(ring.start, span[0]), lo)
            saved.append((before, before.clone()))
        inputs = self._entering(run.part.lattice, run.window)
        measured = tuple(i for i in self._whole_inputs(run.part) if i in self.measured)
        inputs += [self.whole[i] for i in measured]
        key = (
            tuple(op.index for op in run.part.ops),
            tuple(run.wanted),
            run.window[1] - run.window[0],
            self._cross_key(run.part),
            torch.get_num_threads(),
        )
        if key not in self.calls:
            constants = {i: self.whole[i] for i in self._whole_inputs(run.part) if i not in self.measured}
            module = SegmentModule(run, self.program, constants, measured, self.cross).eval()
            self.calls[key] = self.compiler(module, inputs, outputs)
            give_back()
        self.calls[key](inputs, outputs)
        for place, rows in saved:
            place.copy_(rows)

    def _entering(self, lattice: Lattice, window: tuple[int, int]) -> list[Tensor]:
        """Return the kept rows that enter a window, one tensor per port, with zeros beyond the true border."""
        spans = {port: lattice.entering(port, window) for port in lattice.ports}
        for value in {port.value for port in lattice.ports}:
            ring, length = self._ring(value), self.program.axis.length(value)
            lo = min(first for port, (first, _) in spans.items() if port.value == value)
            hi = max(stop for port, (_, stop) in spans.items() if port.value == value)
            ring.view(lo, hi)  # makes room for all ports first: a later move would leave earlier views behind
            if lo < 0:
                ring.view(lo, 0).zero_()
            if hi > length:
                ring.view(length, hi).zero_()
        return [self.rings[port.value].view(*span) for port, span in spans.items()]

    def _whole_inputs(self, part: Segment) -> list[int]:
        """Return the values without rows that a segment reads."""
        return sorted({i for op in part.ops for i in op.inputs if i in self.whole and i not in self.program.boxes})

    def _cross_key(self, part: Segment) -> object:
        """Return what differs between the blocks of a run: the rows of each operator along the cross axes."""
        return tuple((s.lo, s.hi) for op in part.ops for s in self.cross[op.index])

    def _ring(self, value: int, rows: Tensor | None = None, start: int = 0) -> Ring:
        """Return the ring of a value. A new one begins at row `start` and has the type of `rows`, if given."""
        if value not in self.rings:
            op, dim = self.program.graph.ops[value], self.program.axis.dim(value) or 0
            sizes = list(op.shape)
            for cut, (lo, hi) in cross_rows(self.program, value).items():
                sizes[cut] = hi - lo
            like = self.like if op.dtype.is_floating_point else torch.empty(0, dtype=op.dtype, device=self.like.device)
            self.rings[value] = ring = Ring(dim, tuple(sizes), like if rows is None else rows)
            ring.base = ring.start = ring.end = start
            old = self.spare.pop(value, None)
            if (
                old is not None
                and old.dtype == ring.storage.dtype
                and old.narrow(dim, 0, 0).shape == ring.storage.shape
            ):
                ring.storage = old
        return self.rings[value]


def eager_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """Return a function that runs the segment without compiling it: for tests of the cutting itself."""

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        for out, result in zip(outputs, module(*inputs), strict=True):
            out.copy_(result)

    return call
