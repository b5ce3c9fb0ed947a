"""Check the last operator of a network on parts of its rows against the same operator on the whole input."""

from itertools import combinations

import torch
from torch import Tensor, nn

from atrous.geometry.graph import Graph, Op
from atrous.stream.compute import compute, whole
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.rows import OutputSpan, output_span
from atrous.stream.values import constants


def values_of(ready: Prepared, x: Tensor) -> dict[int, Tensor]:
    """Every value of the network on the whole input `x` `(1, C, *S)`, by torch's own operators."""
    values = {**constants(ready.graph, None), 0: x}
    for op in ready.graph.ops:
        if op.index not in values:
            values[op.index] = whole(op, values)
    return values


def part_of(op: Op, values: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> tuple[Tensor, dict[int, Tensor]]:
    """The rows that `compute` gives for the spans, and the input rows that it was given."""
    tensors = {}
    for i in op.inputs:
        rows = values[i]
        for span in spans:
            piece = span.pieces.get(i)
            if piece is not None:
                rows = rows.narrow(piece.dim, piece.lo, max(0, piece.hi - piece.lo))
        tensors[i] = rows
    return compute(op, tensors, spans), tensors


def wanted_rows(value: Tensor, spans: tuple[OutputSpan, ...]) -> Tensor:
    """The rows of the spans, cut out of the whole value."""
    for span in spans:
        if span.dim >= 0:
            value = value.narrow(span.dim, span.lo, span.hi - span.lo)
    return value


def intervals(length: int) -> list[tuple[int, int]]:
    """The first row, the last, some in the middle, none, all but one at either end, and all."""
    ends = [(0, 1), (length - 1, length), (0, length), (1, length), (0, length - 1), (length // 3, length // 3)]
    return [*ends, (length // 3, min(length, length // 3 + 3)), (length // 2, min(length, length // 2 + 1))]


def check_parts(network: nn.Module, shape: tuple[int, ...], tolerance: float = 1e-5) -> None:
    """Compare every operator that has rows, on parts along each axis and along two at once, with the whole."""
    ready = prepare(network.eval(), shape)
    graph: Graph = ready.graph
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(1)).to(graph.ops[0].dtype)
    with torch.inference_mode():
        values = values_of(ready, x)
        expected = network(x)
        torch.testing.assert_close(values[graph.output], expected, rtol=tolerance, atol=tolerance)
        for op in graph.ops:
            lengths = {g: axis.length(op.index) for g, axis in ready.axes.items() if axis.streamed(op.index)}
            if op.kind in ("input", "constant") or not lengths:
                continue
            choices = [((g, span),) for g, length in lengths.items() for span in intervals(length)]
            for g, h in combinations(lengths, 2):
                pairs = zip(intervals(lengths[g])[::2], intervals(lengths[h])[1::2], strict=True)
                choices += [((h, b), (g, a)) for a, b in pairs]
            for choice in choices:
                spans = tuple(s for g, (lo, hi) in choice if (s := output_span(op, ready.axes[g], lo, hi)))
                part, _ = part_of(op, values, spans)
                wanted = wanted_rows(values[op.index], spans)
                assert part.shape == wanted.shape, (op.kind, choice)
                assert part.dtype == wanted.dtype, (op.kind, choice)
                torch.testing.assert_close(part, wanted, rtol=tolerance, atol=tolerance, msg=f"{op.kind} {choice}")
