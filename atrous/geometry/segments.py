"""Segments: stretches of operators between two cuts, each computed as one function of rows of its inputs.

A compiled step is slowed down by copying, not by arithmetic: with one buffer per operator it joins dozens of small
states.
So rows are kept at few cuts only. Between two cuts the operators run as one subgraph on the rows that the wanted
outputs need; the two or three rows that its convolutions lose at either end are computed twice. `choose` picks the
cuts that cost least, copies and repeated work together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from atrous.geometry.graph import Op
from atrous.geometry.maps import Bordered, Everything, Map, Regrouped, Resize, Sliding, Transposed
from atrous.geometry.memory import Meter
from atrous.geometry.program import Program

MACS = 2e11  # multiply-adds per second, and
BYTES = 6e9  # bytes copied per second, of a small machine: they only weigh work against copies in the choice of cuts
CALL = 1e-4  # seconds of one call
LONGEST = 40  # operators in one segment

Rows = dict[int, tuple[int, int]]
"""Rows `[lo, hi)` of the streamed axis, per value."""


@dataclass(frozen=True)
class Segment:
    """Operators between two cuts: the values with rows that they read from before, and those that others read later."""

    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def segment(program: Program, ops: tuple[Op, ...]) -> Segment:
    """The segment of these operators."""
    inside = {op.index for op in ops}
    reads = [r.input for op in ops for r in program.axis.along[op.index].reads if r.input in program.boxes]
    outside = {r.input for op in program.order if op.index not in inside for r in program.axis.along[op.index].reads}
    inputs = tuple(dict.fromkeys(v for v in reads if v not in inside))
    return Segment(ops, inputs, tuple(op.index for op in ops if op.index in outside or op.index in program.targets))


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


def shiftable(step: Map) -> bool:
    """Whether the same code serves every stretch of rows away from the borders."""
    if isinstance(step, Resize):
        return step.power > 0
    return isinstance(step, Sliding | Transposed | Regrouped | Bordered) or (
        isinstance(step, Everything) and step.length == 1
    )


def pattern(part: Segment, program: Program, rows: Rows) -> tuple[object, ...]:
    """What must be equal for two calls of a segment to be the same function of their inputs."""
    found: list[object] = []
    for op in part.ops:
        if op.index not in rows:
            continue
        lo, hi = rows[op.index]
        found.append((op.index, hi - lo))
        for read in program.axis.along[op.index].reads:
            length = program.graph.ops[read.input].shape[read.dim]
            a, b = read.map.need(lo, hi, length)
            start = rows[read.input][0] if read.input in rows else 0
            found.append((a - start, b - a, _relative(read.map, a, lo), *_borders(read.map, lo, hi, length)))
    return tuple(found)


def _relative(step: Map, start: int, lo: int) -> int:
    if isinstance(step, Sliding):
        return start - lo * step.stride
    if isinstance(step, Transposed):
        return start * step.stride - lo
    if isinstance(step, Regrouped):
        return start * step.inner - lo * step.outer
    return start * step.power - lo if isinstance(step, Resize) else start - lo


def _borders(step: Map, lo: int, hi: int, length: int) -> tuple[int, int]:
    if isinstance(step, Everything):
        return 0, 0
    if isinstance(step, Sliding | Transposed):
        return max(0, -step.first(lo)), max(0, step.last(hi - 1) - length)
    outputs = step.length + step.before + step.after if isinstance(step, Bordered) else 0
    if isinstance(step, Bordered):
        return max(0, step.before - lo), max(0, hi - (outputs - step.after))
    return (1 if step.first(lo) == 0 else 0), (1 if step.last(hi - 1) >= length else 0)


@dataclass(frozen=True)
class SegmentRun:
    """One segment computing wanted rows within one step; `rows` are those of everything on the way."""

    part: Segment
    wanted: Rows
    rows: Rows


@dataclass(frozen=True)
class SegmentStep:
    """One strip: what arrives, which segments run, and from which row on each kept value is still needed."""

    feeds: tuple[tuple[int, int, int], ...]
    runs: tuple[SegmentRun, ...]
    gathers: tuple[tuple[int, int, int], ...]
    keep: Rows


class SegmentWalk:
    """As `Walk`, with segments in place of operators."""

    def __init__(self, program: Program, segments: list[Segment], strip: int):
        self.program, self.segments = program, segments
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
            wanted = self._wanted(part, share)
            if wanted:
                runs.append(SegmentRun(part, wanted, rows_for(part, self.program, wanted)))
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


def choose(program: Program, strip: int, itemsize: int) -> list[Segment]:
    """Cut a program into the segments that cost least in a steady step: work, repeated work, copies and calls."""
    ops = [op for op in program.order if op.index not in program.owned]
    meter = Meter(program, itemsize)
    longest = max((hi - lo for lo, hi in (program.rows(v) for v in program.sources)), default=1)
    best: list[tuple[float, int]] = [(0.0, 0)]
    for stop in range(1, len(ops) + 1):
        options = []
        for start in range(stop - 1, max(-1, stop - 1 - LONGEST), -1):
            stretch = tuple(ops[start:stop])
            if len(stretch) > 1 and not all(_movable(program, op) for op in stretch):
                break
            options.append((best[start][0] + _cost(program, stretch, strip / longest, meter), start))
        best.append(min(options))
    cuts = [len(ops)]
    while cuts[-1] > 0:
        cuts.append(best[cuts[-1]][1])
    return [segment(program, tuple(ops[a:b])) for a, b in pairwise(reversed(cuts))]


def _movable(program: Program, op: Op) -> bool:
    absolute = "unpool" in op.kind or op.kind.endswith("_indices")  # their indices are global
    for read in program.axis.along[op.index].reads:
        one_row = isinstance(read.map, Everything) and read.map.length == 1
        if not shiftable(read.map) or (read.input not in program.boxes and not one_row):
            return False
    return not absolute


def _cost(program: Program, ops: tuple[Op, ...], share: float, meter: Meter) -> float:
    part = segment(program, ops)
    wanted = {}
    for value in part.outputs:
        lo, hi = program.rows(value)
        count = max(1, round(share * (hi - lo)))
        middle = lo + round((hi - lo - count) * 0.5 / count) * count
        wanted[value] = (max(lo, middle), min(hi, max(lo, middle) + count))
    rows = rows_for(part, program, wanted)
    work = sum(meter.macs_per_row[op.index] * (rows[op.index][1] - rows[op.index][0]) for op in ops if op.index in rows)
    moved = sum(meter.row[v] * (rows[v][1] - rows[v][0]) for v in (*part.inputs, *part.outputs) if v in rows)
    return work / MACS + moved / BYTES + CALL
