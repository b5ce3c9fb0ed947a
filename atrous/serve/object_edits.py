"""Changes of an image of object numbers: merge, split, delete and outline. Each gives a box and the numbers in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.serve.paint_strokes import LEAST, Box, Stroke, covered

Point = tuple[float, float]
"""Row and column in pixels; pixel 0 spans 0 to 1."""
Change = tuple[Box, np.ndarray]
"""Rows and columns, and the numbers `(h, w)` that take the place of those in them."""


def number_at(numbers: np.ndarray, place: Point) -> int:
    """Return the number of the object at a place, 0 for none.

    Raises:
        UserError: the place lies outside of the image.
    """
    row, column = (int(np.floor(value)) for value in place)
    if not (0 <= row < numbers.shape[0] and 0 <= column < numbers.shape[1]):
        raise UserError(f"row {row}, column {column}: the image has {numbers.shape[0]} x {numbers.shape[1]} pixels")
    return int(numbers[row, column])


def merged(numbers: np.ndarray, places: Sequence[Point]) -> Change:
    """Give the objects at some places the number of the first.

    Raises:
        UserError: there are not two different ones.

    >>> merged(np.array([[1, 0, 2, 3]]), [(0.5, 2.5), (0.5, 0.5)])[1].tolist()
    [[2, 0, 2]]
    """
    chosen = _chosen(numbers, places)
    if len(chosen) < 2:
        raise UserError("choose two objects at least, then merge")
    box = _box_of(np.isin(numbers, chosen))
    after = numbers[box].copy()
    after[np.isin(after, chosen)] = chosen[0]
    return box, after


def deleted(numbers: np.ndarray, places: Sequence[Point]) -> Change:
    """Make the objects at some places background.

    Raises:
        UserError: there is none.

    >>> deleted(np.array([[1, 0, 2, 3]]), [(0.5, 2.5)])
    ((slice(0, 1, None), slice(2, 3, None)), array([[0]]))
    """
    chosen = _chosen(numbers, places)
    box = _box_of(np.isin(numbers, chosen))
    after = numbers[box].copy()
    after[np.isin(after, chosen)] = 0
    return box, after


def split(numbers: np.ndarray, line: Sequence[Point]) -> Change:
    """Cut every object that a line crosses from one side to the other.

    The largest part keeps the number, the others get new ones. Pixels of the line go to the nearest part.

    Raises:
        UserError: the line crosses no object so.

    >>> split(np.ones((1, 7), int), [(0.0, 2.5), (1.0, 2.5)])[1][0, [0, 1, 3, 4, 5, 6]].tolist()  # the line: column 2
    [2, 2, 1, 1, 1, 1]
    """
    from scipy import ndimage

    size = (numbers.shape[0], numbers.shape[1])
    box, crossed = covered(Stroke("brush", line, LEAST), size)
    touched = np.unique(numbers[box][crossed]) if crossed.any() else np.zeros(0, numbers.dtype)
    touched = touched[touched > 0]
    if len(touched) == 0:
        raise UserError("the line crosses no object")
    whole = _joined(_box_of(np.isin(numbers, touched)), box)
    before, after = numbers[whole], numbers[whole].copy()
    on_line = np.zeros(before.shape, bool)
    top, left = whole[0].start, whole[1].start
    on_line[box[0].start - top : box[0].stop - top, box[1].start - left : box[1].stop - left] = crossed
    beside = np.asarray(ndimage.binary_dilation(on_line), bool)
    following = int(numbers.max()) + 1
    for number in touched:
        inside = before == number
        labeled: tuple[np.ndarray, int] = ndimage.label(inside & ~on_line)  # type: ignore[assignment]
        parts = labeled[0]
        sides = np.unique(parts[beside & (parts > 0)])
        if len(sides) < 2:
            continue
        sides = sides[np.argsort(-np.bincount(parts.ravel())[sides], kind="stable")]
        for part in sides[1:]:
            after[parts == part] = following
            following += 1
        nearest: Any = ndimage.distance_transform_edt(
            ~np.isin(parts, sides), return_distances=False, return_indices=True
        )  # indices (2, h, w) of the nearest pixel of a part
        cut = inside & on_line
        after[cut] = after[nearest[0][cut], nearest[1][cut]]
    if np.array_equal(before, after):
        raise UserError("the line divides no object: draw it from one side of an object to the other")
    return whole, after


def outlined(numbers: np.ndarray, corners: Sequence[Point]) -> Change:
    """Make what an outline encloses an object, where there is none yet.

    Raises:
        UserError: it encloses nothing, or only pixels of other objects.

    >>> outlined(np.array([[0, 4], [0, 0]]), [(0, 0), (0, 2), (2, 2), (2, 0)])[1].tolist()
    [[5, 4], [5, 5]]
    """
    box, inside = covered(Stroke("polygon", corners), (numbers.shape[0], numbers.shape[1]))
    after = numbers[box].copy()
    free = inside & (after == 0)
    if not free.any():
        raise UserError("the outline encloses no free pixel: draw it around an object that has no number yet")
    after[free] = int(numbers.max()) + 1
    return box, after


EDITS = {"merge": merged, "delete": deleted, "split": split, "outline": outlined}


def _chosen(numbers: np.ndarray, places: Sequence[Point]) -> list[int]:
    """The numbers at some places, each once, in their order."""
    found = dict.fromkeys(number_at(numbers, place) for place in places)
    found.pop(0, None)
    if not found:
        raise UserError("there is no object: choose one with a click")
    return list(found)


def _box_of(inside: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _joined(one: Box, other: Box) -> Box:
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return rows, columns
