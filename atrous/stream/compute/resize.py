"""Interpolation of a part of the rows, at positions of the whole input.

Output row `o` of a resize takes a few input rows (its taps) around the position `p(o)` in the whole input, which is
about `(o + 1/2) * scale - 1/2`, rounded as ATen rounds it. Given a part of the rows, ATen would count positions from
its first row, with other rounding and other weights. So each spatial dimension is done in one of three ways:

- A dimension that is not cut is left to ATen.
- Enlargement by a power of two: positions repeat every input row without rounding. Whole input rows are enlarged by
  ATen, and the wanted output rows cut out of the result.
- Any other: the taps of each wanted row are weighted and added here, with positions of the whole input (`_taps`).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.interpolation import Resize
from atrous.geometry.rules.resize import MODES, resizes, scale_factors
from atrous.stream.rows import OutputSpan

LARGEST_FACTOR = 32  # beyond this, enlarging whole input rows and cutting is more work than tap by tap
CUBIC = -0.75  # ATen's coefficient of the cubic kernel


def resize(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...], place: Tensor | None = None) -> Tensor:
    """Return the wanted rows of an interpolation, written into `place` when that is given.

    `cuts` collects what to cut out of ATen's result: `(dim, first row, count)`. `tapped` collects the dimensions to
    interpolate here: `(dim, map, first output row, one after the last, first input row that is there)`.
    """
    source = op.inputs[0]
    x = tensors[source]
    n, rank = MODES[op.kind][1], x.dim()
    by_place = {s.dim - (rank - n): s for s in spans if s.dim >= rank - n}
    shape = list(x.shape)
    for span in by_place.values():
        shape[span.dim] = span.pieces[source].length
    sizes, factors = [op.shape[d - n] for d in range(n)], scale_factors(op)
    cuts: list[tuple[int, int, int]] = []
    tapped: list[tuple[int, Resize, int, int, int]] = []
    for k, step in enumerate(resizes(op, shape)):
        dim, span = rank - n + k, by_place.get(k)
        lo, hi = (0, x.shape[dim]) if span is None else (span.pieces[source].lo, span.pieces[source].hi)
        if span is None and not _own_ratio(step):
            continue
        if span is not None and 0 < step.power <= LARGEST_FACTOR:
            sizes[k], factors[k] = (hi - lo) * step.power, float(step.power)
            cuts.append((dim, span.lo - lo * step.power, span.hi - span.lo))
        else:
            first, last = (0, sizes[k]) if span is None else (span.lo, span.hi)
            sizes[k], factors[k] = hi - lo, None
            tapped.append((dim, step, first, last, lo))
    if any(size != x.shape[k - n] for k, size in enumerate(sizes)):
        if place is not None and not tapped and list(place.shape[rank - n :]) == sizes:  # nothing is to be cut
            return _aten(op, x, sizes, factors, out=place)
        x = _aten(op, x, sizes, factors)
    for dim, start, count in cuts:
        x = x.narrow(dim, start, count)
    for dim, step, lo, hi, start in tapped:
        x = _taps(x, dim, step, np.arange(lo, hi), start)
    return x if place is None else place.copy_(x)


def _aten(op: Op, x: Tensor, sizes: list[int], factors: list[float | None], **out: Tensor) -> Tensor:
    overloads: Any = getattr(torch.ops.aten, op.kind)
    function = overloads.out if out else overloads.default
    if "nearest" in op.kind:
        return function(x, sizes, *factors, **out)
    return function(x, sizes, bool(op.arguments.get("align_corners")), *factors, **out)


def _own_ratio(step: Resize) -> bool:
    """Whether the positions must be computed here although the dimension is not cut.

    ATen chooses among kernels by size and layout, and they disagree in two cases: where the lengths are those of a copy
    or a doubling but the given factor is another, and for the nearest row of float64 values.
    """
    if step.align_corners or step.scale * step.outputs == step.length:
        return step.precise and step.mode.startswith("nearest") and not step.power
    return step.outputs in (step.length, 2 * step.length) or (step.precise and step.mode.startswith("nearest"))


def _taps(x: Tensor, dim: int, step: Resize, outputs: np.ndarray, start: int) -> Tensor:
    """Return the given output rows: `sum over t of weights[o, t] * x[rows[o, t]]`, along `dim`.

    `x` begins at row `start` of the whole input. `rows` and `weights` are `(outputs, taps)`: 1 tap for nearest, 2 for
    linear and 4 for cubic interpolation.
    """
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
    """Return the weights `(outputs, taps)` of linear or cubic interpolation.

    `t` is how far a position lies beyond the row at or before it; linear weights are `1 - t` and `t`.

    Cubic weights follow Keys (1981) with coefficient a = `CUBIC`: for a distance d up to 1 the weight is
    `(a + 2) d^3 - (a + 3) d^2 + 1` (`near`), from 1 to 2 it is `a d^3 - 5 a d^2 + 8 a d - 4 a` (`far`).
    """
    position = step.position(outputs)
    t = np.clip(position - step.floor(position).astype(position.dtype), 0, 1)
    if step.mode == "linear":
        return np.stack([1 - t, t], 1)

    def near(d: np.ndarray) -> np.ndarray:
        return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1

    def far(d: np.ndarray) -> np.ndarray:
        return ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC

    return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], 1)


KERNELS = dict.fromkeys(MODES, resize)
