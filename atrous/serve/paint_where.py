"""Where to paint next: places of an image at which the network doubts, far from each other and from what is painted."""

from typing import Any

import numpy as np

from atrous.tasks.uncertainty import entropy_of

PART = 24
"""The uncertainty is averaged over squares of this part of the shorter side."""
APART = 6
"""Places are this part of the shorter side apart from each other."""


def uncertain_places(probabilities: np.ndarray, painted: np.ndarray, count: int) -> list[tuple[float, float, float]]:
    """Return where the mean entropy of calibrated probabilities is greatest: row, column, uncertainty from 0 to 1.

    Args:
        probabilities: `(K, h, w)`; NaN where the image has no data.
        painted: `(h, w)` bool; around these positions no place is offered.
        count: places at most, the most uncertain first.

    >>> probabilities = np.full((2, 48, 48), [[[1.0]], [[0.0]]], np.float32)
    >>> probabilities[:, 30:33, 10:13] = 0.5
    >>> uncertain_places(probabilities, np.zeros((48, 48), bool), 5)[0]
    (31.5, 11.5, 1.0)
    """
    from scipy.ndimage import maximum_filter, uniform_filter

    shorter = min(painted.shape)
    side, apart = max(1, shorter // PART), max(1, shorter // APART)
    known = np.isfinite(probabilities).all(0)
    entropy: np.ndarray = uniform_filter(
        np.where(known, np.nan_to_num(entropy_of(probabilities)), 0.0), side, mode="constant"
    )
    near: Any = maximum_filter(painted | ~known, size=2 * side + 1)
    entropy[near] = -1.0
    places = []
    while len(places) < count:
        row, column = divmod(int(entropy.argmax()), entropy.shape[1])
        if entropy[row, column] <= 0:
            break
        places.append((row + 0.5, column + 0.5, round(float(min(1.0, entropy[row, column])), 6)))
        rows, columns = (slice(max(0, n - apart), n + apart + 1) for n in (row, column))
        entropy[rows, columns] = -1.0
    return places
