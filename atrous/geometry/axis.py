"""One spatial axis followed through a graph: which dimension it is in every value, and what every operator reads of it.

A value is *streamed* along the axis if it has rows along it, one dimension of the value being the axis. A value is
*whole* if it has none: a parameter, or the result of a global pool. A *barrier* is an operator that reads rows and
gives a whole value, so that it needs all rows of its input.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from atrous.errors import UserError
from atrous.geometry.graph import Graph, Op
from atrous.geometry.maps import IDENTITY, Everything, Map, Read

LONGEST_PERIOD = 4096
"""Input rows. A network with a longer period has none that strips could be made a multiple of."""


class Refused(UserError):
    """The network cannot be computed piece by piece along an axis. Names the module, the operator and the reason."""

    def __init__(self, op: Op, reason: str):
        self.index, self.module, self.operator, self.reason = op.index, op.module, op.kind, reason
        super().__init__(f"{op.module or 'the network'} ({op.kind}): {reason}")


@dataclass(frozen=True)
class Along:
    """How one operator acts along one axis.

    `dim` is the dimension of the output that is the axis, or None when the output is a whole value. `reads` says which
    rows of which inputs are read; an input that is not listed is read whole. A barrier reads rows and gives a whole
    value.
    """

    dim: int | None
    reads: tuple[Read, ...] = ()
    barrier: bool = False


@dataclass
class Axis:
    """Spatial axis `index` (0 is the first) of a graph: one entry of `along` and of `levels` per operator.

    The level of a value is the number of barriers on the way to it, so it is the number of passes over the input that
    must be finished before it can be computed. `rules.follow` fills in both lists in the order of the graph. With
    `spreads`, a whole value that is expanded has rows also where its size stays.
    """

    graph: Graph
    index: int
    along: list[Along] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    spreads: bool = True

    def dim(self, value: int) -> int | None:
        """Return the dimension of a value that is the axis, or None for a whole value."""
        return self.along[value].dim

    def streamed(self, value: int) -> bool:
        """Return whether the value has rows along the axis."""
        return self.along[value].dim is not None

    def length(self, value: int) -> int:
        """Return the number of rows of a value, 0 for a whole value."""
        dim = self.along[value].dim
        return 0 if dim is None else self.graph.ops[value].shape[dim]

    @property
    def barriers(self) -> list[Op]:
        """The operators that need the whole axis and give a whole value."""
        return [op for op, along in zip(self.graph.ops, self.along, strict=True) if along.barrier]

    @property
    def waits(self) -> list[Op]:
        """The operators that give rows but need all rows of an input first (circular padding): it is held whole."""
        return [
            op
            for op, along in zip(self.graph.ops, self.along, strict=True)
            if not along.barrier and along.dim is not None and any(read.map.needs_all_rows for read in along.reads)
        ]

    @property
    def passes(self) -> int:
        """How often the input must be gone through: once per barrier on the longest way, and once for output rows."""
        return self.levels[self.graph.output] + (1 if self.streamed(self.graph.output) else 0)


def same(op: Op, axis: Axis, dim: int | None = None, source: int | None = None, step: Map = IDENTITY) -> Along:
    """Return how an operator acts that reads rows of one input only.

    `source` is that input (by default the first argument), `step` says which of its rows are read, and `dim` is the
    dimension of the output that is the axis (by default the same as in the input). Raises `Refused` when another input
    is streamed, or `source` is not.
    """
    source = op.inputs[0] if source is None else source
    source_dim = axis.dim(source)
    if source_dim is None:
        raise Refused(op, "only a secondary argument runs along the axis")
    if any(axis.streamed(i) for i in op.inputs if i != source):
        raise Refused(op, "more than one argument runs along the axis")
    return Along(source_dim if dim is None else dim, (Read(source, source_dim, step),))


def aligned(op: Op, axis: Axis, inputs: Sequence[int] | None = None) -> Along:
    """Return how an operator acts whose inputs broadcast against each other, dimensions matched from the right.

    Output row `o` reads row `o` of each of the `inputs` (by default all), or their only row. A whole value with several
    rows at that dimension (one number per position, say) is read row by row, too.
    """
    ops, ndim = axis.graph.ops, len(op.shape)
    inputs = op.inputs if inputs is None else inputs
    output_dims = {input_dim + ndim - len(ops[i].shape) for i in inputs if (input_dim := axis.dim(i)) is not None}
    if len(output_dims) != 1:
        raise Refused(op, "its inputs have the axis in different dimensions")
    dim = output_dims.pop()
    reads = []
    for i in inputs:
        input_dim = dim - ndim + len(ops[i].shape)
        if axis.streamed(i) or (input_dim >= 0 and ops[i].shape[input_dim] > 1):
            rows = ops[i].shape[input_dim]
            if rows not in (1, op.shape[dim]):
                raise Refused(op, f"joins a value of {rows} rows to one of {op.shape[dim]}")
            reads.append(Read(i, input_dim, IDENTITY if rows == op.shape[dim] else Everything(rows)))
    return Along(dim, tuple(reads))


def spatial(op: Op, axis: Axis, count: int) -> tuple[int, int]:
    """Return `(dim, k)` for an operator that slides over the last `count` dimensions of its first argument.

    `dim` is the dimension that is the axis, and `k` its place among those `count`. Raises `Refused` when the axis is
    none of them.
    """
    x = axis.graph.ops[op.inputs[0]]
    dim = axis.dim(x.index)
    if dim is None or dim < len(x.shape) - count:
        raise Refused(op, "slides over other dimensions than the grid's")
    return dim, dim - (len(x.shape) - count)


def strides(axis: Axis) -> dict[int, Fraction]:
    """Return the stride of every value whose rows follow from the input's: network input rows per row of the value.

    The stride of a value is that of its first streamed input times the `rows_per_output` of the operator.
    """
    stride_of = {0: Fraction(1)}
    for op in axis.graph.ops:
        reads = [read for read in axis.along[op.index].reads if read.input in stride_of]
        if axis.streamed(op.index) and reads:
            stride_of[op.index] = stride_of[reads[0].input] * reads[0].map.rows_per_output
    return stride_of


def period(axis: Axis) -> int:
    """Return the input rows after which every value has moved on by whole rows: for most networks the total stride.

    This is the least common multiple of the numerators of all strides. When that is longer than the input or than
    `LONGEST_PERIOD`, it is no use as a unit; then the stride of the coarsest value, rounded, takes its place.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> from atrous.geometry.rules import follow
    >>> network = nn.Sequential(nn.Conv1d(1, 1, 7, stride=2), nn.MaxPool1d(3), nn.ConvTranspose1d(1, 1, 2, stride=2))
    >>> period(follow(export_graph(network, (1, 100)), 0))
    6
    """
    common = math.lcm(*(stride.numerator for stride in strides(axis).values()))
    rows = axis.length(0)
    if common <= min(LONGEST_PERIOD, rows):
        return common
    coarsest = min((axis.length(op.index) for op in axis.graph.ops if axis.streamed(op.index)), default=rows)
    return max(1, min(rows, round(rows / max(coarsest, 1))))
