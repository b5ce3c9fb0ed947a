"""Run a program in compiled segments: rows kept at few cuts, the same compiled function in every steady step.

Rows that no window of whole units gives (an end that is no whole unit, operators whose rows are not the same function
everywhere) are computed eagerly.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from atrous.geometry.graph import Op
from atrous.geometry.lattice import Lattice, Rows
from atrous.geometry.program import Program
from atrous.geometry.segments import Segment, SegmentRun, SegmentStep
from atrous.stream.compute import compute, on_window
from atrous.stream.gather import Gatherer
from atrous.stream.process import give_back
from atrous.stream.run import Deliver, Read, block_offset, narrow
from atrous.stream.span import Piece as BoxPiece
from atrous.stream.span import Span, span_of

Call = Callable[[list[Tensor], list[Tensor]], None]


class Compiler(Protocol):
    """Makes a function `call(inputs, outputs)` of a module that maps tensors of fixed shapes to a tuple of tensors."""

    def __call__(self, module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
        """The function, for tensors like these."""
        ...


class Ring:
    """Rows `[start, end)` of one value in one piece of storage, channels last in 2-D, so that rows lie together.

    A view may reach beyond the rows held, on either side: what it shows there is of no meaning.
    """

    def __init__(self, dim: int, shape: tuple[int, ...], like: Tensor):
        self.dim, self.shape, self.like = dim, shape, like
        self.storage = self._new(0)
        self.base = self.start = self.end = 0

    def view(self, lo: int, hi: int) -> Tensor:
        """The storage of rows `[lo, hi)`."""
        if lo < self.base or hi > self.base + self.storage.shape[self.dim]:
            self._move(lo, hi)
        return self.storage.narrow(self.dim, lo - self.base, hi - lo)

    def extend(self, hi: int) -> None:
        """Rows up to `hi` hold values now."""
        self.end = max(self.end, hi)

    def drop(self, first: int) -> None:
        """Rows before `first` are not needed any more."""
        self.start = min(max(first, self.start), self.end)

    def _move(self, lo: int, hi: int) -> None:
        held = self.end - self.start
        base, stop = (min(lo, self.start), max(hi, self.end)) if held else (lo, hi)
        old, source, target = self.storage, self.start - self.base, self.start - base
        if stop - base > old.shape[self.dim]:
            self.storage = self._new(stop - base + (hi - lo))
            self.storage.narrow(self.dim, target, held).copy_(old.narrow(self.dim, source, held))
        elif target != source:
            self._shift(source, target, held)
        self.base = base

    def _shift(self, source: int, target: int, count: int) -> None:
        """Move rows within the storage, in pieces that do not overlap with where they go."""
        by = abs(target - source)
        starts = range(0, count, by)
        for at in starts if target < source else reversed(starts):
            piece = min(by, count - at)
            self.storage.narrow(self.dim, target + at, piece).copy_(self.storage.narrow(self.dim, source + at, piece))

    def _new(self, count: int) -> Tensor:
        sizes = list(self.shape)
        sizes[self.dim] = count
        layout = torch.channels_last if len(sizes) == 4 else torch.contiguous_format
        return torch.empty(sizes, dtype=self.like.dtype, device=self.like.device, memory_format=layout).zero_()


class Piece(nn.Module):
    """The operators of one segment as they stand, on windows of always as many rows: a module that can be traced.

    Its inputs are the rows of the segment's inputs, then the values that barriers gave (`measured`).
    """

    def __init__(
        self,
        run: SegmentRun,
        program: Program,
        constants: dict[int, Tensor],
        measured: tuple[int, ...],
        spans: dict[int, tuple[Span, ...]],
    ):
        super().__init__()
        assert run.window is not None
        self.run, self.program, self.measured, self.spans = run, program, measured, spans
        self.constants = tuple(constants)
        self.ops = tuple(_on_window(op, run, program) for op in run.part.ops)
        for i, value in constants.items():
            self.register_buffer(f"constant{i}", value.contiguous())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The rows of the segment's outputs in the window."""
        lattice = self.run.part.lattice
        assert lattice is not None
        kept = dict(zip(lattice.ports, inputs, strict=False))
        values = dict(zip(self.measured, inputs[len(kept) :], strict=True))
        values.update((i, getattr(self, f"constant{i}")) for i in self.constants)
        for op in self.ops:
            spans = self.spans[op.index]
            given = {
                i: kept[lattice.port[op.index, i]] if (op.index, i) in lattice.port else values[i] for i in op.inputs
            }
            tensors = {i: self._across(i, tensor, spans) for i, tensor in given.items()}
            inner = () if lattice.padded(op.index) else (_inner(op, self.program),)
            values[op.index] = on_window(op, tensors, (*inner, *spans))
        return tuple(values[v] for v in self.run.wanted)

    def _across(self, value: int, tensor: Tensor, spans: tuple[Span, ...]) -> Tensor:
        """What the operator reads along the axes that are cut into blocks."""
        for span in spans:
            piece = span.pieces.get(value)
            if piece is not None:
                tensor = narrow(tensor, piece, block_offset(self.program, value, piece.dim))
        return tensor


