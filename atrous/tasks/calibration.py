"""Expected calibration error: does a network that says 80 % prove right in 80 % of the cases?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["BINS", "Reliability", "calibration_counts"]

BINS = 15


def calibration_counts(
    confidence: torch.Tensor, right: torch.Tensor, counted: torch.Tensor | None = None, bins: int = BINS
) -> torch.Tensor:
    """Positions, sum of confidences and number of right answers per bin, float64 `(3, bins)`.

    `confidence` holds top probabilities in 0..1, `right` booleans, `counted` booleans (None: every position counts),
    all of one shape. Bin m of M is the interval (m/M, (m+1)/M], as in Guo et al. 2017, "On Calibration of Modern
    Neural Networks". Sum the counts over images.

    >>> calibration_counts(torch.tensor([0.4, 0.9, 1.0]), torch.tensor([False, True, True]), bins=2)
    tensor([[1.0000, 2.0000],
            [0.4000, 1.9000],
            [0.0000, 2.0000]], dtype=torch.float64)
    """
    index = (confidence.float() * bins).ceil().long().sub_(1).clamp_(0, bins - 1)
    if counted is not None:
        index.masked_fill_(~counted, bins)
    by_answer = torch.bincount((index + (bins + 1) * right).flatten(), minlength=2 * (bins + 1)).view(2, bins + 1)
    sums = torch.bincount(index.flatten(), weights=confidence.flatten().double(), minlength=bins + 1)
    return torch.stack([by_answer.sum(0).double(), sums, by_answer[1].double()])[:, :bins]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often the network was right, by how sure it was: one entry per bin of equal width, from 0 to 1.

    count: positions in the bin; confidence: their mean top probability; accuracy: share that was right. The last two
    are nan for an empty bin.

    >>> r = Reliability.of(np.array([[0.0, 10.0], [0.0, 9.0], [0.0, 8.0]]))
    >>> round(r.ece, 3)
    0.1
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray) -> Reliability:
        """From summed `calibration_counts`, `(3, bins)`."""
        count, confidence, right = counts
        filled = np.where(count > 0, count, np.nan)
        return cls(count=count, confidence=confidence / filled, accuracy=right / filled)

    @property
    def ece(self) -> float:
        """Mean distance between accuracy and confidence, weighted by the positions in the bins (0 is perfect)."""
        total = self.count.sum()
        return float(np.nansum(np.abs(self.accuracy - self.confidence) * self.count) / total) if total else float("nan")
