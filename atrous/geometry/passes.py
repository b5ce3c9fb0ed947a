"""Go through the input as often as the barriers ask: gather their statistics, then go on with them."""

from dataclasses import dataclass

from atrous.geometry.axis import Axis
from atrous.geometry.program import Box, Program, build, full_box


@dataclass(frozen=True)
class Pass:
    """One walk over the input: the barriers to gather, the values to spool, and whether it makes the output.

    `sources` are the values spooled by earlier passes that it may read besides the input.
    """

    level: int
    barriers: tuple[int, ...]
    spooled: tuple[int, ...]
    final: bool
    sources: tuple[int, ...]


def passes_of(axis: Axis, *, spool: bool = False) -> list[Pass]:
    """The passes that the barriers along this axis ask for.

    With `spool`, values that later passes read again are stored instead of computed again.
    """
    graph, found, stored = axis.graph, [], []
    readers = graph.readers()
    last = axis.passes
    for level in range(last):
        barriers = tuple(b.index for b in axis.barriers if axis.levels[b.index] == level + 1)
        later = [
            v
            for v in range(1, len(graph.ops))
            if axis.streamed(v)
            and axis.levels[v] == level
            and any(axis.levels[r] > level and axis.streamed(r) for r in readers[v])
        ]
        spooled = tuple(later) if spool and level < last - 1 else ()
        final = level == last - 1 and axis.streamed(graph.output)
        found.append(Pass(level, barriers, spooled, final, tuple(stored)))
        stored.extend(spooled)
    return found


def program(
    axes: dict[int, Axis],
    stream: int,
    each: Pass,
    region: Box,
    block_axis: int | None = None,
    b: int = 0,
    blocks: int = 1,
    start: int | None = None,
) -> Program:
    """What block `b` of a pass computes; `start` leaves out output rows of the streamed axis before it."""
    axis = axes[stream]
    targets: dict[int, Box] = {}
    for value in (*each.barriers, *each.spooled):
        source = axis.along[value].reads[0].input if value in each.barriers else value
        targets[value] = part(full_box(axes, source), block_axis, b, blocks)
    if each.final:
        box = part(region, block_axis, b, blocks)
        targets[axis.graph.output] = box if start is None else {**box, stream: (start, box[stream][1])}
    return build(axes, stream, targets, (0, *each.sources))


def part(box: Box, block_axis: int | None, b: int, blocks: int) -> Box:
    """Block `b` of a box cut into `blocks` along one axis."""
    if block_axis is None or block_axis not in box:
        return dict(box)
    lo, hi = box[block_axis]
    return {**box, block_axis: (lo + (hi - lo) * b // blocks, lo + (hi - lo) * (b + 1) // blocks)}
