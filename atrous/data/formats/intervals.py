"""Annotations of a recording: intervals and instants with a text, as EDF+ and WFDB have them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A text from `start` to `stop`, in seconds from the first sample; an instant (a beat) where both are equal."""

    start: float
    stop: float
    text: str


@dataclass(frozen=True)
class Annotations:
    """What is annotated in one recording.

    Attributes:
        intervals: in the order of their starts.
        known: seconds between which a sample without annotation is known to be background; None for everywhere. Of
            delineated waves nothing is known before the first and after the last of them.
    """

    intervals: tuple[Interval, ...]
    known: tuple[float, float] | None = None


def runs(words: np.ndarray, rate: float) -> list[Interval]:
    """Labels `(L,)` as intervals that cover all of it, one per run of equal labels.

    >>> [(i.start, i.stop, i.text) for i in runs(np.array(["a", "a", "b"]), 2.0)]
    [(0.0, 1.0, 'a'), (1.0, 1.5, 'b')]
    """
    if len(words) == 0:
        return []
    edges = np.concatenate(([0], np.flatnonzero(words[1:] != words[:-1]) + 1, [len(words)]))
    return [Interval(float(a / rate), float(b / rate), str(words[a])) for a, b in pairwise(edges)]


def nearest_sample(seconds: float, rate: float) -> int:
    """Number of the sample nearest to a time; of two, the later one.

    Times are stored rounded (EDF+ writers to 0.1 ms), so that of a sample at 1/360 s may stand as 0.0028 s.

    >>> nearest_sample(0.0028, 360)
    1
    """
    return int(np.floor(seconds * rate + 0.5))
