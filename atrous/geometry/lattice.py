"""Windows of a segment: its operators as they stand, on rows that begin and end at multiples of a common unit.

Between two cuts nothing has to be sliced or padded by hand: an operator with its own padding, run on a window of whole
units, gives right rows wherever its taps lie inside the window or the padding is the true border's; the few rows at
the other ends of the window are wrong and are not used. A convolution that reads a kept value gets its rows from there
instead of padding (zeros beyond the true border), so that none of its rows is wrong.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from atrous.geometry.graph import Op
from atrous.geometry.maps import Map, Read, Regrouped, Resize, Sliding, Transposed
from atrous.geometry.program import Program
from atrous.geometry.rules.rearrange import PADS, pad_pairs
from atrous.geometry.rules.sliding import each
from atrous.geometry.strides import step_of

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}

Rows = dict[int, tuple[int, int]]
"""Rows `[lo, hi)` of the streamed axis, per value."""


@dataclass(frozen=True)
class Port:
    """Rows of a kept value that go into a window: `before` and `after` more than those of its units."""

    value: int
    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class Lattice:
    """The rows of every value in a window of units `[a, b)`: from `a * rows` on, `(b - a) * rows + extra` of them.

    `units` is how many the whole extent holds; `flush` says that there every value ends where it truly ends, so that
    the operators' own padding at the end of the last window is that of the true border. `ports` are the stretches of
    kept values that operators read, `port` which of them an operator reads, by `(operator, value)`.
    """

    rows: dict[int, int]
    extra: dict[int, int]
    units: int
    flush: bool
    ports: tuple[Port, ...]
    port: dict[tuple[int, int], Port]

    def span(self, value: int, window: tuple[int, int]) -> tuple[int, int]:
        """The rows of a value in a window of units."""
        a, b = window
        return a * self.rows[value], b * self.rows[value] + self.extra[value]

    def entering(self, port: Port, window: tuple[int, int]) -> tuple[int, int]:
        """The rows of a kept value that go into a window; some may lie beyond its ends."""
        lo, hi = self.span(port.value, window)
        return lo - port.before, hi + port.after

    def padded(self, op: int) -> bool:
        """Whether the operator pads by itself; one that reads more rows than its units' has no need to."""
        return not any(port.before or port.after for (reader, _), port in self.port.items() if reader == op)

    def around(self, rows: Rows) -> tuple[int, int]:
        """The least window that holds these rows."""
        plain = {port.value for port in self.ports if not port.before and not port.after}
        kept = {port.value for port in self.ports}
        rows = {v: span for v, span in rows.items() if v in plain or v not in kept}
        a = min(lo // self.rows[v] for v, (lo, _) in rows.items())
        b = max(-((self.extra[v] - hi) // self.rows[v]) for v, (_, hi) in rows.items())
        return a, b


def lattice(ops: Iterable[Op], inputs: Iterable[int], program: Program, strides: dict[int, Fraction]) -> Lattice | None:
    """The lattice of a segment; None when its operators cannot run as they stand on windows of whole units."""
    ops, inputs = tuple(ops), tuple(inputs)
    axis = program.axis
    values = (*inputs, *(op.index for op in ops))
    if not inputs or any(v not in strides for v in values):
        return None
    unit = math.lcm(*(strides[v].numerator for v in values))
    rows = {v: int(unit / strides[v]) for v in values}
    extra, port = dict.fromkeys(inputs, 0), {}
    for op in ops:
        found: set[int | None] = set()
        for read in axis.along[op.index].reads:
            if read.input not in program.boxes:
                continue
            if read.input in inputs:
                port[op.index, read.input] = _port(op, read)
            if read.input in inputs and port[op.index, read.input] != Port(read.input):
                kept_in_step = rows[op.index] * step_of(read.map) == rows[read.input]
                found.add(0 if kept_in_step else None)
            else:
                found.add(_extra(op, read.map, read.dim, rows[read.input], extra[read.input], rows[op.index]))
        if len(found) != 1 or None in found:
            return None
        extra[op.index] = next(n for n in found if n is not None)
    crops = [op.index for op in ops if op.kind == "slice"]  # which end windows, too, at a row counted from the first
    units = min((axis.length(v) - extra[v]) // rows[v] for v in (*inputs, *crops))
    flush = all(axis.length(v) == units * rows[v] + extra[v] for v in values)
    return Lattice(rows, extra, units, flush, tuple(dict.fromkeys(port.values())), port) if units else None


def _port(op: Op, read: Read) -> Port:
    step = read.map
    if op.kind in CONVOLUTIONS and isinstance(step, Sliding):
        return Port(read.input, step.padding, step.reach + 1 - step.stride - step.padding)
    return Port(read.input)


def _extra(op: Op, step: Map, dim: int, rows: int, extra: int, out: int) -> int | None:
    """Rows that the output has beyond whole units; None when its rows do not keep in step with the input's."""
    counts = [outputs(op, step, dim, n * rows + extra) for n in (512, 513)]
    if counts[0] is None or counts[1] is None or counts[1] - counts[0] != out:
        return None
    return counts[0] - 512 * out


def outputs(op: Op, step: Map, dim: int, n: int) -> int | None:
    """How many rows the operator as it stands gives for `n` input rows; None when that is not known.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> conv = export_graph(nn.Conv1d(1, 1, 3, stride=2, padding=1), (1, 64)).ops[-1]
    >>> outputs(conv, Sliding(3, 2, 1, 1), 2, 10)
    5
    """
    if op.kind in PADS:
        return n + sum(pad_pairs(op).get(dim, (0, 0)))
    if isinstance(step, Sliding):
        return _sliding(op, step, dim, n)
    if isinstance(step, Transposed) and op.kind.startswith("conv_transpose"):
        weights = int(op.kind[-2])
        added = each(op.arguments["output_padding"], weights)[dim - 2] if "output_padding" in op.arguments else 0
        return (n - 1) * step.stride - 2 * step.padding + step.reach + added + 1
    if isinstance(step, Regrouped):
        return n * step.inner // step.outer if n * step.inner % step.outer == 0 else None
    return n * step.power if isinstance(step, Resize) and step.power else None


def _cropped(op: Op, n: int) -> int | None:
    """How many rows a slice leaves of `n`, where its end is beyond them or counted from theirs."""
    if op.kind != "slice" or op.arguments["start"] not in (None, 0):
        return None
    return n + min(op.arguments["end"] or 0, 0)


def _sliding(op: Op, step: Sliding, dim: int, n: int) -> int | None:
    slides = op.kind.startswith("conv") or "pool" in op.kind
    if not slides:
        cut = op.kind in ("slice", "split", "split_with_sizes", "unbind") and op.arguments["dim"] % len(op.shape) == dim
        plain = step.kernel == step.stride == 1 and step.padding == 0
        return (_cropped(op, n) if cut else n) if plain else None
    if "unpool" in op.kind or "adaptive" in op.kind:
        return None
    if op.arguments["padding"] == "same":
        return n
    room = n + 2 * step.padding - step.reach - 1
    if not op.arguments.get("ceil_mode"):
        return room // step.stride + 1
    count = -(-room // step.stride) + 1
    return count - 1 if (count - 1) * step.stride >= n + step.padding else count
