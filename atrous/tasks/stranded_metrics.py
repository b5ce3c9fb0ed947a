"""Figures of features on two strands, base by base."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atrous.labels import IGNORE
from atrous.tasks.bootstrap import bootstrap_miou
from atrous.tasks.scores import Scores

__all__ = ["StrandedMetrics", "StrandedScores"]

PIECE = 1 << 20
"""Bases looked at together."""
STRANDED_CONVENTIONS = (
    "Counts are over bases, each strand for itself, summed over all sequences before any ratio is taken; bases of "
    "pseudogenes count nowhere, whatever is predicted there; precision, recall and F1 of a feature pool both strands, "
    "so that a gene on the wrong strand is wrong twice; pixel accuracy is the share of bases whose whole set of "
    "features is right; the confusion counts bases that truly have one channel and are given the other."
)


@dataclass(frozen=True, eq=False)
class StrandedScores(Scores):
    """What `StrandedMetrics.result` returns: `Scores` whose classes may lie over one another.

    counts: int64 `(3, K)`, bases of each channel: rightly given it, truly with it, given it.
    right: bases whose whole set of channels is right.
    counted: bases that count.
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    right: int = 0
    counted: int = 0

    @property
    def conventions(self) -> str:
        """How the figures count, in words."""
        return STRANDED_CONVENTIONS

    @property
    def pixel_accuracy(self) -> float:
        """Share of bases whose set of features is right."""
        return self.right / self.counted if self.counted else math.nan

    @property
    def frequency(self) -> np.ndarray:
        """Share of the bases that have each channel, `(K,)`."""
        return self.counts[1] / max(self.counted, 1)

    @property
    def fwiou(self) -> float:
        """Mean of `iou`, weighted by how frequent the channels are."""
        weights = self.counts[1] / max(1, self.counts[1].sum())
        return float(np.nansum(weights * self.iou)) if self.counts[1].sum() else math.nan

    @property
    def precision(self) -> np.ndarray:
        """Share of each channel's predicted bases that are right, `(K,)`."""
        return _ratio(self.counts[0], self.counts[2])

    @property
    def features(self) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 of each feature, its strands pooled but told apart."""
        found = {}
        for feature in dict.fromkeys(name[:-1] for name in self.classes):
            rows = [i for i, name in enumerate(self.classes) if name[:-1] == feature]
            hits, real, given = (int(row) for row in self.counts[:, rows].sum(1))
            found[feature] = {
                "precision": hits / given if given else math.nan,
                "recall": hits / real if real else math.nan,
                "f1": 2 * hits / (real + given) if real + given else math.nan,
            }
        return found

    def columns(self) -> dict[str, np.ndarray]:
        """The table of channels: heading -> one figure per channel."""
        return {
            "F1": self.dice_per_class, "precision": self.precision, "recall": self.accuracy, "IoU": self.iou,
            "share": self.frequency,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; None where a figure does not exist."""
        features = {
            name: {key: None if math.isnan(value) else value for key, value in row.items()}
            for name, row in self.features.items()
        }
        precision = dict(zip(self.classes, (None if math.isnan(p) else float(p) for p in self.precision), strict=True))
        return {**super().to_dict(), "features": features, "precision": precision}

    def text(self) -> str:
        """An aligned table for the terminal."""
        rows = [
            f"{name:<8} stranded, per base: F1 {row['f1']:.4f}, precision {row['precision']:.4f}, "
            f"recall {row['recall']:.4f}"
            for name, row in self.features.items()
        ]
        return "\n".join([super().text(), "", *rows])

    def _margins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.counts[0], self.counts[1], self.counts[2]


class StrandedMetrics:
    """Counts right and wrong bases of one sequence after the other.

    Args:
        classes: names of the channels.
        threshold: probability from which a base has a channel.
        logits: whether `update` is given logits (as in training) instead of probabilities.

    >>> metrics = StrandedMetrics(["CDS+", "CDS-"])
    >>> metrics.update("a", torch.tensor([[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]]), torch.tensor([1, 2, 255]))
    >>> scores = metrics.result(seconds=0.1)
    >>> scores.features["CDS"]
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """

    def __init__(self, classes: Sequence[str], threshold: float = 0.5, *, logits: bool = False) -> None:
        self.classes = tuple(classes)
        self._level = math.log(threshold / (1 - threshold)) if logits else threshold
        k = len(self.classes)
        self._counts: dict[str, np.ndarray] = {}
        self._confusion = np.zeros((k, k), np.int64)
        self._right = self._counted = 0

    @torch.no_grad()
    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count one sequence.

        probabilities: `(K, L)` or with further channels, which are left out.
        target: `(L,)` sets of bits, `IGNORE` in the low byte where nothing counts.
        spacing: of no use here.
        Raises ValueError when shapes do not fit, a number is not finite, or the name was counted before.
        """
        k = len(self.classes)
        if probabilities.shape[0] < k or probabilities.shape[1:] != target.shape:
            raise ValueError(f"{name}: output is {tuple(probabilities.shape)}, the truth {tuple(target.shape)}")
        if name in self._counts:
            raise ValueError(f"{name}: counted before; names must be unique")
        counts = np.zeros((3, k), np.int64)
        shifts = torch.arange(k).unsqueeze(1)
        given, wanted = probabilities[:k].flatten(1), target.flatten()
        for start in range(0, len(wanted), PIECE):
            labels = wanted[start : start + PIECE].to(torch.int32) & 0xFF
            piece, counted = given[:, start : start + PIECE].cpu(), labels != IGNORE
            if not torch.isfinite(piece.sum(dtype=torch.float64)):
                raise ValueError(f"{name}: the network's output is not finite (nan or infinite)")
            real = (labels >> shifts & 1).bool() & counted
            found = (piece >= self._level) & counted
            both = (real & found).sum(1)
            counts += torch.stack([both, real.sum(1), found.sum(1)]).numpy()
            self._confusion += (real.float() @ found.float().T).long().numpy()
            self._right += int(((real == found).all(0) & counted).sum())
            self._counted += int(counted.sum())
        self._counts[name] = counts

    def result(self, seconds: float, tta: str = "none") -> StrandedScores:
        """The figures so far; `seconds` that it took and the test-time augmentation are passed through."""
        if not self._counts:
            raise ValueError("no sequence was counted")
        margins = np.stack([self._counts[name] for name in sorted(self._counts)])
        return StrandedScores(
            classes=self.classes,
            confusion=self._confusion.copy(),
            per_image={name: _own_miou(counts) for name, counts in self._counts.items()},
            miou_ci95=bootstrap_miou(margins),
            seconds=seconds,
            tta=tta,
            sample="sequence",
            counts=margins.sum(0),
            right=self._right,
            counted=self._counted,
        )


def _own_miou(counts: np.ndarray) -> float:
    hits, real, given = counts
    present = real > 0
    return float((hits[present] / (real + given - hits)[present]).mean()) if present.any() else math.nan


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), math.nan), where=whole > 0)
