"""Images, labels, probabilities and boxes on a grid of another size over the same extent."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.formats.orient import Turn

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image `(C, *S)` on a grid of another size over the same extent, linear, float32."""
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    return restore(values, shape).numpy()


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


def boxes_on_file(
    corners: np.ndarray, grid: Sequence[int], size: Sequence[int], turn: Turn | None = None
) -> np.ndarray:
    """Return boxes `(n, 2 * ndim)` of the network's grid on that of the file.

    Args:
        corners: the low corner, then the high one, in positions of `grid`.
        grid: size of the network's grid.
        size: size of the file's grid, turned.
        turn: how the file's grid was turned; None if it was not.

    >>> boxes_on_file(np.array([[0.0, 2, 1, 4]]), (4, 4), (4, 8), Turn((1, 0), (0,))).tolist()
    [[4.0, 3.0, 8.0, 4.0]]
    """
    ndim, whole = len(grid), np.asarray(size, np.float64)
    low, high = (half * (whole / np.asarray(grid)) for half in (corners[:, :ndim], corners[:, ndim:]))
    if turn is None:
        return np.concatenate([low, high], axis=1)
    for axis in turn.mirrored:
        low[:, axis], high[:, axis] = whole[axis] - high[:, axis], whole[axis] - low[:, axis]
    places = [turn.order.index(axis) for axis in range(ndim)]
    return np.concatenate([low[:, places], high[:, places]], axis=1)
