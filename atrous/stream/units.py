"""Cut the output of a network into units that are computed alone, and count what their halos cost.

A unit is a box of the output. It reads the box of the input that it depends on, which is larger by the halo, so that
neighboring units compute some values twice. How many follows from the boxes of all values that a unit needs: a value of
level v, with m_v multiply-adds in all and L_gv rows along axis g, costs in all units together

    m_v  prod_g ( sum_i b_giv / L_gv ),

where b_giv are the rows of it that the i-th interval of axis g needs. `cut_units` takes the smallest units whose sum
over v is at most a stated share above that of one piece. The sides of units are whole chunks of the sink, so that no
two units write into one chunk.

Networks with barriers run in phases. In each phase but the last, a unit gathers a part of the inputs of its barriers;
these inputs are cut into as many parts along each axis as the output.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from atrous.geometry.axis import Axis
from atrous.geometry.memory import macs
from atrous.geometry.passes import Pass, passes_of
from atrous.geometry.plan import choose_axis
from atrous.geometry.program import Box, Program, build, full_box
from atrous.stream.options import Region
from atrous.stream.prepare import Prepared

EXCESS = 0.25
"""The work on halos that units may add, as a share of the work in one piece."""
LEAST = {1: 1 << 20, 2: 1024, 3: 128}
"""The shortest side of a unit, by the number of axes, unless the input is shorter."""
STEP = 64
"""Sides are a multiple of this where the sink has no chunks."""
GROWTH = 1.25


@dataclass(frozen=True)
class Units:
    """How a run is cut.

    Attributes:
        size: of the output, per spatial axis.
        sides: output positions of a unit along each axis; the last unit of an axis may be shorter.
        passes: the phases, of which each goes through all units; all but the last gather barriers.
        along: the axis that each unit streams.
        work: multiply-adds of all units in all phases over those of the same phases in one piece.
        times: multiply-adds of all units in all phases over those of one forward pass on the whole input.
        macs: multiply-adds of all units in all phases.
        numbers: numbers of the input that all units read in all phases.
    """

    size: tuple[int, ...]
    sides: tuple[int, ...]
    passes: tuple[Pass, ...]
    along: int
    work: float = 1.0
    times: float = 1.0
    macs: float = 0.0
    numbers: float = 0.0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many units there are along each axis."""
        return tuple(-(-n // side) for n, side in zip(self.size, self.sides, strict=True))

    def __len__(self) -> int:
        """How many units there are."""
        return math.prod(self.counts)

    def index(self, number: int) -> tuple[int, ...]:
        """Return the place of a unit along each axis; units are numbered row by row.

        >>> Units((100, 50), (40, 25), (), 0).index(3)
        (1, 1)
        """
        place = []
        for count in reversed(self.counts):
            number, rest = divmod(number, count)
            place.append(rest)
        return tuple(reversed(place))

    def region(self, number: int) -> Region:
        """Return the part of the output that a unit computes.

        >>> Units((100, 50), (40, 25), (), 0).region(5)
        (slice(80, 100, None), slice(25, 50, None))
        """
        places = zip(self.index(number), self.sides, self.size, strict=True)
        return tuple(slice(i * side, min((i + 1) * side, n)) for i, side, n in places)

    @property
    def regions(self) -> list[Region]:
        """The parts of the output, row by row."""
        return [self.region(number) for number in range(len(self))]

    def text(self, itemsize: int) -> str:
        """Return the plan in two lines; a number of the source takes `itemsize` bytes."""
        phases = "" if len(self.passes) == 1 else f", {len(self.passes)} phases"
        return (
            f"{len(self)} units of {' x '.join(map(str, self.sides))}{phases}; halos add {100 * (self.work - 1):.1f} % "
            f"to the work\n  multiply-adds {self.macs / 1e9:.4g} G ({self.times:.3f} of the whole image's), "
            f"reads {self.numbers * itemsize / 1e9:.3g} GB"
        )

    def targets(self, axes: dict[int, Axis], each: Pass, index: Sequence[int]) -> dict[int, Box]:
        """Return what the unit at a place computes in a phase: a box of the output, or of the input of each barrier.

        A barrier whose input lacks an axis is gathered by the first units along that axis alone.
        """
        targets: dict[int, Box] = {}
        output = axes[self.along].graph.output
        if each.final:
            places = enumerate(zip(index, self.sides, self.size, strict=True))
            box = {g: (i * side, min((i + 1) * side, n)) for g, (i, side, n) in places}
            targets[output] = {g: box[g] for g in full_box(axes, output)}
        for barrier in each.barriers:
            whole = full_box(axes, axes[self.along].along[barrier].reads[0].input)
            cuts = {g: (index[g], self.counts[g]) for g in whole}
            box = {g: (n * cuts[g][0] // cuts[g][1], n * (cuts[g][0] + 1) // cuts[g][1]) for g, (_, n) in whole.items()}
            elsewhere = any(index[g] for g in range(len(index)) if g not in whole)
            if not elsewhere and all(lo < hi for lo, hi in box.values()):
                targets[barrier] = box
        return targets

    def program(self, axes: dict[int, Axis], phase: int, index: Sequence[int]) -> Program | None:
        """Return the program of a unit in a phase; None where the unit has nothing to do."""
        targets = self.targets(axes, self.passes[phase], index)
        return build(axes, self.along, targets, (0,)) if targets else None


def cut_units(
    ready: Prepared, *, chunks: Sequence[int] | None = None, side: int | None = None, excess: float = EXCESS
) -> Units:
    """Return the smallest units whose halos add at most the share `excess` to the work.

    Args:
        ready: the network for an input.
        chunks: of the sink along the spatial axes: sides are multiples of them. None for a sink without chunks.
        side: of the units, in output positions, instead of the smallest; rounded up to whole chunks.
        excess: the most work that halos may add, as a share of the work in one piece.

    Raises:
        Refused: the network cannot be cut along any axis; the message names the layer.

    >>> from torch import nn
    >>> from atrous.stream.prepare import prepare
    >>> units = cut_units(prepare(nn.Conv2d(3, 8, 9, padding=4), (3, 4096, 3000)), chunks=(512, 512))
    >>> len(units), units.sides, round(units.work, 3)
    (12, (1024, 1024), 1.0)
    """
    graph = ready.graph
    along = choose_axis(graph, ready.axes, ready.refused, None)
    size = tuple(graph.ops[graph.output].shape[-graph.ndim :])
    passes, steps = tuple(passes_of(ready.axes[along])), tuple(chunks or (STEP,) * graph.ndim)
    whole = _measured(ready, Units(size, size, passes, along), 0.0)
    target = float(side or LEAST[graph.ndim])
    while True:
        sides = [
            _side(n, target, step, balanced=side is None) if g in full_box(ready.axes, graph.output) else n
            for g, (n, step) in enumerate(zip(size, steps, strict=True))
        ]
        units = _measured(ready, Units(size, tuple(sides), passes, along), whole.macs)
        if side or units.work <= 1 + excess or len(units) == 1:
            return units
        target *= GROWTH


def _side(size: int, target: float, step: int, *, balanced: bool) -> int:
    """Return a side of about `target` in whole steps; `balanced` sides differ little along an axis of `size`."""
    side = math.ceil(min(target, size) / step) * step
    if balanced:
        side = math.ceil(size / math.ceil(size / side) / step) * step
    return min(side, size)


def _measured(ready: Prepared, units: Units, alone: float) -> Units:
    """Return the units with their work and what they read. `alone` is the work of the same phases in one piece.

    Along each axis the first, the middle and the last interval are measured; the others are taken to be like the middle
    one.
    """
    graph, done, numbers = ready.graph, 0.0, 0.0
    lengths = {g: axis.length for g, axis in ready.axes.items()}
    for phase in range(len(units.passes)):
        rows = {g: _rows(ready, units, phase, g) for g in ready.axes}
        for value in set().union(*rows.values()):
            op = graph.ops[value]
            parts = (rows[g].get(value, 0.0) / (lengths[g](value) or 1) for g in ready.axes)
            share = math.prod(parts)
            done += macs(op, graph.ops) * share if value else 0.0
            numbers += op.numel * share if not value else 0.0
    whole = sum(macs(op, graph.ops) for op in graph.ops)
    work, times = done / alone if alone and done else 1.0, done / whole if whole else 1.0
    return replace(units, work=work, times=times, macs=done, numbers=numbers)


def _rows(ready: Prepared, units: Units, phase: int, g: int) -> dict[int, float]:
    """Return for each value how many rows along axis `g` all intervals of that axis need together, in a phase."""
    sides = tuple(side if axis == g else n for axis, (side, n) in enumerate(zip(units.sides, units.size, strict=True)))
    cut = Units(units.size, sides, units.passes, units.along)
    count = cut.counts[g]
    rows: dict[int, float] = {}
    for i in sorted({0, count // 2, count - 1}):
        weight = count - 2 if 0 < i < count - 1 else 1
        built = cut.program(ready.axes, phase, [i if axis == g else 0 for axis in range(len(sides))])
        for value, box in ({} if built is None else built.boxes).items():
            lo, hi = box.get(g, (0, 1))
            rows[value] = rows.get(value, 0.0) + weight * (hi - lo)
    return rows
