"""Run a program in compiled segments: rows kept at few cuts, the same compiled function in every steady step.

Steps at the borders, and those that differ from the steady one, run the same operators eagerly.
"""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from atrous.geometry.graph import Op
from atrous.geometry.program import Program
from atrous.geometry.segments import Rows, Segment, SegmentRun, SegmentStep, pattern
from atrous.stream.compute import compute
from atrous.stream.gather import Gatherer
from atrous.stream.run import Deliver, Read, narrow
from atrous.stream.span import Span, span_of

STEADY = 2  # a pattern is compiled when it comes for this time
Call = Callable[[list[Tensor], list[Tensor]], None]


class Compiler(Protocol):
    """Makes a function `call(inputs, outputs)` of a module that maps tensors of fixed shapes to a tuple of tensors."""

    def __call__(self, module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
        """The function, for tensors like these."""
        ...


class Ring:
    """Rows `[start, end)` of one value in one piece of storage, channels last in 2-D, so that rows lie together."""

    def __init__(self, dim: int, shape: tuple[int, ...], like: Tensor):
        self.dim, self.shape, self.like = dim, shape, like
        self.storage: Tensor | None = None
        self.at = self.start = self.end = 0

    def room(self, lo: int, count: int) -> Tensor:
        """A view for `count` new rows that begin at row `lo`; rows before the first one needed move to the front."""
        if self.start == self.end:
            self.start = self.end = lo
            self.at = 0
        held = self.end - self.start
        if self.storage is None or self.at + held + count > self.storage.shape[self.dim]:
            if self.storage is None or held + count > self.storage.shape[self.dim] or held > self.at:
                storage = self._new(held + 3 * count)
            else:
                storage = self.storage
            if held and self.storage is not None:
                storage.narrow(self.dim, 0, held).copy_(self.storage.narrow(self.dim, self.at, held))
            self.storage, self.at = storage, 0
        self.end += count
        return self.storage.narrow(self.dim, self.at + held, count)

    def rows(self, lo: int, hi: int) -> Tensor:
        """Rows `[lo, hi)`, which must be held."""
        if self.storage is None or hi <= lo:
            return self._new(0)
        return self.storage.narrow(self.dim, self.at + lo - self.start, hi - lo)

    def drop(self, first: int) -> None:
        """Rows before `first` are not needed any more."""
        first = min(max(first, self.start), self.end)
        self.at += first - self.start
        self.start = first

    def _new(self, count: int) -> Tensor:
        sizes = list(self.shape)
        sizes[self.dim] = count
        layout = torch.channels_last if len(sizes) == 4 else torch.contiguous_format
        return torch.empty(sizes, dtype=self.like.dtype, device=self.like.device, memory_format=layout)


class Piece(nn.Module):
    """The operators of one segment on rows of fixed numbers and places, as a module that can be traced."""

    def __init__(self, run: SegmentRun, program: Program, whole: dict[int, Tensor], spans: dict[int, tuple[Span, ...]]):
        super().__init__()
        self.run, self.program, self.spans = run, program, spans
        used = {i for op in run.part.ops for i in op.inputs if i in whole and i not in program.boxes}
        for i in sorted(used):
            self.register_buffer(f"constant{i}", whole[i].contiguous())
        self.used = used

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Rows of the segment's inputs to the wanted rows of its outputs."""
        given = dict(zip(self.run.part.inputs, inputs, strict=True))
        whole = {i: getattr(self, f"constant{i}") for i in self.used}
        found = evaluate(self.run, self.program, given, whole, self.spans)
        return tuple(found[v] for v in self.run.wanted)


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
        offset = 0
        if streamed and k == 0:
            offset = rows[value][0]
        elif streamed:
            other = next(g for g, a in program.axes.items() if g != program.stream and a.dim(value) == piece.dim)
            offset = program.boxes[value][other][0]
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
        compiled: dict[object, Call | None],
    ):
        self.program, self.whole, self.gathered, self.compiler, self.like = program, whole, gathered, compiler, like
        self.rings: dict[int, Ring] = {}
        self.fixed = {op.index: self._fixed(op) for op in program.order}
        self.calls, self.seen = compiled, Counter[object]()

    def step(self, step: SegmentStep, read: Read, deliver: Deliver) -> None:
        """Take one strip in and hand on every row that it finishes."""
        for value, lo, hi in step.feeds:
            rows = read(value, lo, hi)
            self._ring(value, rows).room(lo, hi - lo).copy_(rows)
            if value in self.program.targets:
                deliver(value, lo, hi, rows)
        for run in step.runs:
            self._run(run, step.keep, deliver)
        for barrier, lo, hi in step.gathers:
            self._gather(barrier, lo, hi)
        for value, (first, _) in step.keep.items():
            if value in self.rings:
                self.rings[value].drop(first)

    def _run(self, run: SegmentRun, keep: Rows, deliver: Deliver) -> None:
        inputs = [self._rows(v, run) for v in run.part.inputs]
        outputs = [self._ring(v, None).room(lo, hi - lo) for v, (lo, hi) in run.wanted.items()]
        key = (
            tuple(op.index for op in run.part.ops),
            pattern(run.part, self.program, run.rows),
            self._columns(run.part),
        )
        self.seen[key] += 1
        if key not in self.calls and self.seen[key] >= STEADY and len(run.part.ops) > 1:
            module = Piece(run, self.program, self.whole, self.fixed).eval()
            self.calls[key] = self.compiler(module, inputs, outputs)
        call = self.calls.get(key)
        if call is not None:
            call(inputs, outputs)
        else:
            found = evaluate(run, self.program, dict(zip(run.part.inputs, inputs, strict=True)), self.whole, self.fixed)
            for out, value in zip(outputs, run.wanted, strict=True):
                out.copy_(found[value])
        for value, (lo, hi) in run.wanted.items():
            if value in self.program.targets:
                deliver(value, lo, hi, self.rings[value].rows(lo, hi).clone())

    def _columns(self, part: Segment) -> object:
        return tuple((s.lo, s.hi) for op in part.ops for s in self.fixed[op.index])

    def _rows(self, value: int, run: SegmentRun) -> Tensor:
        lo, hi = run.rows.get(value, (0, 0))
        return self.rings[value].rows(lo, hi) if value in self.rings else self._ring(value, None).rows(0, 0)

    def _ring(self, value: int, rows: Tensor | None) -> Ring:
        if value not in self.rings:
            op, dim = self.program.graph.ops[value], self.program.axis.dim(value) or 0
            sizes = list(op.shape)
            for g, axis in self.program.axes.items():
                at = axis.dim(value)
                if g != self.program.stream and at is not None:
                    lo, hi = self.program.boxes[value][g]
                    sizes[at] = hi - lo
            like = self.like if op.dtype.is_floating_point else torch.empty(0, dtype=op.dtype, device=self.like.device)
            self.rings[value] = Ring(dim, tuple(sizes), like if rows is None else rows)
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
        rows, at = self.rings[read.input].rows(lo, hi), {read.dim: (lo, hi)}
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
