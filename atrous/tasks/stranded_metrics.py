"""Metrics of features on the two strands of a sequence, counted base by base."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atrous.labels import IGNORE
from atrous.objects.genes import GeneRules
from atrous.objects.orfs import EVIDENCE
from atrous.tasks.bootstrap import bootstrap_miou, image_miou
from atrous.tasks.gene_metrics import GENE_CONVENTIONS, GeneCounter, GeneScores, decoded
from atrous.tasks.scores import Scores
from atrous.tasks.task import NotFinite

__all__ = ["StrandedMetrics", "StrandedScores"]

PIECE = 1 << 20
"""Number of bases that are counted together."""
STRANDED_CONVENTIONS = (
    "Counts are over bases, each strand for itself, summed over all sequences before any ratio is taken. Bases of "
    "pseudogenes do not count, whatever is predicted there. Precision, recall and F1 of a feature pool both strands, "
    "so a gene predicted on the wrong strand is wrong twice. Pixel accuracy is the share of bases whose whole set of "
    "features is right. The confusion matrix counts the bases that truly have one channel (row) and for which another "
    "is predicted (column)."
)


@dataclass(frozen=True, eq=False)
class StrandedScores(Scores):
    """The metrics that `StrandedMetrics.result` returns: `Scores` whose classes may overlap.

    Attributes:
        counts: int64 `(3, K)`, for each channel the bases that are correctly predicted, true, and predicted.
        right: number of bases whose whole set of channels is right.
        counted: number of bases that count.
        genes: counts of genes, where they are decoded.
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    right: int = 0
    counted: int = 0
    genes: GeneScores | None = None

    @property
    def conventions(self) -> str:
        """How the metrics are counted, in words."""
        genes = "" if self.genes is None else GENE_CONVENTIONS
        return STRANDED_CONVENTIONS + genes + ("" if self.confidence is None else self.confidence.conventions)

    @property
    def pixel_accuracy(self) -> float:
        """Share of bases whose whole set of features is right."""
        return self.right / self.counted if self.counted else math.nan

    @property
    def frequency(self) -> np.ndarray:
        """Share of the bases that truly have each channel, `(K,)`."""
        return self.counts[1] / max(self.counted, 1)

    @property
    def fwiou(self) -> float:
        """Mean of `iou`, weighted by the frequency of the channels."""
        weights = self.counts[1] / max(1, self.counts[1].sum())
        return float(np.nansum(weights * self.iou)) if self.counts[1].sum() else math.nan

    @property
    def precision(self) -> np.ndarray:
        """Share of each channel's predicted bases that are right, `(K,)`."""
        return _ratio(self.counts[0], self.counts[2])

    @property
    def features(self) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 of each feature: the counts of its two strands are added, then divided."""
        features = {}
        for feature in dict.fromkeys(name[:-1] for name in self.classes):
            rows = [i for i, name in enumerate(self.classes) if name[:-1] == feature]
            correct, true, predicted = (int(row) for row in self.counts[:, rows].sum(1))
            features[feature] = {
                "precision": correct / predicted if predicted else math.nan,
                "recall": correct / true if true else math.nan,
                "f1": 2 * correct / (true + predicted) if true + predicted else math.nan,
            }
        return features

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of the table of channels, by heading: `(K,)` each."""
        return {
            "F1": self.dice_per_class, "precision": self.precision, "recall": self.accuracy, "IoU": self.iou,
            "share": self.frequency,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON; None where a metric is undefined."""
        features = {
            name: {key: None if math.isnan(value) else value for key, value in row.items()}
            for name, row in self.features.items()
        }
        precision = dict(zip(self.classes, (None if math.isnan(p) else float(p) for p in self.precision), strict=True))
        genes = {} if self.genes is None else {"genes": self.genes.to_dict()}
        return {**super().to_dict(), "features": features, "precision": precision, **genes}

    def text(self) -> str:
        """Return an aligned table for the terminal."""
        rows = [
            f"{name:<8} stranded, per base: F1 {row['f1']:.4f}, precision {row['precision']:.4f}, "
            f"recall {row['recall']:.4f}"
            for name, row in self.features.items()
        ]
        genes = [] if self.genes is None else [f"genes    {line}" for line in self.genes.lines()]
        return "\n".join([super().text(), "", *rows, *genes])

    def sentences(self) -> list[str]:
        """Return what the report says of genes."""
        return [] if self.genes is None else [f"Genes, {line}." for line in self.genes.lines()]

    def _margins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.counts[0], self.counts[1], self.counts[2]


class StrandedMetrics:
    """Counts correct and wrong bases of one sequence after another.

    Call `update` for each sequence and then `result`.

    Args:
        classes: names of the K channels: a feature and its strand, as in `CDS+`.
        threshold: least probability at which a base has a channel.
        logits: whether `update` gets logits (as in training) instead of probabilities.
        rules: what genes must fulfil, if they are decoded and counted too. `update` then needs the evidence for them in
            the last ten channels, and labels that hold the bases.

    >>> metrics = StrandedMetrics(["CDS+", "CDS-"])
    >>> metrics.update("a", torch.tensor([[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]]), torch.tensor([1, 2, 255]))
    >>> scores = metrics.result(seconds=0.1)
    >>> scores.features["CDS"]
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """

    def __init__(
        self, classes: Sequence[str], threshold: float = 0.5, *, logits: bool = False, rules: GeneRules | None = None
    ) -> None:
        self.classes, self._rules = tuple(classes), rules
        self._genes = None if rules is None else GeneCounter((self.classes.index("CDS+"), self.classes.index("CDS-")))
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

        Args:
            name: name of the sequence.
            probabilities: `(K, L)` probabilities or logits, and the evidence for genes where these are counted. Further
                channels are ignored.
            target: `(L,)` integers. Bit k of the low byte says whether the base has channel k; a low byte of `IGNORE`
                means that the base does not count.
            spacing: not used; bases are one apart.

        Raises:
            ValueError: the shapes do not fit, an output is not finite, or a sequence of this name was counted before.
        """
        k = len(self.classes)
        if probabilities.shape[0] < k or probabilities.shape[1:] != target.shape:
            raise ValueError(f"{name}: output is {tuple(probabilities.shape)}, the truth {tuple(target.shape)}")
        if name in self._counts:
            raise ValueError(
                f"{name}: a sequence of this name was counted before: give every sequence a name of its own"
            )
        counts = np.zeros((3, k), np.int64)
        shifts = torch.arange(k).unsqueeze(1)
        output, target = probabilities[:k].flatten(1), target.flatten()
        for start in range(0, len(target), PIECE):
            labels = target[start : start + PIECE].to(torch.int32) & 0xFF
            piece, counted = output[:, start : start + PIECE].cpu(), labels != IGNORE
            if not torch.isfinite(piece.sum(dtype=torch.float64)):
                raise NotFinite(name)
            true = (labels >> shifts & 1).bool() & counted  # (K, L)
            predicted = (piece >= self._level) & counted  # (K, L)
            correct = (true & predicted).sum(1)
            counts += torch.stack([correct, true.sum(1), predicted.sum(1)]).numpy()
            self._confusion += (true.float() @ predicted.float().T).long().numpy()
            self._right += int(((true == predicted).all(0) & counted).sum())
            self._counted += int(counted.sum())
        self._counts[name] = counts
        if self._genes is not None and self._rules is not None:
            evidence, labels = probabilities[k : k + EVIDENCE].cpu().numpy(), target.cpu().numpy()
            if not np.isfinite(evidence).all():
                raise NotFinite(name)
            self._genes.count(decoded(evidence, labels, self._rules), labels)

    def result(self, seconds: float, tta: str = "none") -> StrandedScores:
        """Return the metrics of all sequences counted so far.

        Args:
            seconds: how long the evaluation took; the result keeps it.
            tta: name of the test-time augmentation that was used; the result keeps it.

        Raises:
            ValueError: no sequence was counted.
        """
        if not self._counts:
            raise ValueError("no sequence was counted")
        # Sorted by name, so that the interval does not depend on the order in which sequences were counted.
        counts = np.stack([self._counts[name] for name in sorted(self._counts)])
        return StrandedScores(
            classes=self.classes,
            confusion=self._confusion.copy(),
            per_image={name: image_miou(own) for name, own in self._counts.items()},
            miou_ci95=bootstrap_miou(counts),
            seconds=seconds,
            tta=tta,
            sample="sequence",
            counts=counts.sum(0),
            right=self._right,
            counted=self._counted,
            genes=None if self._genes is None else self._genes.result(),
        )


def _ratio(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Divide `(K,)` by `(K,)`; nan where the divisor is 0."""
    return np.divide(part, total, out=np.full(len(part), math.nan), where=total > 0)
