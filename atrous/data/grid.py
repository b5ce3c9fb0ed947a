"""Images, labels, probabilities, boxes and points on a grid of another size over the same extent."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.formats.orient import Turn

COARSER = 1.5
"""Images are filtered along an axis that has more stored positions than this for each new one."""
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image `(C, *S)` on a grid of another size over the same extent, linear, float32."""
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    return restore(values, shape).numpy()


def shrink(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image `(C, *S)` on a grid of another size over the same extent, float32, filtered where it gets much coarser.

    Along an axis that has more than `COARSER` stored positions for each new one, linear interpolation would skip some
    of them, and fine structure would appear as coarse one (aliasing). There each new position is the mean of the stored
    ones around it, with weights that fall linearly to 0 at the distance of one new position (a triangle, as Pillow and
    torch's `antialias=True` have it): unlike a sinc it never leaves the range of the values. The other axes are linear.

    >>> shrink(np.array([[0.0, 0.0, 8.0, 0.0, 0.0, 0.0]]), (2,)).round(2).tolist()
    [[2.0, 1.0]]
    """
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    for dim, length in enumerate(shape, 1):
        if values.shape[dim] > COARSER * length:
            values = _averaged(values, dim, length)
    return restore(values, shape).numpy()


def _averaged(values: torch.Tensor, dim: int, length: int) -> torch.Tensor:
    """Return values with `length` weighted means along a dimension; positions beyond the ends do not count."""
    stored = values.shape[dim]
    step = stored / length
    reach = math.ceil(step)
    places = (torch.arange(length, dtype=torch.float64) + 0.5) * step - 0.5
    taps = places.floor().long()[:, None] + torch.arange(1 - reach, reach + 1)  # (length, 2 * reach)
    weights = (1 - (taps - places[:, None]).abs() / step).clamp_min(0) * ((taps >= 0) & (taps < stored))
    weights = (weights / weights.sum(1, keepdim=True)).float()
    column = [-1 if d == dim else 1 for d in range(values.dim())]
    total = torch.zeros(*values.shape[:dim], length, *values.shape[dim + 1 :])
    for tap, weight in zip(taps.clamp(0, stored - 1).T, weights.T, strict=True):
        total.addcmul_(values.index_select(dim, tap), weight.reshape(column))
    return total


def resample_label(label: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return labels `(*S)` on a grid of another size over the same extent: each position takes the nearest label."""
    if label.shape == tuple(shape):
        return label
    values = torch.from_numpy(label.astype(np.float32))[None, None]
    return F.interpolate(values, tuple(shape), mode="nearest-exact")[0, 0].numpy().astype(label.dtype)


def restore(values: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Probabilities or other values `(K, *S)` on the grid of the file, linear; as they are when the size is right."""
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    return F.interpolate(values[None].float(), tuple(shape), mode=_LINEAR[len(shape)], align_corners=False)[0]


def points_on_file(
    places: np.ndarray, grid: Sequence[int], size: Sequence[int], turn: Turn | None = None
) -> np.ndarray:
    """Return points `(n, ndim)` of the network's grid on that of the file.

    Args:
        places: in positions of `grid`; the middle of position i is i + 0.5.
        grid: size of the network's grid.
        size: size of the file's grid, turned.
        turn: how the file's grid was turned into the orientation of the training data; None if it was not.

    >>> points_on_file(np.array([[0.0, 2.0]]), (4, 4), (4, 8), Turn((1, 0), (0,))).tolist()
    [[4.0, 4.0]]
    """
    whole = np.asarray(size, np.float64)
    scaled = places * (whole / np.asarray(grid, np.float64))
    if turn is None:
        return scaled
    for axis in turn.mirrored:
        scaled[:, axis] = whole[axis] - scaled[:, axis]
    return scaled[:, np.argsort(turn.order)]  # axis i of the turned array is axis order[i] of the file


def corners_on_file(
    corners: np.ndarray, grid: Sequence[int], size: Sequence[int], turn: Turn | None = None
) -> np.ndarray:
    """Return the corners `(n, 8)` of rotated boxes of the network's grid on that of the file; see `points_on_file`.

    >>> corners_on_file(np.array([[0.0, 1, 1, 2, 2, 1, 1, 0]]), (4, 4), (8, 8)).tolist()
    [[0.0, 2.0, 2.0, 4.0, 4.0, 2.0, 2.0, 0.0]]
    """
    return points_on_file(corners.reshape(-1, 2), grid, size, turn).reshape(-1, 8)


def boxes_on_file(
    corners: np.ndarray, grid: Sequence[int], size: Sequence[int], turn: Turn | None = None
) -> np.ndarray:
    """Return boxes `(n, 2 * ndim)`, the low corner, then the high one, of the network's grid on that of the file.

    The other arguments are those of `points_on_file`.

    >>> boxes_on_file(np.array([[0.0, 2, 1, 4]]), (4, 4), (4, 8), Turn((1, 0), (0,))).tolist()
    [[4.0, 3.0, 8.0, 4.0]]
    """
    one, other = (points_on_file(half, grid, size, turn) for half in np.split(corners, 2, axis=1))
    return np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1)
