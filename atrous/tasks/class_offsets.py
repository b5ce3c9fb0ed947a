"""Offsets of the evidence for classes that are there or not, fitted on held-out inputs.

A network may rank inputs well and yet find a class in all of them or in none: the answer of a whole input is a product
over all positions, so a little too much evidence everywhere counts as many times as there are positions. One number for
each class, added to its evidence at every position, mends this. It is the one with the least mean cross-entropy on
inputs that were held out (Platt 1999 fits an offset and a scale; here the pool over positions forbids the scale).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.tasks.classification import LEAST, ClassificationTask
from atrous.tasks.custom import CustomTask

FEWEST = 4
"""A class that fewer inputs have, or do not have, gets no offset."""
WIDTH = 0.01
"""Evidence is counted in bins of this width, so that a large input takes no more memory than a small one."""
REACH, STEP = 20.0, 0.25
"""The largest offset, and the step in which offsets are tried before the best one is refined."""


class OffsetSample:
    """The evidence of some inputs, and which classes they have.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._inputs: list[list[tuple[np.ndarray, np.ndarray, bool]]] = [[] for _ in range(classes)]

    def add(self, evidence: Any, present: Sequence[float]) -> None:
        """Count the evidence of an input.

        Args:
            evidence: `(K, *S)`, as `ClassificationTask.probabilities` gives it.
            present: for each class 1, 0, or NaN where nobody knows.
        """
        for inputs, of_class, there in zip(self._inputs, evidence, present, strict=True):
            if not np.isnan(there):
                bins, counts = np.unique(np.rint(np.asarray(of_class, np.float64) / WIDTH), return_counts=True)
                inputs.append((bins * WIDTH, counts, bool(there)))

    def fit(self) -> tuple[float, ...]:
        """Return the offset of each class; 0 where there are too few inputs with it, or without it.

        >>> sample = OffsetSample(1)
        >>> for number in range(8):  # inputs with the class have evidence of 3 at one place, the others of 1 at most
        ...     sample.add(np.array([[3.0 if number % 2 else 1.0, -9.0, -9.0]]), [number % 2])
        >>> [round(offset, 1) for offset in sample.fit()]
        [-2.0]
        """
        return tuple(_offset(inputs) for inputs in self._inputs)


def _offset(inputs: list[tuple[np.ndarray, np.ndarray, bool]]) -> float:
    from scipy.optimize import minimize_scalar

    there = sum(has for _, _, has in inputs)
    if min(there, len(inputs) - there) < FEWEST:
        return 0.0

    def loss(offset: float) -> float:
        total = 0.0
        for evidence, counts, has in inputs:
            summed = float((counts * np.logaddexp(0, evidence + offset)).sum())
            total += -np.log(-np.expm1(-max(summed, LEAST))) if has else summed
        return total

    tried = np.arange(-REACH, REACH + STEP, STEP)
    best = tried[int(np.argmin([loss(offset) for offset in tried]))]
    refined: Any = minimize_scalar(loss, bounds=(best - STEP, best + STEP), method="bounded")
    return float(refined.x)


def shifted(task: Any, offsets: Sequence[float]) -> Any:
    """Return the task with these offsets of its evidence; no offsets leave any task as it is.

    Raises:
        UserError: the task has no classes that are there or not, or another number of them.
    """
    if not offsets:
        return task
    if isinstance(task, CustomTask):
        return replace(task, task=shifted(task.task, offsets))
    if not isinstance(task, ClassificationTask) or len(offsets) != len(task.names):
        raise UserError("calibration.json holds the offsets of other classes: remove it")
    return replace(task, offsets=tuple(offsets))
