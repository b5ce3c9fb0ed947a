"""Row arithmetic: which rows an operator computes, which rows of its inputs it reads, and where those lie.

Both ways of running a program use these functions: operator by operator (`run.py`) and in compiled segments
(`compiled.py`). A program walks along one axis, the streamed axis. It may also be restricted along other axes, to a
region or to one block of a run in blocks; those are the cross axes here, and what they ask for is the same in every
step.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from atrous.geometry.axis import Axis
from atrous.geometry.graph import Op
from atrous.geometry.maps import Map
from atrous.geometry.program import Program


@dataclass(frozen=True)
class InputPiece:
    """Rows `[lo, hi)` that an operator reads of one input, along dimension `dim` of that input.

    The whole input has `length` rows along `dim`; `map` is the operator's rule from output rows to input rows.
    """

    dim: int
    lo: int
    hi: int
    length: int
    map: Map


@dataclass(frozen=True)
class OutputSpan:
    """Rows `[lo, hi)` that an operator computes along one axis, and the piece of each input that it reads for them.

    `dim` is the axis in the output; -1 when the operator reduces the axis, so that its output has no rows along it.
    """

    dim: int
    lo: int
    hi: int
    pieces: dict[int, InputPiece] = field(default_factory=dict)


def output_span(op: Op, axis: Axis, lo: int, hi: int) -> OutputSpan | None:
    """Return the span of output rows `[lo, hi)` of `op` along `axis`; None when `op` has no rows along that axis.

    >>> from torch import nn
    >>> from atrous.stream.prepare import prepare
    >>> axis = prepare(nn.Conv1d(1, 1, 3, padding=1), (1, 100)).axes[0]
    >>> piece = output_span(axis.graph.ops[axis.graph.output], axis, 10, 20).pieces[0]
    >>> piece.lo, piece.hi, piece.length
    (9, 21, 100)
    """
    along = axis.along[op.index]
    if along.dim is None and not along.reads:
        return None
    pieces = {}
    for read in along.reads:
        length = axis.graph.ops[read.input].shape[read.dim]
        start, stop = (0, length) if along.dim is None else read.map.need(lo, hi, length)
        pieces[read.input] = InputPiece(read.dim, start, stop, length, read.map)
    return OutputSpan(-1 if along.dim is None else along.dim, lo, hi, pieces)


def cross_spans(program: Program, op: Op) -> tuple[OutputSpan, ...]:
    """Return the spans of `op` along the cross axes. They are the same in every step, so callers compute them once."""
    if op.index in program.owned:
        return ()
    spans = []
    for g, axis in program.axes.items():
        if g != program.stream:
            lo, hi = program.boxes.get(op.index, {}).get(g, (0, 0))
            span = output_span(op, axis, lo, hi)
            if span is not None:
                spans.append(span)
    return tuple(spans)


def cross_rows(program: Program, value: int) -> dict[int, tuple[int, int]]:
    """Return the rows `[lo, hi)` that the program holds of a value, for each of its dimensions that is a cross axis."""
    rows = {}
    for g, axis in program.axes.items():
        dim = axis.dim(value)
        if g != program.stream and dim is not None:
            rows[dim] = program.boxes[value][g]
    return rows


def cross_offset(program: Program, value: int, dim: int) -> int:
    """Return the first row that the program holds of a value along dimension `dim`; 0 when `dim` is not cut."""
    for g, axis in program.axes.items():
        if g != program.stream and axis.dim(value) == dim and value in program.boxes:
            return program.boxes[value][g][0]
    return 0


def input_rows(program: Program, value: int, held: Tensor, start: int | None, spans: tuple[OutputSpan, ...]) -> Tensor:
    """Cut out of `held` the rows of a value that the spans of its reader ask for, along every cut axis.

    `held` is what the program holds of the value. `start` is the first row that it holds along the streamed axis,
    whose span comes first in `spans`. For a value without rows along the streamed axis `start` is None.
    """
    for k, span in enumerate(spans):
        piece = span.pieces.get(value)
        if piece is not None:
            offset = start if start is not None and k == 0 else cross_offset(program, value, piece.dim)
            held = narrow(held, piece, offset)
    return held


def narrow(tensor: Tensor, piece: InputPiece, offset: int) -> Tensor:
    """Cut the rows of a piece out of a tensor whose first row along `piece.dim` is row `offset` of the value."""
    if piece.lo == offset and piece.hi - piece.lo == tensor.shape[piece.dim]:
        return tensor
    if piece.hi <= piece.lo:
        return tensor.narrow(piece.dim, 0, 0)
    return tensor.narrow(piece.dim, piece.lo - offset, piece.hi - piece.lo)


def no_rows(program: Program, value: int, spans: tuple[OutputSpan, ...], held: Iterable[Tensor]) -> Tensor:
    """Return a tensor with no rows of a value, for a reader all of whose rows lie in the padding.

    The element type and the device are those of the first floating-point tensor in `held`, or the value's own type.
    """
    op = program.graph.ops[value]
    assert program.axis.streamed(value)
    sizes = list(op.shape)
    for span in spans:
        piece = span.pieces.get(value)
        if piece is not None:
            sizes[piece.dim] = piece.hi - piece.lo
    like = next((t for t in held if t.is_floating_point()), torch.empty(0, dtype=op.dtype))
    return torch.zeros(sizes, dtype=like.dtype if op.dtype.is_floating_point else op.dtype, device=like.device)


def barrier_rows(
    program: Program, barrier: int, rows: Tensor, lo: int, hi: int
) -> tuple[Tensor, dict[int, tuple[int, int]]]:
    """Return the part of a barrier's input that this program is to gather, and its rows per dimension.

    `rows` holds the input rows `[lo, hi)` of the streamed axis. Along the cross axes blocks overlap, since each holds
    the halo that its other operators need; a barrier counts each row in one block only, the block that owns it.
    """
    read = program.axis.along[barrier].reads[0]
    place = {read.dim: (lo, hi)}
    for g, axis in program.axes.items():
        dim = axis.dim(read.input)
        if g != program.stream and dim is not None:
            first, stop = program.owned[barrier][g]
            rows = rows.narrow(dim, first - program.boxes[read.input][g][0], stop - first)
            place[dim] = (first, stop)
    return rows, place
