"""Motion of a fixed camera: what moves in each frame, measured as changedetection.net does."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from atrous.tasks.foreground import ForegroundTask, ratio
from atrous.tasks.semantic import Semantic

CONVENTIONS = (
    " f_measure, precision, recall and pwc (percentage of wrong classifications) are those of changedetection.net "
    "(Wang et al. 2014): every class but the first is foreground, counts are summed over all labelled frames, and what "
    "is unknown or outside of the region of interest counts nowhere."
)


def motion_figures(confusion: np.ndarray) -> dict[str, float]:
    """Return the metrics of changedetection.net of a confusion matrix `(K, K)`, of which class 0 is background.

    With true positives TP, false positives FP, false negatives FN and true negatives TN of the foreground:

        precision = TP / (TP + FP), recall = TP / (TP + FN), f_measure = 2 TP / (2 TP + FP + FN)
        pwc = 100 (FN + FP) / (TP + FN + FP + TN)

    Wang et al. 2014, "CDnet 2014: an expanded change detection benchmark dataset".

    >>> motion_figures(np.array([[90, 2], [3, 5]]))["pwc"]
    5.0
    """
    wrong = int(confusion[0, 1:].sum()), int(confusion[1:, 0].sum())
    positive, negative = int(confusion[1:, 1:].sum()), int(confusion[0, 0])
    false_positive, false_negative = wrong
    return {
        "f_measure": ratio(2 * positive, 2 * positive + false_positive + false_negative),
        "pwc": 100 * ratio(false_positive + false_negative, positive + negative + false_positive + false_negative),
        "precision": ratio(positive, positive + false_positive),
        "recall": ratio(positive, positive + false_negative),
    }


def motion_task(section: Mapping[str, Any]) -> ForegroundTask:
    """Make the task from the section `task` of a recipe.

    Raises:
        ValueError: there are fewer than two classes, or weights for other ones.
    """
    return ForegroundTask(Semantic.build(section), motion_figures, CONVENTIONS, "frame")
