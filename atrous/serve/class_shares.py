"""Labels and probabilities along one axis as curves of a bounded number of bins."""

from collections.abc import Callable

import numpy as np

from atrous.labels import IGNORE

LOOKED_AT = 32
"""Positions of each bin that are looked at; all of them in shorter bins."""


def positions_of(start: int, step: int, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of bins that are looked at, `(count, n)` int64, and which of them are not beyond the end.

    >>> positions_of(10, 2, 2, 13)[0].tolist(), positions_of(10, 2, 2, 13)[1].tolist()
    ([[10, 11], [12, 12]], [[True, True], [True, False]])
    """
    looked = min(step, LOOKED_AT)
    inside = ((np.arange(looked) + 0.5) * step / looked).astype(np.int64)
    positions = start + np.arange(count, dtype=np.int64)[:, None] * step + inside
    return np.minimum(positions, length - 1), positions < length


def class_shares(labels: np.ndarray, counted: np.ndarray, classes: int, bits: bool) -> np.ndarray:
    """Return how many percent of each bin have each class, `(classes, n)` uint8; rounded up, so that none is lost.

    Args:
        labels: of the positions that were looked at, `(n, m)` uint8; void counts as no class.
        counted: bool `(n, m)`, which of them are labels.
        classes: how many there are.
        bits: whether labels are sets of classes, one bit for each.

    >>> class_shares(np.array([[0, 1, 1, 255]], np.uint8), np.ones((1, 4), bool), 2, False).tolist()
    [[25], [50]]
    """
    counted_labels = counted & (labels != IGNORE)
    total = np.maximum(counted.sum(1), 1)
    shares = []
    for number in range(classes):
        has = (labels >> number) & 1 == 1 if bits else labels == number
        shares.append(np.ceil(100 * (has & counted_labels).sum(1) / total))
    return np.array(shares, np.uint8).reshape(classes, -1)


def bins_of(values: np.ndarray, step: int, count: int) -> np.ndarray:
    """Return the mean of every `step` values `(K, n)`, `(K, count)` float32; NaN where there is none.

    >>> bins_of(np.array([[1, 3, 5]], np.float32), 2, 2).tolist()
    [[2.0, 5.0]]
    """
    padded = np.full((len(values), step * count), np.nan, np.float32)
    padded[:, : values.shape[1]] = values
    parts = padded.reshape(len(values), count, step)
    there = np.isfinite(parts)
    sums = np.where(there, parts, 0).sum(2, dtype=np.float64)
    numbers = there.sum(2)
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan).astype(np.float32)


def looked_at(
    labels: np.ndarray, known: Callable[[np.ndarray], np.ndarray] | None, start: int, step: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels `(n, m)` of bins along labels `(L,)`, which of them count, and which bins are known whole, `(n,)`.

    Args:
        labels: read at single positions.
        known: returns which positions have a known label; None: all.
        start: first position.
        step: positions of a bin.
        count: number of bins.
    """
    positions, there = positions_of(start, step, count, len(labels))
    found = np.asarray(labels[positions])
    if known is None:
        return found, there, np.ones(count, bool)
    at_them = known(positions)
    return found, there & at_them, np.asarray((at_them | ~there).all(1))
