"""Change detection: what differs between two images of one place."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from atrous.tasks.foreground import ForegroundTask, ratio
from atrous.tasks.semantic import Semantic

CONVENTIONS = (
    " f1, precision and recall are those of the changed class (of several, means over all classes but the first that "
    "occur), from counts summed over all pairs."
)


def change_figures(confusion: np.ndarray) -> dict[str, float]:
    """Return `f1`, `precision` and `recall` of what changed, of a confusion matrix `(K, K)`.

    The first class is "nothing changed". Of several other classes the values are averaged over those that have one.

    >>> change_figures(np.array([[90, 2], [3, 5]]))["f1"] == 2 * 5 / (2 * 5 + 2 + 3)
    True
    """
    right, truth, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    rows = [
        (ratio(2 * right[k], truth[k] + predicted[k]), ratio(right[k], predicted[k]), ratio(right[k], truth[k]))
        for k in range(1, len(confusion))
    ]
    columns = zip(("f1", "precision", "recall"), np.transpose(rows), strict=True)
    return {name: _mean(column) for name, column in columns}


def _mean(values: np.ndarray) -> float:
    """The mean of the values that are numbers; nan where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def change_task(section: Mapping[str, Any]) -> ForegroundTask:
    """Make the task from the section `task` of a recipe.

    Raises:
        ValueError: there are fewer than two classes, or weights for other ones.
    """
    return ForegroundTask(Semantic.build(section), change_figures, CONVENTIONS, "pair")
