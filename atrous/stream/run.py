"""Run a program operator by operator: read a strip, let every operator compute the rows that are ready, keep what is
still needed.

One step for a strip of input rows goes like this:

1. The new input rows are appended to the buffer of the input.
2. The operators run in graph order. `Step.runs` says which output rows `[lo, hi)` each computes; `rows.py` says which
   input rows that takes. They are cut out of the buffers of its inputs.
3. The result is appended to the operator's own buffer, for the operators that read it, and delivered when it is a
   result of the whole run.
4. Rows that no operator reads any more are dropped (`Step.keep`).

No row is computed twice, and a buffer never holds more than its readers still need.
"""

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
from atrous.stream.compute.dispatch import CONVOLUTIONS
from atrous.stream.compute.fast import join
from atrous.stream.compute.place import with_room, write, writes
from atrous.stream.compute.sliding import packed_weight
from atrous.stream.gather import Gatherer, Joinable, gatherer
from atrous.stream.process import Settle
from atrous.stream.rows import OutputSpan, barrier_rows, cross_spans, input_rows, no_rows, output_span

FRESH = {"add", "affine", "cat", *(f"{kind}{n}d" for n in (1, 2, 3) for kind in ("conv", "conv_transpose"))}
"""Operators whose result never shares memory with another tensor, so that it may be overwritten."""
IN_PLACE: dict[str, Callable[..., Tensor]] = {
    "relu": torch.relu_,
    "silu": partial(F.silu, inplace=True),
    "hardswish": partial(F.hardswish, inplace=True),
    "hardtanh": partial(F.hardtanh, inplace=True),
    "leaky_relu": partial(F.leaky_relu, inplace=True),
    "sigmoid": torch.sigmoid_,
}
"""Pointwise operators by kind, in a form that overwrites their input."""

Read = Callable[[int, int, int], Tensor]
"""`read(value, lo, hi)` returns rows `[lo, hi)` of a source of the program, with the batch axis."""
Deliver = Callable[[int, int, int, Tensor], None]
"""`deliver(value, lo, hi, rows)` takes finished rows `[lo, hi)` of a result of the program."""


FEW = 4
"""Kept rows are copied out of their memory when it is so many times as long as they are; the memory is then freed."""


@dataclass
class Buffer:
    """Rows `[start, start + n)` of a value, kept for operators that have not read them yet; `n` is the tensor's.

    Where many rows are kept, as in front of what a decoder joins, `memory` has room for two strips behind them, so that
    they are not copied for every strip; `tensor` is its part from row `first` on. Rows that have been written are never
    changed, since results that are views of them may be in use.
    """

    start: int
    tensor: Tensor
    memory: Tensor | None = None
    first: int = 0

    def room(self, dim: int, rows: int) -> Tensor:
        """Append `rows` rows without values, and return them."""
        count = self.tensor.shape[dim]
        if self.memory is None or self.first + count + rows > self.memory.shape[dim]:
            spare = rows if count * FEW > count + rows else 0
            self.memory, _ = with_room(self.tensor, dim, rows + spare)
            self.first = 0
        self.tensor = self.memory.narrow(dim, self.first, count + rows)
        return self.tensor.narrow(dim, count, rows)

    def drop(self, dim: int, first: int) -> None:
        """Leave out the rows before row `first`."""
        dropped = first - self.start
        kept = self.tensor.narrow(dim, dropped, self.tensor.shape[dim] - dropped)
        self.start, self.first = first, self.first + dropped
        if self.memory is not None and kept.shape[dim] * FEW > self.memory.shape[dim]:
            self.tensor = kept
        else:  # a copy, so that the memory of the dropped rows is freed
            self.tensor, self.memory, self.first = kept.clone(), None, 0


