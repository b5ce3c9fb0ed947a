"""Outlines of objects on the pixels of an image: a pixel belongs to an object whose outline holds its center."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.object_files.base import AnnotatedObject
from atrous.data.object_files.runs import mask_of

_AT_ONCE = 1 << 22
"""Crossings of edges with rows that are computed in one step."""

Window = tuple[slice, slice]


def fill(rings: Sequence[np.ndarray], size: Sequence[int]) -> tuple[Window, np.ndarray]:
    """Return the pixels whose centers lie in one of several polygons, as a window of the image and a mask of it.

    Of a polygon that crosses itself, what is inside follows the even-odd rule.

    Args:
        rings: `(n, 2)` rows and columns of the corners of each polygon.
        size: height and width of the image.

    >>> window, mask = fill([np.array([[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]])], (4, 5))
    >>> window, mask.tolist()
    ((slice(1, 3, None), slice(1, 3, None)), [[True, True], [True, True]])
    """
    corners = np.concatenate(rings)
    limits = np.array(size, float)
    low = np.floor(np.clip(corners.min(0), 0, limits)).astype(int)
    high = np.ceil(np.clip(corners.max(0), 0, limits)).astype(int)
    window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    shape = (int(high[0] - low[0]), int(high[1] - low[1]))
    mask = np.zeros(shape, bool)
    if 0 not in shape:
        for ring in rings:
            mask |= _filled(ring - low, shape)
    return window, mask


def _filled(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels `shape` whose centers lie in one polygon.

    An edge from (y0, x0) to (y1, x1) crosses the center line y of a row if min(y0, y1) <= y < max(y0, y1). A center is
    inside if an odd number of edges cross its row to the left of it.
    """
    height, width = shape
    start, stop = ring, np.roll(ring, -1, axis=0)
    upper, lower = np.minimum(start[:, 0], stop[:, 0]), np.maximum(start[:, 0], stop[:, 0])
    first = np.clip(np.ceil(upper - 0.5), 0, height).astype(np.int64)  # rows whose centers the edge spans
    last = np.clip(np.ceil(lower - 0.5), 0, height).astype(np.int64)
    parity = np.zeros((height, width + 1), np.uint8)  # counts beyond 255 wrap, and stay odd or even
    used = np.flatnonzero(last > first)
    spans = (last - first)[used]
    steps = np.cumsum(spans) // _AT_ONCE
    for step in np.unique(steps):
        edges, rows_of = used[steps == step], spans[steps == step]
        edge = np.repeat(edges, rows_of)
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(rows_of) - rows_of, rows_of) + first[edge]
        (y0, x0), (y1, x1) = start[edge].T, stop[edge].T
        crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)  # the first center right of the crossing
        np.add.at(parity, (rows, columns), 1)
    np.cumsum(parity, axis=1, dtype=np.uint8, out=parity)
    return (parity[:, :width] & 1).astype(bool)


def pixels_of(one: AnnotatedObject, size: Sequence[int], path: Path) -> tuple[Window, np.ndarray]:
    """Return the pixels of an object that has an outline, as a window of the image and a mask of it.

    Raises:
        FileFault: its mask has another size than the image.
    """
    if one.runs is None:
        return fill(one.polygons, size)
    if tuple(one.runs.size) != tuple(size):
        sizes = " x ".join(map(str, one.runs.size)), " x ".join(map(str, size))
        what = f"{one.where}: its mask is {sizes[0]} pixels, the image {sizes[1]}"
        raise FileFault(path, what, "export the masks for the images as they are")
    top, left, bottom, right = (int(n) for n in one.extent or (0, 0, 0, 0))
    window = (slice(top, bottom), slice(left, right))
    return window, mask_of(one.runs, path)[window]


def area(one: AnnotatedObject) -> float:
    """Return about how many pixels the outline of an object encloses.

    >>> area(AnnotatedObject("", "", polygons=(np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]]),)))
    6.0
    """
    if one.runs is not None:
        return float(one.runs.counts[1::2].sum())
    total = 0.0
    for ring in one.polygons:
        (y, x), (v, u) = (ring - ring[0]).T, np.roll(ring - ring[0], -1, axis=0).T
        total += abs(float((x * v - u * y).sum())) / 2
    return total
