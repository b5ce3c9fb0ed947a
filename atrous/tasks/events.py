"""Onsets and offsets of the stretches of a labeled signal: were they found, within a tolerance?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from atrous.labels import IGNORE

__all__ = ["EventScores", "event_counts", "matches"]


@dataclass(frozen=True, eq=False)
class EventScores:
    """Counts over all recordings, int64 `(2, 3, K)`: onsets and offsets; found, true and predicted; per class.

    tolerance: within which an onset or offset counts as found, in the unit of the spacing (seconds).
    """

    tolerance: float
    counts: np.ndarray

    @property
    def onset_f1(self) -> np.ndarray:
        """F1 of onsets per class, `(K,)`; nan for a class in neither."""
        return _f1(self.counts[0])

    @property
    def offset_f1(self) -> np.ndarray:
        """F1 of offsets per class, `(K,)`; nan for a class in neither."""
        return _f1(self.counts[1])


def event_counts(truth: np.ndarray, prediction: np.ndarray, classes: int, tolerance: float) -> np.ndarray:
    """Onsets and offsets found, true and predicted, int64 `(2, 3, classes)`, of two label maps `(L,)`.

    Every stretch of one class has an onset and an offset. Where the recording or a void begins or ends within a
    stretch, its true onset or offset is unknown: it counts neither as true nor, if predicted near there, as wrong.

    Args:
        truth: labels, `IGNORE` where nothing counts.
        prediction: labels; what is void in the truth is void here.
        classes: number of classes.
        tolerance: greatest distance of a match, in positions.

    >>> truth = np.array([0, 0, 1, 1, 1, 0, 0, 0])
    >>> event_counts(truth, np.roll(truth, 1), 2, tolerance=1)[:, :, 1].tolist()
    [[1, 1, 1], [1, 1, 1]]
    """
    prediction = np.where(truth == IGNORE, IGNORE, prediction)
    counts = np.zeros((2, 3, classes), np.int64)
    true_events, predicted_events = _events(truth), _events(prediction)
    for kind in range(2):
        for value in range(classes):
            true, known = true_events[kind].get(value, _NONE)
            predicted, sure = predicted_events[kind].get(value, _NONE)
            pairs = matches(true, predicted, tolerance)
            hit = np.array([known[i] for i, _ in pairs], bool)
            excused = sum(bool(sure[j]) for i, j in pairs if not known[i])
            found_by_edge = sum(not sure[j] for i, j in pairs if known[i])
            counts[kind, :, value] = hit.sum(), known.sum(), sure.sum() - excused + found_by_edge
    return counts


def matches(a: np.ndarray, b: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Pairs of ascending places at most `tolerance` apart, each used once, as many as can be.

    >>> matches(np.array([10, 20]), np.array([12, 19, 40]), 3)
    [(0, 0), (1, 1)]
    """
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return pairs


_NONE = (np.array([], np.int64), np.array([], bool))


def _events(label: np.ndarray) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], ...]:
    """Per class the places of onsets, and of offsets, and whether each is a real one (not cut by border or void)."""
    starts = np.flatnonzero(np.concatenate(([True], label[1:] != label[:-1])))
    ends = np.append(starts[1:], len(label))
    values = label[starts]
    before, after = np.append(IGNORE, values[:-1]), np.append(values[1:], IGNORE)
    return tuple(
        {int(v): (places[values == v], (beside != IGNORE)[values == v]) for v in np.unique(values) if v != IGNORE}
        for places, beside in ((starts, before), (ends, after))
    )


def _f1(counts: np.ndarray) -> np.ndarray:
    found, true, predicted = counts
    whole = true + predicted
    return np.divide(2 * found, whole, out=np.full(len(found), math.nan), where=whole > 0)