def _inner(op: Op, program: Program) -> Span:
    """A span away from any border: the operator does not pad along the streamed axis."""
    read = program.axis.along[op.index].reads[0]
    far = 2**20
    return Span(read.dim, far, far + 1, {read.input: BoxPiece(read.dim, 0, 0, far * far, read.map)})


def _on_window(op: Op, run: SegmentRun, program: Program) -> Op:
    """The operator with the shape that its value has on the window."""
    assert run.window is not None
    assert run.part.lattice is not None
    lo, hi = run.part.lattice.span(op.index, run.window)
    shape = list(op.shape)
    shape[program.axis.dim(op.index) or 0] = hi - lo
    return replace(op, shape=tuple(shape))


def evaluate(
    run: SegmentRun,
    program: Program,
    given: dict[int, Tensor],
    whole: dict[int, Tensor],
    fixed: dict[int, tuple[Span, ...]],
) -> dict[int, Tensor]:
    """The wanted rows of a segment, operator by operator, each on the rows that follow from the wanted ones."""
    values, left = dict(given), Counter(i for op in run.part.ops if op.index in run.rows for i in op.inputs)
    for op in run.part.ops:
        if op.index in run.rows:
            along = span_of(op, program.axis, *run.rows[op.index])
            spans = fixed[op.index] if along is None else (along, *fixed[op.index])
            tensors = {i: _input(i, values, whole, run.rows, program, spans) for i in op.inputs}
            values[op.index] = compute(op, tensors, spans)
            for i in op.inputs:
                left[i] -= 1
                if left[i] == 0 and i not in run.wanted:
                    values.pop(i, None)
    dim = program.axis.dim
    return {v: values[v].narrow(dim(v) or 0, lo - run.rows[v][0], hi - lo) for v, (lo, hi) in run.wanted.items()}


def _input(
    value: int,
    values: dict[int, Tensor],
    whole: dict[int, Tensor],
    rows: Rows,
    program: Program,
    spans: tuple[Span, ...],
) -> Tensor:
    streamed = value in program.boxes
    if streamed and value not in values:  # the operator reads padding only
        return _nothing(value, next(iter(values.values())), program, spans)
    tensor = values[value] if streamed else whole[value]
    for k, span in enumerate(spans):
        piece = span.pieces.get(value)
        if piece is None:
            continue
        offset = rows[value][0] if streamed and k == 0 else block_offset(program, value, piece.dim)
        tensor = narrow(tensor, piece, offset)
    return tensor


def _nothing(value: int, like: Tensor, program: Program, spans: tuple[Span, ...]) -> Tensor:
    sizes = list(program.graph.ops[value].shape)
    for span in spans:
        if value in span.pieces:
            sizes[span.pieces[value].dim] = span.pieces[value].hi - span.pieces[value].lo
    return torch.zeros(sizes, dtype=like.dtype, device=like.device)


