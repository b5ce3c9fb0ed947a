"""Segments: stretches of operators between two cuts, each computed as one function of rows of its inputs.

A compiled step is slowed down by copying, not by arithmetic: with one buffer per operator it joins dozens of small
states. So rows are kept at few cuts only. Between two cuts the operators run as one subgraph on the rows that the
wanted outputs need; the two or three rows that its convolutions lose at either end are computed twice. `choose` picks
the cuts that cost least, copies and repeated work together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise

from atrous.geometry.graph import Op
from atrous.geometry.lattice import Lattice, Rows, lattice
from atrous.geometry.maps import Bins, Bordered, Everything, Resize
from atrous.geometry.memory import Meter
from atrous.geometry.program import Program
from atrous.geometry.strides import strides

MACS = 1.5e11  # float32 multiply-adds per second, and
BYTES = 2e10  # bytes moved per second, of a small machine: they only weigh work against copies in the choice of cuts
CALL = 3e-4  # seconds of one call
LONGEST = 40  # operators in one segment
INSIDE = 5e7  # bytes of one value within a segment, above which a step's rows are computed in pieces
FEWEST = 16  # units of rows in such a piece
WORTH = 0.6  # of a window, below which its rows are computed eagerly


@dataclass(frozen=True)
class Segment:
    """Operators between two cuts: the values with rows that they read from before, and those that others read later.

    `lattice` says which rows go together in windows on which the operators run as they stand, where they can. The rows
    of one step are computed in so many `pieces`, so that what lives only within the segment stays small.
    """

    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    lattice: Lattice | None = None
    pieces: int = 1


def segment(program: Program, ops: tuple[Op, ...], strides: dict[int, Fraction]) -> Segment:
    """The segment of these operators; `strides` are those of the axis."""
    inside = {op.index for op in ops}
    reads = [r.input for op in ops for r in program.axis.along[op.index].reads if r.input in program.boxes]
    outside = {r.input for op in program.order if op.index not in inside for r in program.axis.along[op.index].reads}
    inputs = tuple(dict.fromkeys(v for v in reads if v not in inside))
    outputs = tuple(op.index for op in ops if op.index in outside or op.index in program.targets)
    movable = all(_movable(program, op) for op in ops)
    return Segment(ops, inputs, outputs, lattice(ops, inputs, program, strides) if movable else None)


def rows_for(part: Segment, program: Program, wanted: Rows) -> Rows:
    """The rows of every value of a segment, and of its inputs, from which the wanted rows follow."""
    rows = {v: span for v, span in wanted.items() if span[1] > span[0]}
    for op in reversed(part.ops):
        if op.index not in rows or rows[op.index][0] >= rows[op.index][1]:
            continue
        for read in program.axis.along[op.index].reads:
            if read.input in program.boxes:
                length = program.graph.ops[read.input].shape[read.dim]
                lo, hi = read.map.need(*rows[op.index], length)
                a, b = rows.get(read.input, (lo, hi))
                rows[read.input] = (lo, hi) if a >= b else (a, b) if lo >= hi else (min(a, lo), max(b, hi))
    return {v: span for v, span in rows.items() if span[1] > span[0] or v in part.inputs}


def overhangs(part: Segment, program: Program, rows: Rows) -> bool:
    """Whether an operator pads beyond the last row of one of its inputs."""
    for op in part.ops:
        lo, hi = rows.get(op.index, (0, 0))
        for read in program.axis.along[op.index].reads if hi > lo else ():
            length = program.graph.ops[read.input].shape[read.dim]
            if isinstance(read.map, Bordered):
                if hi > read.map.before + read.map.length:
                    return True
            elif read.map.last(hi - 1) > length or (isinstance(read.map, Resize) and read.map.last(hi - 1) >= length):
                return True
    return False


@dataclass(frozen=True)
class SegmentRun:
    """One segment computing wanted rows within one step; `rows` are those of everything on the way.

    With a `window` of whole units, always as many, the operators run as they stand on all of it, and only the wanted
    rows of the result count.
    """

    part: Segment
    wanted: Rows
    rows: Rows
    window: tuple[int, int] | None = None


@dataclass(frozen=True)
class SegmentStep:
    """One strip: what arrives, which segments run, and from which row on each kept value is still needed."""

    feeds: tuple[tuple[int, int, int], ...]
    runs: tuple[SegmentRun, ...]
    gathers: tuple[tuple[int, int, int], ...]
    keep: Rows


class SegmentWalk:
    """As `Walk`, with segments in place of operators.

    `windows` says of how many units a segment's windows are, by its first operator.
    """

    def __init__(self, program: Program, segments: list[Segment], strip: int, windows: dict[int, int] | None = None):
        self.program, self.segments, self.windows = program, segments, windows or {}
        self.barriers = [op for op in program.order if op.index in program.owned]
        kept = {*program.sources, *(v for s in segments for v in s.outputs)}
        self.done = {v: program.rows(v)[0] for v in kept}
        self.gathered = {op.index: program.owned[op.index][program.stream][0] for op in self.barriers}
        self.spans = {v: program.rows(v) for v in program.sources}
        self.longest = max((hi - lo for lo, hi in self.spans.values()), default=1)
        self.count = max(1, -(-self.longest // strip))
        self.strip = strip
        share = strip / max(self.longest, 1)
        self.most = {v: max(1, math.ceil(share * (hi - lo) - 1e-9)) for v in kept for lo, hi in [program.rows(v)]}

    def steps(self) -> Iterator[SegmentStep]:
        """Every step until all is done."""
        number = 0
        while number < self.count or any(
            self.done[v] < self.program.rows(v)[1] for s in self.segments for v in s.outputs
        ):
            number += 1
            share = min(number * self.strip, self.longest)
            yield self._advance(
                {
                    v: hi if number >= self.count else lo + (hi - lo) * share // self.longest
                    for v, (lo, hi) in self.spans.items()
                },
                share / max(self.longest, 1),
            )

    def _advance(self, arrived: Rows | dict[int, int], share: float) -> SegmentStep:
        feeds = tuple((v, self.done[v], hi) for v, hi in arrived.items() if isinstance(hi, int) and hi > self.done[v])
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
            lo, hi = (
                self.gathered[op.index],
                min(self.done[source], self.program.owned[op.index][self.program.stream][1]),
            )
            if hi > lo:
                gathers.append((op.index, lo, hi))
                self.gathered[op.index] = hi
        return SegmentStep(
            feeds, tuple(runs), tuple(gathers), {v: (self._first_needed(v), self.done[v]) for v in self.done}
        )

    def _window(self, part: Segment, rows: Rows) -> tuple[int, int] | None:
        count = self.windows.get(part.ops[0].index)
        if part.lattice is None or count is None:
            return None
        a, b = part.lattice.around(rows)
        if b - a > count or b - a < WORTH * count or b > part.lattice.units:
            return None
        if not part.lattice.flush and overhangs(part, self.program, rows):
            return None
        a = min(a, part.lattice.units - count)  # rows before the needed ones may hold anything
        return a, a + count

    def _wanted(self, part: Segment, share: float) -> Rows:
        program, ready = self.program, dict(self.done)
        for op in part.ops:
            start, stop = program.rows(op.index)
            reads = [r for r in program.axis.along[op.index].reads if r.input in program.boxes]
            at = stop if reads else min(stop, start + math.ceil(share * (stop - start) - 1e-9))
            for read in reads:
                length = program.graph.ops[read.input].shape[read.dim]
                at = min(at, stop if ready[read.input] >= length else read.map.ready(ready[read.input], stop))
            ready[op.index] = at
        spans = {v: (self.done[v], min(ready[v], self.done[v] + self.most[v])) for v in part.outputs}
        return {v: (lo, hi) for v, (lo, hi) in spans.items() if hi > lo}

    def _first_needed(self, value: int) -> int:
        first = self.done[value]
        for part in self.segments:
            if value in part.inputs:
                first = min(first, self._needed_by(part).get(value, first))
        for op in self.barriers:
            if self.program.axis.along[op.index].reads[0].input == value:
                first = min(first, self.gathered[op.index])
        return first

    def _needed_by(self, part: Segment) -> dict[int, int]:
        program = self.program
        need = {v: self.done[v] for v in part.outputs if self.done[v] < program.rows(v)[1]}
        for op in reversed(part.ops):
            if op.index in need:
                for read in program.axis.along[op.index].reads:
                    if read.input in program.boxes:
                        first = max(0, read.map.first(need[op.index]))
                        need[read.input] = min(first, need.get(read.input, first))
        return need


def _pieces(wanted: Rows, count: int) -> Iterator[Rows]:
    for k in range(count):
        spans = {v: (lo + (hi - lo) * k // count, lo + (hi - lo) * (k + 1) // count) for v, (lo, hi) in wanted.items()}
        spans = {v: (lo, hi) for v, (lo, hi) in spans.items() if hi > lo}
        if spans:
            yield spans


def steady_windows(program: Program, segments: list[Segment], strip: int) -> dict[int, int]:
    """Of how many units each segment's windows are in steady steps, by its first operator."""
    most: dict[int, int] = {}
    for step in islice(SegmentWalk(program, segments, strip).steps(), 16):
        for run in step.runs:
            if run.part.lattice is not None:
                a, b = run.part.lattice.around(run.rows)
                first = run.part.ops[0].index
                most[first] = max(b - a, most.get(first, 0))
    room = {part.ops[0].index: part.lattice.units for part in segments if part.lattice is not None}
    return {first: n for first, n in most.items() if n <= room[first]}


