"""How much boxes overlap, all with all: upright ones of any number of axes, and rotated ones of two.

Boxes are rows of numbers: `(n, 2 * ndim)`, the low corner, then the high one; or `(n, 8)`, the corners of rotated boxes
as `atrous.objects.rotated.corners_of` gives them.
"""

import numpy as np

from atrous.objects.rotated import boxes_of, common_area

CORNERS = 8
"""Numbers of a rotated box."""


def volumes(boxes: np.ndarray) -> np.ndarray:
    """Return the area (volume, length) `(n,)` of boxes; 0 where an upright box is turned inside out."""
    if boxes.shape[1] == CORNERS:
        return boxes_of(boxes)[:, 2:4].prod(axis=1)
    low, high = np.split(boxes, 2, axis=1)
    return np.maximum(high - low, 0).prod(axis=1)


def common_volumes(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area (volume, length) that every box has in common with every other one, `(n, m)` float64."""
    if boxes.shape[1] != CORNERS:
        low, high = np.split(boxes[:, None], 2, axis=2)
        other_low, other_high = np.split(others[None], 2, axis=2)
        return np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod(axis=2)
    near = common_volumes(_hulls(boxes), _hulls(others))
    rows, columns = np.nonzero(near)  # others, whose upright boxes are apart, have no area in common
    found = np.zeros_like(near)
    found[rows, columns] = common_area(boxes_of(boxes)[rows], boxes_of(others)[columns])
    return found


def _hulls(corners: np.ndarray) -> np.ndarray:
    """The upright boxes `(n, 4)` around rotated ones."""
    rings = corners.reshape(-1, 4, 2)
    return np.concatenate([rings.min(axis=1), rings.max(axis=1)], axis=1)


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every box with every other one, `(n, m)` float64.

    >>> box_iou(np.array([[0.0, 4.0]]), np.array([[2.0, 6.0], [5.0, 9.0]])).tolist()
    [[0.3333333333333333, 0.0]]
    """
    common = common_volumes(boxes, others)
    union = volumes(boxes)[:, None] + volumes(others)[None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def covered(boxes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Return the greatest share of each box that one of some areas `(v, ...)` covers, `(n,)`.

    >>> covered(np.array([[0.0, 4.0]]), np.array([[2.0, 9.0], [3.0, 5.0]])).tolist()
    [0.5]
    """
    if not len(areas):
        return np.zeros(len(boxes))
    common, own = common_volumes(boxes, areas).max(axis=1), volumes(boxes)
    return np.divide(common, own, out=np.zeros_like(common), where=own > 0)
