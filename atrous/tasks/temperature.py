"""Temperature scaling: one number that makes a network as sure as it is right.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599): the outputs of a trained network are
divided by a temperature T before the softmax (or sigmoid). T is chosen so that the negative log-likelihood of held-out
labels is least. The most probable class stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from atrous.labels import IGNORE
from atrous.tasks.custom import CustomTask
from atrous.tasks.ensemble import EnsembleTask
from atrous.tasks.foreground import ForegroundTask
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded

__all__ = ["LogitSample", "calibrated", "class_task", "fit_temperature", "mean_nll", "temperatures"]

POSITIONS, VALUES = 1 << 17, 1 << 23
"""Positions, and numbers in all, that a sample holds at most."""
COLDEST, HOTTEST = 0.05, 20.0
"""Range of the temperature: outputs that separate the sample without an error would make it 0."""
STEPS = 40
"""Halvings of the range; the last one is far below the rounding of float32."""


def class_task(task: Any) -> Semantic | Stranded | EnsembleTask | None:
    """Return what gives the probabilities of classes of a task; None for a task that gives none.

    It is the task itself, or the one inside a task with metrics of its own: the user's, or those of change and motion.

    >>> from atrous.tasks.change import change_figures
    >>> semantic = Semantic(("same", "changed"))
    >>> class_task(ForegroundTask(semantic, change_figures, "", "pair")) is semantic
    True
    """
    inner = task.task if isinstance(task, CustomTask) else task
    inner = inner.semantic if isinstance(inner, ForegroundTask) else inner
    return inner if isinstance(inner, Semantic | Stranded | EnsembleTask) else None


def calibrated(task: Any, temperature: float) -> Any:
    """Return the task with this temperature, if its probabilities have one; else the task itself.

    >>> calibrated(Semantic(("no", "yes")), 2.0).temperature
    2.0
    """
    if isinstance(task, CustomTask):
        return replace(task, task=calibrated(task.task, temperature))
    if isinstance(task, ForegroundTask):
        return replace(task, semantic=calibrated(task.semantic, temperature))
    return replace(task, temperature=temperature) if isinstance(task, Semantic | Stranded) else task


def temperatures(task: Any) -> tuple[float, ...]:
    """Return the temperatures of a task: none, one, or one for each network of an ensemble."""
    inner = class_task(task)
    if isinstance(inner, EnsembleTask):
        return tuple(each.temperature for each in inner.tasks)
    return () if inner is None else (inner.temperature,)


@dataclass
class LogitSample:
    """Outputs of a network at some positions of each of several images, as differences to that of the truth.

    Args:
        images: how many images are sampled; each gives the same number of positions at most.
        bits: whether labels are sets of classes, one bit per class, and not class numbers.
    """

    images: int
    bits: bool = False
    rows: list[torch.Tensor] = field(default_factory=list)
    weights: list[torch.Tensor] = field(default_factory=list)

    @torch.no_grad()
    def add(self, output: torch.Tensor, target: torch.Tensor) -> None:
        """Sample one image; positions are drawn at random, the same in every run.

        Args:
            output: `(K, *S)`, what the network gives for the K classes.
            target: `(*S)` labels, `IGNORE` where nothing counts.
        """
        labels, k = target.flatten().long() & 0xFF, len(output)
        places, total = _drawn(labels, min(POSITIONS, VALUES // k) // self.images, len(self.rows))
        chosen, truth = output.flatten(1)[:, places].T.float().cpu(), labels[places]  # (n, K), (n,)
        rows = _pairs(chosen, truth) if self.bits else chosen - chosen.gather(1, truth[:, None])
        rows = rows[torch.isfinite(rows).all(1)]
        self.rows.append(rows)
        self.weights.append(torch.full((len(rows),), total / max(1, len(rows)), dtype=torch.float64))

    def joined(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all rows `(n, K)`, and how many positions each stands for `(n,)` float64."""
        return torch.cat(self.rows), torch.cat(self.weights)


def _drawn(labels: torch.Tensor, quota: int, seed: int) -> tuple[torch.Tensor, float]:
    """Places of at most `quota` positions that count, of labels `(n,)`, and how many there are of those in all."""
    generator, quota, n = torch.Generator().manual_seed(seed), max(1, quota), len(labels)
    if n <= 4 * quota:
        counted = (labels != IGNORE).nonzero().flatten()
        return counted[torch.randperm(len(counted), generator=generator)[:quota]], float(len(counted))
    tried = torch.randint(n, (4 * quota,), generator=generator)
    counted = tried[labels[tried] != IGNORE]
    return counted[:quota], n * len(counted) / len(tried)


def _pairs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Rows `(n * K, 2)` of logits `(n, K)`: 0 for what is true of a class, and by how much the opposite exceeds it."""
    truth = (labels[:, None] >> torch.arange(logits.shape[1])) & 1
    excess = (logits * (1 - 2 * truth)).flatten()
    return torch.stack([torch.zeros_like(excess), excess], dim=1)


def fit_temperature(sample: LogitSample) -> float:
    """Return the temperature at which the negative log-likelihood of a sample is least; 1 for an empty sample.

    The likelihood of outputs z of truth y is convex in b = 1 / T: with d = z - z_y it is the mean of
    `log sum exp(b d)`, whose slope is the mean of `sum softmax(b d) d`. Where the slope is 0 is found by halving.

    >>> sample = LogitSample(images=1)
    >>> sample.add(torch.tensor([[4.0, 4.0, 4.0, 4.0], [0.0, 0.0, 0.0, 0.0]]), torch.tensor([0, 0, 0, 1]))
    >>> round(fit_temperature(sample), 3)  # right in 3 of 4 cases: log(3 / 1) = 4 / T
    3.641
    """
    rows, weights = sample.joined()
    if not len(rows):
        return 1.0

    def slope(b: float) -> float:
        return float(((b * rows).softmax(1) * rows).sum(1).double() @ weights)

    return 1 / _root(slope, 1 / HOTTEST, 1 / COLDEST)


def mean_nll(sample: LogitSample, temperature: float) -> float:
    """Return the mean negative log-likelihood, in nats, of a sample at a temperature."""
    rows, weights = sample.joined()
    return float((rows.double() / temperature).logsumexp(1) @ weights / weights.sum()) if len(rows) else 0.0


def _root(slope: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, by halving on a log scale; the nearer end where it is 0 nowhere between."""
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return (low * high) ** 0.5
