"""The piece of one axis that an operator computes, and the rows of its inputs that it reads for that."""

from dataclasses import dataclass, field

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Op
from atrous.geometry.maps import Map


@dataclass(frozen=True)
class Piece:
    """Rows `[lo, hi)` of an input of `length` rows, along its dimension `dim`, read by `map`."""

    dim: int
    lo: int
    hi: int
    length: int
    map: Map


@dataclass(frozen=True)
class Span:
    """Output rows `[lo, hi)` along dimension `dim`, and the piece of each input that they read."""

    dim: int
    lo: int
    hi: int
    pieces: dict[int, Piece] = field(default_factory=dict)


def span_of(op: Op, axis: Axis, lo: int, hi: int) -> Span | None:
    """The span of output rows `[lo, hi)` of `op` along `axis`; None when the axis plays no part in it.

    An operator that reduces the axis has dimension -1 in its span.
    """
    along = axis.along[op.index]
    if along.dim is None and not along.reads:
        return None
    pieces = {}
    for read in along.reads:
        length = axis.graph.ops[read.input].shape[read.dim]
        start, stop = (0, length) if along.dim is None else read.map.need(lo, hi, length)
        pieces[read.input] = Piece(read.dim, start, stop, length, read.map)
    return Span(-1 if along.dim is None else along.dim, lo, hi, pieces)
