"""A value far outside the rest of an image: what files without a declaration hold where nothing was measured."""

from dataclasses import dataclass

import numpy as np

from atrous.data.moments import Moments

COVERED = 0.002
"""Least part of the positions."""
FAR = 5.0
"""The gap to the nearest other value is so many times the range and the greatest |value| of all others."""


@dataclass(frozen=True)
class Outlier:
    """A value, the part of the positions that have it, and the least and greatest of the other values."""

    value: float
    share: float
    low: float
    high: float


def far_value(image: np.ndarray, known: Moments) -> Outlier | None:
    """Return the least or the greatest value of an image if it covers part of it far away from all other values.

    Args:
        image: `(C, ...)`.
        known: its moments.

    >>> values = np.array([[0.5, 1.5, -9999.0, -9999.0]])
    >>> from atrous.data.moments import moments
    >>> far_value(values, moments(values))
    Outlier(value=-9999.0, share=0.5, low=0.5, high=1.5)
    """
    if image.dtype == np.uint8:
        return None
    for channel, values in enumerate(image):
        for extreme in (float(known.least[channel]), float(known.most[channel])):
            here = values == np.asarray(extreme).astype(image.dtype)
            share = float(np.count_nonzero(here)) / max(1, values.size)
            if not COVERED <= share < 1:
                continue
            others = values[~here & np.isfinite(values)]
            if not others.size:
                continue
            low, high = float(others.min()), float(others.max())
            if high > low and min(abs(extreme - low), abs(extreme - high)) > FAR * max(high - low, abs(low), abs(high)):
                return Outlier(extreme, share, low, high)
    return None
