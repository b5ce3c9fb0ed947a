"""Images and targets cut by a view: one interpolation for crop, zoom, turn and mirror."""

from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.view import View


def cut_values(
    values: Any, view: View, crop: tuple[int, ...], mode: Literal["bilinear", "nearest"], border: bool
) -> torch.Tensor:
    """Sample values `(C, *S)` at the positions that a view shows, as float32 `(C, *crop)`.

    Args:
        values: the whole sample, or something that is sliced like it.
        view: where to look.
        crop: size of the result along each axis.
        mode: `bilinear` blends neighbors (along one or three axes too), `nearest` picks one.
        border: outside the sample, whether the values at its border go on; else there are zeros.
    """
    if len(crop) == 1:  # torch samples grids of two and three axes: give one axis a companion of length one
        flat = View(view.index, np.array([0.5, view.center[0]]), np.diag([1.0, view.matrix[0, 0]]))
        return cut_values(values[:, None], flat, (1, *crop), mode, border)[:, 0]
    shape = tuple(values.shape[1:])
    if len(crop) == 3 and (first := _first_frame(view, crop[0], shape[0])) is not None:  # whole frames: as one picture
        picture = View(view.index, view.center[1:], view.matrix[1:, 1:])
        frames = np.asarray(values[:, first : first + crop[0]]).reshape(-1, *shape[1:])
        return cut_values(frames, picture, crop[1:], mode, border).view(-1, *crop)
    if (mirrored := _mirrored(view, crop, shape)) is not None:  # whole positions: nothing is blended
        inside, axes = mirrored
        pixels = torch.from_numpy(np.ascontiguousarray(values[(slice(None), *inside)]).astype(np.float32))
        return pixels.flip([axis + 1 for axis in axes]) if axes else pixels
    window = _window(view, crop, shape) if min(shape) > 1 else tuple(slice(0, n) for n in shape)
    pixels = torch.from_numpy(np.ascontiguousarray(values[(slice(None), *window)]).astype(np.float32))[None]
    padding = "border" if border else "zeros"
    return F.grid_sample(pixels, _grid(view, crop, window), mode=mode, padding_mode=padding, align_corners=False)[0]


def _first_frame(view: View, count: int, length: int) -> int | None:
    """The first of `count` whole positions of the first axis that a view shows one by one; None where it blends any."""
    first = float(view.center[0]) - count / 2
    alone = not view.matrix[0, 1:].any() and not view.matrix[1:, 0].any() and (count == 1 or view.matrix[0, 0] == 1)
    return int(first) if alone and first.is_integer() and 0 <= first <= length - count else None


def _mirrored(view: View, crop: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[slice, ...], list[int]] | None:
    """The part of the sample that a view shows position by position, and the axes along which it is mirrored.

    None where the view zooms, turns or shifts by fractions, or sees beyond the sample.
    """
    signs, corner = np.diag(view.matrix), np.asarray(view.center, float) - np.asarray(crop) / 2
    if np.any(np.abs(signs) != 1) or np.any(view.matrix != np.diag(signs)) or np.any(corner != np.rint(corner)):
        return None
    if np.any(corner < 0) or np.any(corner + np.asarray(crop) > np.asarray(shape)):
        return None
    starts = corner.astype(int).tolist()
    inside = tuple(slice(start, start + length) for start, length in zip(starts, crop, strict=True))
    return inside, np.flatnonzero(signs < 0).tolist()


def _window(view: View, crop: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of the sample that the view can see, with a margin for interpolation; at least two positions wide."""
    reach = np.abs(view.matrix) @ (np.asarray(crop) / 2) + 2
    low = np.floor(view.center - reach).astype(int)
    high = np.ceil(view.center + reach).astype(int)
    return tuple(slice(max(0, min(a, n - 2)), min(n, max(b, 2))) for a, b, n in zip(low, high, shape, strict=True))


def _grid(view: View, crop: tuple[int, ...], window: tuple[slice, ...]) -> torch.Tensor:
    """Sampling grid `(1, *crop, ndim)` in torch's coordinates: -1..1 over the window, the last axis first."""
    start = np.array([w.start for w in window], float)
    size = np.array([w.stop - w.start for w in window], float)
    linear, offset = 2 / size[:, None] * view.matrix, 2 / size * (view.center - start) - 1
    grid = torch.empty(1, *crop, len(crop))
    for axis in range(len(crop)):
        place = torch.tensor(offset[axis], dtype=torch.float32)
        for along, length in enumerate(crop):
            offsets = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
            place = place + (offsets * float(linear[axis, along])).view(
                [-1 if a == along else 1 for a in range(len(crop))]
            )
        grid[0, ..., len(crop) - 1 - axis] = place
    return grid
