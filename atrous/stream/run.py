"""Run a program: feed strips, let every operator compute what is ready, keep the rows that are still needed."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.program import OpRun, Program, StripStep
from atrous.stream.compute import compute
from atrous.stream.compute.fast import join
from atrous.stream.compute.place import with_room, write, writes
from atrous.stream.gather import Gatherer, gatherer
from atrous.stream.process import Settle
from atrous.stream.span import Piece, Span, span_of

FRESH = {"add", "affine", "cat", *(f"{kind}{n}d" for n in (1, 2, 3) for kind in ("conv", "conv_transpose"))}
"""Operators whose result shares no storage with anything else."""
IN_PLACE: dict[str, Callable[..., Tensor]] = {
    "relu": torch.relu_,
    "silu": partial(F.silu, inplace=True),
    "hardswish": partial(F.hardswish, inplace=True),
    "hardtanh": partial(F.hardtanh, inplace=True),
    "leaky_relu": partial(F.leaky_relu, inplace=True),
    "sigmoid": torch.sigmoid_,
}

Read = Callable[[int, int, int], Tensor]
"""`read(value, lo, hi)`: rows of a source, as a tensor with the batch axis."""
Deliver = Callable[[int, int, int, Tensor], None]
"""`deliver(value, lo, hi, tensor)`: finished rows of a target."""


@dataclass
class Buffer:
    """Rows `[start, start + rows)` of a value, held for operators that have not read them yet."""

    start: int
    tensor: Tensor


class Runner:
    """The state of a running program: buffered rows, and what barriers have gathered.

    `whole` holds the values without rows (constants, pooled vectors) that the operators read; `between` is called
    after every operator.
    """

    def __init__(
        self, program: Program, whole: dict[int, Tensor], gathered: dict[int, Gatherer], between: Settle | None = None
    ):
        self.program, self.whole, self.gathered, self.between = program, whole, gathered, between
        self.buffers: dict[int, Buffer] = {}
        self.readers = Counter(r.input for op in program.order for r in program.axis.along[op.index].reads)
        self.fixed: dict[int, tuple[Span, ...]] = {op.index: self._fixed_spans(op) for op in program.order}

    def step(self, step: StripStep, read: Read, deliver: Deliver) -> None:
        """Take one strip in and hand on every row that it finishes."""
        graph = self.program.graph
        for value, lo, hi in step.feeds:
            rows = read(value, lo, hi)
            self._append(value, lo, rows)
            if value in self.program.targets:
                deliver(value, lo, hi, rows)
        for run, keep in zip(step.runs, step.keep, strict=True):
            op = graph.ops[run.op]
            if op.index in self.program.owned:
                self._gather(op, run)
            else:
                place = self._place(op, run)
                out = self._compute(op, run, place)
                if op.index in self.program.targets:
                    deliver(op.index, run.lo, run.hi, out)
                if op.index in self.readers and place is None:
                    self._append(op.index, run.lo, out)
                del out, place
            for value, first in keep.items():
                self._drop(value, first)
            if self.between is not None:
                self.between()

    def _fixed_spans(self, op: Op) -> tuple[Span, ...]:
        """The spans of the axes that do not stream: the same in every step."""
        program, spans = self.program, []
        for g, axis in program.axes.items():
            if g == program.stream:
                continue
            lo, hi = program.boxes.get(op.index, {}).get(g, (0, 0))
            span = span_of(op, axis, lo, hi)
            if span is not None and op.index not in program.owned:
                spans.append(span)
        return tuple(spans)

    def _place(self, op: Op, run: OpRun) -> Tensor | None:
        """Where the rows are to be written: behind those held; None where there are none, or the operator cannot."""
        buffer, dim = self.buffers.get(op.index), self.program.axis.dim(op.index)
        if buffer is None or dim is None or not writes(op) or run.hi <= run.lo or 0 in buffer.tensor.shape:
            return None
        buffer.tensor, place = with_room(buffer.tensor, dim, run.hi - run.lo)
        return place

    def _compute(self, op: Op, run: OpRun, place: Tensor | None) -> Tensor:
        along = span_of(op, self.program.axis, run.lo, run.hi)
        spans = (along, *self.fixed[op.index]) if along is not None else self.fixed[op.index]
        tensors = {i: self._input(i, spans) for i in op.inputs}
        if place is not None:
            write(op, tensors, spans, place)
            return place
        if op.kind in IN_PLACE and self._sole(op.inputs[0], tensors):
            return IN_PLACE[op.kind](tensors[op.inputs[0]], *op.args[1:], **op.kwargs)
        if op.kind == "add" and len(op.inputs) == 2 and not op.kwargs:
            for mine, other in (op.inputs, op.inputs[::-1]):
                if self._sole(mine, tensors) and tensors[mine].shape == tensors[other].shape:
                    return tensors[mine].add_(tensors[other])
        return compute(op, tensors, spans)

    def _sole(self, value: int, tensors: dict[int, Tensor]) -> bool:
        """Whether the rows about to be read belong to nobody else, so that the result may take their place."""
        buffer = self.buffers.get(value)
        return (
            buffer is not None
            and buffer.tensor is tensors[value]
            and self.readers[value] == 1
            and value not in self.program.targets
            and self.program.graph.ops[value].kind in FRESH
            and value not in self.program.sources
        )

    def _input(self, value: int, spans: tuple[Span, ...]) -> Tensor:
        program = self.program
        buffer = self.buffers.get(value)
        if buffer is None and value not in self.whole:
            return self._nothing(value, spans)
        tensor = self.whole[value] if buffer is None else buffer.tensor
        for k, span in enumerate(spans):
            piece = span.pieces.get(value)
            if piece is None:
                continue
            if buffer is not None and k == 0:
                offset = buffer.start
            elif buffer is not None:
                offset = block_offset(program, value, piece.dim)
            else:
                offset = 0
            tensor = narrow(tensor, piece, offset)
        return tensor

    def _nothing(self, value: int, spans: tuple[Span, ...]) -> Tensor:
        """No rows: the operator reads padding only."""
        op, program = self.program.graph.ops[value], self.program
        sizes = list(op.shape)
        for span in spans:
            if value in span.pieces:
                piece = span.pieces[value]
                sizes[piece.dim] = piece.hi - piece.lo
        known = (*self.whole.values(), *(b.tensor for b in self.buffers.values()))
        like = next((t for t in known if t.is_floating_point()), torch.empty(0, dtype=op.dtype))
        assert program.axis.streamed(value)
        return torch.zeros(sizes, dtype=like.dtype if op.dtype.is_floating_point else op.dtype, device=like.device)

    def _gather(self, op: Op, run: OpRun) -> None:
        read = self.program.axis.along[op.index].reads[0]
        buffer = self.buffers[read.input]
        tensor = buffer.tensor.narrow(read.dim, run.lo - buffer.start, run.hi - run.lo)
        box = {self.program.stream: (run.lo, run.hi)}
        for g, axis in self.program.axes.items():
            dim = axis.dim(read.input)
            if g != self.program.stream and dim is not None:
                lo, hi = self.program.owned[op.index][g]
                tensor = tensor.narrow(dim, lo - self.program.boxes[read.input][g][0], hi - lo)
                box[g] = (lo, hi)
        at = {axis.dim(read.input): box[g] for g, axis in self.program.axes.items() if axis.dim(read.input) is not None}
        self.gathered[op.index].update(tensor, {d: b for d, b in at.items() if d is not None})

    def _append(self, value: int, lo: int, rows: Tensor) -> None:
        dim = self.program.axis.dim(value)
        assert dim is not None
        buffer = self.buffers.get(value)
        if buffer is None or buffer.tensor.shape[dim] == 0:
            self.buffers[value] = Buffer(lo, rows)
        else:
            buffer.tensor = join([buffer.tensor, rows], dim)

    def _drop(self, value: int, first: int) -> None:
        buffer, dim = self.buffers.get(value), self.program.axis.dim(value)
        if buffer is None or dim is None:
            return
        count, drop = buffer.tensor.shape[dim], first - buffer.start
        if drop >= count:
            del self.buffers[value]
        elif drop > 0:
            # a copy, so that the storage of the dropped rows is freed
            self.buffers[value] = Buffer(first, buffer.tensor.narrow(dim, drop, count - drop).clone())


def block_offset(program: Program, value: int, dim: int) -> int:
    """The first row held of a value along the axis that is cut into blocks; 0 when it is whole along that axis."""
    for g, axis in program.axes.items():
        if g != program.stream and axis.dim(value) == dim and value in program.boxes:
            return program.boxes[value][g][0]
    return 0


def narrow(tensor: Tensor, piece: Piece, offset: int) -> Tensor:
    """The rows of a piece, from a tensor whose first row is `offset`."""
    if piece.lo == offset and piece.hi - piece.lo == tensor.shape[piece.dim]:
        return tensor
    if piece.hi <= piece.lo:
        return tensor.narrow(piece.dim, 0, 0)
    return tensor.narrow(piece.dim, piece.lo - offset, piece.hi - piece.lo)


def new_gatherers(program: Program) -> dict[int, Gatherer]:
    """One empty gatherer for each barrier that the program feeds."""
    return {i: gatherer(program.graph.ops[i], program.graph) for i in program.owned}
