"""Choose axis, strip and blocks before the run, and say what it will take."""

from dataclasses import dataclass

import torch

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused
from atrous.geometry.graph import Graph
from atrous.geometry.memory import macs, measure
from atrous.geometry.passes import Pass, passes_of, program
from atrous.geometry.program import Box, full_box
from atrous.geometry.rules import follow
from atrous.geometry.segments import INSIDE
from atrous.geometry.strides import period

COMFORT = 3 * 2**28  # bytes of rows that a plan aims at when no memory limit is given
POSITIONS = 2**18  # input positions of one strip, beyond which larger strips gain nothing
COMPILED = 3 * 2**19  # bytes of one channel of a strip for compiled segments, which compute a few rows twice in each,
STEPS = 8  # unless that leaves fewer steps than this
HOLES = 1.7  # bytes that rows take, over what they are: an allocator leaves holes
KEPT, WITHIN = 1.7, 0.85  # the same for what compiled segments keep between them and hold within them, each its own


@dataclass(frozen=True)
class Plan:
    """How a run will go.

    `axis` is the streamed spatial axis, fed `strip` rows a step; `blocks` is how many pieces `block_axis` is cut into.
    `passes` is how often the input is gone through. `macs` counts the multiply-adds of the run, `macs_whole` those of
    one forward pass on the whole input. `peak_bytes` is the most that rows and weights hold at once.
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
        """The plan in a few lines."""
        if self.window is not None:
            how = f"windows of {' x '.join(map(str, self.window))}, {self.blocks} of them"
            return "\n".join([self._head(), f"  {how} ({self.reason})", *self._foot()])
        cut = "" if self.blocks == 1 else f", axis {self.block_axis} in {self.blocks} blocks"
        rows = "row" if self.strip == 1 else "rows"
        how = f"  streams axis {self.axis} in strips of {self.strip} {rows}{cut} ({self.reason})"
        return "\n".join([self._head(), how, *self._foot()])

    def _head(self) -> str:
        return f"{self.network}: {' x '.join(map(str, self.shape))} -> {' x '.join(map(str, self.output_shape))}"

    def _foot(self) -> list[str]:
        return [
            f"  passes {len(self.passes)}, multiply-adds {self.macs / 1e9:.4g} G "
            f"({self.macs / max(self.macs_whole, 1):.3f} of the whole image's)",
            f"  peak memory {self.peak_bytes / 2**20:.0f} MiB (whole image {self.whole_bytes / 2**20:.0f} MiB)",
        ]


def follow_axes(graph: Graph) -> tuple[dict[int, Axis], dict[int, Refused]]:
    """The axes that can be cut, and why the others cannot."""
    axes, refused = {}, {}
    for index in range(graph.ndim):
        try:
            axes[index] = follow(graph, index)
        except Refused as reason:
            refused[index] = reason
    return axes, refused


def choose_axis(graph: Graph, axes: dict[int, Axis], refused: dict[int, Refused], wanted: int | None) -> int:
    """The axis to stream: the one asked for, else the first, unless another is clearly longer or needs fewer passes."""
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
    """What one way to cut the work takes; `strip` is the bytes of one strip of every value together."""

    peak: float
    macs: float
    strip: float

    def held(self, compiled: bool) -> float:
        """The bytes that rows take in a run."""
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
    """Predict one way: all passes, the first and a middle block of each."""
    peak = done = wide = 0.0
    used = (
        axes
        if block_axis is not None or region != full_box(axes, axes[stream].graph.output)
        else {stream: axes[stream]}
    )
    chosen = sorted({0, blocks // 2, blocks - 1})
    for each in passes:
        meters = [measure(program(used, stream, each, region, block_axis, b, blocks), strip, itemsize) for b in chosen]
        peak = max(peak, *(m.peak for m in meters))
        done += sum(m.macs for m in meters) + (blocks - len(chosen)) * meters[len(chosen) // 2].macs
        wide = max(wide, *(m.strip_bytes(strip, INSIDE) for m in meters))
    return Cost(peak, done, wide)


def whole_peak(graph: Graph, itemsize: int) -> float:
    """Bytes of values alive at once in one forward pass on the whole input."""
    last = {i: op.index for op in graph.ops for i in op.inputs}
    alive = peak = 0.0
    for op in graph.ops:
        size = (
            0 if op.kind == "constant" else op.numel * (itemsize if op.dtype.is_floating_point else op.dtype.itemsize)
        )
        alive += size
        peak = max(peak, alive)
        for i in op.inputs:
            other = graph.ops[i]
            if last[i] == op.index and other.kind != "constant":
                alive -= other.numel * (itemsize if other.dtype.is_floating_point else other.dtype.itemsize)
    return peak


def make_plan(
    graph: Graph,
    axes: dict[int, Axis],
    stream: int,
    region: Box,
    *,
    memory: float | None = None,
    strip: int | None = None,
    blocks: int | None = None,
    dtype: torch.dtype | None = None,
    spool: bool = False,
    compiled: bool = False,
) -> Plan:
    """The widest strips and fewest blocks that stay within `memory` bytes (by default about 768 MiB)."""
    axis, passes = axes[stream], passes_of(axes[stream], spool=spool)
    like = next(
        (op.dtype for op in graph.ops if op.kind == "constant" and op.dtype.is_floating_point), graph.ops[0].dtype
    )
    itemsize = (dtype or like).itemsize
    # the network's own, a copy as the run computes with it, and one that an engine makes
    weights = graph.parameters * (like.itemsize + (2 if compiled else 1) * itemsize)
    budget = COMFORT if memory is None else memory - weights
    others = [g for g in axes if g != stream and axes[g].streamed(graph.output)]
    block_axis = max(others, key=lambda g: graph.shape[1 + g], default=None)
    if blocks and blocks > 1 and (block_axis is None or blocks > axes[block_axis].length(graph.output)):
        raise UserError(
            f"blocks={blocks}: {graph.network} at {graph.shape} has no second axis to cut into so many blocks"
        )
    step = period(axis)
    row = max(1, graph.ops[0].numel // graph.shape[0] // axis.length(0))
    widest = min(axis.length(0), max(step, (COMPILED // itemsize if compiled else POSITIONS) // row // step * step))
    if compiled:
        widest = max(step, min(widest, axis.length(0) // STEPS // step * step))
    tried, best, reason = [], None, ""
    for count in [blocks] if blocks else [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]:
        if count > 1 and (block_axis is None or count > axes[block_axis].length(graph.output)):
            break
        rows = strip or min(widest * count, axis.length(0))
        while True:
            found = cost(axes, stream, passes, region, block_axis if count > 1 else None, count, rows, itemsize)
            held = found.held(compiled) + _ends(graph, axis, rows, count, itemsize)
            tried.append((held, count, rows, found))
            if held <= budget or strip or rows <= step:
                break
            rows = max(step, (rows * 7 // 8 if compiled else rows // 2) // step * step)
        if held <= budget:
            best, reason = (
                tried[-1],
                "within the memory limit" if memory is not None else "about 768 MiB of rows at most",
            )
            break
    if best is None:
        best = min(tried, key=lambda t: t[0])
        reason = "strip and blocks as asked" if strip or blocks else "the least memory that cutting reaches"
        if memory is not None and not strip and best[0] + weights > memory:
            raise UserError(
                f"{graph.network} at {graph.shape} needs {(best[0] + weights) / 2**20:.0f} MiB at least, "
                f"more than memory={memory / 2**20:.0f} MiB: allow more, or a smaller input"
            )
    peak, count, rows, found = best
    return Plan(
        graph.network,
        graph.shape,
        graph.ops[graph.output].shape[1:],
        "strips",
        stream,
        rows,
        block_axis if count > 1 else None,
        count,
        tuple(passes),
        found.macs,
        float(sum(macs(op, graph.ops) for op in graph.ops)),
        int(peak + weights),
        int(whole_peak(graph, itemsize) + weights),
        reason,
        spool,
    )


def _ends(graph: Graph, axis: Axis, strip: int, blocks: int, itemsize: int) -> float:
    """Bytes of a strip that is read ahead and of one that is written behind, each once as it is stored."""
    share = min(strip / axis.length(0), 1.0) / blocks
    return 2 * share * itemsize * (graph.ops[0].numel + graph.ops[graph.output].numel)


def byte_count(memory: float | str | None) -> float | None:
    """Bytes from a number or from text such as "1GB", "512 MiB".

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
