"""Choose the axis to stream, the strip and the blocks before the run, and predict the memory and work that they take.

`make_plan` tries ways to cut the work, from one block on and from the widest useful strip down, and takes the first
that stays within the memory. What each way takes is measured by walking through its program without data
(`memory.measure`).
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from atrous.errors import MemoryLimitError, UserError
from atrous.geometry.axis import Axis, Refused, period
from atrous.geometry.graph import Graph
from atrous.geometry.memory import macs, measure, number_bytes
from atrous.geometry.passes import Pass, passes_of, program
from atrous.geometry.program import Box, full_box
from atrous.geometry.rules import follow
from atrous.geometry.segments import INSIDE

COMFORT = 3 * 2**28  # bytes of rows that a plan aims at when no memory limit is given: 768 MiB,
WORTH = 2.0  # unless that takes so many times the work of the cut with the least work
POSITIONS = 2**18  # input positions of one strip, beyond which larger strips gain nothing
COMPILED = 3 * 2**19  # bytes of one channel of a strip for compiled segments, which compute a few rows twice in each,
STEPS = 8  # unless that leaves fewer steps than this
BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # numbers of blocks that are tried

# Memory that a process takes over the bytes of its rows, because an allocator leaves holes. The factors were measured.
HOLES = 1.7
KEPT, WITHIN = 1.7, 0.85  # of what compiled segments keep between steps, and of what they hold within one


@dataclass(frozen=True)
class StreamPlan:
    """How a run goes, and what it will take.

    `strategy` is "strips" or "windows". For strips, `axis` is the streamed spatial axis, fed `strip` rows a step, and
    `blocks` is how many pieces `block_axis` is cut into; `spool` says that values are stored between passes. For
    windows, `window` is their size along each axis and `blocks` their number; so also for "units", which the workers of
    a cluster stream. `passes` are the walks over the input.

    `macs` are the multiply-adds of the run, `macs_whole` those of one forward pass on the whole input. `peak_bytes` is
    the most that rows and weights hold at once, `whole_bytes` the same for that forward pass. `reason` says in words
    why this plan was chosen.
    """

    network: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    strategy: str
    axis: int
    strip: int
    block_axis: int | None
    blocks: int
    passes: tuple[Pass, ...]
    macs: float
    macs_whole: float
    peak_bytes: int
    whole_bytes: int
    reason: str
    spool: bool = False
    window: tuple[int, ...] | None = None

    def text(self) -> str:
        """Return the plan in a few lines."""
        if self.window is not None:
            how = f"{self.strategy} of {' x '.join(map(str, self.window))}, {self.blocks} of them"
        else:
            cut = "" if self.blocks == 1 else f", axis {self.block_axis} in {self.blocks} blocks"
            rows = "row" if self.strip == 1 else "rows"
            how = f"streams axis {self.axis} in strips of {self.strip} {rows}{cut}"
        lines = [
            f"{self.network}: {' x '.join(map(str, self.shape))} -> {' x '.join(map(str, self.output_shape))}",
            f"  {how} ({self.reason})",
            f"  passes {len(self.passes)}, multiply-adds {self.macs / 1e9:.4g} G "
            f"({self.macs / max(self.macs_whole, 1):.3f} of the whole image's)",
            f"  peak memory {self.peak_bytes / 2**20:.0f} MiB (whole image {self.whole_bytes / 2**20:.0f} MiB)",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Limits:
    """What a plan must keep to; None leaves the choice to the plan.

    `memory` is the most bytes that rows and weights may hold at once, `strip` the rows fed in one step, and `blocks`
    the number of pieces that a second axis is cut into.
    """

    memory: float | None = None
    strip: int | None = None
    blocks: int | None = None


def follow_axes(graph: Graph) -> tuple[dict[int, Axis], dict[int, Refused]]:
    """Return the spatial axes that can be cut, and for each of the others why it cannot."""
    axes, refused = {}, {}
    for index in range(graph.ndim):
        try:
            axes[index] = follow(graph, index)
        except Refused as reason:
            refused[index] = reason
    return axes, refused


def choose_axis(graph: Graph, axes: dict[int, Axis], refused: dict[int, Refused], wanted: int | None) -> int:
    """Return the axis to stream: the `wanted` one, else the best.

    The best axis has the fewest values that are held whole, then the fewest passes, then the greatest length; the first
    axis counts 1.5 times as long, because its rows lie together in memory.
    """
    if wanted is not None:
        if wanted not in range(-graph.ndim, graph.ndim):
            raise UserError(f"axis={wanted}: the input has {graph.ndim} spatial axes, 0 to {graph.ndim - 1}")
        wanted %= graph.ndim
        if wanted in refused:
            raise refused[wanted]
        return wanted
    if not axes:
        raise refused[min(refused)]
    return max(axes, key=lambda g: (-len(axes[g].waits), -axes[g].passes, graph.shape[1 + g] / (1.5 if g else 1.0), -g))


@dataclass(frozen=True)
class Cost:
    """What one way to cut the work takes.

    `peak` is the most bytes of rows at once, `macs` the multiply-adds, and `strip` the bytes of one strip of every
    value together.
    """

    peak: float
    macs: float
    strip: float

    def held(self, compiled: bool) -> float:
        """Return the bytes that the process takes for rows, `compiled` or operator by operator."""
        return KEPT * self.peak + WITHIN * self.strip if compiled else HOLES * self.peak


def cost(
    axes: dict[int, Axis],
    stream: int,
    passes: list[Pass],
    region: Box,
    block_axis: int | None,
    blocks: int,
    strip: int,
    itemsize: int,
) -> Cost:
    """Predict what it takes to compute `region` of the output in `blocks` along `block_axis`, `strip` rows a step.

    Every pass is walked through, but only for its first, its middle and its last block. The other blocks are taken to
    do the work of the middle one.
    """
    whole = region == full_box(axes, axes[stream].graph.output)
    cut_axes = {stream: axes[stream]} if block_axis is None and whole else axes
    measured = sorted({0, blocks // 2, blocks - 1})
    peak = work = widest = 0.0
    for each in passes:
        programs = [program(cut_axes, stream, each, region, block_axis, b, blocks) for b in measured]
        meters = [measure(part, strip, itemsize) for part in programs]
        peak = max(peak, *(meter.peak for meter in meters))
        work += sum(meter.macs for meter in meters) + (blocks - len(measured)) * meters[len(measured) // 2].macs
        widest = max(widest, *(meter.strip_bytes(strip, INSIDE) for meter in meters))
    return Cost(peak, work, widest)


def whole_peak(graph: Graph, itemsize: int) -> float:
    """Return the most bytes of values at once in one forward pass on the whole input, weights left out.

    A value lives from the operator that makes it to the last that reads it.
    """
    last_reader = {i: op.index for op in graph.ops for i in op.inputs}
    alive = peak = 0.0
    for op in graph.ops:
        alive += _value_bytes(graph, op.index, itemsize)
        peak = max(peak, alive)
        alive -= sum(_value_bytes(graph, i, itemsize) for i in op.inputs if last_reader[i] == op.index)
    return peak


def _value_bytes(graph: Graph, value: int, itemsize: int) -> int:
    op = graph.ops[value]
    return 0 if op.kind == "constant" else op.numel * number_bytes(op, itemsize)


@dataclass(frozen=True)
class _Work:
    """The work that a plan cuts: `region` of the output of `axes`, with rows of `itemsize` bytes per number."""

    axes: dict[int, Axis]
    stream: int
    passes: list[Pass]
    region: Box
    block_axis: int | None
    itemsize: int
    compiled: bool

    @property
    def graph(self) -> Graph:
        return self.axes[self.stream].graph

    @property
    def length(self) -> int:
        """Input rows of the streamed axis."""
        return self.axes[self.stream].length(0)

    @property
    def most_blocks(self) -> int:
        """Rows that are wanted along the axis that can be cut into blocks."""
        if self.block_axis is None:
            return 1
        lo, hi = self.region[self.block_axis]
        return hi - lo


@dataclass(frozen=True)
class _Cut:
    """One way to cut the work, what it takes, and the bytes `held` in all, without weights."""

    blocks: int
    strip: int
    cost: Cost
    held: float


def make_plan(
    graph: Graph,
    axes: dict[int, Axis],
    stream: int,
    region: Box,
    *,
    limits: Limits | None = None,
    dtype: torch.dtype | None = None,
    spool: bool = False,
    compiled: bool = False,
    given: Collection[int] = (),
) -> StreamPlan:
    """Choose the fewest blocks and the widest strips that stay within the memory (without a limit, about 768 MiB).

    `axes` are those that can be cut, `stream` is the one to stream, and `region` the box of the output that is wanted.
    `dtype` is the type to compute with (by default the network's), `spool` says that values are stored between passes,
    and `compiled` that the run uses compiled segments. `given` are barriers whose results are known: passes that gather
    no others are left out. Raises `UserError` when the limits cannot be kept to.
    """
    limits = limits or Limits()
    others = [g for g in axes if g != stream and axes[g].streamed(graph.output)]
    block_axis = max(others, key=lambda g: graph.shape[1 + g], default=None)
    own = next((op.dtype for op in graph.ops if op.kind == "constant" and op.dtype.is_floating_point), None)
    own = own or graph.ops[0].dtype
    itemsize = (dtype or own).itemsize
    passes = [p for p in passes_of(axes[stream], spool=spool) if p.final or not p.barriers or {*p.barriers} - {*given}]
    work = _Work(axes, stream, passes, region, block_axis, itemsize, compiled)
    if limits.blocks and limits.blocks > work.most_blocks:
        raise UserError(
            f"blocks={limits.blocks}: {graph.network} at {graph.shape} has no second axis to cut into so many blocks"
        )
    # the network's own weights, a copy in the type of the run, and one in the order in which kernels read them
    weights = graph.parameters * (own.itemsize + 2 * itemsize)
    best, fits = _search(work, limits, COMFORT if limits.memory is None else limits.memory - weights)
    if not fits and limits.memory is not None and not limits.strip and best.held + weights > limits.memory:
        raise MemoryLimitError(
            f"{graph.network} at {graph.shape} needs {(best.held + weights) / 2**20:.0f} MiB at least, "
            f"more than memory={limits.memory / 2**20:.0f} MiB: allow more memory, or give a smaller input"
        )
    return StreamPlan(
        network=graph.network,
        shape=graph.shape,
        output_shape=graph.ops[graph.output].shape[1:],
        strategy="strips",
        axis=stream,
        strip=best.strip,
        block_axis=block_axis if best.blocks > 1 else None,
        blocks=best.blocks,
        passes=tuple(work.passes),
        macs=best.cost.macs,
        macs_whole=float(sum(macs(op, graph.ops) for op in graph.ops)),
        peak_bytes=int(best.held + weights),
        whole_bytes=int(whole_peak(graph, itemsize) + graph.parameters * (own.itemsize + itemsize)),
        reason=_reason(limits, fits),
        spool=spool,
    )


def _reason(limits: Limits, fits: bool) -> str:
    if fits:
        return "within the memory limit" if limits.memory is not None else "about 768 MiB of rows at most"
    return "strip and blocks as asked" if limits.strip or limits.blocks else "the least memory that cutting reaches"


def _search(work: _Work, limits: Limits, budget: float) -> tuple[_Cut, bool]:
    """Return the first cut that holds at most `budget` bytes, and True; if there is none, the smallest, and False.

    For each number of blocks, strips are tried from the widest down to one period of the network. Blocks compute their
    halos twice: unless memory is limited, cuts that do more than `WORTH` times the least work are left out.
    """
    unit = period(work.axes[work.stream])
    widest = _widest_strip(work, unit)
    most = math.inf if limits.memory is not None else WORTH
    tried: list[_Cut] = []
    for blocks in [limits.blocks] if limits.blocks else BLOCKS:
        if blocks > work.most_blocks:
            break
        strip = limits.strip or min(widest * blocks, work.length)
        while True:
            cut = _cut(work, blocks, strip)
            least = min(each.cost.macs for each in [cut, *tried])
            if cut.cost.macs <= most * least:
                tried.append(cut)
                if cut.held <= budget:
                    return cut, True
            if limits.strip or strip <= unit:
                break
            strip = max(unit, (strip * 7 // 8 if work.compiled else strip // 2) // unit * unit)
    return min(tried, key=lambda cut: cut.held), False


def row_positions(axes: dict[int, Axis], stream: int, box: Box) -> int:
    """Return the positions of one row of the input along the streamed axis, within the rows `box` that are read."""
    lengths = {g: box[g][1] - box[g][0] if g in box else n for g, n in enumerate(axes[stream].graph.shape[1:])}
    return max(1, math.prod(n for g, n in lengths.items() if g != stream))


def _widest_strip(work: _Work, unit: int) -> int:
    """Return the rows of the widest strip that is of use, in whole periods of the network (`unit`)."""
    box: Box = {}
    if all(p.final for p in work.passes) and work.region != full_box(work.axes, work.graph.output):
        box = program(work.axes, work.stream, work.passes[-1], work.region).boxes.get(0, {})
    row = row_positions(work.axes, work.stream, box)
    most = COMPILED // work.itemsize if work.compiled else POSITIONS
    strip = min(work.length, max(unit, most // row // unit * unit))
    return max(unit, min(strip, work.length // STEPS // unit * unit)) if work.compiled else strip


def _cut(work: _Work, blocks: int, strip: int) -> _Cut:
    """Return what it takes to cut the work so.

    Beside what the program holds, one strip is read ahead and one is written behind, each as large as it is stored.
    """
    block_axis = work.block_axis if blocks > 1 else None
    cut_cost = cost(work.axes, work.stream, work.passes, work.region, block_axis, blocks, strip, work.itemsize)
    share = min(strip / work.length, 1.0) / blocks
    numbers = work.graph.ops[0].numel + work.graph.ops[work.graph.output].numel
    return _Cut(blocks, strip, cut_cost, cut_cost.held(work.compiled) + 2 * share * work.itemsize * numbers)


def byte_count(memory: float | str | None) -> float | None:
    """Return the bytes that a number or a text such as "1GB" or "512 MiB" says, and None for None.

    >>> byte_count("1GB"), byte_count("1.5 MiB"), byte_count(None)
    (1000000000.0, 1572864.0, None)
    """
    if memory is None or isinstance(memory, int | float):
        return memory
    units = {
        "": 1,
        "b": 1,
        "kb": 1e3,
        "mb": 1e6,
        "gb": 1e9,
        "tb": 1e12,
        "kib": 2**10,
        "mib": 2**20,
        "gib": 2**30,
        "tib": 2**40,
    }
    text = memory.strip().lower()
    number = text.rstrip("kmgtib ")
    try:
        return float(number) * units[text[len(number) :].strip()]
    except (ValueError, KeyError):
        raise UserError(f"memory={memory!r} is not a size: write a number of bytes, or e.g. 1GB or 512MiB") from None
