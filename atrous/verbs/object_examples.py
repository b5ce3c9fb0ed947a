"""What the report shows of objects, boxes and points: those that were found, missed and invented."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.dataset import Dataset
from atrous.data.formats.orient import Affine
from atrous.data.source import Source
from atrous.prediction.boxes import busiest_slice, drawn, intervals
from atrous.prediction.predictor import Predictor
from atrous.report.page import Example
from atrous.report.pictures import to_rgb
from atrous.tasks.average_precision import ImageBoxes, match_image
from atrous.tasks.box_overlap import box_iou
from atrous.tasks.instance_metrics import match, overlaps
from atrous.tasks.task import EvaluationResult, FoundTask
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import MEASURED, found_boxes, truth_of
from atrous.verbs.point_examples import judged_points

MATCHED = 0.5
"""Overlap from which an object is found."""
EXAMPLES = 2
"""So many of the best and of the worst images are shown."""
LEGEND: dict[str, tuple[int, int, int]] = {
    "found": (80, 180, 90),
    "missed": (220, 60, 50),
    "invented": (70, 120, 255),
}
PALETTE: Palette = ((24, 24, 28), *LEGEND.values())
Judged = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]
"""Truth and answer as places in `PALETTE`, both `(*S)` uint8, and the pictures that stand for them if there are any."""


def extremes(result: EvaluationResult, most: int = EXAMPLES) -> dict[str, str]:
    """Return the names of the best and then the worst samples, with "best" or "worst", in the order of the report."""
    ranking = result.ranking()
    count = min(most, len(ranking) // 2) or len(ranking)
    best = dict.fromkeys(ranking[::-1][:count], "best")
    return best | {name: "worst" for name in ranking[:count] if name not in best}


def found_examples(
    predictor: Predictor, task: FoundTask, dataset: Dataset, split: str, result: EvaluationResult
) -> list[Example]:
    """Return the samples with the highest and the lowest value of the first metric, the best first."""
    kinds, metric = extremes(result), next(iter(result.watched()))
    samples = [sample for sample in dataset.splits[split] if sample.name in kinds]
    examples = []
    for sample, image, truth in read_ahead(predictor, samples):
        name, spacing = sample.name, dataset.spacing_of(sample)
        answer = SHOWN.get(task.found, MEASURED[task.found])(
            predictor, task, image, spacing, sample.image.header().affine, sample.image.valid()
        )
        true, found, pictures = JUDGE[task.found](task, image, truth, answer)
        examples.append(
            Example(
                name, image, true, found, result.per_image[name], kinds[name], spacing, PALETTE, metric, pictures,
                legend=LEGEND,
            )
        )  # fmt: skip
    order = list(kinds)
    return sorted(examples, key=lambda example: order.index(example.name))


def judged(truth: np.ndarray, answer: np.ndarray, kinds: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the found objects as places in `PALETTE`, both `(*S)` uint8, with gaps where objects touch.

    Args:
        truth: numbers of the true objects `(*S)`.
        answer: numbers of the found objects `(*S)`.
        kinds: number of classes, which the numbers say; objects of another class are not found.
    """
    true, found = match(overlaps(truth, answer, kinds), MATCHED)
    return _painted(truth, true, 2), _painted(answer, found, 3)


def judged_boxes(
    image: np.ndarray, truth: tuple[np.ndarray, np.ndarray], answer: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Judged:
    """Match true and found boxes of one image, and draw both.

    Args:
        image: `(C, *S)`.
        truth: corners `(n, 2 * ndim)` (of rotated boxes `(n, 8)`) and classes `(n,)`; the areas that negative ones mark
            (`atrous.labels`) are left out, and so is what was found in them, has their class and is no true box.
        answer: corners as of the truth, classes `(m,)` and scores `(m,)` of what was found.

    Returns:
        For signals the true and the found boxes as places in `PALETTE`, both `(*S)` uint8; for others only zeros, and
        pictures instead.
    """
    known = truth[1] >= 0
    true, classes = truth[0][known], truth[1][known]
    boxes = ImageBoxes(true, classes, *answer, truth[0][~known], truth[1][~known])
    was_found, is_true, shown = np.full(len(true), 2), np.full(len(answer[0]), 3), np.ones(len(answer[0]), bool)
    for number in np.union1d(classes, answer[1]):
        of_class = boxes.of_class(int(number))
        order = np.flatnonzero(answer[1] == number)
        order = order[np.argsort(-answer[2][order], kind="stable")]
        matched, counted = match_image(of_class, box_iou(of_class.found, of_class.true), np.array([MATCHED]))
        hits = matched[0] >= 0
        is_true[order[hits]] = 1
        was_found[np.flatnonzero(classes == number)[matched[0][hits]]] = 1
        shown[order] = hits | counted[0]
    places, is_true = answer[0][shown], is_true[shown]
    if image.ndim == 2:
        length = image.shape[1]
        return intervals(length, true, was_found), intervals(length, places, is_true), {}
    plane = busiest_slice(image.shape[1:], true if len(true) else places)
    pictures = {
        "image": to_rgb(image[(slice(None), *plane)]),
        "truth": drawn(image, true, was_found, PALETTE, plane=plane),
        "prediction": drawn(image, places, is_true, PALETTE, plane=plane),
    }
    empty = np.zeros(image.shape[1:], np.uint8)
    return empty, empty, pictures


def _painted(numbers: np.ndarray, matched: Sequence[int] | np.ndarray, unmatched: int) -> np.ndarray:
    """1 where a matched object is, `unmatched` where another one is, 0 elsewhere and where two objects touch."""
    present, inverse = np.unique(numbers, return_inverse=True)
    kinds = np.full(len(present), unmatched, np.uint8)
    objects = np.flatnonzero(present != 0)
    kinds[objects[np.asarray(matched, int)]] = 1
    kinds[present == 0] = 0
    painted = kinds[inverse].reshape(numbers.shape)
    for axis in range(numbers.ndim):
        one, other = (np.moveaxis(numbers, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        np.moveaxis(painted, axis, 0)[:-1][(one != other) & (one != 0) & (other != 0)] = 0
    return painted


def _shown_boxes(
    predictor: Predictor,
    task: Any,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None,
    valid: Source | None,
) -> Any:
    """The boxes that a prediction writes; metrics are given those of lower scores too."""
    return found_boxes(predictor, task.decoder, image, spacing, affine, valid)


SHOWN = {"boxes": _shown_boxes}
"""For what a task finds, the function that finds what is shown, where it is not that of `MEASURED`."""
JUDGE: dict[str, Callable[[Any, np.ndarray, Any, Any], Judged]] = {
    "objects": lambda task, image, truth, answer: (*judged(truth, answer.numbers, len(task.names) or 1), {}),
    "boxes": lambda task, image, truth, answer: judged_boxes(image, truth_of(truth), answer),
    "points": lambda task, image, truth, answer: (*judged_points(truth, answer, task), {}),
}
"""For what a task finds, the function that says what was found, missed and invented.

It is given the task, the image, the values of the target and the answer.
"""
