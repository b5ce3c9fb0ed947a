"""What the report shows of points: those that were found, missed and invented."""

from collections.abc import Sequence

import numpy as np

from atrous.data.dataset import Dataset
from atrous.data.targets.points import Places
from atrous.prediction.predictor import Predictor
from atrous.report.page import Example
from atrous.tasks.point_metrics import pair_points
from atrous.tasks.points import PointAnswer, PointTask
from atrous.tasks.task import EvaluationResult
from atrous.verbs.evaluate import found_points, read_ahead
from atrous.verbs.object_examples import EXAMPLES, PALETTE

DOT = 2
"""Positions from a point to the border of the square (cube, interval) that is painted for it."""


def point_examples(
    predictor: Predictor, task: PointTask, dataset: Dataset, split: str, result: EvaluationResult
) -> list[Example]:
    """Return the samples with the best and the worst value of the first metric, the best first."""
    ranking = result.ranking()
    count = min(EXAMPLES, len(ranking) // 2) or len(ranking)
    wanted = dict.fromkeys(ranking[:count], "worst") | dict.fromkeys(ranking[::-1][:count], "best")
    samples = [sample for sample in dataset.splits[split] if sample.name in wanted]
    examples, metric = [], next(iter(result.watched()))
    for sample, image, truth in read_ahead(predictor, samples):
        spacing = dataset.spacing_of(sample)
        answer = found_points(predictor, task, image, spacing, sample.image.header().affine)
        shown = judged_points(truth, answer, task)
        score, kind = result.per_image[sample.name], wanted[sample.name]
        examples.append(Example(sample.name, image, *shown, score, kind, spacing, PALETTE, metric))
    order = [*ranking[::-1][:count], *ranking[:count]]
    return sorted(examples, key=lambda example: order.index(example.name))


def judged_points(truth: Places, answer: PointAnswer, task: PointTask) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the found points as places in `PALETTE`, both `(*S)` uint8.

    True points are 1 where they were found and 2 where they were missed; found points 1, or 3 where they were invented.
    """
    pairs = pair_points(truth.places, truth.classes, answer, task.distance_of(truth.places))
    sides = (truth.places, pairs.true, 2), (answer.places, pairs.found, 3)
    first, second = (_painted(truth.size, places, matched, other) for places, matched, other in sides)
    return first, second


def _painted(size: Sequence[int], places: np.ndarray, matched: np.ndarray, other: int) -> np.ndarray:
    kinds = np.full(len(places), other, np.uint8)
    kinds[matched] = 1
    picture = np.zeros(tuple(size), np.uint8)
    # Points that are not matched are painted last, so that none of them is hidden.
    for index in np.argsort(kinds, kind="stable"):
        middle = np.floor(places[index]).astype(int)
        picture[tuple(slice(max(0, at - DOT), at + DOT + 1) for at in middle)] = kinds[index]
    return picture