def choose(program: Program, strip: int, itemsize: int) -> list[Segment]:
    """Cut a program into the segments that cost least in a steady step: work, repeated work, copies and calls."""
    ops = [op for op in program.order if op.index not in program.owned]
    meter, steps = Meter(program, itemsize), strides(program.axis)
    longest = max((hi - lo for lo, hi in (program.rows(v) for v in program.sources)), default=1)
    best: list[tuple[float, int]] = [(0.0, 0)]
    for stop in range(1, len(ops) + 1):
        options = []
        for start in range(stop - 1, max(-1, stop - 1 - LONGEST), -1):
            part = segment(program, tuple(ops[start:stop]), steps)
            if start < stop - 1 and part.lattice is None:
                break
            options.append((best[start][0] + _cost(program, part, strip / longest, meter), start))
        best.append(min(options))
    cuts = [len(ops)]
    while cuts[-1] > 0:
        cuts.append(best[cuts[-1]][1])
    found = [segment(program, tuple(ops[a:b]), steps) for a, b in pairwise(reversed(cuts))]
    return [replace(part, pieces=_count(program, part, strip / longest, meter)) for part in found]


def _count(program: Program, part: Segment, share: float, meter: Meter) -> int:
    """In how many pieces to compute a step's rows of a segment."""
    rows = _steady_rows(program, part, share)
    if part.lattice is None or len(part.ops) < 2:
        return 1
    a, b = part.lattice.around(rows)
    widest = max(meter.row[op.index] * (b - a) * part.lattice.rows[op.index] for op in part.ops)
    count = 1
    while widest > INSIDE * count and b - a >= 2 * FEWEST * count:
        count *= 2
    return count


