"""Cut a program into segments of operators, each computed as one function of rows of its inputs.

A compiled step is slowed down by copying, not by arithmetic: with one buffer per operator it joins dozens of small
tensors in every step. So rows are kept at few values only, the *cuts*. Between two cuts the operators run as one
function on the rows that its wanted outputs need. Its convolutions lose a few rows at either end, which are computed
twice.

1. `choose` finds the cuts with the least predicted time: work, repeated work, copies and calls. It is a shortest path:
   the best way to compute operators `0 ... j-1` is, for some `i`, the best way to compute `0 ... i-1` and one segment
   `i ... j-1`.
2. `SegmentWalk` says for each strip which rows every segment computes, as `ProgramWalk` does for operators.
3. `steady_windows` finds windows of one size for each segment, on which one compiled function serves every step
   (`lattice.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise

from atrous.geometry.axis import strides
from atrous.geometry.graph import Op
from atrous.geometry.lattice import Lattice, Rows, lattice
from atrous.geometry.memory import Meter
from atrous.geometry.program import Program, share_of

# What a small machine does. These numbers only weigh work against copies when cuts are chosen.
MACS_PER_SECOND = 1.5e11  # float32 multiply-adds
BYTES_PER_SECOND = 2e10  # bytes moved
SECONDS_PER_CALL = 3e-4

MOST_OPERATORS = 40  # in one segment
INSIDE = 5e7  # bytes of one value within a segment, above which a step's rows are computed in pieces
SMALLEST_PIECE = 16  # units of rows
LEAST_USE = 0.6  # share of a window that is needed, below which its rows are computed operator by operator
STEADY_AFTER = 16  # steps within which the widest window of a steady step is seen


@dataclass(frozen=True)
class Segment:
    """Operators between two cuts.

    `inputs` are the values with rows that they read and do not compute, `outputs` those of theirs that others read or
    that are wanted. `lattice` describes the windows on which they run unchanged, None if there are none. The rows of
    one step are computed in so many `pieces`, one after the other, so that values within the segment stay small.
    """

    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    lattice: Lattice | None = None
    pieces: int = 1


def segment(program: Program, ops: tuple[Op, ...], strides: dict[int, Fraction]) -> Segment:
    """Return the segment of these operators, which follow each other; `strides` are those of the streamed axis."""
    inside = {op.index for op in ops}
    reads = [read.input for op in ops for read in program.axis.along[op.index].reads if read.input in program.boxes]
    read_outside = {
        read.input for op in program.order if op.index not in inside for read in program.axis.along[op.index].reads
    }
    inputs = tuple(dict.fromkeys(v for v in reads if v not in inside))
    outputs = tuple(op.index for op in ops if op.index in read_outside or op.index in program.targets)
    movable = all(_movable(program, op) for op in ops)
    return Segment(ops, inputs, outputs, lattice(ops, inputs, program, strides) if movable else None)


def rows_for(part: Segment, program: Program, wanted: Rows) -> Rows:
    """Return the rows of every value of a segment, and of its inputs, from which the `wanted` rows follow.

    Operators are visited from the last to the first, as in `program.build`.
    """
    rows = {v: span for v, span in wanted.items() if span[1] > span[0]}
    for op in reversed(part.ops):
        if op.index not in rows or rows[op.index][0] >= rows[op.index][1]:
            continue
        for read in program.axis.along[op.index].reads:
            if read.input in program.boxes:
                length = program.graph.ops[read.input].shape[read.dim]
                rows[read.input] = _union(rows.get(read.input, (0, 0)), read.map.need(*rows[op.index], length))
    return {v: span for v, span in rows.items() if span[1] > span[0] or v in part.inputs}


def _union(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest interval that holds both; an empty one counts only when the other is empty, too."""
    if first[0] >= first[1]:
        return second
    return first if second[0] >= second[1] else (min(first[0], second[0]), max(first[1], second[1]))


