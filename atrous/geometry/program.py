"""When every operator computes which rows, if the input arrives strip by strip along one axis.

1. `build` walks backwards from the rows that are wanted (`targets`) and finds the rows of every value that they need.
   The result is a `Program`.
2. `ProgramWalk` walks forwards. It knows how far every value has come. In each step some more rows of the input
   arrive; then every operator, in the order of the graph, computes all rows that have become possible (`Map.ready`).
3. After each operator, rows that no later operator reads are dropped (`Map.first`).

This is arithmetic on intervals only. The memory plan and the run use the same steps.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, Op
from atrous.geometry.rules import GENERATORS

ROUNDING = 1e-9
"""Taken off before a share of rows is rounded up, so that an error of floating point adds no row."""

Box = dict[int, tuple[int, int]]
"""Rows `[lo, hi)` per spatial axis; an axis that is not named is taken whole."""


@dataclass(frozen=True)
class OpRun:
    """One operator (by index) computes its output rows `[lo, hi)` of the streamed axis, within one step."""

    op: int
    lo: int
    hi: int


@dataclass(frozen=True)
class StripStep:
    """What happens when one strip arrives.

    `feeds` are the new rows of each source, as `(value, lo, hi)`. `runs` are the operators that compute then, in order.
    After run `i`, `keep[i]` names values that may be cut now, each with the first of its rows that is still needed.
    """

    feeds: tuple[tuple[int, int, int], ...]
    runs: tuple[OpRun, ...]
    keep: tuple[dict[int, int], ...]


@dataclass(frozen=True)
class Program:
    """What must be computed to get `targets` from `sources`, going along axis `stream`.

    `axes` are the axes that may be cut: the streamed one and those along which the work is cut into blocks. `boxes`
    holds for every computed value and every source the rows that are needed in all. `order` lists the operators that
    run, barriers included. `owned` holds for every barrier that is a target the box of its input that it gathers.
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
        """Return the rows `[lo, hi)` of a value along the streamed axis that are needed in all."""
        return self.boxes[value][self.stream]

    @property
    def longest_source(self) -> int:
        """Rows of the longest source, at least 1: the strips divide these."""
        return max([1, *(hi - lo for lo, hi in map(self.rows, self.sources))])


def full_box(axes: dict[int, Axis], value: int) -> Box:
    """Return all rows of a value along every axis that it has."""
    return {g: (0, axis.length(value)) for g, axis in axes.items() if axis.streamed(value)}


def build(axes: dict[int, Axis], stream: int, targets: dict[int, Box], sources: Iterable[int]) -> Program:
    """Find what must be computed to get `targets` from `sources`, going along axis `stream`.

    `targets` maps a value to the box of it that is wanted, or a barrier to the box of its input that it gathers.
    `sources` are values whose rows come from outside: the input, or values that an earlier pass stored.

    Operators are visited from the last to the first. Each has by then the box that its readers need, and adds what it
    reads itself to the boxes of its inputs.
    """
    axis = axes[stream]
    graph, outside = axis.graph, set(sources)
    owned = {i: box for i, box in targets.items() if axis.along[i].barrier}
    boxes: dict[int, Box] = {value: dict(box) for value, box in targets.items() if value not in owned}
    order: list[Op] = []
    for op in reversed(graph.ops):
        if op.index in owned:
            order.append(op)
            for read in axis.along[op.index].reads:
                _widen(boxes, read.input, owned[op.index])
        elif op.index in boxes and op.index not in outside:
            order.append(op)
            for value, box in needs(op, axes, boxes[op.index]).items():
                if axis.streamed(value):
                    _widen(boxes, value, box)
    used = tuple(value for value in boxes if value in outside)
    return Program(graph, axes, stream, used, tuple(targets), boxes, tuple(reversed(order)), owned)


def needs(op: Op, axes: dict[int, Axis], box: Box) -> dict[int, Box]:
    """Return the box of each input that a box of the output reads."""
    boxes: dict[int, Box] = {}
    for g, axis in axes.items():
        along = axis.along[op.index]
        for read in along.reads:
            length = axis.graph.ops[read.input].shape[read.dim]
            whole = along.dim is None or g not in box
            boxes.setdefault(read.input, {})[g] = (0, length) if whole else read.map.need(*box[g], length)
    return boxes


def _widen(boxes: dict[int, Box], value: int, box: Box) -> None:
    """Make the box of a value the smallest that holds the old one and `box`."""
    old = boxes.setdefault(value, {})
    for g, (lo, hi) in box.items():
        if g not in old or old[g][0] >= old[g][1]:
            old[g] = (lo, hi)
        elif lo < hi:
            old[g] = (min(lo, old[g][0]), max(hi, old[g][1]))


def steps(program: Program, strip: int) -> Iterator[StripStep]:
    """Return the steps of a program that is fed `strip` rows at a time."""
    yield from ProgramWalk(program).finite(strip)


def share_of(share: float, rows: int) -> int:
    """Return this share of a number of rows, rounded up, at least 1.

    >>> share_of(0.25, 8), share_of(0.25, 9), share_of(0.25, 0)
    (2, 3, 1)
    """
    return max(1, math.ceil(share * rows - ROUNDING))


