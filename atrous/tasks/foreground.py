"""Tasks that seek what is not the first class: what changed, what moves. They learn as a segmentation does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from atrous.labels import IGNORE
from atrous.tasks.metrics import SegmentationMetrics
from atrous.tasks.scores import Scores
from atrous.tasks.semantic import Semantic

CountFigures = Callable[[np.ndarray], Mapping[str, float]]
"""Metrics by name of a confusion matrix `(K, K)`, rows truth, columns prediction; the first one chooses the weights."""


@dataclass(frozen=True)
class ForegroundTask:
    """Semantic segmentation, measured by what is not the first class.

    Attributes:
        semantic: what loss, decoding and probabilities are left to.
        figures: the metrics.
        conventions: how they are counted, in words.
        sample: what one sample is called.

    >>> from atrous.tasks.change import change_figures
    >>> task = ForegroundTask(Semantic(("same", "changed")), change_figures, "", "pair")
    >>> task.out_channels, task.watched
    (2, ('f1', 'miou'))
    """

    semantic: Semantic
    figures: CountFigures
    conventions: str
    sample: str

    higher_is_better = True
    joint_loss = True

    @property
    def out_channels(self) -> int:
        """One channel per class."""
        return self.semantic.out_channels

    @property
    def watched(self) -> tuple[str, ...]:
        """See `Task.watched`: the first of the figures, and mean IoU."""
        return (next(iter(self.figures(np.eye(2, dtype=np.int64)))), "miou")

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """See `Semantic.loss`."""
        return self.semantic.loss(output, target)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """See `Semantic.decode`."""
        return self.semantic.decode(output)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """See `Semantic.probabilities`."""
        return self.semantic.probabilities(output)

    def metrics(self, *, full: bool = True) -> "ForegroundMetrics":
        """See `Semantic.metrics`; with the figures of this task."""
        return ForegroundMetrics(self, self.semantic.metrics(full=full))


class ForegroundMetrics:
    """Gathers the metrics of a segmentation, and those of what is not the first class, pooled over all samples."""

    def __init__(self, task: ForegroundTask, inner: SegmentationMetrics) -> None:
        self._task, self._inner = task, inner
        self._per_image: dict[str, float] = {}

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """See `Metrics.update`; a clip of one frame counts as an image."""
        if target.ndim == 3 and len(target) == 1:
            probabilities, target = probabilities[:, 0], target[0]
        self._inner.update(name, probabilities, target, spacing)
        classes, truth = len(probabilities), target.to(probabilities.device)
        counted = truth != IGNORE
        pairs = truth[counted].long() * classes + probabilities.argmax(0)[counted]
        counts = torch.bincount(pairs, minlength=classes**2).view(classes, classes).cpu().numpy()
        self._per_image[name] = next(iter(self._task.figures(counts).values()))

    def result(self, seconds: float, tta: str = "none") -> Scores:
        """See `Metrics.result`."""
        scores = self._inner.result(seconds, tta)
        return replace(
            scores,
            foreground=self._task.figures(scores.confusion),
            foreground_conventions=self._task.conventions,
            per_image=dict(self._per_image),
            sample=self._task.sample,
        )


def ratio(part: float, whole: float) -> float:
    """Return a share; nan of nothing.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, nan)
    """
    return float(part / whole) if whole else float("nan")
