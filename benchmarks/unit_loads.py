"""What every unit of a run computes, reads and writes: counted from the same intervals as the run itself.

The box of a value that a unit needs is the product of one interval per axis. So the programs of the intervals of each
axis alone give those of all units.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from atrous.geometry.memory import macs
from atrous.stream.prepare import Prepared
from atrous.stream.units import Units
from benchmarks.simulated import Load


@dataclass(frozen=True)
class Stored:
    """How an array lies in a store.

    Attributes:
        size: positions per spatial axis.
        sides: of a chunk or a shard, per spatial axis.
        bytes: of one position, all channels.
    """

    size: tuple[int, ...]
    sides: tuple[int, ...]
    bytes: float

    def touched(self, g: int, lo: int, hi: int) -> tuple[int, int]:
        """Return how many chunks along axis `g` the positions `[lo, hi)` touch, and how many positions these have.

        >>> Stored((1000,), (300,), 1).touched(0, 250, 950)
        (4, 1000)
        """
        first, last = lo // self.sides[g], -(-hi // self.sides[g])
        return last - first, min(last * self.sides[g], self.size[g]) - first * self.sides[g]


def loads(ready: Prepared, units: Units, source: Stored, sink: Stored) -> list[list[Load]]:
    """Return what every unit does in every phase; units without a part in a phase are left out of it."""
    return [_phase_loads(ready, units, phase, source, sink) for phase in range(len(units.passes))]


def _phase_loads(ready: Prepared, units: Units, phase: int, source: Stored, sink: Stored) -> list[Load]:
    graph, count, axes = ready.graph, len(ready.graph.ops), range(ready.graph.ndim)
    work = np.array([macs(op, graph.ops) for op in graph.ops], float)
    moved, requests = np.full(1, source.bytes), np.ones(1)
    for g in axes:
        shares, touched = np.ones((units.counts[g], count)), np.zeros((units.counts[g], 2))
        for i in range(units.counts[g]) if g in ready.axes else ():
            boxes = _intervals(ready, units, phase, g, i)
            shares[i] = [_share(ready, g, value, boxes) for value in range(count)]
            touched[i] = source.touched(g, *boxes[0]) if 0 in boxes else 0
        if g not in ready.axes:
            touched[:] = source.touched(g, 0, source.size[g])
        work = work[..., None, :] * shares
        requests, moved = requests[..., None] * touched[:, 0], moved[..., None] * touched[:, 1]
    final, found = units.passes[phase].final, []
    for number in range(len(units)):
        place = units.index(number)
        load = Load(float(work[place].sum()), phase, number, float(moved[0][place]), float(requests[0][place]))
        if final:
            spans = [sink.touched(g, part.start, part.stop) for g, part in enumerate(units.region(number))]
            load = replace(
                load,
                moved=load.moved + sink.bytes * math.prod(n for _, n in spans),
                requests=load.requests + math.prod(n for n, _ in spans),
            )
        if load.macs or load.moved:
            found.append(load)
    return found


def _intervals(ready: Prepared, units: Units, phase: int, g: int, i: int) -> dict[int, tuple[int, int]]:
    """Return the rows along axis `g` of each value that the units of the `i`-th interval of that axis need."""
    sides = tuple(side if axis == g else n for axis, (side, n) in enumerate(zip(units.sides, units.size, strict=True)))
    place = [i if axis == g else 0 for axis in range(len(sides))]
    built = replace(units, sides=sides).program(ready.axes, phase, place)
    return {} if built is None else {value: box.get(g, (0, 1)) for value, box in built.boxes.items()}


def _share(ready: Prepared, g: int, value: int, boxes: dict[int, tuple[int, int]]) -> float:
    lo, hi = boxes.get(value, (0, 0))
    return (hi - lo) / (ready.axes[g].length(value) or 1)
