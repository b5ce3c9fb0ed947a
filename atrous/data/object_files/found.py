"""The objects that were found in one input, as they are handed to what writes files of them."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

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
        parts: how many names the key points of one object have, where the points are such; else 0.
    """

    size: tuple[int, ...]
    classes: np.ndarray
    scores: np.ndarray
    numbers: np.ndarray | None = None
    boxes: np.ndarray | None = None
    points: np.ndarray | None = None
    parts: int = 0

    def windows(self) -> list[Window | None]:
        """Return the box of each object as a window of the numbers; None for an object without a position."""
        if self.numbers is None:
            return [None] * len(self.classes)
        return list(ndimage.find_objects(self.numbers.astype(np.int32), len(self.classes)))
