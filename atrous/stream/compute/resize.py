"""Interpolation on a box, in global coordinates."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.maps import Resize
from atrous.geometry.rules.resize import MODES, resizes
from atrous.stream.span import Span

LARGEST_FACTOR = 32  # whole input rows are enlarged and then cut; beyond this, row by row is less
CUBIC = -0.75  # ATen's coefficient of the cubic kernel


def resize(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...], place: Tensor | None = None) -> Tensor:
    """Axes without a span by ATen; so are spans whose factor is a power of two, cut to size; others tap by tap.

    With a `place` of the size of the result, the result is there.
    """
    source = op.inputs[0]
    x = tensors[source]
    n, rank = MODES[op.kind][1], x.dim()
    spans = tuple(s for s in spans if s.dim >= rank - n)
    shape = list(x.shape)
    for span in spans:
        shape[span.dim] = span.pieces[source].length
    maps = resizes(op, shape)
    sizes = [op.shape[d - n] for d in range(n)]
    factors: list[float | None] = [1.0 / m.scale if m.scale and not m.align_corners else None for m in maps]
    cuts: list[tuple[int, int, int]] = []
    tapped: list[tuple[Span, Resize]] = []
    for span in spans:
        k = span.dim - (rank - n)
        piece, step = span.pieces[source], maps[k]
        factor = step.power
        if 0 < factor <= LARGEST_FACTOR:
            sizes[k] = (piece.hi - piece.lo) * factor
            cuts.append((span.dim, span.lo - piece.lo * factor, span.hi - span.lo))
        else:
            sizes[k], factors[k] = piece.hi - piece.lo, None
            tapped.append((span, step))
    if any(size != x.shape[k - n] for k, size in enumerate(sizes)):
        if place is not None and not tapped and list(place.shape[rank - n :]) == sizes:  # nothing is cut
            return _aten(op, x, sizes, factors, out=place)
        x = _aten(op, x, sizes, factors)
    for dim, start, count in cuts:
        x = x.narrow(dim, start, count)
    for span, step in tapped:
        x = _taps(x, span.dim, step, span, span.pieces[source].lo)
    return x if place is None else place.copy_(x)


def _aten(op: Op, x: Tensor, sizes: list[int], factors: list[float | None], **out: Tensor) -> Tensor:
    overloads: Any = getattr(torch.ops.aten, op.kind)
    function = overloads.out if out else overloads.default
    if "nearest" in op.kind:
        return function(x, sizes, *factors, **out)
    return function(x, sizes, bool(op.arguments.get("align_corners")), *factors, **out)


def _taps(x: Tensor, dim: int, step: Resize, span: Span, start: int) -> Tensor:
    outputs = np.arange(span.lo, span.hi)
    rows = torch.from_numpy(step.taps(outputs) - start).to(x.device)
    if rows.shape[1] == 1:
        return x.index_select(dim, rows[:, 0])
    shape = [-1 if d == dim else 1 for d in range(x.dim())]
    weights = torch.from_numpy(_weights(step, outputs)).to(x.device, x.dtype)
    total = x.index_select(dim, rows[:, 0]) * weights[:, 0].reshape(shape)
    for tap in range(1, rows.shape[1]):
        total.addcmul_(x.index_select(dim, rows[:, tap]), weights[:, tap].reshape(shape))
    return total


def _weights(step: Resize, outputs: np.ndarray) -> np.ndarray:
    position = step.position(outputs)
    t = (position - np.floor(position)).astype(np.float32)
    if step.mode == "linear":
        return np.stack([1 - t, t], 1)

    def near(d: np.ndarray) -> np.ndarray:
        return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1

    def far(d: np.ndarray) -> np.ndarray:
        return ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC

    return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], 1)


KERNELS = dict.fromkeys(MODES, resize)
