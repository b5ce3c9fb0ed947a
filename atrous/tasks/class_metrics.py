"""Metrics of classes of whole inputs: log loss, accuracy, the area under the ROC curve and F1."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from atrous.tasks.measures import Measures
from atrous.tasks.task import NotFinite

CERTAIN = 1e-7
"""Probabilities are taken as this far from 0 and 1, so that a single wrong one has a finite log loss."""
CONVENTIONS = (
    "Over whole inputs. log_loss is the cross-entropy in nats; accuracy the share of right answers (of classes that "
    "are there or not, of right answers for all classes, from a probability of a half). auroc, the area under the ROC "
    "curve, and f1 are means over the classes, auroc over those that some inputs have and others have not."
)


@dataclass(frozen=True, eq=False)
class ClassAnswer:
    """What a network says of a whole input.

    Attributes:
        scores: `(K,)` float64, the probability of each class.
        evidence: `(K, *S')` float32, the evidence at each position of the map.
    """

    scores: np.ndarray
    evidence: Any


class ClassPool(Protocol):
    """How evidence becomes an answer (`ClassificationTask` does it)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        ...

    @property
    def exclusive(self) -> bool:
        """Whether each input has exactly one class."""
        ...

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Evidence of the network's output."""
        ...

    def sums(self, evidence: torch.Tensor) -> torch.Tensor:
        """Sums over positions."""
        ...

    def scores(self, sums: torch.Tensor) -> torch.Tensor:
        """Probabilities of the sums."""
        ...


class ClassMetrics:
    """Gathers the answers of whole inputs.

    Args:
        task: pools the evidence.
    """

    def __init__(self, task: ClassPool) -> None:
        self._task = task
        self._scores: dict[str, np.ndarray] = {}
        self._truth: dict[str, np.ndarray] = {}

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count the network's output `(K, *S')` for a whole input, as validation during training has it."""
        evidence = self._task.probabilities(probabilities[None])[0]
        scores = self._task.scores(self._task.sums(evidence)).cpu().numpy()
        self.count(name, ClassAnswer(scores, None), target.cpu().numpy())

    def count(self, name: str, answer: ClassAnswer, truth: Any) -> None:
        """Count an answer.

        Args:
            name: of the input.
            answer: of the network.
            truth: `(K,)`, or what has it as `present`: 1 for classes that are there, 0 for others, NaN for unknown.

        Raises:
            NotFinite: a probability is no number.
        """
        if not np.isfinite(answer.scores).all():
            raise NotFinite(name)
        self._scores[name] = np.asarray(answer.scores, np.float64)
        self._truth[name] = np.asarray(getattr(truth, "present", truth), np.float64)

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the metrics; the log loss is the first."""
        per_image = {name: self._loss(name) for name in self._scores}
        scores = np.array(list(self._scores.values())).reshape(-1, len(self._task.names))
        truth = np.array(list(self._truth.values())).reshape(-1, len(self._task.names))
        chosen = scores > 0.5
        if self._task.exclusive:
            chosen = scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])
        known = ~np.isnan(truth)
        right = np.asarray(np.where(known, chosen == (truth > 0.5), True).all(axis=1))
        measured = np.asarray(known.any(axis=1))
        per_class = []
        for k, counted in enumerate(known.T):
            is_there = truth[counted, k] > 0.5
            per_class.append((auroc(scores[counted, k], is_there), f1(chosen[counted, k], is_there)))
        values = {
            "log_loss": _mean(list(per_image.values())),
            "accuracy": float(right[measured].mean()) if measured.any() else math.nan,
            "auroc": _mean([row[0] for row in per_class]),
            "f1": _mean([row[1] for row in per_class]),
        }
        values |= self._of_classes(per_class)
        return Measures(values, per_image, seconds, tta, higher_is_better=False, conventions=CONVENTIONS)

    def _of_classes(self, per_class: list[tuple[float, float]]) -> Mapping[str, float]:
        """The metrics of each class, where there are several."""
        if len(per_class) < 2:
            return {}
        named = zip(self._task.names, per_class, strict=True)
        return {f"{metric}_{name}": row[i] for name, row in named for i, metric in enumerate(("auroc", "f1"))}

    def _loss(self, name: str) -> float:
        """The cross-entropy of one input; nan where nothing is known of it."""
        scores, truth = np.clip(self._scores[name], CERTAIN, 1 - CERTAIN), self._truth[name]
        if np.isnan(truth).all():
            return math.nan
        if self._task.exclusive:
            return float(-(np.nan_to_num(truth) * np.log(scores)).sum())
        return float(-np.nanmean(truth * np.log(scores) + (1 - truth) * np.log1p(-scores)))


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of pairs of a true and a false input that are in order.

    A tie counts as half (the statistic of Mann and Whitney). It is nan where there are no such pairs.

    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    true, false = int(truth.sum()), int((~truth).sum())
    if not true or not false:
        return math.nan
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # the mean rank of equal scores
    return float((ranks[truth].sum() - true * (true + 1) / 2) / (true * false))


def f1(chosen: np.ndarray, truth: np.ndarray) -> float:
    """Return 2 TP / (2 TP + FP + FN); nan where the class is neither there nor found.

    >>> f1(np.array([True, True, False]), np.array([True, False, True]))
    0.5
    """
    both, either = int((chosen & truth).sum()), int(chosen.sum() + truth.sum())
    return 2 * both / either if either else math.nan


def _mean(values: list[float]) -> float:
    """The mean of the values that exist; nan without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
