"""Interpolation: nearest, linear and cubic, with ATen's own source index in global coordinates."""

from collections.abc import Sequence

import numpy as np

from atrous.geometry.axis import Along, Axis, same, spatial
from atrous.geometry.graph import Op
from atrous.geometry.maps import Read, Resize

MODES = {
    **{f"upsample_nearest{n}d": ("nearest", n) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": ("nearest-exact", n) for n in (1, 2, 3)},
    "upsample_linear1d": ("linear", 1),
    "upsample_bilinear2d": ("linear", 2),
    "upsample_trilinear3d": ("linear", 3),
    "upsample_bicubic2d": ("cubic", 2),
}


def resizes(op: Op, shape: Sequence[int]) -> list[Resize]:
    """The interpolation along each spatial dimension of an input of this `shape`."""
    mode, n = MODES[op.kind]
    a = op.arguments
    corners = bool(a.get("align_corners") or False)
    names = (("scales",), ("scales_h", "scales_w"), ("scales_d", "scales_h", "scales_w"))[n - 1]
    factors = a.get("scale_factors") or [a.get(name) for name in names]
    found = []
    for k in range(n):
        length, outputs = shape[k - n], op.shape[k - n]
        found.append(Resize(mode, length, outputs, corners, _scale(length, outputs, corners, factors[k])))
    return found


def _scale(length: int, outputs: int, corners: bool, factor: float | None) -> float:
    if corners:
        return float(np.float32(length - 1) / np.float32(outputs - 1)) if outputs > 1 else 0.0
    if factor is not None and factor > 0:
        return float(np.float32(1.0 / factor))
    return float(np.float32(length) / np.float32(outputs))


def resize(op: Op, axis: Axis) -> Along:
    """Rows from ATen's formula; a whole input (a pooled map) becomes rows again here."""
    x = axis.graph.ops[op.inputs[0]]
    n = MODES[op.kind][1]
    if not axis.streamed(x.index):
        if len(x.shape) != 2 + axis.graph.ndim or n != axis.graph.ndim:
            return Along(None)
        dim, k = 2 + axis.index, axis.index
        return Along(dim, (Read(x.index, dim, resizes(op, x.shape)[k]),))
    if axis.dim(x.index) == 0 and len(x.shape) == n + 2:  # frames, each by itself
        return same(op, axis)
    dim, k = spatial(op, axis, n)
    return same(op, axis, dim, step=resizes(op, x.shape)[k])


RULES = dict.fromkeys(MODES, resize)
