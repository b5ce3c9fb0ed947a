"""Positions (pixels, voxels, samples) where an image has no data: their labels are void, and they count for nothing."""

import numpy as np

from atrous.data.source import Source, Store
from atrous.data.views import Voided
from atrous.labels import IGNORE

ROWS = 1024
"""Rows of an array that are changed together."""


def voided(sink: Store, valid: Source | None, value: float = IGNORE) -> Store:
    """Return a sink that writes `value` wherever `valid` is false; the sink itself if `valid` is None.

    Args:
        sink: takes labels `(*S)` or bands `(K, *S)`.
        valid: `(*S)` bool; None if every position has data.
        value: written at positions without data.

    >>> labels = np.zeros(3, np.uint8)
    >>> voided(labels, np.array([True, False, True]))[...] = np.ones(3, np.uint8)
    >>> labels.tolist()
    [1, 255, 1]
    """
    return sink if valid is None else Voided(sink, valid, value)


def measured(image: np.ndarray, valid: Source | None) -> np.ndarray:
    """Return an image `(C, *S)` with NaN where it has no data, float32; the image itself where every position has data.

    Args:
        image: the values.
        valid: `(*S)` bool; None if every position has data.

    >>> measured(np.array([[7, 9]], np.uint8), np.array([True, False])).tolist()
    [[7.0, nan]]
    """
    known = None if valid is None or tuple(valid.shape) != image.shape[1:] else np.asarray(valid[...])
    if known is None or known.all():
        return image
    return np.where(known, image, np.float32(np.nan)).astype(np.float32)


def make_void(array: Store, valid: Source | None, value: float = IGNORE) -> None:
    """Set the positions of an array `(*S)` or `(K, *S)` that have no data to `value`, in place, some rows at a time.

    Args:
        array: labels or bands.
        valid: `(*S)` bool; None if every position has data.
        value: for positions without data.
    """
    if valid is None:
        return
    lead = (slice(None),) * (len(array.shape) - len(valid.shape))
    for row in range(0, valid.shape[0], ROWS):
        rows = (*lead, slice(row, row + ROWS))
        array[rows] = np.where(np.asarray(valid[slice(row, row + ROWS)]), array[rows], np.asarray(value, array.dtype))
