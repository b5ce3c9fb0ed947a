"""Thresholds from which dense maps hold objects or points, chosen on held-out inputs.

A network is trained position by position, so the heat or the probability from which most objects come out right differs
from one training to the next. At the end a few values of each threshold are tried in every combination on inputs that
were held out, and the best combination is kept, as StarDist does it (its `optimize_thresholds`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.tasks.custom import CustomTask, found_task
from atrous.tasks.task import FoundTask
from atrous.tasks.temperature import temperatures


class ThresholdSample:
    """What each combination of thresholds finds in some inputs, and what is there.

    Args:
        task: says in `thresholds` which of its options are thresholds, and what values are tried.
        fixed: options that stay as they are.

    Attributes:
        tasks: the task with each combination: first its own thresholds, then the others, the nearest ones first.
    """

    def __init__(self, task: FoundTask, fixed: Collection[str] = ()) -> None:
        self._watched, self._names = task.threshold_metrics, [name for name in task.thresholds if name not in fixed]
        own = tuple(getattr(task, name) for name in self._names)
        tried = {own, *product(*(task.thresholds[name] for name in self._names))}
        self._choices = sorted(tried, key=lambda values: (_distance(values, own), values))
        self.tasks = [_replaced(task, dict(zip(self._names, values, strict=True))) for values in self._choices]
        self._metrics = [each.metrics() for each in self.tasks]

    def add(self, name: str, answers: Iterable[Any], truth: Any) -> None:
        """Count an input.

        Args:
            name: of the input; no name may come twice.
            answers: what each of `tasks` finds in it.
            truth: what is there, as the metrics of the task take it.
        """
        for metrics, answer in zip(self._metrics, answers, strict=True):
            metrics.count(name, answer, truth)

    def fit(self) -> dict[str, float]:
        """Return the thresholds with the best mean of the metrics, of equally good ones the nearest to the task's own.

        None are returned where nothing is to be chosen, or where no combination has a metric.
        """
        if len(self.tasks) < 2:
            return {}
        results = [metrics.result(0.0).values for metrics in self._metrics]
        values = np.array([np.mean([result[name] for name in self._watched]) for result in results])
        if np.isnan(values).all():
            return {}
        return dict(zip(self._names, self._choices[int(np.nanargmax(values))], strict=True))


def _distance(values: Sequence[float], own: Sequence[float]) -> float:
    return round(sum(abs(one - other) for one, other in zip(values, own, strict=True)), 6)


def _replaced(task: Any, values: Mapping[str, float]) -> Any:
    return replace(task, **values)


def with_thresholds(task: Any, thresholds: Mapping[str, float]) -> Any:
    """Return the task with these thresholds; no thresholds leave any task as it is.

    Raises:
        UserError: the task has no such thresholds, or a value is none.
    """
    if not thresholds:
        return task
    known = thresholds_of(task)
    if not set(thresholds) <= set(known) or not all(0 < value < 1 for value in thresholds.values()):
        raise UserError("calibration.json holds thresholds of another task: remove it")
    if isinstance(task, CustomTask):
        return replace(task, task=with_thresholds(task.task, thresholds))
    return _replaced(task, thresholds)


def thresholds_of(task: object) -> dict[str, float]:
    """Return the thresholds of a task by name; none where it has none."""
    found = found_task(task)
    return {} if found is None else {name: getattr(found, name) for name in found.thresholds}


def adjustments(task: Any) -> tuple[float, ...]:
    """Return all numbers of a task that held-out inputs may have chosen: temperatures, offsets, thresholds."""
    return *temperatures(task), *getattr(found_task(task), "offsets", ()), *thresholds_of(task).values()
