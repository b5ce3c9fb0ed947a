"""How uncertain a network is at each position, and how well that tells where it is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["OCTAVES", "STEPS", "ErrorRanking", "entropy_of", "normalized_entropy", "ranking_counts"]

STEPS = 256
"""Bins per factor of two of the uncertainty."""
OCTAVES = 32
"""Factors of two below 1 that have bins; what is smaller lies in the first bin."""


def normalized_entropy(probabilities: torch.Tensor, *, bits: bool = False) -> torch.Tensor:
    """Return the entropy of probabilities `(K, *S)` as `(*S)`, divided by the largest that it can have: 0 to 1.

    0 means that one class has all the probability, 1 that all classes are equally probable. For one class at each
    position that is `-sum(p log p) / log K`. Where classes may overlap, each has an entropy of its own, and the
    result is their mean.

    Args:
        probabilities: of each class; NaN stays NaN.
        bits: whether classes may overlap (`atrous.tasks.stranded.Stranded`).

    >>> normalized_entropy(torch.tensor([[1.0, 0.5, 0.25], [0.0, 0.5, 0.75]]))
    tensor([0.0000, 1.0000, 0.8113])
    >>> normalized_entropy(torch.tensor([[0.5, 1.0], [0.0, 1.0]]), bits=True)
    tensor([0.5000, 0.0000])
    """
    if bits:
        pairs = torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
        return (pairs.mean(0) / math.log(2)).clamp_(0, 1)
    return (torch.special.entr(probabilities).sum(0) / math.log(len(probabilities))).clamp_(0, 1)


def entropy_of(probabilities: np.ndarray, *, bits: bool = False) -> np.ndarray:
    """Return the `normalized_entropy` of an array `(K, *S)`, `(*S)` float32."""
    return normalized_entropy(torch.tensor(np.asarray(probabilities)), bits=bits).numpy().astype(np.float32)


def ranking_counts(uncertainty: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
    """Count right and wrong positions by their uncertainty, in `STEPS * OCTAVES` bins that are equal on a log scale.

    Two uncertainties that differ by more than 0.3 % lie in different bins, down to 2e-10. Sum the result over all
    images and pass it to `ErrorRanking`.

    Args:
        uncertainty: `(n,)`, 0 to 1.
        wrong: `(n,)` booleans.

    Returns:
        int64 `(2, bins)`: right positions, wrong positions.
    """
    bins = STEPS * OCTAVES
    logs = uncertainty.double().clamp_min(2.0 ** -(OCTAVES + 1)).log2_()
    index = ((logs + OCTAVES) * STEPS).floor_().long().clamp_(0, bins - 1)
    return torch.bincount(index + bins * wrong, minlength=2 * bins).view(2, bins)


@dataclass(frozen=True, eq=False)
class ErrorRanking:
    """Right and wrong positions by uncertainty: does a network doubt where it errs?

    Attributes:
        counts: int64 `(2, bins)`, the sum of the `ranking_counts` of all images.

    >>> uncertainty, wrong = torch.tensor([0.9, 0.5, 0.2, 0.1]), torch.tensor([True, False, True, False])
    >>> ranking = ErrorRanking(ranking_counts(uncertainty, wrong).numpy())
    >>> ranking.auroc
    0.75
    """

    counts: np.ndarray

    @property
    def auroc(self) -> float:
        """The probability that a wrong position is more uncertain than a right one; nan if all are right or all wrong.

        It is the area under the ROC curve, with wrong positions as positives (Hendrycks & Gimpel 2017, "A Baseline for
        Detecting Misclassified and Out-of-Distribution Examples"). Positions of one bin are ties and count half.
        """
        right, wrong = self.counts.astype(np.float64)
        pairs = right.sum() * wrong.sum()
        if not pairs:
            return math.nan
        return float((wrong * (np.cumsum(right) - right / 2)).sum() / pairs)

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of the positions that are reviewed, the most uncertain first, and of the errors in them.

        Both begin with 0 and end with 1; nothing is returned where there is no error.
        """
        wrong, both = self.counts[1, ::-1], self.counts.sum(0)[::-1]
        kept = both > 0
        if not wrong.sum():
            return np.zeros(0), np.zeros(0)
        shares = (np.concatenate([[0.0], np.cumsum(part[kept]) / part.sum()]) for part in (both, wrong))
        reviewed, caught = shares
        return reviewed, caught

    def caught(self, reviewed: float) -> float:
        """Return the share of the errors that lie in the most uncertain share `reviewed` of the positions."""
        x, y = self.curve()
        return float(np.interp(reviewed, x, y)) if len(x) else math.nan
