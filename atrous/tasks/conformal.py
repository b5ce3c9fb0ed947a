"""Sets of classes that hold the true one as often as was asked: conformal risk control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["LEVELS", "MissCurve", "level_counts", "set_sizes"]

_OCTAVES, _STEPS = 20, 64
LEVELS: np.ndarray = np.concatenate([[0.0], 2.0 ** (np.arange(-_OCTAVES * _STEPS, 1) / _STEPS)]).astype(np.float32)
"""Thresholds of the probability among which one is chosen: 0, and from 1e-6 to 1 in steps of 1.1 %."""


def level_counts(true_probability: torch.Tensor) -> np.ndarray:
    """Count positions by the first of `LEVELS` that the probability of their true class does not reach.

    The cumulative sum, divided by the number of positions, is the share of positions whose true class is missed at each
    level: it is less probable than that, so it is not in their set. Positions that reach every level count nowhere.

    Args:
        true_probability: `(n,)`, the probability of the true class at each position that counts.

    Returns:
        int64 `(len(LEVELS),)`.

    >>> missed = np.cumsum(level_counts(torch.tensor([0.2, 0.6, 0.9, 1.0]))) / 4
    >>> [float(missed[np.searchsorted(LEVELS, level)]) for level in (0.1, 0.5, 0.95)]
    [0.0, 0.25, 0.75]
    """
    reached = torch.bucketize(true_probability.float(), torch.from_numpy(LEVELS), right=True)
    return torch.bincount(reached, minlength=len(LEVELS) + 1)[: len(LEVELS)].numpy()


def set_sizes(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return how many classes of `(K, *S)` reach the threshold, `(*S)` float32; NaN where probabilities are NaN.

    >>> set_sizes(np.array([[0.9, 0.5, np.nan], [0.1, 0.5, np.nan]], np.float32), 0.3).tolist()
    [1.0, 2.0, nan]
    """
    count = (probabilities >= np.float32(threshold)).sum(0, dtype=np.float32)
    return np.where(np.isnan(probabilities[0]), np.float32(np.nan), count)


@dataclass(frozen=True)
class MissCurve:
    """How often the true class is missed at each threshold, averaged over images or groups that calibrate.

    Attributes:
        unit: "image" or "group": what is exchangeable, so that a new one is like those that calibrate.
        count: how many there are.
        misses: for each of `LEVELS`, the mean over them of the share of positions whose true class is missed.
    """

    unit: str
    count: int
    misses: Sequence[float]

    def threshold(self, coverage: float) -> float | None:
        """Return the probability from which a class is in the set of a position; None if there are too few units.

        The set of a position holds every class whose probability reaches the threshold: those whose score,
        1 - probability, is at most 1 - threshold. The loss of a unit is the share of its positions whose true class is
        not in their set. It never falls as the threshold rises and is at most 1, so that with n units and mean loss R
        the largest threshold with `(n R + 1) / (n + 1) <= 1 - coverage` has this guarantee: if a new unit and the n are
        exchangeable, its expected loss is at most `1 - coverage` (Angelopoulos et al. 2022, "Conformal Risk Control",
        theorem 1; arXiv:2208.02814). The expectation is over the new unit and those that calibrate, not for each
        position or class.

        >>> MissCurve("image", 3, [0.0] * len(LEVELS)).threshold(0.9) is None
        True
        >>> MissCurve("image", 9, [0.0] * len(LEVELS)).threshold(0.9)
        1.0
        """
        bounds = (self.count * np.asarray(self.misses) + 1) / (self.count + 1)
        allowed = np.flatnonzero(bounds <= 1 - coverage + 1e-12)
        return float(LEVELS[allowed[-1]]) if len(allowed) else None

    @staticmethod
    def least(coverage: float) -> int:
        """Return how many units it takes at least.

        >>> MissCurve.least(0.9), MissCurve.least(0.99)
        (9, 99)
        """
        return math.ceil(1 / (1 - coverage) - 1 - 1e-9)
