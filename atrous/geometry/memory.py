"""Predict the memory and the work of a program, from the same steps that the run will take."""

import math

from atrous.geometry.graph import Op
from atrous.geometry.program import OpRun, Program, ProgramWalk, StripStep

WEIGHTED = {f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)}
"""Operators whose second argument is a weight that is applied at every position."""

GATHERED_BYTES = 3 * 8
"""Bytes that a barrier takes per number of its input: statistics are computed on float64 copies, three at once."""


class Meter:
    """Counts bytes and multiply-adds while a program is walked through.

    `held` are the rows `[lo, hi)` of every value in memory, `now` their bytes, `peak` the most bytes at any moment and
    `macs` the multiply-adds so far. `row` is the bytes of one row of every value, within the box that the program
    computes; `itemsize` is the bytes of one floating-point number.
    """

    def __init__(self, program: Program, itemsize: int):
        self.program, self.itemsize = program, itemsize
        self.held: dict[int, tuple[int, int]] = {}
        self.row = {value: self._row_bytes(value) for value in program.boxes}
        self.macs_per_row = {op.index: self._macs_per_row(op) for op in program.order}
        self.read_by_others = {read.input for op in program.order for read in program.axis.along[op.index].reads}
        self.peak, self.macs = 0, 0
        self.now = 0

    def strip_bytes(self, strip: int, most: float) -> float:
        """Return the bytes of all rows that follow from one strip, counting at most `most` for each value."""
        share = min(strip / self.program.longest_source, 1.0)
        total = 0.0
        for op in self.program.order:
            if op.index in self.row:
                lo, hi = self.program.rows(op.index)
                total += min(self.row[op.index] * (hi - lo) * share, most)
        return total

    def _row_numbers(self, value: int) -> float:
        """Return how many numbers one row of the value's box holds."""
        op, program = self.program.graph.ops[value], self.program
        count = float(op.numel)
        for g, axis in program.axes.items():
            if axis.streamed(value):
                lo, hi = program.boxes[value].get(g, (0, 0))
                count = count / axis.length(value) * (1 if g == program.stream else hi - lo)
        return count

    def _row_bytes(self, value: int) -> float:
        return self._row_numbers(value) * number_bytes(self.program.graph.ops[value], self.itemsize)

    def _macs_per_row(self, op: Op) -> float:
        if op.index in self.program.owned:
            return 0.0
        whole = macs(op, self.program.graph.ops)
        return whole * self._row_numbers(op.index) / op.numel if whole else 0.0

    def take(self, step: StripStep) -> None:
        """Count one step: rows arrive, operators compute, rows are dropped."""
        for value, lo, hi in step.feeds:
            self._append(value, lo, hi)
        for run, keep in zip(step.runs, step.keep, strict=True):
            self._compute(run)
            for value, first in keep.items():
                self._drop(value, first)

    def _compute(self, run: OpRun) -> None:
        rows = run.hi - run.lo
        if run.op in self.program.owned:
            source = self.program.axis.along[run.op].reads[0].input
            self.peak = max(self.peak, self.now + GATHERED_BYTES / self.itemsize * rows * self.row[source])
            return
        self.macs += self.macs_per_row[run.op] * rows
        result = rows * self.row[run.op]
        self.peak = max(self.peak, self.now + result * (1 + self._scratch(self.program.graph.ops[run.op])))
        if run.op in self.read_by_others:
            self._append(run.op, run.lo, run.hi)

    def _scratch(self, op: Op) -> float:
        """Return the bytes of temporary tensors in units of those of the result."""
        if op.kind.startswith("max_unpool") or op.kind.endswith("indices"):
            return 3.0
        if op.kind.startswith("conv_transpose"):  # disjoint kernels are a matrix product, others are gathered
            kernel, stride = self.program.graph.ops[op.inputs[1]].shape[2:], op.arguments["stride"]
            return 0.0 if kernel == tuple(stride) else 2.0
        return 1.0 if "upsample" in op.kind or "pool" in op.kind else 0.0

    def _append(self, value: int, lo: int, hi: int) -> None:
        """Add rows to a value. While the old and the new rows are joined, both copies exist."""
        start, stop = self.held.get(value, (lo, lo))
        old, new = (stop - start) * self.row[value], (hi - lo) * self.row[value]
        self.peak = max(self.peak, self.now + new + (old + new if old else 0))
        self.held[value] = (start, hi)
        self.now += new

    def _drop(self, value: int, first: int) -> None:
        """Drop the rows of a value before `first`. While the others are copied, both copies exist."""
        start, stop = self.held.get(value, (first, first))
        first = max(first, start)
        self.now -= (first - start) * self.row[value]
        self.peak = max(self.peak, self.now + (stop - first) * self.row[value])
        if first >= stop:
            self.held.pop(value, None)
        else:
            self.held[value] = (first, stop)


def number_bytes(op: Op, itemsize: int) -> int:
    """Return the bytes of one number of a value: `itemsize` if it is a floating-point number."""
    return itemsize if op.dtype.is_floating_point else op.dtype.itemsize


def measure(program: Program, strip: int, itemsize: int) -> Meter:
    """Walk through a program that is fed `strip` rows a step, without data, and return its meter.

    Away from the ends every step is like the one before: every value moves on by the same number of rows. When two
    steps in a row have moved alike, the walk jumps over all like them but the last few, so that a long input costs no
    more time than a short one.
    """
    walk, meter = ProgramWalk(program), Meter(program, itemsize)
    done_before: dict[int, int] | None = None
    moved_before: dict[int, int] | None = None
    _, end = program.rows(0) if 0 in program.sources else (0, 0)
    for step in walk.finite(strip):
        meter.take(step)
        moved = None if done_before is None else {value: rows - done_before[value] for value, rows in walk.done.items()}
        steady = moved is not None and moved == moved_before and min(moved.values()) > 0 and program.sources == (0,)
        if moved is not None and steady and walk.done[0] < end - 4 * strip:
            count = (end - walk.done[0]) // strip - 3
            meter.macs += count * sum(meter.macs_per_row.get(value, 0.0) * rows for value, rows in moved.items())
            walk.jump(count, moved)
            meter.held = {v: (lo + count * moved[v], hi + count * moved[v]) for v, (lo, hi) in meter.held.items()}
            moved_before = None
        else:
            moved_before = moved
        done_before = dict(walk.done)
    return meter


def macs(op: Op, ops: tuple[Op, ...]) -> int:
    """Return the multiply-adds of one operator on its whole value.

    A convolution with weight `(C_out, C_in / groups, *k)` does one per weight and output position, a transposed one per
    weight and input position; a matrix product one per output number and summed index.
    """
    if op.kind in WEIGHTED:
        weight = ops[op.inputs[1]]
        positions = ops[op.inputs[0]] if "transpose" in op.kind else op
        return math.prod(positions.shape[2:]) * weight.numel
    if op.kind == "linear":
        return op.numel * ops[op.inputs[1]].shape[-1]
    if op.kind in ("matmul", "bmm", "mm", "einsum"):
        return op.numel * ops[op.inputs[0]].shape[-1]
    return 0
