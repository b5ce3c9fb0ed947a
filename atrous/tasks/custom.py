"""A task with the user's own loss and metrics, which are plain functions."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from atrous.errors import UserError
from atrous.objects.genes import GeneRules
from atrous.objects.genetic_code import require_codes
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.edges import REPORTED_THRESHOLDS, EdgeTask
from atrous.tasks.ensemble import EnsembleTask
from atrous.tasks.measures import Measures
from atrous.tasks.scores import Scores
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded
from atrous.tasks.summed import PooledTask, SummedLoss, SummedTask
from atrous.tasks.task import EvaluationResult, FoundTask, Metrics, Task
from atrous.tasks.values import ValueTask

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Given the output `(N, K, *S)` and the targets (of labels `(N, *S)` int64), returns a scalar."""
MetricFunction = Callable[[torch.Tensor, torch.Tensor], float]
"""Given the probabilities `(K, *S)` of one image and its target (of labels `(*S)` uint8), returns a number."""

LOGGED = ("step", "epoch", "seconds", "split", "loss", "learning_rate", "images_per_second")
"""Columns of the log of a training beside those of metrics."""
HALVED = 0.5
"""What each further output weighs where a task does not say it."""


def found_task(task: object) -> FoundTask | None:
    """Return the task if it finds something, also where it has a loss of the user's own; None for other tasks."""
    inner = task.task if isinstance(task, CustomTask) else task
    return inner if isinstance(inner, FoundTask) else None


def value_task(task: object) -> ValueTask | None:
    """Return the task if it gives numbers, also where it has a loss or metrics of the user's own; None for others."""
    inner = task.task if isinstance(task, CustomTask) else task
    return inner if isinstance(inner, ValueTask) else None


def needs_float32(task: object) -> bool:
    """Return whether the answer of a task needs float32: it has numbers, or sums of exponentials over all positions."""
    return value_task(task) is not None or isinstance(found_task(task), ClassificationTask)


def gene_rules(task: object) -> GeneRules | None:
    """Return what genes must fulfil, if the task decodes genes; None for others."""
    inner = task.task if isinstance(task, CustomTask) else task
    return inner.gene_rules if isinstance(inner, Stranded | EnsembleTask) else None


def least_lengths(task: object) -> tuple[int, ...]:
    """Return the samples of the shortest interval of each class in the labels of a signal; empty for other tasks."""
    inner = task.task if isinstance(task, CustomTask) else task
    return inner.least if isinstance(inner, Semantic | EnsembleTask) else ()


def without_least(task: Task) -> Task:
    """Return the task with labels that are the most probable class of each sample, whatever the intervals are."""
    if isinstance(task, CustomTask):
        return replace(task, task=without_least(task.task))
    if isinstance(task, EnsembleTask):
        return replace(task, tasks=tuple(without_least(each) for each in task.tasks))
    return replace(task, least=()) if isinstance(task, Semantic) else task


def with_codes(task: Task, codes: Sequence[int]) -> Task:
    """Return the task with other genetic codes, by which genes are decoded.

    Raises:
        UserError: the task decodes no genes, or there is no such code.
    """
    if gene_rules(task) is None:
        raise UserError("--genetic-code is for runs that find genes: leave it out")
    require_codes(codes)
    if isinstance(task, CustomTask):
        return replace(task, task=with_codes(task.task, codes))
    if isinstance(task, EnsembleTask):
        return replace(task, tasks=tuple(with_codes(each, codes) for each in task.tasks))
    assert isinstance(task, Stranded)
    return replace(task, genetic_codes=tuple(codes))


def class_maps(task: object, classes: Sequence[str]) -> int:
    """Return how many maps `Task.probabilities` gives for a task with a probability of each class.

    A task that decodes genes has further ones, after those of the classes.
    """
    inner = task.task if isinstance(task, CustomTask) else task
    return len(classes) + (inner.evidence if isinstance(inner, Stranded | EnsembleTask) else 0)


def summed_loss_of(task: Task) -> SummedLoss | None:
    """Return the loss of a task by its sums over positions; None where it does not follow from such sums.

    A loss of the user's own may be a `SummedLoss`.
    """
    if isinstance(task, CustomTask):
        if task.own_loss is not None:
            return task.own_loss if isinstance(task.own_loss, SummedLoss) else None
        task = task.task
    return task.summed_loss() if isinstance(task, SummedTask) else None


def pooled_task(task: Task) -> PooledTask | None:
    """Return the task if it has one target for a whole input, and the loss is its own; None for others."""
    if isinstance(task, CustomTask) and task.own_loss is None:
        task = task.task
    return task if isinstance(task, PooledTask) else None


