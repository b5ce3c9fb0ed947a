"""Candidates that are boxes."""

import numpy as np

from atrous.objects.candidates import Candidates


class BoxShape:
    """Boxes: the values of a candidate are its low corner, then its high corner, `(n, 2 * ndim)`.

    The overlap of two boxes is their intersection divided by their union.

    >>> pair = [Candidates(np.zeros(1, int), np.ones(1), np.zeros(1, int), np.array([box])) for box in ([0, 4], [2, 6])]
    >>> BoxShape().overlap(*pair).tolist()
    [0.3333333333333333]
    """

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """See `Shape.bounds`."""
        low, high = np.split(candidates.values.astype(np.float64), 2, axis=1)
        return low, high

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """See `Shape.overlap`."""
        (low, high), (other_low, other_high) = self.bounds(winners), self.bounds(others)
        common = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod(axis=1)
        union = (high - low).prod(axis=1) + (other_high - other_low).prod(axis=1) - common
        return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
