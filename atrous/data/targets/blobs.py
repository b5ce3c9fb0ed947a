"""Whether the values of a mask number objects: each value is one blob, and they count from 1."""

from collections.abc import Collection

import numpy as np

FEWEST = 5
"""Masks with fewer values may hold classes that happen to be blobs."""
MOST = 20_000
GAPS = 1.5
"""Objects that others hide leave gaps: the greatest number is at most so many times their count."""
FILLED = 0.2
"""A blob fills at least this part of its bounding box."""
COARSE, LOOKED_AT = 4, 4096
"""Large masks are looked at every so many positions first, if these are at least so many."""
EXTENT = 0.5
"""A blob is shorter than this part of the mask along every axis."""


def numbered_objects(values: np.ndarray, present: Collection[int]) -> int:
    """Return how many objects the values number, 0 if they do not look like numbers of objects.

    Args:
        values: of a mask, `(*S)` whole numbers.
        present: the values that occur.

    >>> mask = np.kron(np.arange(1, 10).reshape(3, 3), np.pad(np.ones((4, 4), int), 2))
    >>> numbered_objects(mask, range(10)), numbered_objects(np.tile(np.arange(6), (6, 1)), range(6))
    (9, 0)
    """
    numbers = np.array(sorted(value for value in present if value > 0))
    if not FEWEST <= len(numbers) <= MOST or numbers[-1] > GAPS * len(numbers) + 1:
        return 0
    coarse = values[(slice(None, None, COARSE),) * values.ndim]
    # Classes are told from objects on few positions already; what may be objects is looked at closely.
    blobs, seen = _blobs(coarse, numbers) if coarse.size >= LOOKED_AT else (1, 1)
    if 2 * blobs < seen:
        return 0
    return len(numbers) if _blobs(values, numbers)[0] >= 0.9 * len(numbers) else 0


def _blobs(values: np.ndarray, numbers: np.ndarray) -> tuple[int, int]:
    """How many of some numbers are one blob in the values, and how many occur."""
    places = np.where(values > 0, np.searchsorted(numbers, values) + 1, 0)
    sizes = np.bincount(places.ravel(), minlength=len(numbers) + 1)[1:]
    blobs, box = sizes > 0, np.ones(len(numbers), np.int64)
    for axis, whole in enumerate(values.shape):
        lengths = _lengths(np.moveaxis(places, axis, 0), len(numbers) + 1)[1:]
        blobs &= (lengths < EXTENT * whole) | (whole < 3)
        box *= lengths
    return int((blobs & (sizes >= FILLED * box)).sum()), int((sizes > 0).sum())


def _lengths(places: np.ndarray, count: int) -> np.ndarray:
    """Return how long each number below `count` is along the first axis, from its first position to its last."""
    flat = places.reshape(-1)
    rows = np.repeat(np.arange(len(places)), flat.size // max(1, len(places)))
    first, last = np.zeros((2, count), np.int64)
    # Where an index is repeated, NumPy keeps the value that is assigned last.
    first[flat[::-1]], last[flat] = rows[::-1], rows
    return last - first + 1
