"""The objects that were found in one input, as they are handed to what writes files of them."""

from dataclasses import dataclass

import numpy as np

Window = tuple[slice, ...]


@dataclass(frozen=True)
class FoundObjects:
    """The objects of one input, in the order of their numbers.

    Attributes:
        size: of the input's grid, `S`.
        classes: `(n,)` int64.
        scores: `(n,)` float32.
        numbers: `(*S)`, the number of the object at each position from 1 on; None for boxes and points.
        boxes: `(n, 2 * ndim)`, where each starts along every axis, then where it stops; None for others.
        points: `(n, ndim)` in positions; None for others.
        polygons: `(n, 4, 2)`, the corners of rotated boxes, one side after the other; None for others.
        parts: how many names the key points of one object have, where the points are such; else 0.
    """

    size: tuple[int, ...]
    classes: np.ndarray
    scores: np.ndarray
    numbers: np.ndarray | None = None
    boxes: np.ndarray | None = None
    points: np.ndarray | None = None
    parts: int = 0
    polygons: np.ndarray | None = None

    def rectangles(self) -> np.ndarray | None:
        """Return the corners `(n, 4, 2)` of the boxes of an image, one side after the other; None where it has none."""
        if self.polygons is not None or self.boxes is None:
            return self.polygons
        return self.boxes[:, [0, 1, 0, 3, 2, 3, 2, 1]].reshape(-1, 4, 2)

    def windows(self) -> list[Window | None]:
        """Return the box of each object as a window of the numbers; None for an object without a position."""
        from scipy import ndimage

        if self.numbers is None:
            return [None] * len(self.classes)
        return list(ndimage.find_objects(self.numbers.astype(np.int32), len(self.classes)))
