"""Predict the bytes that a program holds at its worst moment, by the same arithmetic that runs it."""

import math

from atrous.geometry.graph import Op
from atrous.geometry.program import Program, Step, Walk

WEIGHTED = {f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)}


class Meter:
    """Follows the buffers of a walk: `peak` is the most bytes alive at once, `macs` the multiply-adds done."""

    def __init__(self, program: Program, itemsize: int):
        self.program, self.itemsize = program, itemsize
        self.held: dict[int, tuple[int, int]] = {}
        self.row = {v: self._row_bytes(v) for v in program.boxes}
        self.macs_per_row = {op.index: self._macs_per_row(op) for op in program.order}
        self.read_by = {r.input for op in program.order for r in program.axis.along[op.index].reads}
        self.peak, self.macs = 0, 0
        self.now = 0

    def strip_bytes(self, strip: int, most: float) -> float:
        """Bytes of the rows of every value that follow from one strip, of each at most so many."""
        longest = max([1, *(hi - lo for lo, hi in map(self.program.rows, self.program.sources))])
        shares = (
            (self.row[op.index], self.program.rows(op.index)) for op in self.program.order if op.index in self.row
        )
        return sum(min(row * (hi - lo) * min(strip / longest, 1.0), most) for row, (lo, hi) in shares)

    def _positions(self, value: int) -> float:
        """Numbers in one row of the value's box."""
        op, program = self.program.graph.ops[value], self.program
        count = float(op.numel)
        for g, axis in program.axes.items():
            if axis.streamed(value):
                lo, hi = program.boxes[value].get(g, (0, 0))
                full = axis.length(value)
                count = count / full * (1 if g == program.stream else hi - lo)
        return count

    def _row_bytes(self, value: int) -> float:
        op = self.program.graph.ops[value]
        return self._positions(value) * (self.itemsize if op.dtype.is_floating_point else op.dtype.itemsize)

    def _macs_per_row(self, op: Op) -> float:
        if op.index in self.program.owned:
            return 0.0
        whole = macs(op, self.program.graph.ops)
        return whole * self._positions(op.index) / op.numel if whole else 0.0

    def take(self, step: Step) -> None:
        """Account for one step."""
        for value, lo, hi in step.feeds:
            self._append(value, lo, hi)
        for run, keep in zip(step.runs, step.keep, strict=True):
            rows = run.hi - run.lo
            if run.op in self.program.owned:  # statistics are taken of float64 copies
                read = self.program.axis.along[run.op].reads[0].input
                self.peak = max(self.peak, self.now + 3 * 8 / self.itemsize * rows * self.row[read])
            else:
                self.macs += self.macs_per_row[run.op] * rows
                out = rows * self.row[run.op]
                op = self.program.graph.ops[run.op]
                self.peak = max(self.peak, self.now + out * (1 + self._scratch(op)))
                if run.op in self.read_by:
                    self._append(run.op, run.lo, run.hi)
            for value, first in keep.items():
                self._drop(value, first)

    def _scratch(self, op: Op) -> float:
        """Temporaries beside the output, in units of its size."""
        if op.kind.startswith("max_unpool") or op.kind.endswith("indices"):
            return 3.0
        if op.kind.startswith("conv_transpose"):  # disjoint kernels are a matrix product, others are gathered
            kernel, stride = self.program.graph.ops[op.inputs[1]].shape[2:], op.arguments["stride"]
            return 0.0 if kernel == tuple(stride) else 2.0
        return 1.0 if "upsample" in op.kind or "pool" in op.kind else 0.0

    def _append(self, value: int, lo: int, hi: int) -> None:
        start, stop = self.held.get(value, (lo, lo))
        before, new = (stop - start) * self.row[value], (hi - lo) * self.row[value]
        self.peak = max(self.peak, self.now + new + (before + new if before else 0))
        self.held[value] = (start, hi)
        self.now += new

    def _drop(self, value: int, first: int) -> None:
        start, stop = self.held.get(value, (first, first))
        kept = max(first, start)
        self.now -= (kept - start) * self.row[value]
        self.peak = max(self.peak, self.now + (stop - kept) * self.row[value])
        if kept >= stop:
            self.held.pop(value, None)
        else:
            self.held[value] = (kept, stop)


def measure(program: Program, strip: int, itemsize: int) -> Meter:
    """Walk a program without data, jumping over the stretch in which every step is like the one before."""
    walk, meter = Walk(program), Meter(program, itemsize)
    before: dict[int, int] | None = None
    delta: dict[int, int] | None = None
    _, high = program.rows(0) if 0 in program.sources else (0, 0)
    walker = walk.finite(strip)
    for step in walker:
        meter.take(step)
        moved = {v: walk.done[v] - before[v] for v in walk.done} if before is not None else None
        steady = moved is not None and moved == delta and min(moved.values()) > 0 and program.sources == (0,)
        if moved is not None and steady and walk.done[0] < high - 4 * strip:
            jump = (high - walk.done[0]) // strip - 3
            meter.macs += jump * sum(meter.macs_per_row[i] * n for i, n in moved.items() if i in meter.macs_per_row)
            walk.jump(jump, moved)
            meter.held = {v: (a + jump * moved[v], b + jump * moved[v]) for v, (a, b) in meter.held.items()}
            delta = None
        else:
            delta = moved
        before = dict(walk.done)
    return meter


def macs(op: Op, ops: tuple[Op, ...]) -> int:
    """Multiply-adds of one operator on its whole value."""
    if op.kind in WEIGHTED:
        weight = ops[op.inputs[1]]
        positions = op if op.kind.startswith("conv") and "transpose" not in op.kind else ops[op.inputs[0]]
        return math.prod(positions.shape[2:]) * weight.numel
    if op.kind == "linear":
        return op.numel * ops[op.inputs[1]].shape[-1]
    if op.kind in ("matmul", "bmm", "mm", "einsum"):
        return op.numel * ops[op.inputs[0]].shape[-1]
    return 0