def is_joint(task: Task) -> bool:
    """Return whether the loss of a task is that of the outputs of all devices of a training, not of one device's alone.

    It is where it follows from sums over positions, and where the task says it by `joint_loss = True`: its loss adds up
    its sums and counts over the devices (`atrous.ranks.totals`). Any other loss must be given the outputs of all.
    """
    if isinstance(task, CustomTask):
        if task.own_loss is not None:
            return isinstance(task.own_loss, SummedLoss)
        task = task.task
    return isinstance(task, SummedTask) or bool(getattr(task, "joint_loss", False))


def output_size(task: object, size: Sequence[int]) -> tuple[int, ...]:
    """Return the size of the grid on which a task answers, for an input of this size."""
    if isinstance(found := found_task(task), ClassificationTask):
        return found.grid(size)
    numbers = value_task(task)
    factor = 1 if numbers is None else numbers.factor
    return tuple(int(length) * factor for length in size)


def side_weight(task: object) -> float:
    """Return what each further output of a network weighs in the loss, compared with the one before it.

    Side outputs for edges weigh alike, as in HED; those of other tasks half as much from scale to scale, as in nnU-Net
    (Isensee et al. 2021).
    """
    inner = value_task(task)
    return inner.side_weight if isinstance(inner, EdgeTask) else HALVED


def reported(task: Task) -> Task:
    """Return the task as the end of a training measures it: edges at fewer thresholds, any other task as it is."""
    inner = value_task(task)
    if not isinstance(inner, EdgeTask):
        return task
    fewer = replace(inner, thresholds=min(inner.thresholds, REPORTED_THRESHOLDS))
    return replace(task, task=fewer) if isinstance(task, CustomTask) else fewer


@dataclass(frozen=True)
class CustomTask:
    """Another task, but with a loss or further metrics that the user gives as functions.

    Attributes:
        task: what everything else is left to.
        own_loss: takes the place of the task's loss; None keeps that.
        own_metrics: further metrics by name; each is averaged over the images for which it is a number.
    """

    task: Task
    own_loss: LossFunction | None = None
    own_metrics: Mapping[str, MetricFunction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.own_metrics and isinstance(self.task, FoundTask):
            raise UserError("metrics=: functions of probabilities do not measure objects: leave them out")
        taken = sorted(self.own_metrics.keys() & {*LOGGED, *self.task.watched})
        if taken:
            raise UserError(f"metrics=: there is a {taken[0]!r} in the log of every training: name yours otherwise")

    @property
    def out_channels(self) -> int:
        """See `Task.out_channels`."""
        return self.task.out_channels

    @property
    def watched(self) -> tuple[str, ...]:
        """See `Task.watched`: those of the task, then the user's."""
        return (*self.task.watched, *self.own_metrics)

    @property
    def higher_is_better(self) -> bool:
        """See `Task.higher_is_better`."""
        return self.task.higher_is_better

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """See `Task.loss`."""
        return self.task.loss(output, target) if self.own_loss is None else self.own_loss(output, target)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """See `Task.decode`."""
        return self.task.decode(output)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """See `Task.probabilities`."""
        return self.task.probabilities(output)

    def metrics(self, *, full: bool = True) -> Metrics:
        """See `Task.metrics`. Quick metrics are given raw output; the user's get probabilities all the same."""
        return _CustomMetrics(self, full)


class _CustomMetrics:
    def __init__(self, task: CustomTask, full: bool) -> None:
        self._task, self._full = task, full
        self._metrics: Any = task.task.metrics(full=full)
        self._values: dict[str, list[float]] = {name: [] for name in task.own_metrics}
        inner = task.task
        self._evidence = inner.evidence if isinstance(inner, Stranded | EnsembleTask) else 0  # channels of no class

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
        **decoded: torch.Tensor,
    ) -> None:
        """See `Metrics.update`; `decoded` goes to the metrics of the task, which are given labels where it has them."""
        self._metrics.update(name, probabilities, target, spacing, **decoded)
        if not self._full and self._values:
            probabilities = self._task.probabilities(probabilities[None])[0]
        probabilities = probabilities[: len(probabilities) - self._evidence]
        for metric, function in self._task.own_metrics.items():
            value = float(function(probabilities, target))
            if not math.isnan(value):
                self._values[metric].append(value)

    def result(self, seconds: float, tta: str = "none") -> EvaluationResult:
        """See `Metrics.result`."""
        result = self._metrics.result(seconds, tta)
        means = {name: sum(row) / len(row) if row else math.nan for name, row in self._values.items()}
        if isinstance(result, Scores):
            return replace(result, own={**result.own, **means})
        if isinstance(result, Measures):
            return replace(result, values={**result.values, **means})
        raise TypeError(f"{type(result).__name__} cannot hold further metrics: return Scores or Measures")
