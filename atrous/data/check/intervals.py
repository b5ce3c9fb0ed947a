"""How short the intervals of each class are in recordings with a label for each sample."""

from collections.abc import Sequence

import numpy as np

from atrous.data.coding import Coding
from atrous.data.dataset import Dataset
from atrous.data.scan import Scan
from atrous.labels import IGNORE

SLIPS = 0.005
"""The share of the intervals of a class, the shortest, that are taken for slips of the annotators."""
FEW = 20
"""Of a class with fewer intervals the shortest says little."""


def shortest_intervals(dataset: Dataset, scans: Sequence[Scan]) -> tuple[int, ...] | None:
    """Return the samples of the shortest interval of each class in train (in all scans where train has none).

    Intervals that the border of the recording or a void cuts are left out, and the shortest 0.5 % of each class. It is
    1 for a class with fewer than 20 intervals. Where sampling rates differ, samples are those of the median rate.

    None for data that are no recordings with a class at each sample.
    """
    coding = dataset.coding
    known = [one for one in scans if one.contents is not None and one.contents.runs is not None]
    if coding is None or not known:
        return None
    chosen = [one for one in known if one.split == "train"] or known
    lengths: list[list[np.ndarray]] = [[] for _ in coding.classes]
    for scanned, factor in zip(chosen, _to_median_rate(dataset, chosen), strict=True):
        assert scanned.contents is not None
        assert scanned.contents.runs is not None
        labels, counts = complete_intervals(scanned.contents.runs, coding)
        for label in np.unique(labels):
            lengths[label].append(counts[labels == label] * factor)
    return tuple(_shortest(np.concatenate(parts)) if parts else 1 for parts in lengths)


def complete_intervals(runs: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Return classes and lengths of the intervals of a recording that neither its border nor a void cuts.

    Args:
        runs: `TargetScan.runs`.
        coding: which value means which class.

    >>> runs = np.array([[0, 9, 1], [1, 4, 1], [0, 2, 1], [0, 3, 0], [1, 5, 1], [0, 7, 1]])  # void after 15 samples
    >>> [part.tolist() for part in complete_intervals(runs, Coding(("rest", "beat")))]
    [[1], [4]]
    """
    values, label_of = coding.table(colored=False)
    slot = np.minimum(np.searchsorted(values, runs[:, 0]), len(values) - 1)
    labels = np.where((values[slot] == runs[:, 0]) & (runs[:, 2] != 0), label_of[slot], IGNORE).astype(np.int64)
    start = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))  # several values may mean one class
    labels, counts = labels[start], np.add.reduceat(runs[:, 1], start)
    before, after = np.append(IGNORE, labels[:-1]), np.append(labels[1:], IGNORE)
    whole = (labels != IGNORE) & (before != IGNORE) & (after != IGNORE)
    return labels[whole], counts[whole]


def _to_median_rate(dataset: Dataset, chosen: Sequence[Scan]) -> list[float]:
    """What the samples of each recording are multiplied by at the median rate; 1 where a rate is unknown."""
    known = [None if one.image is None else dataset.spacing or one.image.spacing for one in chosen]
    spacings = [spacing[0] for spacing in known if spacing is not None]
    if len(spacings) < len(chosen):
        return [1.0] * len(chosen)
    return [spacing / float(np.median(spacings)) for spacing in spacings]


def _shortest(lengths: np.ndarray) -> int:
    if len(lengths) < FEW:
        return 1
    return max(1, int(np.sort(lengths)[int(SLIPS * len(lengths))] + 1e-6))
