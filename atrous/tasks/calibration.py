"""Expected calibration error: is a network that says 80 % right in 80 % of the cases?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["BINS", "Reliability", "calibration_counts"]

BINS = 15
"""Number of bins of equal width that the confidence, 0 to 1, is sorted into."""


def calibration_counts(
    confidence: torch.Tensor, correct: torch.Tensor, counted: torch.Tensor | None = None, bins: int = BINS
) -> torch.Tensor:
    """Count positions, sum their confidences and count correct answers, for each bin of the confidence.

    Bin m of M is the interval (m/M, (m+1)/M], as in Guo et al. 2017, "On Calibration of Modern Neural Networks".
    Sum the result over all images and pass it to `Reliability.of`.

    Args:
        confidence: `(*S)`, the probability of the most probable class at each position (pixel, voxel, sample).
        correct: `(*S)` booleans, whether that class is the true one.
        counted: `(*S)` booleans, which positions count; all of them by default.
        bins: number of bins.

    Returns:
        float64 `(3, bins)`: number of positions, sum of confidences, number of correct answers.

    >>> calibration_counts(torch.tensor([0.4, 0.9, 1.0]), torch.tensor([False, True, True]), bins=2)
    tensor([[1.0000, 2.0000],
            [0.4000, 1.9000],
            [0.0000, 2.0000]], dtype=torch.float64)
    """
    index = (confidence.float() * bins).ceil().long().sub_(1).clamp_(0, bins - 1)
    if counted is not None:
        index.masked_fill_(~counted, bins)  # an extra bin, which is cut off below
    pairs = torch.bincount((index + (bins + 1) * correct).flatten(), minlength=2 * (bins + 1))
    wrong_and_correct = pairs.view(2, bins + 1)
    sums = torch.bincount(index.flatten(), weights=confidence.flatten().double(), minlength=bins + 1)
    return torch.stack([wrong_and_correct.sum(0).double(), sums, wrong_and_correct[1].double()])[:, :bins]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a network was correct, by how confident it was: one entry per bin of equal width from 0 to 1.

    Attributes:
        count: `(bins,)` positions in each bin.
        confidence: `(bins,)` mean probability of the most probable class; nan for an empty bin.
        accuracy: `(bins,)` share of the positions that were correct; nan for an empty bin.

    >>> reliability = Reliability.of(np.array([[0.0, 10.0], [0.0, 9.0], [0.0, 8.0]]))
    >>> round(reliability.ece, 3)
    0.1
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray) -> Reliability:
        """Build it from `(3, bins)`, the sum of the `calibration_counts` of all images."""
        count, confidence, correct = counts
        filled = np.where(count > 0, count, np.nan)
        return cls(count=count, confidence=confidence / filled, accuracy=correct / filled)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |accuracy - confidence|, each bin weighted by its positions; 0 is best."""
        total = self.count.sum()
        return float(np.nansum(np.abs(self.accuracy - self.confidence) * self.count) / total) if total else float("nan")
