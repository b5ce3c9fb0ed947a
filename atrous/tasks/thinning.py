"""Edges one pixel wide: thinning of binary edges, and non-maximum suppression of edge strengths."""

from functools import cache

import numpy as np

_NEIGHBORS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""Row and column of the neighbors x1 to x8 of a pixel: the east one, then counter-clockwise."""
_BORDER = 5
"""Pixels beside the border in which `suppress` lowers strengths, because derivatives are uncertain there."""
_FACTOR = 1.01
"""A strength is kept if this many times of it reaches its neighbors' across the edge."""


def thin(edges: np.ndarray) -> np.ndarray:
    """Thin binary edges `(H, W)` to lines that are one pixel wide, until nothing changes.

    Connected edges stay connected, and holes stay. Pixels outside the image count as 0. This is `bwmorph(edges, 'thin',
    Inf)` of MATLAB: the parallel algorithm of Guo & Hall, "Parallel thinning with two-subiteration algorithms", CACM
    1989 (Lam, Lee & Suen, "Thinning methodologies", PAMI 1992, page 879).

    >>> bar = np.zeros((5, 7), bool)
    >>> bar[1:4, 1:6] = True
    >>> for row in thin(bar).astype(int):
    ...     print("".join("-#"[pixel] for pixel in row))
    -------
    -------
    --###--
    -------
    -------
    """
    padded = np.pad(np.ascontiguousarray(edges, dtype=bool), 1)  # rows after rows, so that `flat` is a view
    flat, width = padded.reshape(-1).view(np.uint8), padded.shape[1]
    offsets = [row * width + column for row, column in _NEIGHBORS]
    places = np.flatnonzero(flat)
    while True:
        before = len(places)
        for removable in _removable():
            code = np.zeros(len(places), np.uint8)
            for bit, offset in enumerate(offsets):
                code |= flat[places + offset] << bit
            gone = removable[code]
            flat[places[gone]] = 0
            places = places[~gone]
        if len(places) == before:
            return padded[1:-1, 1:-1]


@cache
def _removable() -> tuple[np.ndarray, np.ndarray]:
    """Whether a pixel is removed in the first and in the second half of a step, `(256,)` each.

    The index is the code of the eight neighbors: bit k is x(k + 1). The conditions are those of bwmorph:
    G1: the neighbors change from 0 to 1 once on a way round the pixel, so that removing it disconnects nothing.
    G2: 2 <= min(n1, n2) <= 3, so that it is neither the end of a line nor inside.
    G3: it lies at the south or east (first half), or at the north or west (second half).
    """
    codes = np.arange(256)
    x = {k: (codes >> ((k - 1) % 8) & 1).astype(bool) for k in range(1, 10)}  # x9 is x1
    changes = sum((~x[k] & (x[k + 1] | x[k + 2])).astype(int) for k in (1, 3, 5, 7))
    n1 = sum((x[k] | x[k + 1]).astype(int) for k in (1, 3, 5, 7))
    n2 = sum((x[k] | x[k + 1]).astype(int) for k in (2, 4, 6, 8))
    fewest = np.minimum(n1, n2)
    simple = (changes == 1) & (fewest >= 2) & (fewest <= 3)
    first = simple & ~((x[2] | x[3] | ~x[8]) & x[1])
    second = simple & ~((x[6] | x[7] | ~x[4]) & x[5])
    return first, second


def suppress(strength: np.ndarray) -> np.ndarray:
    """Keep the strengths `(H, W)` that are largest across their edge, and set the others to 0 (float32).

    The method of Dollar & Zitnick, "Fast edge detection using structured forests", PAMI 2015 (`edgesNms`), which the
    figures of HED and of most later networks were measured with: strengths are smoothed a little, the direction of an
    edge follows from second derivatives, and a strength is kept if it is no lower than those one pixel further across
    the edge (to 1 %). Within 5 pixels of the border strengths fall linearly to 0. Arrays with fewer than
    three rows or columns, which are all border, are smoothed alone.

    >>> ridge = np.zeros((21, 21), np.float32)
    >>> ridge[:, 9:12] = 0.5, 1, 0.5
    >>> np.flatnonzero(suppress(ridge)[10]).tolist()
    [10]
    """
    from scipy.ndimage import map_coordinates

    smooth = _triangle(np.asarray(strength, dtype=np.float32), 1)
    if min(smooth.shape) < 3:  # a line has no direction across it, and two lines are all border
        return smooth
    down, right = np.gradient(_triangle(smooth, 4))
    right_twice = np.gradient(right, axis=1)
    down_twice, mixed = np.gradient(down)
    sign = np.where(mixed > 0, -1.0, 1.0)
    angle = np.arctan(down_twice * sign / (right_twice + 1e-5))
    rows, columns = np.indices(smooth.shape)
    kept = smooth.copy()
    for step in (-1, 1):
        beside = [rows + step * np.sin(angle), columns + step * np.cos(angle)]
        kept[_FACTOR * smooth < map_coordinates(smooth, beside, order=1, mode="nearest")] = 0
    border = max(1, min(_BORDER, *(size // 2 for size in smooth.shape)))
    for axis, size in enumerate(smooth.shape):
        place = np.arange(size)
        fall = np.minimum(1, np.minimum(place, size - 1 - place) / border).astype(np.float32)
        kept *= fall[:, None] if axis == 0 else fall
    return kept


def _triangle(values: np.ndarray, radius: int) -> np.ndarray:
    """Smooth `(H, W)` by a triangle of weights 1 ... radius + 1 ... 1 along both axes; borders are mirrored."""
    from scipy.ndimage import correlate1d

    weights = radius + 1 - np.abs(np.arange(-radius, radius + 1.0))
    for axis in (0, 1):
        values = correlate1d(values, weights / weights.sum(), axis=axis, mode="reflect")
    return values
