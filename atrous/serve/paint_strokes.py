"""Which positions of a plane a stroke covers: brush, polygon, box and fill."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from atrous.errors import UserError

KINDS = ("brush", "polygon", "box", "fill")
MOST_POINTS = 3000
"""Points of a stroke; the page divides longer ones."""
LARGEST = 1024.0
"""Greatest radius of the brush, in pixels."""
LEAST = 0.5**0.5
"""Least radius: a disc of this radius holds the middle of a pixel wherever it lies, so thin lines have no gaps."""
MOST_COVERED = 2**25
"""Positions of the box around a stroke."""
PIECE = 64.0
"""Longer segments are divided: the box around a short one is mostly covered, that around a long one is not."""

Box = tuple[slice, slice]
"""Rows and columns, both ends given."""


@dataclass(frozen=True)
class Stroke:
    """What was drawn in a plane, in pixels: pixel 0 spans 0 to 1.

    Attributes:
        kind: `brush` covers what lies within `radius` of the line through the points, `polygon` what lies inside of it,
            `box` the pixels between two corners, `fill` the area of equal labels around the one point.
        points: row and column of each.
        radius: of the brush.
    """

    kind: Literal["brush", "polygon", "box", "fill"]
    points: Sequence[tuple[float, float]]
    radius: float = 1.0


def covered(stroke: Stroke, size: tuple[int, int]) -> tuple[Box, np.ndarray]:
    """Return the box around a stroke, cut at the border of the plane, and which of its pixels are covered `(h, w)`.

    The box is empty where the stroke lies outside. A fill depends on the labels: see `area_around`.

    Args:
        stroke: any but a fill.
        size: rows and columns of the plane.

    Raises:
        UserError: it has too few or too many points, or covers too large a part of the plane.

    >>> box, inside = covered(Stroke("brush", [(1.5, 1.5)], 1.0), (4, 4))
    >>> box, inside.astype(int).tolist()
    ((slice(0, 3, None), slice(0, 3, None)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    """
    least = {"brush": 1, "polygon": 3, "box": 2}[stroke.kind]
    if not least <= len(stroke.points) <= MOST_POINTS:
        raise UserError(f"a {stroke.kind} has {least} to {MOST_POINTS} points, not {len(stroke.points)}")
    points = np.array(stroke.points, float)
    radius = min(max(stroke.radius, LEAST), LARGEST) if stroke.kind == "brush" else 0.0
    box = _box(points, radius, size)
    count = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    if count > MOST_COVERED:
        raise UserError(f"a stroke across {count:,} pixels: zoom in, and draw shorter ones ({MOST_COVERED:,} at most)")
    inside = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), bool)
    if stroke.kind == "box":
        inside[:] = True
    elif stroke.kind == "polygon":
        from skimage.draw import polygon

        rows, columns = polygon(points[:, 0] - 0.5 - box[0].start, points[:, 1] - 0.5 - box[1].start, inside.shape)
        inside[rows, columns] = True
    else:
        _brush(inside, points - (box[0].start, box[1].start), radius)
    return box, inside


def area_around(labels: np.ndarray, place: tuple[int, int], closed: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """Return which pixels `(h, w)` are joined to a place by pixels of the same label, along rows and columns.

    Args:
        labels: a window of the mask.
        place: row and column in the window.
        closed: whether the plane ends at the upper, lower, left and right side of the window.

    Raises:
        UserError: the area goes on beyond the window.

    >>> area_around(np.array([[0, 1], [1, 1]]), (0, 0), (True, True, True, True)).astype(int).tolist()
    [[1, 0], [0, 0]]
    """
    from skimage.segmentation import flood

    area = flood(labels, place, connectivity=1)
    sides = (area[0], area[-1], area[:, 0], area[:, -1])
    if any(side.any() and not ends for side, ends in zip(sides, closed, strict=True)):
        raise UserError("the area to fill is not closed in view: draw its outline first, or zoom out")
    return area


def _box(points: np.ndarray, radius: float, size: tuple[int, int]) -> Box:
    low, high = np.floor(points.min(0) - radius), np.ceil(points.max(0) + radius)
    starts = [int(min(max(0, start), most)) for start, most in zip(low, size, strict=True)]
    stops = [
        int(min(max(start, stop), most))
        for start, stop, most in zip(starts, np.maximum(high, low + 1), size, strict=True)
    ]
    return slice(starts[0], stops[0]), slice(starts[1], stops[1])


def _brush(inside: np.ndarray, points: np.ndarray, radius: float) -> None:
    """Mark the pixels whose middle is within the radius of the line through points `(n, 2)`.

    The distance of a pixel x to the segment from a to b is |x - a - t (b - a)| with t = (x - a)(b - a) / |b - a|^2, cut
    to 0..1.
    """
    for begin, end in _pieces(points, radius, inside.shape):
        low = np.maximum(np.floor(np.minimum(begin, end) - radius), 0).astype(int)
        high = np.minimum(np.ceil(np.maximum(begin, end) + radius).astype(int), inside.shape)
        if (high <= low).any():
            continue
        y = np.arange(low[0], high[0])[:, None] + 0.5 - begin[0]
        x = np.arange(low[1], high[1])[None] + 0.5 - begin[1]
        down, across = end - begin
        length = down * down + across * across
        t = np.clip((y * down + x * across) / length, 0, 1) if length > 0 else 0.0
        near = (y - t * down) ** 2 + (x - t * across) ** 2 <= radius * radius
        inside[low[0] : high[0], low[1] : high[1]] |= near


def _pieces(points: np.ndarray, radius: float, size: tuple[int, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The short pieces of the line through some points that are near a box of this size: where each begins and ends."""
    for begin, end in pairwise(points) if len(points) > 1 else [(points[0], points[0])]:
        first, last = _near(begin, end, radius, size)
        if first <= last:
            count = max(1, int(np.ceil((last - first) * np.hypot(*(end - begin)) / PIECE)))
            yield from pairwise(begin + (end - begin) * np.linspace(first, last, count + 1)[:, None])


def _near(begin: np.ndarray, end: np.ndarray, radius: float, size: tuple[int, ...]) -> tuple[float, float]:
    """The part of a segment, from 0 to 1, that lies at most `radius` beside a box; the first is larger if none does.

    Points may lie anywhere, so a whole segment can have any number of pieces.
    """
    first, last = 0.0, 1.0
    for a, b, length in zip(begin.tolist(), end.tolist(), size, strict=True):
        if a == b and not -radius <= a <= length + radius:
            return 1.0, 0.0
        if a != b:
            enters, leaves = sorted(((-radius - a) / (b - a), (length + radius - a) / (b - a)))
            first, last = max(first, enters), min(last, leaves)
    return first, last
