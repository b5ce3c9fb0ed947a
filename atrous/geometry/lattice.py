"""Windows on which the operators of a segment run unchanged, with their own padding, and give the right rows.

A *segment* is an interval of operators between two cuts; only the values at the cuts are kept from strip to strip. A
compiled segment is one fixed function, so it must always get windows of one size, and its operators pad at both ends of
the window, true border or not. This file answers three questions about such windows.

1. *Where may a window begin and end?* Let `stride[v]` be the network input rows per row of value `v`. A *unit* is the
   least number `U` of network input rows for which `rows[v] = U / stride[v]` is an integer for every value of the
   segment. Windows are made of whole units: in the window of units `[a, b)` value `v` begins at its row `a * rows[v]`.
2. *How many rows has each value there?* An operator run alone on `n` rows gives `outputs(n)` rows by its own formula
   (kernel, stride, padding). For all windows to be alike, one unit more of the input must give `rows[v]` more outputs:
   `outputs(n * rows[input] + extra[input]) = n * rows[v] + extra[v]`. `extra` is what an operator adds at the end: -2
   for an unpadded convolution of three taps, 0 for a padded one.
3. *Which of them are right?* Those whose taps lie inside the window, and those at the true border, where the operator's
   own padding is the network's. The few rows at the other ends are wrong and are not used. `around` gives the window
   that holds all rows that are used or needed.

A convolution that reads a value at a cut is treated better: it gets the neighbouring rows of that value, which are at
hand, in place of padding (zeros beyond the true border). Then it must not pad itself, and none of its rows is wrong. A
`Port` says how many neighbouring rows.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from atrous.geometry.graph import Op
from atrous.geometry.lower import CONVOLUTIONS
from atrous.geometry.maps import Map, Read
from atrous.geometry.program import Program
from atrous.geometry.rules.rearrange import PADS, pad_pairs
from atrous.geometry.rules.sliding import dimensions, each

CUTS = ("slice", "split", "split_with_sizes", "unbind")
"""Operators that take a part of their input along dimension `dim`."""

PROBE = 512
"""Units in the window on which the rows of every operator are counted: enough for the largest kernel."""

Rows = dict[int, tuple[int, int]]
"""Rows `[lo, hi)` of the streamed axis, per value."""


@dataclass(frozen=True)
class Port:
    """The rows of a value at a cut that go into a window: those of its units, `before` more and `after` more."""

    value: int
    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class Lattice:
    """The rows of every value of a segment in a window of units `[a, b)`.

    Value `v` has the rows from `a * rows[v]` up to `b * rows[v] + extra[v]`. The whole extent holds `units` units.
    `flush` says that every value then ends where it truly ends, so that the operators' own padding at the end of the
    last window is that of the true border. `ports` are the row intervals of values at cuts that operators read, each
    once; `port` says which of them an operator reads, by `(operator, value)`.
    """

    rows: dict[int, int]
    extra: dict[int, int]
    units: int
    flush: bool
    ports: tuple[Port, ...]
    port: dict[tuple[int, int], Port]

    def span(self, value: int, window: tuple[int, int]) -> tuple[int, int]:
        """Return the rows `[lo, hi)` of a value in a window of units `[a, b)`."""
        a, b = window
        return a * self.rows[value], b * self.rows[value] + self.extra[value]

    def entering(self, port: Port, window: tuple[int, int]) -> tuple[int, int]:
        """Return the rows of a value at a cut that go into a window; some may lie beyond the ends of the value."""
        lo, hi = self.span(port.value, window)
        return lo - port.before, hi + port.after

    def padded(self, op: int) -> bool:
        """Return whether the operator pads by itself; it must not if its port gives it neighbouring rows."""
        return not any(port.before or port.after for (reader, _), port in self.port.items() if reader == op)

    def around(self, rows: Rows) -> tuple[int, int]:
        """Return the smallest window of units `[a, b)` that holds these rows.

        Value `v` asks for `a <= lo / rows[v]` and `b >= (hi - extra[v]) / rows[v]`, rounded outwards. A value at a cut
        that is only read with neighbouring rows asks for nothing: its port gives more than the window holds.
        """
        plain = {port.value for port in self.ports if not port.before and not port.after}
        at_cuts = {port.value for port in self.ports}
        held = {v: span for v, span in rows.items() if v in plain or v not in at_cuts}
        a = min(lo // self.rows[v] for v, (lo, _) in held.items())
        b = max(-((self.extra[v] - hi) // self.rows[v]) for v, (_, hi) in held.items())
        return a, b


def lattice(ops: Iterable[Op], inputs: Iterable[int], program: Program, strides: dict[int, Fraction]) -> Lattice | None:
    """Return the lattice of the segment with these operators and inputs (values at cuts), or None if it has none.

    It has none when some operator does not keep in step with whole units, as a resize by 1.3 or adaptive pooling, or
    when the inputs of one operator end at different places. `strides` are those of the streamed axis.
    """
    ops, inputs = tuple(ops), tuple(inputs)
    axis = program.axis
    values = (*inputs, *(op.index for op in ops))
    if not inputs or any(v not in strides for v in values):
        return None
    unit = math.lcm(*(strides[v].numerator for v in values))
    rows = {v: int(unit / strides[v]) for v in values}
    extra, ports = dict.fromkeys(inputs, 0), {}
    for op in ops:
        extras: set[int | None] = set()  # what each input makes of `extra`; all must agree
        for read in axis.along[op.index].reads:
            if read.input not in program.boxes:
                continue
            if read.input in inputs:
                ports[op.index, read.input] = _port(op, read)
            if read.input in inputs and ports[op.index, read.input] != Port(read.input):
                # neighbouring rows take the place of padding: whole units in, whole units out
                in_step = rows[op.index] * read.map.rows_per_output == rows[read.input]
                extras.add(0 if in_step else None)
            else:
                extras.add(_extra(op, read.map, read.dim, rows[read.input], extra[read.input], rows[op.index]))
        if len(extras) != 1 or None in extras:
            return None
        extra[op.index] = next(n for n in extras if n is not None)
    # a slice ends at a row counted from the first, so a window may not hold more units than such a value has
    slices = [op.index for op in ops if op.kind == "slice"]
    units = min((axis.length(v) - extra[v]) // rows[v] for v in (*inputs, *slices))
    flush = all(axis.length(v) == units * rows[v] + extra[v] for v in values)
    return Lattice(rows, extra, units, flush, tuple(dict.fromkeys(ports.values())), ports) if units else None


def _port(op: Op, read: Read) -> Port:
    """Return the rows of a value at a cut that an operator reads.

    Outputs `[0, n)` of a convolution with stride `s` read rows `first(0) ... last(n - 1) - 1`. Whole units are rows
    `[0, n*s)`, so it reads `-first(0)` rows more before and `last(n - 1) - n*s = last(0) - s` more after. Other
    operators read whole units.
    """
    if op.kind not in CONVOLUTIONS:
        return Port(read.input)
    return Port(read.input, -read.map.first(0), int(read.map.last(0) - read.map.rows_per_output))


def _extra(op: Op, step: Map, dim: int, rows: int, extra: int, out: int) -> int | None:
    """Return the rows that the output has beyond whole units, when an input unit has `rows` rows and an output unit
    `out`.

    None when one unit more of the input does not give just `out` outputs more.
    """
    count, next_count = (outputs(op, step, dim, n * rows + extra) for n in (PROBE, PROBE + 1))
    if count is None or next_count is None or next_count - count != out:
        return None
    return count - PROBE * out


def outputs(op: Op, step: Map, dim: int, n: int) -> int | None:
    """Return how many rows the operator gives for `n` input rows alone, padded as it pads itself; None when not known.

    `step` says what the operator reads of that input, and `dim` is the dimension of the rows in the input.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> from atrous.geometry.maps import Sliding
    >>> conv = export_graph(nn.Conv1d(1, 1, 3, stride=2, padding=1), (1, 64)).ops[-1]
    >>> outputs(conv, Sliding(3, 2, 1, 1), 2, 10)
    5
    """
    if op.kind in PADS:
        return n + sum(pad_pairs(op).get(dim, (0, 0)))
    if "unpool" in op.kind or "adaptive" in op.kind:
        return None
    if op.kind.startswith("conv") or "pool" in op.kind:
        return _window_outputs(op, step, dim, n)
    if op.kind in CUTS and op.arguments["dim"] % len(op.shape) == dim:
        return _cut_outputs(op, n) if step.is_pointwise else None
    return step.outputs_of(n)


def _window_outputs(op: Op, step: Map, dim: int, n: int) -> int | None:
    from_end = dim - len(op.shape)
    slid = dimensions(op)
    if from_end < -slid or op.arguments["padding"] == "same":  # frames of a batch are computed each by itself
        return n
    count = step.window_outputs(n, bool(op.arguments.get("ceil_mode")))
    added = each(op.arguments["output_padding"], slid)[from_end] if "output_padding" in op.arguments else 0
    return None if count is None else count + added


def _cut_outputs(op: Op, n: int) -> int | None:
    """Return how many of `n` rows a slice from the first row leaves, when its end lies beyond them or counts from
    theirs.
    """
    if op.kind != "slice" or op.arguments["start"] not in (None, 0):
        return None
    return n + min(op.arguments["end"] or 0, 0)
