"""Annotations of a recording: intervals and instants with a text, as EDF+ and WFDB files have them."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from atrous.labels import IGNORE


@dataclass(frozen=True)
class Interval:
    """A text that holds from `start` to `stop`, in seconds from the first sample; for an instant both are equal."""

    start: float
    stop: float
    text: str


@dataclass(frozen=True)
class Annotations:
    """The annotations of one recording.

    Attributes:
        intervals: in the order of their starts.
        known: seconds between which a sample without annotation is known to be background; None if that holds
            everywhere. Where heart waves are delineated, for example, nothing is known before the first wave and after
            the last.
        started: date and time from which the seconds count, if the file says it.
    """

    intervals: tuple[Interval, ...]
    known: tuple[float, float] | None = None
    started: datetime | None = None


def runs(words: np.ndarray, rate: float) -> list[Interval]:
    """Return labels as intervals without gaps, one for each run of equal labels.

    Args:
        words: labels `(L,)`, one per sample.
        rate: samples per second.

    >>> [(i.start, i.stop, i.text) for i in runs(np.array(["a", "a", "b"]), 2.0)]
    [(0.0, 1.0, 'a'), (1.0, 1.5, 'b')]
    """
    if len(words) == 0:
        return []
    edges = np.concatenate(([0], np.flatnonzero(words[1:] != words[:-1]) + 1, [len(words)]))
    return [Interval(float(a / rate), float(b / rate), str(words[a])) for a, b in pairwise(edges)]


def labeled_runs(words: np.ndarray, rate: float) -> list[Interval]:
    """Return labels `(L,)` as intervals as `runs` does, without those that are void: "" or the number `IGNORE`.

    >>> [(i.start, i.text) for i in labeled_runs(np.array(["a", "", "b"]), 2.0)]
    [(0.0, 'a'), (1.0, 'b')]
    """
    void = "" if words.dtype.kind == "U" else str(IGNORE)
    return [interval for interval in runs(words.astype(str), rate) if interval.text != void]


def nearest_sample(seconds: float, rate: float) -> int:
    """Return the number of the sample that is nearest to a time; of two equally near ones the later.

    Files store rounded times (EDF+ writers round to 0.1 ms), so a sample at 1/360 s may have the time 0.0028 s.

    >>> nearest_sample(0.0028, 360)
    1
    """
    return int(np.floor(seconds * rate + 0.5))