class Runner:
    """The state of a program that runs operator by operator: the buffered rows, and the barriers' statistics.

    `whole` holds the values without rows that operators read (weights, pooled vectors), `gathered` the statistics of
    each barrier that this pass feeds. `between` is called after every operator. `packed` takes the packed weight of
    each convolution, by operator, for this run and later ones; None leaves weights as they are.
    """

    def __init__(
        self,
        program: Program,
        whole: dict[int, Tensor],
        gathered: dict[int, Gatherer],
        between: Settle | None = None,
        packed: dict[int, Tensor] | None = None,
    ):
        self.program, self.whole, self.gathered, self.between = program, whole, gathered, between
        self.packed = packed
        self.buffers: dict[int, Buffer] = {}
        self.readers = Counter(r.input for op in program.order for r in program.axis.along[op.index].reads)
        self.cross = {op.index: cross_spans(program, op) for op in program.order}

    def step(self, step: StripStep, read: Read, deliver: Deliver) -> None:
        """Read one strip, compute all that follows from it, and deliver the rows that are finished."""
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
                del out, place  # so that dropped rows are freed at once
            for value, first in keep.items():
                self._drop(value, first)
            if self.between is not None:
                self.between()

    def _place(self, op: Op, run: OpRun) -> Tensor | None:
        """Return room for the new rows behind the rows that the operator's buffer holds.

        None when the buffer holds no rows, or when the operator cannot write into memory that it is given; the result
        is then computed and appended.
        """
        buffer, dim = self.buffers.get(op.index), self.program.axis.dim(op.index)
        if buffer is None or dim is None or not writes(op) or run.hi <= run.lo or 0 in buffer.tensor.shape:
            return None
        return buffer.room(dim, run.hi - run.lo)

    def _compute(self, op: Op, run: OpRun, place: Tensor | None) -> Tensor:
        """Return output rows `[run.lo, run.hi)`: in `place` if given, else over an input that nobody else reads."""
        along = output_span(op, self.program.axis, run.lo, run.hi)
        spans = (along, *self.cross[op.index]) if along is not None else self.cross[op.index]
        tensors = {i: self._input(i, spans) for i in op.inputs}
        if op.kind in CONVOLUTIONS and self.packed is not None:
            self._pack(op, tensors)
        if place is not None:
            write(op, tensors, spans, place)
            return place
        if op.kind in IN_PLACE and self._may_overwrite(op.inputs[0], tensors):
            return IN_PLACE[op.kind](tensors[op.inputs[0]], *op.args[1:], **op.kwargs)
        if op.kind == "add" and len(op.inputs) == 2 and not op.kwargs:
            for one, other in (op.inputs, op.inputs[::-1]):
                if self._may_overwrite(one, tensors) and tensors[one].shape == tensors[other].shape:
                    return tensors[one].add_(tensors[other])
        return compute(op, tensors, spans)

    def _pack(self, op: Op, tensors: dict[int, Tensor]) -> None:
        """Replace the weight of a convolution among its inputs by the packed one, if it is a constant."""
        weight, x = (op.arguments[name].index for name in ("weight", "input"))
        if self.packed is not None and self.program.graph.ops[weight].kind == "constant":
            if op.index not in self.packed:
                self.packed[op.index] = packed_weight(op, tensors[weight], tensors[x])
            tensors[weight] = self.packed[op.index]

    def _may_overwrite(self, value: int, tensors: dict[int, Tensor]) -> bool:
        """Whether the result may overwrite this input: all buffered rows are read now, by their only reader."""
        buffer = self.buffers.get(value)
        return (
            buffer is not None
            and buffer.tensor is tensors[value]
            and self.readers[value] == 1
            and value not in self.program.targets
            and self.program.graph.ops[value].kind in FRESH
            and value not in self.program.sources
        )

    def _input(self, value: int, spans: tuple[OutputSpan, ...]) -> Tensor:
        """Return the rows of an input that the spans ask for."""
        buffer = self.buffers.get(value)
        if buffer is not None:
            return input_rows(self.program, value, buffer.tensor, buffer.start, spans)
        if value in self.whole:
            return input_rows(self.program, value, self.whole[value], None, spans)
        held = (*self.whole.values(), *(b.tensor for b in self.buffers.values()))
        return no_rows(self.program, value, spans, held)

    def _gather(self, op: Op, run: OpRun) -> None:
        """Add rows `[run.lo, run.hi)` of a barrier's input to its statistics."""
        read = self.program.axis.along[op.index].reads[0]
        buffer = self.buffers[read.input]
        rows = buffer.tensor.narrow(read.dim, run.lo - buffer.start, run.hi - run.lo)
        self.gathered[op.index].update(*barrier_rows(self.program, op.index, rows, run.lo, run.hi))

    def _append(self, value: int, lo: int, rows: Tensor) -> None:
        dim = self.program.axis.dim(value)
        assert dim is not None
        buffer = self.buffers.get(value)
        if buffer is None or buffer.tensor.shape[dim] == 0:
            self.buffers[value] = Buffer(lo, rows)
        else:
            buffer.tensor, buffer.memory = join([buffer.tensor, rows], dim), None

    def _drop(self, value: int, first: int) -> None:
        """Drop the buffered rows before row `first`."""
        buffer, dim = self.buffers.get(value), self.program.axis.dim(value)
        if buffer is None or dim is None:
            return
        count, drop = buffer.tensor.shape[dim], first - buffer.start
        if drop >= count:
            del self.buffers[value]
        elif drop > 0:
            buffer.drop(dim, first)


def new_gatherers(program: Program) -> dict[int, Joinable]:
    """Return an empty gatherer for each barrier whose input the program computes."""
    return {i: gatherer(program.graph.ops[i], program.graph) for i in program.owned}