class SegmentRunner:
    """The state of a program that runs in compiled segments."""

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
        self.fixed = {op.index: self._fixed(op) for op in program.order}
        self.calls, self.measured, self.spare = compiled, measured, spare

    def step(self, step: SegmentStep, read: Read, deliver: Deliver) -> None:
        """Take one strip in and hand on every row that it finishes."""
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
            self._gather(barrier, lo, hi)
        for value, (first, _) in step.keep.items():
            if value in self.rings:
                self.rings[value].drop(first)

    def put_back(self) -> None:
        """Leave the storage to the next run: what an engine compiled still refers to it."""
        self.spare.update((value, ring.storage) for value, ring in self.rings.items())

    def _on_rows(self, run: SegmentRun) -> None:
        """Operator by operator, on just the rows that the wanted ones need."""
        given = {v: self._ring(v).view(*run.rows.get(v, (0, 0))) for v in run.part.inputs}
        found = evaluate(run, self.program, given, self.whole, self.fixed)
        for value, (lo, hi) in run.wanted.items():
            self._ring(value, None, lo).view(lo, hi).copy_(found[value])

    def _on_window(self, run: SegmentRun) -> None:
        """The compiled segment. It writes the rows of the whole window in place; those before the wanted ones, which
        are wrong, are put back as they were."""
        assert run.part.lattice is not None
        assert run.window is not None
        outputs, saved = [], []
        for value, (lo, _) in run.wanted.items():
            ring, span = self._ring(value, None, lo), run.part.lattice.span(value, run.window)
            outputs.append(ring.view(*span))
            before = ring.view(max(ring.start, span[0]), lo)
            saved.append((before, before.clone()))
        given = self._entering(run.part.lattice, run.window)
        measured = tuple(i for i in self._used(run.part) if i in self.measured)
        given += [self.whole[i] for i in measured]
        key = (
            tuple(op.index for op in run.part.ops),
            tuple(run.wanted),
            run.window[1] - run.window[0],
            self._columns(run.part),
            torch.get_num_threads(),
        )
        if key not in self.calls:
            constants = {i: self.whole[i] for i in self._used(run.part) if i not in self.measured}
            module = Piece(run, self.program, constants, measured, self.fixed).eval()
            self.calls[key] = self.compiler(module, given, outputs)
            give_back()
        self.calls[key](given, outputs)
        for place, rows in saved:
            place.copy_(rows)

    def _entering(self, lattice: Lattice, window: tuple[int, int]) -> list[Tensor]:
        """The rows of kept values that go into a window, with zeros beyond the true border."""
        spans = {port: lattice.entering(port, window) for port in lattice.ports}
        for value in {port.value for port in lattice.ports}:
            ring, length = self._ring(value), self.program.axis.length(value)
            lo = min(a for port, (a, _) in spans.items() if port.value == value)
            hi = max(b for port, (_, b) in spans.items() if port.value == value)
            ring.view(lo, hi)  # makes room for all of them before any is taken
            if lo < 0:
                ring.view(lo, 0).zero_()
            if hi > length:
                ring.view(length, hi).zero_()
        return [self.rings[port.value].view(*span) for port, span in spans.items()]

    def _used(self, part: Segment) -> list[int]:
        """The values without rows that a segment reads."""
        return sorted({i for op in part.ops for i in op.inputs if i in self.whole and i not in self.program.boxes})

    def _columns(self, part: Segment) -> object:
        return tuple((s.lo, s.hi) for op in part.ops for s in self.fixed[op.index])

    def _ring(self, value: int, rows: Tensor | None = None, start: int = 0) -> Ring:
        if value not in self.rings:
            op, dim = self.program.graph.ops[value], self.program.axis.dim(value) or 0
            sizes = list(op.shape)
            for g, axis in self.program.axes.items():
                at = axis.dim(value)
                if g != self.program.stream and at is not None:
                    lo, hi = self.program.boxes[value][g]
                    sizes[at] = hi - lo
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

    def _fixed(self, op: Op) -> tuple[Span, ...]:
        spans = []
        for g, axis in self.program.axes.items():
            if g != self.program.stream and op.index not in self.program.owned:
                span = span_of(op, axis, *self.program.boxes.get(op.index, {}).get(g, (0, 0)))
                spans += [] if span is None else [span]
        return tuple(spans)

    def _gather(self, barrier: int, lo: int, hi: int) -> None:
        program = self.program
        read = program.axis.along[barrier].reads[0]
        rows, at = self.rings[read.input].view(lo, hi), {read.dim: (lo, hi)}
        for g, axis in program.axes.items():
            dim = axis.dim(read.input)
            if g != program.stream and dim is not None:
                a, b = program.owned[barrier][g]
                rows = rows.narrow(dim, a - program.boxes[read.input][g][0], b - a)
                at[dim] = (a, b)
        self.gathered[barrier].update(rows, at)


def eager_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """No compiler: the segment as it is (for tests of the cutting itself)."""

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        for out, found in zip(outputs, module(*inputs), strict=True):
            out.copy_(found)

    return call
