"""What the report shows of points: those that were found, missed and invented."""

from collections.abc import Sequence

import numpy as np

from atrous.data.targets.places import Places
from atrous.tasks.point_metrics import pair_points
from atrous.tasks.points import PointAnswer, PointTask

DOT = 2
"""Positions from a point to the border of the square (cube, interval) that is painted for it."""


def judged_points(truth: Places, answer: PointAnswer, task: PointTask) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the found points as places in `object_examples.PALETTE`, both `(*S)` uint8.

    True points are 1 where they were found and 2 where they were missed; found points 1, or 3 where they were invented.
    """
    pairs = pair_points(truth.places, truth.classes, answer, task)
    sides = (truth.places, pairs.true, 2), (answer.places, pairs.found, 3)
    first, second = (_painted(truth.size, places, matched, other) for places, matched, other in sides)
    return first, second


def _painted(size: Sequence[int], places: np.ndarray, matched: np.ndarray, other: int) -> np.ndarray:
    kinds = np.full(len(places), other, np.uint8)
    kinds[matched] = 1
    picture = np.zeros(tuple(size), np.uint8)
    # Points that are not matched are painted last, so that none of them is hidden.
    for index in np.argsort(kinds, kind="stable"):
        middle = np.floor(places[index]).astype(int)
        picture[tuple(slice(max(0, at - DOT), at + DOT + 1) for at in middle)] = kinds[index]
    return picture