def overhangs(part: Segment, program: Program, rows: Rows) -> bool:
    """Return whether an operator takes padding beyond the last row of one of its inputs, to compute these rows."""
    for op in part.ops:
        lo, hi = rows.get(op.index, (0, 0))
        for read in program.axis.along[op.index].reads if hi > lo else ():
            if read.map.reads_beyond(hi, program.graph.ops[read.input].shape[read.dim]):
                return True
    return False


@dataclass(frozen=True)
class SegmentRun:
    """One segment computes its `wanted` rows, within one step; `rows` holds the rows of all its values for that.

    With a `window` of units, the operators run unchanged on all rows of the window, whose size is the same in every
    step; only the wanted rows of the result are used.
    """

    part: Segment
    wanted: Rows
    rows: Rows
    window: tuple[int, int] | None = None


@dataclass(frozen=True)
class SegmentStep:
    """What happens when one strip arrives.

    `feeds` are the new rows of each source and `gathers` the rows that each barrier gathers, as `(value, lo, hi)`.
    `keep` holds the rows of every kept value that are still needed after the step.
    """

    feeds: tuple[tuple[int, int, int], ...]
    runs: tuple[SegmentRun, ...]
    gathers: tuple[tuple[int, int, int], ...]
    keep: Rows


class SegmentWalk:
    """How far every kept value of a program has come, with segments in the place of operators.

    `windows` says how many units the windows of a segment have, by the index of its first operator. `done` holds for
    every kept value the first row that is not computed yet, `gathered` for every barrier the first row of its input
    that is not gathered yet.
    """

    def __init__(self, program: Program, segments: list[Segment], strip: int, windows: dict[int, int] | None = None):
        self.program, self.segments, self.windows = program, segments, windows or {}
        self.barriers = [op for op in program.order if op.index in program.owned]
        kept = {*program.sources, *(v for part in segments for v in part.outputs)}
        self.done = {v: program.rows(v)[0] for v in kept}
        self.gathered = {op.index: program.owned[op.index][program.stream][0] for op in self.barriers}
        self.spans = {v: program.rows(v) for v in program.sources}
        self.longest = program.longest_source
        self.count = -(-self.longest // strip)
        self.strip = strip
        self.most = {v: share_of(strip / self.longest, hi - lo) for v in kept for lo, hi in [program.rows(v)]}

    def steps(self) -> Iterator[SegmentStep]:
        """Return the steps until all segments have computed all their rows."""
        number = 0
        while number < self.count or any(
            self.done[v] < self.program.rows(v)[1] for part in self.segments for v in part.outputs
        ):
            number += 1
            fed = min(number * self.strip, self.longest)
            arrived = {
                v: hi if number >= self.count else lo + (hi - lo) * fed // self.longest
                for v, (lo, hi) in self.spans.items()
            }
            yield self._advance(arrived, fed / self.longest)

    def _advance(self, arrived: dict[int, int], share: float) -> SegmentStep:
        """Take the rows of each source before `arrived`, which are this `share` of the whole, and compute."""
        feeds = tuple((v, self.done[v], hi) for v, hi in arrived.items() if hi > self.done[v])
        for value, _, hi in feeds:
            self.done[value] = hi
        runs = []
        for part in self.segments:
            for wanted in _pieces(self._wanted(part, share), part.pieces):
                rows = rows_for(part, self.program, wanted)
                runs.append(SegmentRun(part, wanted, rows, self._window(part, rows)))
                self.done.update({v: hi for v, (_, hi) in wanted.items()})
        gathers = []
        for op in self.barriers:
            source = self.program.axis.along[op.index].reads[0].input
            lo = self.gathered[op.index]
            hi = min(self.done[source], self.program.owned[op.index][self.program.stream][1])
            if hi > lo:
                gathers.append((op.index, lo, hi))
                self.gathered[op.index] = hi
        keep = {v: (self._first_needed(v), done) for v, done in self.done.items()}
        return SegmentStep(feeds, tuple(runs), tuple(gathers), keep)

    def _window(self, part: Segment, rows: Rows) -> tuple[int, int] | None:
        """Return the window of the usual size that holds these rows, or None if they must be computed otherwise.

        That is so when the rows fill too little of it, do not fit into it, or take padding at a true end that no window
        ends at.
        """
        count = self.windows.get(part.ops[0].index)
        if part.lattice is None or count is None:
            return None
        a, b = part.lattice.around(rows)
        if b - a > count or b - a < LEAST_USE * count or b > part.lattice.units:
            return None
        if not part.lattice.flush and overhangs(part, self.program, rows):
            return None
        a = min(a, part.lattice.units - count)  # rows before the needed ones may hold anything
        return a, a + count

    def _wanted(self, part: Segment, share: float) -> Rows:
        """Return the rows of each output that can be computed now, at most a strip's share of them."""
        program, ready = self.program, dict(self.done)
        for op in part.ops:
            start, stop = program.rows(op.index)
            reads = [read for read in program.axis.along[op.index].reads if read.input in program.boxes]
            if not reads:  # rows of a whole value keep pace with the input
                stop = min(stop, start + share_of(share, stop - start))
            ready[op.index] = stop
            for read in reads:
                if ready[read.input] < program.graph.ops[read.input].shape[read.dim]:
                    ready[op.index] = min(ready[op.index], read.map.ready(ready[read.input], stop))
        spans = {v: (self.done[v], min(ready[v], self.done[v] + self.most[v])) for v in part.outputs}
        return {v: (lo, hi) for v, (lo, hi) in spans.items() if hi > lo}

    def _first_needed(self, value: int) -> int:
        """Return the first row of a kept value that a segment or a barrier still has to read, or its end."""
        first = self.done[value]
        for part in self.segments:
            if value in part.inputs:
                first = min(first, self._needed_by(part).get(value, first))
        for op in self.barriers:
            if self.program.axis.along[op.index].reads[0].input == value:
                first = min(first, self.gathered[op.index])
        return first

    def _needed_by(self, part: Segment) -> dict[int, int]:
        """Return the first row of every value that the rows of a segment not computed yet will read."""
        program = self.program
        first_of = {v: self.done[v] for v in part.outputs if self.done[v] < program.rows(v)[1]}
        for op in reversed(part.ops):
            if op.index in first_of:
                for read in program.axis.along[op.index].reads:
                    if read.input in program.boxes:
                        first = max(0, read.map.first(first_of[op.index]))
                        first_of[read.input] = min(first, first_of.get(read.input, first))
        return first_of


def _pieces(wanted: Rows, count: int) -> Iterator[Rows]:
    """Cut the wanted rows of every value into `count` pieces of nearly equal size, and leave out empty ones."""
    for k in range(count):
        spans = {v: (lo + (hi - lo) * k // count, lo + (hi - lo) * (k + 1) // count) for v, (lo, hi) in wanted.items()}
        spans = {v: (lo, hi) for v, (lo, hi) in spans.items() if hi > lo}
        if spans:
            yield spans


def steady_windows(program: Program, segments: list[Segment], strip: int) -> dict[int, int]:
    """Return how many units the windows of each segment need in steady steps, by the index of its first operator.

    It is the most that the first steps need. Segments whose extent holds fewer units have no windows.
    """
    most: dict[int, int] = {}
    for step in islice(SegmentWalk(program, segments, strip).steps(), STEADY_AFTER):
        for run in step.runs:
            if run.part.lattice is not None:
                a, b = run.part.lattice.around(run.rows)
                first = run.part.ops[0].index
                most[first] = max(b - a, most.get(first, 0))
    room = {part.ops[0].index: part.lattice.units for part in segments if part.lattice is not None}
    return {first: units for first, units in most.items() if units <= room[first]}


def choose(program: Program, strip: int, itemsize: int) -> list[Segment]:
    """Cut a program that is fed `strip` rows a step into the segments with the least predicted time of a steady step.

    `best[j]` is the least time for operators `0 ... j-1`, with the start `i` of their last segment: `best[j] = min over
    i of best[i] + time(segment i ... j-1)`. Only segments with a lattice may hold several operators. The starts are
    followed back from the end to get the cuts. `itemsize` is the bytes of one floating-point number.
    """
    ops = [op for op in program.order if op.index not in program.owned]
    meter, stride_of = Meter(program, itemsize), strides(program.axis)
    share = strip / program.longest_source
    best: list[tuple[float, int]] = [(0.0, 0)]
    for stop in range(1, len(ops) + 1):
        options = []
        for start in range(stop - 1, max(-1, stop - 1 - MOST_OPERATORS), -1):
            part = segment(program, tuple(ops[start:stop]), stride_of)
            if start < stop - 1 and part.lattice is None:
                break  # no longer segment that ends here has one either
            options.append((best[start][0] + _seconds(program, part, share, meter), start))
        best.append(min(options))
    cuts = [len(ops)]
    while cuts[-1] > 0:
        cuts.append(best[cuts[-1]][1])
    segments = [segment(program, tuple(ops[a:b]), stride_of) for a, b in pairwise(reversed(cuts))]
    return [replace(part, pieces=_piece_count(program, part, share, meter)) for part in segments]


def _piece_count(program: Program, part: Segment, share: float, meter: Meter) -> int:
    """Return in how many pieces to compute a step's rows of a segment, so that no value within it exceeds `INSIDE`."""
    if part.lattice is None or len(part.ops) < 2:
        return 1
    a, b = part.lattice.around(_steady_rows(program, part, share))
    widest = max(meter.row[op.index] * (b - a) * part.lattice.rows[op.index] for op in part.ops)
    count = 1
    while widest > INSIDE * count and b - a >= 2 * SMALLEST_PIECE * count:
        count *= 2
    return count


def _movable(program: Program, op: Op) -> bool:
    """Return whether the operator computes all its rows alike, the borders aside, from rows alone."""
    if "unpool" in op.kind or op.kind.endswith("_indices"):  # their indices count positions of the whole input
        return False
    return all(read.input in program.boxes and read.map.is_uniform for read in program.axis.along[op.index].reads)


def _steady_rows(program: Program, part: Segment, share: float) -> Rows:
    """Return the rows of a segment in a step in the middle, away from the borders."""
    wanted: Rows = {}
    for value in part.outputs:
        lo, hi = program.rows(value)
        count = max(1, round(share * (hi - lo)))
        middle = lo + round((hi - lo - count) * 0.5 / count) * count
        wanted[value] = (max(lo, middle), min(hi, max(lo, middle) + count))
    return rows_for(part, program, wanted)


def _seconds(program: Program, part: Segment, share: float, meter: Meter) -> float:
    """Return the predicted seconds of a segment in a steady step: its work, the copies at its cuts, and the call.

    If the segment has windows, the rows are those of the smallest window that holds the needed ones.
    """
    rows = _steady_rows(program, part, share)
    if part.lattice is not None:
        window = part.lattice.around(rows)
        rows = {v: part.lattice.span(v, window) for v in rows}
        rows.update({port.value: part.lattice.entering(port, window) for port in part.lattice.ports})
    count = {v: hi - lo for v, (lo, hi) in rows.items()}
    work = sum(meter.macs_per_row[op.index] * count[op.index] for op in part.ops if op.index in count)
    moved = sum(meter.row[v] * count[v] for v in (*part.inputs, *part.outputs) if v in count)
    return work / (MACS_PER_SECOND * 4 / meter.itemsize) + moved / BYTES_PER_SECOND + SECONDS_PER_CALL
