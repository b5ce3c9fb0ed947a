"""How often the input is gone through: each pass gathers the statistics of some barriers, the last makes the output.

A value of level `k` has `k` barriers on the way to it. Pass 0 computes values of level 0 and gathers the barriers that
read them, which are of level 1. Pass 1 computes from the input again, with those statistics known, and gathers the
barriers of level 2; and so on. With `spool`, values of level `k` that later passes read are stored in pass `k`, so that
later passes begin there and not at the input.
"""

from dataclasses import dataclass

from atrous.geometry.axis import Axis
from atrous.geometry.program import Box, Program, build, full_box


@dataclass(frozen=True)
class Pass:
    """One walk over the input.

    It gathers `barriers`, stores the values `spooled`, and makes the output if it is `final`. Besides the input it may
    read `sources`: the values that earlier passes stored.
    """

    level: int
    barriers: tuple[int, ...]
    spooled: tuple[int, ...]
    final: bool
    sources: tuple[int, ...]


def passes_of(axis: Axis, *, spool: bool = False) -> list[Pass]:
    """Return the passes that the barriers along this axis ask for.

    With `spool`, values that later passes read again are stored and not computed again.
    """
    graph, passes, stored = axis.graph, [], []
    readers = graph.readers()
    for level in range(axis.passes):
        barriers = tuple(op.index for op in axis.barriers if axis.levels[op.index] == level + 1)
        read_later = tuple(
            value
            for value in range(1, len(graph.ops))
            if axis.streamed(value)
            and axis.levels[value] == level
            and any(axis.levels[r] > level and axis.streamed(r) for r in readers[value])
        )
        is_last = level == axis.passes - 1
        spooled = read_later if spool and not is_last else ()
        passes.append(Pass(level, barriers, spooled, is_last and axis.streamed(graph.output), tuple(stored)))
        stored.extend(spooled)
    return passes


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
    """Return the program of block `b` of a pass, going along axis `stream`.

    `region` is the box of the output that is wanted, cut into `blocks` along `block_axis`. With `start`, rows of the
    output before `start` along the streamed axis are left out: an interrupted run resumes there.
    """
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
    """Return block `b` of a box that is cut into `blocks` pieces of nearly equal size along one axis.

    >>> part({0: (0, 10), 1: (0, 10)}, 1, 2, 3)
    {0: (0, 10), 1: (6, 10)}
    """
    if block_axis is None or block_axis not in box:
        return dict(box)
    lo, hi = box[block_axis]
    return {**box, block_axis: (lo + (hi - lo) * b // blocks, lo + (hi - lo) * (b + 1) // blocks)}