class ProgramWalk:
    """How far every value of a program has come.

    `advance` takes new rows of the sources and says what can be computed from them. `done` holds for every value the
    first row that is not computed yet, and for every barrier the first row of its input that is not gathered yet.
    `withheld` says for some operators how many of the outputs that are ready to hold back.
    """

    def __init__(self, program: Program, withheld: dict[int, int] | None = None):
        self.program, self.withheld = program, withheld or {}
        self.done = {value: program.rows(value)[0] for value in program.boxes}
        self.done.update({op.index: 0 for op in program.order if op.index in program.owned})
        self.most: dict[int, int] = {}
        self.step = 0
        self.reads = {
            op.index: [read for read in program.axis.along[op.index].reads if read.input in program.boxes]
            for op in program.order
        }
        self.readers: dict[int, list[Op]] = {}
        for op in program.order:
            for read in self.reads[op.index]:
                self.readers.setdefault(read.input, []).append(op)
        self.maps = {(index, read.input): read.map for index, reads in self.reads.items() for read in reads}

    def finite(self, strip: int) -> Iterator[StripStep]:
        """Return the steps until every target is finished.

        The longest source arrives `strip` rows a step, the others in the same share of their rows. When all have
        arrived, more steps follow until the operators have computed what is left.
        """
        sources = {value: self.program.rows(value) for value in self.program.sources}
        longest = self.program.longest_source
        self.limit_to(strip / longest)
        count = -(-longest // strip)
        while self.step < count or not self.finished:
            self.step += 1
            fed = min(self.step * strip, longest)
            yield self.advance(
                {v: hi if self.step >= count else lo + (hi - lo) * fed // longest for v, (lo, hi) in sources.items()},
                fed / longest,
            )

    def jump(self, count: int, moved: dict[int, int]) -> None:
        """Skip `count` steps in each of which every value moves on by `moved` rows."""
        self.step += count
        for value, rows in moved.items():
            self.done[value] += count * rows

    def limit_to(self, share: float) -> None:
        """Let no operator compute more than this share of its rows in one step.

        Without the limit, the last step would compute all that padding at the end makes possible at once, and so need
        more memory than the others.
        """
        for op in self.program.order:
            if op.index not in self.program.owned:
                lo, hi = self.program.rows(op.index)
                self.most[op.index] = share_of(share, hi - lo)

    def _stop(self, op: Op) -> int:
        """Return the end of the rows that an operator computes, or that a barrier gathers."""
        owned = self.program.owned.get(op.index)
        return self.program.rows(op.index)[1] if owned is None else owned[self.program.stream][1]

    @property
    def finished(self) -> bool:
        """Whether every operator has computed all its rows."""
        return all(self.done[op.index] >= self._stop(op) for op in self.program.order)

    def advance(self, arrived: dict[int, int], share: float) -> StripStep:
        """Take the rows of each source before `arrived`, which are this `share` of the whole, and compute."""
        feeds = tuple((value, self.done[value], hi) for value, hi in arrived.items() if hi > self.done[value])
        self.done.update(arrived)
        runs = []
        for op in self.program.order:
            lo, hi = self._possible(op, share)
            if hi > lo:
                self.done[op.index] = hi
                runs.append(OpRun(op.index, lo, hi))
        # a value may be cut after the last run of this step that reads it
        keep: list[dict[int, int]] = []
        seen: set[int] = set()
        for run in reversed(runs):
            values = [read.input for read in self.reads[run.op] if read.input not in seen]
            seen.update(values)
            keep.append({value: self.first_needed(value) for value in values})
        return StripStep(feeds, tuple(runs), tuple(reversed(keep)))

    def _possible(self, op: Op, share: float) -> tuple[int, int]:
        """Return the rows `[lo, hi)` that an operator can compute now, none when `lo == hi`."""
        program, lo, reads = self.program, self.done[op.index], self.reads[op.index]
        stop = self._stop(op)
        if op.index in program.owned:  # a barrier gathers all rows that its input has
            return max(lo, program.owned[op.index][program.stream][0]), min(stop, self.done[reads[0].input])
        start, _ = program.rows(op.index)
        if not reads and op.kind in GENERATORS:  # rows of a whole value keep pace with the input
            return lo, min(stop, start + math.ceil(share * (stop - start) - ROUNDING))
        hi = min(stop, lo + self.most.get(op.index, stop))
        for read in reads:
            length = program.graph.ops[read.input].shape[read.dim]
            arrived = self.done[read.input]
            if arrived < length:  # else the input has ended, and what is missing is padding
                hi = min(hi, read.map.ready(arrived, length + stop) - self.withheld.get(op.index, 0))
        return lo, max(lo, hi)

    def first_needed(self, value: int) -> int:
        """Return the first row of a value that some operator still has to read, or its end when there is none."""
        first = self.done[value]
        for op in self.readers.get(value, ()):
            done, owned = self.done[op.index], self.program.owned.get(op.index)
            if owned is not None:
                first = min(first, max(done, owned[self.program.stream][0]))
            elif done < self._stop(op):
                first = min(first, max(0, self.maps[op.index, value].first(done)))
        return first
