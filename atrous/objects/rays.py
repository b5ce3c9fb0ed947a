"""Distances along rays: from the positions of numbered objects to the border of their object.

Rays point as `atrous.objects.directions` says. In images every position of a line is measured in one walk along the
line, since objects may be long. Those of volumes are few voxels long, and each ray is walked by itself.
"""

from collections.abc import Sequence

import numpy as np

from atrous.objects.directions import directions

PHASES = 2
"""Parallel lines that cross one pixel, for each ray."""


def distances_at(numbers: np.ndarray, places: np.ndarray, rays: int, steps: Sequence[float] = (1.0, 1.0)) -> np.ndarray:
    """Return the distances along the rays from some positions of objects in an image or a volume.

    Args:
        numbers: of objects, `(*S)` whole numbers below 2^32; 0 is background.
        places: `(n, ndim)` positions in objects.
        rays: their number.
        steps: length of a step from a position to the next along each axis.

    Returns:
        `(n, rays)` float32, in the unit of `steps`; see `ray_distances` and `walked`.

    >>> distances_at(np.array([[0, 5, 5, 5, 7]]), np.array([[0, 1]]), 4).tolist()
    [[2.5, 0.5, 0.5, 0.5]]
    """
    if np.ndim(numbers) == 2:
        return ray_distances(numbers, rays, steps)[:, *places.T].T
    return walked(numbers, places, directions(rays, 3) / np.asarray(steps))


def walked(numbers: np.ndarray, places: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return how far each of some vectors can be followed from the middles of positions until the object ends.

    A ray crosses one position per step along the axis to which it is most parallel. It looks at the position that is
    nearest at each step, and ends half a step before the first one of another number. Outside of the grid there is no
    object.

    Args:
        numbers: of objects, `(*S)` whole numbers below 2^32.
        places: `(n, ndim)` positions in objects.
        vectors: `(rays, ndim)`, in positions.

    Returns:
        `(n, rays)` float32, in lengths of the vectors.

    >>> walked(np.array([[[0, 5, 5, 5, 7]]]), np.array([[0, 0, 1]]), np.array([[0, 0, 1.0], [0, 0, -2.0]])).tolist()
    [[2.5, 0.25]]
    """
    # A step moves by one position at most along each axis, so that a border of one position ends every ray.
    padded = np.pad(np.asarray(numbers).astype(np.int32), 1)  # numbers below 2^32 stay different from each other
    flat, jumps = padded.reshape(-1), np.array(padded.strides) // padded.itemsize
    first = (places + 1) @ jumps
    own = flat[first]
    result = np.empty((len(vectors), len(places)), np.float32)
    for vector, distances in zip(vectors, result, strict=True):
        longest = np.abs(vector).max()
        walking, here, number, step = np.arange(len(places)), first, own, 0
        while len(walking):
            step += 1
            move = np.floor(step * (vector / longest) + 0.5).astype(np.int64) @ jumps
            inside = flat[here + move] == number
            distances[walking[~inside]] = (step - 0.5) / longest
            walking, here, number = walking[inside], here[inside], number[inside]
    return result.T


def ray_distances(numbers: np.ndarray, rays: int, steps: Sequence[float] = (1.0, 1.0)) -> np.ndarray:
    """Return the distance from the middle of each pixel along each ray to the border of its object.

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
    vectors = directions(rays, 2) / np.asarray(steps)
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
