"""One axis of one graph: where it lies in every value, and how every operator reads along it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from atrous.errors import UserError
from atrous.geometry.graph import Graph, Op
from atrous.geometry.maps import IDENTITY, Everything, Map, Read


class Refused(UserError):
    """The network cannot be computed piece by piece along an axis: names the module, the operator and the reason."""

    def __init__(self, op: Op, reason: str):
        self.module, self.operator, self.reason = op.module, op.kind, reason
        super().__init__(f"{op.module} ({op.kind}): {reason}")


@dataclass(frozen=True)
class Along:
    """How one operator acts along one axis.

    `dim` is the axis in its output, None when the output has no rows along the axis (a whole value). `reads` says which
    rows of which inputs; inputs not listed are taken whole. A barrier reads rows and gives a whole value.
    """

    dim: int | None
    reads: tuple[Read, ...] = ()
    barrier: bool = False


@dataclass
class Axis:
    """The walk along spatial axis `index` (0 is the first): what each operator does, filled in graph order.

    Levels count barriers: a value of level k needs k passes over the input before it can be computed.
    """

    graph: Graph
    index: int
    along: list[Along] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)

    def dim(self, value: int) -> int | None:
        """The dimension of a value that the axis is, or None."""
        return self.along[value].dim

    def streamed(self, value: int) -> bool:
        """Whether the value has rows along the axis (it is not whole)."""
        return self.along[value].dim is not None

    def length(self, value: int) -> int:
        """The number of rows of a streamed value."""
        dim = self.along[value].dim
        return 0 if dim is None else self.graph.ops[value].shape[dim]

    @property
    def barriers(self) -> list[Op]:
        """The operators that need the whole axis before they can go on."""
        return [op for op, along in zip(self.graph.ops, self.along, strict=True) if along.barrier]

    @property
    def waits(self) -> list[Op]:
        """Operators that give rows but need all rows of an input first (circular padding): it is held whole."""
        pairs = zip(self.graph.ops, self.along, strict=True)
        return [
            op
            for op, along in pairs
            if not along.barrier
            and along.dim is not None
            and any(isinstance(r.map, Everything) and r.map.length > 1 for r in along.reads)
        ]

    @property
    def passes(self) -> int:
        """How often the input must be gone through."""
        return self.levels[self.graph.output] + (1 if self.streamed(self.graph.output) else 0)


def same(op: Op, axis: Axis, dim: int | None = None, source: int | None = None, step: Map = IDENTITY) -> Along:
    """One streamed input (the first argument unless named), whose axis becomes dimension `dim` of the output."""
    source = op.inputs[0] if source is None else source
    at = axis.dim(source)
    if at is None:
        raise Refused(op, "only a secondary argument runs along the axis")
    others = [i for i in op.inputs if i != source and axis.streamed(i)]
    if others:
        raise Refused(op, "more than one argument runs along the axis")
    return Along(at if dim is None else dim, (Read(source, at, step),))


def aligned(op: Op, axis: Axis, inputs: Sequence[int] | None = None) -> Along:
    """Inputs that broadcast against each other from the right, row by row."""
    ops, ndim = axis.graph.ops, len(op.shape)
    inputs = op.inputs if inputs is None else inputs
    dims = {at + ndim - len(ops[i].shape) for i in inputs if (at := axis.dim(i)) is not None}
    if len(dims) != 1:
        raise Refused(op, "its inputs have the axis in different dimensions")
    dim = dims.pop()
    reads = []
    for i in inputs:
        at = dim - ndim + len(ops[i].shape)
        if axis.streamed(i) or (at >= 0 and ops[i].shape[at] > 1):
            rows = ops[i].shape[at]
            if rows not in (1, op.shape[dim]):
                raise Refused(op, f"joins a value of {rows} rows to one of {op.shape[dim]}")
            reads.append(Read(i, at, IDENTITY if rows == op.shape[dim] else Everything(rows)))
    return Along(dim, tuple(reads))


def spatial(op: Op, axis: Axis, count: int) -> tuple[int, int]:
    """`(dim, k)`: the axis is the k-th of the last `count` dimensions of the first argument, where the operator
    slides."""
    x = axis.graph.ops[op.inputs[0]]
    dim = axis.dim(x.index)
    if dim is None or dim < len(x.shape) - count:
        raise Refused(op, "slides over other dimensions than the grid's")
    return dim, dim - (len(x.shape) - count)
