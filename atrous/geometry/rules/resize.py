"""Interpolation: nearest, linear and cubic. Which `Resize` each of ATen's operators is along each of its dimensions.

ATen has several kernels that compute the source position slightly differently. The one that it takes depends on the
type and the size of the output, and the map must be that of the kernel.
"""

from collections.abc import Sequence

import numpy as np
import torch

from atrous.geometry.axis import Along, Axis, same, spatial
from atrous.geometry.graph import Op
from atrous.geometry.interpolation import Resize
from atrous.geometry.maps import Read

MODES = {
    **{f"upsample_nearest{n}d": ("nearest", n) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": ("nearest-exact", n) for n in (1, 2, 3)},
    "upsample_linear1d": ("linear", 1),
    "upsample_bilinear2d": ("linear", 2),
    "upsample_trilinear3d": ("linear", 3),
    "upsample_bicubic2d": ("cubic", 2),
}
"""Per operator the mode and the number of dimensions that it resizes."""

SMALL = 128
"""Height plus width of an output up to which ATen resizes an image by a kernel of its own, when the mode is nearest."""


def resizes(op: Op, shape: Sequence[int]) -> list[Resize]:
    """Return the interpolation along each of the last dimensions of an input of this `shape` `(N, C, *S)`.

    It is that of the kernel which ATen takes on a CPU for a contiguous input. The kernel for small images
    (`small_kernel`) copies when the size stays or doubles and computes in float32; the others compute float64 values in
    float64. A copy has the ratio of the lengths, whatever factor the network gave.
    """
    mode, n = MODES[op.kind]
    corners = bool(op.arguments.get("align_corners") or False)
    small_kernel = n == 2 and mode.startswith("nearest") and sum(op.shape[-2:]) <= SMALL
    precise = op.dtype == torch.float64 and not small_kernel
    steps = []
    for k, factor in enumerate(scale_factors(op)):
        length, outputs = shape[k - n], op.shape[k - n]
        copied = outputs == length and (mode == "linear" or (mode == "nearest" and small_kernel))
        doubled = outputs == 2 * length and mode == "nearest" and small_kernel
        scale = _scale(length, outputs, corners, None if copied or doubled else factor, precise)
        steps.append(Resize(mode, length, outputs, corners, scale, precise))
    return steps


def scale_factors(op: Op) -> list[float | None]:
    """Return the factor that the network gave for each dimension that is resized, None where it gave a size."""
    n, a = MODES[op.kind][1], op.arguments
    names = (("scales",), ("scales_h", "scales_w"), ("scales_d", "scales_h", "scales_w"))[n - 1]
    return list(a.get("scale_factors") or [a.get(name) for name in names])


def _scale(length: int, outputs: int, corners: bool, factor: float | None, precise: bool) -> float:
    """Return the input rows per output row, computed as ATen does (`area_pixel_compute_scale`)."""
    kind = np.float64 if precise else np.float32
    if corners:
        return float(kind(length - 1) / kind(outputs - 1)) if outputs > 1 else 0.0
    if factor is not None and factor > 0:
        return float(kind(1.0 / factor))
    return float(kind(length) / kind(outputs))


def resize(op: Op, axis: Axis) -> Along:
    """Return how a resize acts along the axis; a whole input (a pooled map) becomes rows again here."""
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