def _movable(program: Program, op: Op) -> bool:
    """Whether the operator is the same function of its rows everywhere, the borders aside."""
    if "unpool" in op.kind or op.kind.endswith("_indices"):  # their indices are global
        return False
    return all(
        read.input in program.boxes and not isinstance(read.map, Everything | Bins)
        for read in program.axis.along[op.index].reads
    )


def _steady_rows(program: Program, part: Segment, share: float) -> Rows:
    """The rows of a step away from the borders."""
    wanted: Rows = {}
    for value in part.outputs:
        lo, hi = program.rows(value)
        count = max(1, round(share * (hi - lo)))
        middle = lo + round((hi - lo - count) * 0.5 / count) * count
        wanted[value] = (max(lo, middle), min(hi, max(lo, middle) + count))
    return rows_for(part, program, wanted)


def _cost(program: Program, part: Segment, share: float, meter: Meter) -> float:
    rows = _steady_rows(program, part, share)
    if part.lattice is not None:
        window = part.lattice.around(rows)
        rows = {v: part.lattice.span(v, window) for v in rows}
        kept = {port.value: part.lattice.entering(port, window) for port in part.lattice.ports}
        rows.update(kept)
    work = sum(
        meter.macs_per_row[op.index] * (rows[op.index][1] - rows[op.index][0]) for op in part.ops if op.index in rows
    )
    moved = sum(meter.row[v] * (rows[v][1] - rows[v][0]) for v in (*part.inputs, *part.outputs) if v in rows)
    return work / (MACS * 4 / meter.itemsize) + moved / BYTES + CALL
