"""The streaming form of one network at one input shape: which rows every operator computes, and when."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, Op
from atrous.geometry.rules import GENERATORS

Box = dict[int, tuple[int, int]]
"""Rows `[lo, hi)` per spatial axis; an axis that is not named is taken whole."""


@dataclass(frozen=True)
class Run:
    """One operator computing output rows `[lo, hi)` of the streamed axis within one step."""

    op: int
    lo: int
    hi: int


@dataclass(frozen=True)
class Step:
    """One strip: what arrives from each source, which operators run, and from which row on each value is still needed.

    `keep[i]` holds, after run `i` of this step, the values that may be cut and the first row that they still need.
    """

    feeds: tuple[tuple[int, int, int], ...]
    runs: tuple[Run, ...]
    keep: tuple[dict[int, int], ...]


@dataclass(frozen=True)
class Program:
    """What to compute to get `targets` from `sources`, walking along axis `stream`.

    `axes` are the axes that may be cut (the streamed one and those with blocks); `boxes` says for every value that is
    computed, and every source, which rows are needed in all; `order` lists the operators that run, barriers included.
    Barriers gather their input within the box of `owned`.
    """

    graph: Graph
    axes: dict[int, Axis]
    stream: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    boxes: dict[int, Box]
    order: tuple[Op, ...]
    owned: dict[int, Box] = field(default_factory=dict)

    @property
    def axis(self) -> Axis:
        """The streamed axis."""
        return self.axes[self.stream]

    def rows(self, value: int) -> tuple[int, int]:
        """The rows of the streamed axis needed in all."""
        return self.boxes[value][self.stream]


def full_box(axes: dict[int, Axis], value: int) -> Box:
    """All rows of a value along every axis that it has."""
    return {g: (0, axis.length(value)) for g, axis in axes.items() if axis.streamed(value)}


def build(axes: dict[int, Axis], stream: int, targets: dict[int, Box], sources: Iterable[int]) -> Program:
    """Walk backwards from the targets to the sources.

    `targets` maps a value to its box, or a barrier to the box of its input that it is to gather. `sources` are values
    with rows that come from outside: the input, or values spooled by an earlier pass.
    """
    axis = axes[stream]
    graph, given = axis.graph, set(sources)
    boxes: dict[int, Box] = {}
    owned = {i: box for i, box in targets.items() if axis.along[i].barrier}
    order: list[Op] = []
    for value, box in targets.items():
        if value not in owned:
            boxes[value] = dict(box)
    for op in reversed(graph.ops):
        if op.index in owned:
            order.append(op)
            for read in axis.along[op.index].reads:
                _widen(boxes, read.input, owned[op.index])
        elif op.index in boxes and op.index not in given:
            order.append(op)
            for value, box in needs(op, axes, boxes[op.index]).items():
                if axis.streamed(value):
                    _widen(boxes, value, box)
    used = tuple(i for i in boxes if i in given)
    return Program(graph, axes, stream, used, tuple(targets), boxes, tuple(reversed(order)), owned)


def needs(op: Op, axes: dict[int, Axis], box: Box) -> dict[int, Box]:
    """The box of each input that a box of the output reads."""
    found: dict[int, Box] = {}
    for g, axis in axes.items():
        along = axis.along[op.index]
        for read in along.reads:
            length = axis.graph.ops[read.input].shape[read.dim]
            lo, hi = (0, length) if along.dim is None or g not in box else read.map.need(*box[g], length)
            found.setdefault(read.input, {})[g] = (lo, hi)
    return found


def _widen(boxes: dict[int, Box], value: int, box: Box) -> None:
    mine = boxes.setdefault(value, {})
    for g, (lo, hi) in box.items():
        if g not in mine or mine[g][0] >= mine[g][1]:
            mine[g] = (lo, hi)
        elif lo < hi:
            mine[g] = (min(lo, mine[g][0]), max(hi, mine[g][1]))


def steps(program: Program, strip: int) -> Iterator[Step]:
    """The steps of a program fed `strip` rows at a time: pure interval arithmetic, the same for planning and
    running."""
    yield from Walk(program).finite(strip)


class Walk:
    """How far every value has come: `advance` feeds rows and says what can be computed from them.

    `withheld` says for operators how many rows to hold back of those that what has arrived suffices for.
    """

    def __init__(self, program: Program, withheld: dict[int, int] | None = None):
        self.program, self.withheld = program, withheld or {}
        self.done = {value: program.rows(value)[0] for value in program.boxes}
        self.done.update({op.index: 0 for op in program.order if op.index in program.owned})
        self.most: dict[int, int] = {}
        self.step = 0
        self.readers: dict[int, list[Op]] = {}
        for op in program.order:
            for read in program.axis.along[op.index].reads:
                if read.input in program.boxes:
                    self.readers.setdefault(read.input, []).append(op)
        self.inputs = {
            op.index: [r.input for r in program.axis.along[op.index].reads if r.input in program.boxes]
            for op in program.order
        }
        self.maps = {
            (op.index, read.input): read.map for op in program.order for read in program.axis.along[op.index].reads
        }

    def finite(self, strip: int) -> Iterator[Step]:
        """Steps until every target is finished; the last ones only let run out what is still underway."""
        sources = {v: self.program.rows(v) for v in self.program.sources}
        longest = max((hi - lo for lo, hi in sources.values()), default=1)
        self.limit_to(strip / max(longest, 1))
        count = max(1, -(-longest // strip))
        while self.step < count or not self.finished:
            self.step += 1
            share = min(self.step * strip, longest)
            yield self.advance(
                {v: hi if self.step >= count else lo + (hi - lo) * share // longest for v, (lo, hi) in sources.items()},
                share / max(longest, 1),
            )

    def jump(self, count: int, moved: dict[int, int]) -> None:
        """Skip `count` steps in each of which every value moves on by `moved`."""
        self.step += count
        for value, rows in moved.items():
            self.done[value] += count * rows

    def limit_to(self, share: float) -> None:
        """Let no operator compute more than this share of its rows in one step, so that the end needs no more
        memory."""
        for op in self.program.order:
            if op.index not in self.program.owned:
                lo, hi = self.program.rows(op.index)
                self.most[op.index] = max(1, math.ceil(share * (hi - lo) - 1e-9))

    @property
    def finished(self) -> bool:
        """Whether every operator has computed all its rows."""
        return all(
            self.done[op.index] >= self.program.owned[op.index][self.program.stream][1]
            if op.index in self.program.owned
            else self.done[op.index] >= self.program.rows(op.index)[1]
            for op in self.program.order
        )

    def advance(self, arrived: dict[int, int], share: float) -> Step:
        """The step in which sources reach the rows `arrived`, `share` of the whole."""
        feeds = tuple((v, self.done[v], hi) for v, hi in arrived.items() if hi > self.done[v])
        self.done.update(arrived)
        runs = []
        for op in self.program.order:
            lo, hi = self._advance_op(op, share)
            if hi > lo:
                self.done[op.index] = hi
                runs.append(Run(op.index, lo, hi))
        keep: list[dict[int, int]] = []
        seen: set[int] = set()
        for run in reversed(runs):
            values = [v for v in self.inputs[run.op] if v not in seen]
            seen.update(values)
            keep.append({v: self.first_needed(v) for v in values})
        return Step(feeds, tuple(runs), tuple(reversed(keep)))

    def _advance_op(self, op: Op, share: float) -> tuple[int, int]:
        program, lo = self.program, self.done[op.index]
        reads = [r for r in program.axis.along[op.index].reads if r.input in program.boxes]
        if op.index in program.owned:
            start, stop = program.owned[op.index][program.stream]
            return max(lo, start), min(stop, self.done[reads[0].input])
        start, stop = program.rows(op.index)
        if not reads and op.kind in GENERATORS:
            return lo, min(stop, start + math.ceil(share * (stop - start) - 1e-9))
        hi = min(stop, lo + self.most.get(op.index, stop))
        for read in reads:
            length = program.graph.ops[read.input].shape[read.dim]
            arrived = self.done[read.input]
            ready = (
                stop if arrived >= length else read.map.ready(arrived, length + stop) - self.withheld.get(op.index, 0)
            )
            hi = min(hi, ready)
        return lo, max(lo, hi)

    def first_needed(self, value: int) -> int:
        """The first row of a value that some operator still has to read; its end when none has."""
        end = self.done[value]
        first = end
        for op in self.readers.get(value, ()):
            if op.index in self.program.owned:
                first = min(first, max(self.done[op.index], self.program.owned[op.index][self.program.stream][0]))
                continue
            at, stop = self.done[op.index], self.program.rows(op.index)[1]
            if at < stop:
                first = min(first, max(0, self.maps[op.index, value].first(at)))
        return min(first, end)
