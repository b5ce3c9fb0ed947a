"""Onsets and offsets of the intervals of a labelled signal: were they found within a tolerance?

An interval is a longest run of equal labels. Its onset is its first sample, its offset the sample after its last one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from atrous.labels import IGNORE

__all__ = ["EventScores", "event_counts", "matches"]


@dataclass(frozen=True, eq=False)
class EventScores:
    """Onsets and offsets that were found in all recordings.

    Attributes:
        tolerance: greatest distance at which an onset or offset counts as found, in the unit of the spacing (seconds).
        counts: int64 `(2, 3, K)`: onsets, then offsets; found, true and predicted; for each of K classes.
    """

    tolerance: float
    counts: np.ndarray

    @property
    def onset_f1(self) -> np.ndarray:
        """F1 of the onsets of each class, `(K,)`; nan for a class that is neither in the truth nor predicted."""
        return _f1(self.counts[0])

    @property
    def offset_f1(self) -> np.ndarray:
        """F1 of the offsets of each class, `(K,)`; nan for a class that is neither in the truth nor predicted."""
        return _f1(self.counts[1])


def event_counts(truth: np.ndarray, prediction: np.ndarray, classes: int, tolerance: float) -> np.ndarray:
    """Count the onsets and offsets that were found, that are true and that were predicted, in one recording.

    A true interval may begin or end where the recording or a void begins or ends. Its real onset or offset is then
    unknown, so it does not count as true. A predicted onset or offset within the tolerance of it does not count as
    predicted. The same holds for a predicted interval that begins or ends there, unless it matches a known true onset
    or offset: then it counts as found and as predicted.

    Args:
        truth: `(L,)` labels, `IGNORE` where nothing counts (void).
        prediction: `(L,)` labels. What is void in the truth counts as void here.
        classes: number of classes K.
        tolerance: greatest distance at which a true and a predicted onset match, in samples.

    Returns:
        int64 `(2, 3, K)`: onsets, then offsets; found, true and predicted; for each class.

    >>> truth = np.array([0, 0, 1, 1, 1, 0, 0, 0])
    >>> event_counts(truth, np.roll(truth, 1), 2, tolerance=1)[:, :, 1].tolist()
    [[1, 1, 1], [1, 1, 1]]
    """
    prediction = np.where(truth == IGNORE, IGNORE, prediction)
    counts = np.zeros((2, 3, classes), np.int64)
    true_events, predicted_events = _events(truth), _events(prediction)
    for kind in range(2):
        for label in range(classes):
            true, true_known = true_events[kind].get(label, _NONE)
            predicted, predicted_known = predicted_events[kind].get(label, _NONE)
            pairs = matches(true, predicted, tolerance)
            found = sum(bool(true_known[i]) for i, _ in pairs)
            excused = sum(bool(predicted_known[j]) for i, j in pairs if not true_known[i])
            found_by_cut = sum(not predicted_known[j] for i, j in pairs if true_known[i])
            counts[kind, :, label] = found, true_known.sum(), predicted_known.sum() - excused + found_by_cut
    return counts


def matches(a: np.ndarray, b: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Pair as many positions of `a` with positions of `b` as possible, none used twice.

    The positions of a pair are at most `tolerance` apart. The two arrays are walked side by side: the smaller of two
    positions that are too far apart can match nothing later, so it is skipped.

    Args:
        a: `(n,)` positions in ascending order.
        b: `(m,)` positions in ascending order.
        tolerance: greatest distance of a pair.

    Returns:
        Pairs of an index into `a` and an index into `b`.

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
    """Return the onsets and the offsets of a label map `(L,)`.

    Each of the two dictionaries maps a class to the samples of its onsets (or offsets), and to booleans: whether each
    is known, which it is not where the border of the recording or a void cuts the interval.
    """
    starts = np.flatnonzero(np.concatenate(([True], label[1:] != label[:-1])))
    ends = np.append(starts[1:], len(label))
    values = label[starts]
    before, after = np.append(IGNORE, values[:-1]), np.append(values[1:], IGNORE)
    return tuple(
        {int(v): (samples[values == v], (neighbor != IGNORE)[values == v]) for v in np.unique(values) if v != IGNORE}
        for samples, neighbor in ((starts, before), (ends, after))
    )


def _f1(counts: np.ndarray) -> np.ndarray:
    """Return F1 `(K,)` from the found, true and predicted events `(3, K)`."""
    found, true, predicted = counts
    total = true + predicted
    return np.divide(2 * found, total, out=np.full(len(found), math.nan), where=total > 0)
