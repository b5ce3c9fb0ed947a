"""What metrics of objects, boxes and points have in common: dense maps are decoded, then compared with the truth."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch

from atrous.tasks.measures import Measures
from atrous.tasks.task import FoundTask, NotFinite


class FoundMetrics(ABC):
    """Gathers what was found image by image.

    Args:
        task: says what dense maps mean.
        scores: what measures it; `result(seconds, tta)` gives the metrics.
        activated: whether `update` is given dense maps, as `FoundTask.probabilities` gives them; else the output of the
            network, as in quick validations.
    """

    def __init__(self, task: FoundTask, scores: Any, activated: bool) -> None:
        self._task, self._scores, self._activated = task, scores, activated

    def update(
        self, name: str, probabilities: torch.Tensor, target: torch.Tensor, spacing: tuple[float, ...] | None = None
    ) -> None:
        """See `Metrics.update`.

        Raises:
            NotFinite: the dense maps are not finite.
        """
        maps = probabilities if self._activated else self._task.probabilities(probabilities[None])[0]
        if not bool(torch.isfinite(maps).all()):
            raise NotFinite(name)
        self.count(name, self.answer(maps.cpu().numpy()), self.truth(target))

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """See `Metrics.result`."""
        return self._scores.result(seconds, tta)

    @abstractmethod
    def answer(self, maps: np.ndarray) -> Any:
        """Return what the dense maps `(K, *S)` of one image say."""

    @abstractmethod
    def truth(self, target: torch.Tensor) -> Any:
        """Return what `count` is given of a target, which is as `Target.tensor` gives it."""

    @abstractmethod
    def count(self, name: str, answer: Any, truth: Any) -> None:
        """Count one image: what was found in it, and what is there."""


def rows_and_classes(target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return a target of boxes or points, whose last column is the class, as its other columns and classes."""
    rows = target.cpu().double().numpy()
    return rows[:, :-1], rows[:, -1].astype(np.int64)
