"""Distances along rays: from the positions of numbered objects in images to the border of their object (2-D).

Ray k points to the angle 2 pi k / rays, from the last axis towards the first, as in `atrous.objects.stars`.
"""

from collections.abc import Sequence

import numpy as np

from atrous.objects.stars import polygon_spans

PHASES = 2
"""Parallel lines that cross one position, for each ray."""
LONGEST = 128
"""Objects that are longer than this along an axis are measured by `star_iou` on every second (third, ...) position."""


def directions(rays: int) -> np.ndarray:
    """Return the unit vectors `(rays, 2)` float64 of the rays: row, column.

    >>> directions(4).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, -0.0]]
    """
    angles = 2 * np.pi * np.arange(rays) / rays
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


def ray_distances(numbers: np.ndarray, rays: int, steps: Sequence[float] = (1.0, 1.0)) -> np.ndarray:
    """Return the distance from the middle of each position along each ray to the border of its object.

    A ray crosses one row (steep rays) or one column (flat rays) per step. It looks at the position that is nearest at
    each step, and ends half a step before the first one of another number. All starts of a row are moved along it by
    the same part of a position, at most 1 / (2 `PHASES`), onto lines that they share with other rows. So each line is
    walked once, whatever the lengths. Outside of the image there is no object.

    Args:
        numbers: of objects, `(H, W)` whole numbers below 2^32; 0 is background.
        rays: their number.
        steps: length of a step from a position to the next along each axis: angles and distances are those in the
            world, where pixels need not be squares.

    Returns:
        `(rays, H, W)` float32, in the unit of `steps`; 0 in the background.

    >>> ray_distances(np.array([[0, 5, 5, 5, 7]]), 4)[:, 0, 1].tolist()
    [2.5, 0.5, 0.5, 0.5]
    >>> ray_distances(np.array([[0, 5, 5, 5, 7]]), 4, (4.0, 2.0))[:, 0, 1].tolist()
    [5.0, 2.0, 1.0, 2.0]
    """
    grid = np.asarray(numbers).astype(np.int32)  # numbers below 2^32 stay different from each other
    result = np.zeros((rays, *grid.shape), np.float32)
    vectors = directions(rays) / np.asarray(steps)
    steep = np.abs(vectors[:, 0]) > np.abs(vectors[:, 1])
    for chosen, lines, along in (
        (np.flatnonzero(steep), grid, result),
        (np.flatnonzero(~steep), grid.T, result.swapaxes(1, 2)),
    ):
        major = vectors[chosen, 0 if lines is grid else 1]
        minor = vectors[chosen, 1 if lines is grid else 0]
        # Opposite rays run along the same lines.
        slopes, place = np.unique(np.round(minor / major, 9), return_inverse=True)
        ahead, behind = _steps_inside(lines, slopes)
        for ray, slope, step in zip(chosen.tolist(), place.tolist(), major.tolist(), strict=True):
            counts = ahead[:, slope] if step > 0 else behind[:, slope]
            np.add(counts, np.float32(0.5), out=along[ray])
            along[ray] /= np.float32(abs(step))
    result *= grid != 0
    return result


def _steps_inside(grid: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many steps of one row stay in the object, towards later and towards earlier rows, `(H, slopes, W)`.

    Line i of phase f and slope s crosses row r at the column i + f / `PHASES` + s r. Columns are counted in a circle
    with one column of background at its end, which every line that leaves the image meets, since |s| <= 1.
    """
    height, width = grid.shape
    around = width + 1
    rows, phases = np.arange(height), np.arange(PHASES)
    twice = np.zeros((height, 2 * around), np.int32)
    twice[:, :width] = twice[:, around:-1] = grid
    shift = np.floor(phases / PHASES + (rows[:, None] * slopes)[:, :, None] + 0.5).astype(np.int64) % around
    circles = np.lib.stride_tricks.sliding_window_view(twice, around, axis=1)
    seen = circles[rows[:, None, None], shift]  # (H, slopes, PHASES, W + 1)
    same = (seen[1:] == seen[:-1]).astype(np.uint16)
    # The line that passes nearest to the middles of row r is the same for all columns.
    nearest = np.rint(-PHASES * rows[:, None] * slopes).astype(np.int64)
    line, phase = np.divmod(nearest, PHASES)
    both = []
    for order in (range(height - 2, -1, -1), range(1, height)):
        counts = np.zeros(seen.shape, np.uint16)
        for row in order:
            before, link = (row + 1, row) if order.step < 0 else (row - 1, row - 1)
            np.add(counts[before], 1, out=counts[row])
            counts[row] *= same[link]
        own = counts[rows[:, None], np.arange(len(slopes)), phase]  # (H, slopes, W + 1)
        windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([own, own], axis=2), width, axis=2)
        both.append(windows[rows[:, None], np.arange(len(slopes)), line % around])
    return both[0], both[1]


def star_iou(mask: np.ndarray, rays: int = 32) -> float:
    """Return the intersection over union of an object and of the star-convex polygon around its innermost position.

    Args:
        mask: `(H, W)` bool, where the object is; somewhere it is.
        rays: number of corners of the polygon.

    >>> star_iou(np.ones((9, 9), bool))
    1.0
    """
    every = -(-max(mask.shape) // LONGEST)
    thin = mask[::every, ::every]
    mask = thin if thin.any() else mask
    distances = ray_distances(mask, rays)
    center = np.unravel_index(int(distances.min(axis=0).argmax()), mask.shape)
    corners = np.array(center) + 0.5 + distances[:, *center, None] * directions(rays)
    polygon = np.zeros_like(mask, dtype=bool)
    for row, first, stop in zip(*polygon_spans(corners, range(mask.shape[0]), mask.shape[1]), strict=True):
        polygon[row, first:stop] = True
    return float((polygon & mask).sum() / (polygon | mask).sum())
