"""Interpolation: nearest, linear and cubic, with ATen's own source index in global coordinates."""

from collections.abc import Sequence

import numpy as np
import torch

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


SMALL = 128  # rows and columns of an output up to which ATen resizes images to the nearest by another kernel


def resizes(op: Op, shape: Sequence[int]) -> list[Resize]:
    """The interpolation along each spatial dimension of an input of this `shape`, by the kernel that ATen takes on a
    processor for a contiguous input."""
    mode, n = MODES[op.kind]
    corners = bool(op.arguments.get("align_corners") or False)
    by_integers = n == 2 and mode.startswith("nearest") and sum(op.shape[-2:]) <= SMALL
    precise = op.dtype == torch.float64 and not by_integers
    found = []
    for k, factor in enumerate(scale_factors(op)):
        length, outputs = shape[k - n], op.shape[k - n]
        copied = outputs == length and (mode == "linear" or (mode == "nearest" and by_integers))
        doubled = outputs == 2 * length and mode == "nearest" and by_integers
        given = None if copied or doubled else factor  # ATen looks at the lengths only
        found.append(Resize(mode, length, outputs, corners, _scale(length, outputs, corners, given, precise), precise))
    return found


def scale_factors(op: Op) -> list[float | None]:
    """The factor that the network gave for each spatial dimension, None where it gave a size."""
    n, a = MODES[op.kind][1], op.arguments
    names = (("scales",), ("scales_h", "scales_w"), ("scales_d", "scales_h", "scales_w"))[n - 1]
    return list(a.get("scale_factors") or [a.get(name) for name in names])


def _scale(length: int, outputs: int, corners: bool, factor: float | None, precise: bool) -> float:
    kind = np.float64 if precise else np.float32
    if corners:
        return float(kind(length - 1) / kind(outputs - 1)) if outputs > 1 else 0.0
    if factor is not None and factor > 0:
        return float(kind(1.0 / factor))
    return float(kind(length) / kind(outputs))


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
