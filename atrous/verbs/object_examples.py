"""What the report shows of objects: those that were found, missed and invented."""

from collections.abc import Sequence

import numpy as np

from atrous.color import Palette
from atrous.data.dataset import Dataset
from atrous.prediction.boxes import busiest_slice, drawn, intervals
from atrous.prediction.predictor import Predictor
from atrous.report.page import Example
from atrous.report.pictures import to_rgb
from atrous.tasks.average_precision import ImageBoxes, box_iou, match_image
from atrous.tasks.detection import DetectionTask
from atrous.tasks.instance_metrics import match, overlaps
from atrous.tasks.task import EvaluationResult, ObjectTask
from atrous.verbs.evaluate import found_boxes, found_objects, read_ahead

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


def object_examples(
    predictor: Predictor, task: ObjectTask, dataset: Dataset, split: str, result: EvaluationResult
) -> list[Example]:
    """Return the samples with the highest and the lowest value of the first metric, the best first."""
    ranking = result.ranking()
    count = min(EXAMPLES, len(ranking) // 2) or len(ranking)
    wanted = dict.fromkeys(ranking[:count], "worst") | dict.fromkeys(ranking[::-1][:count], "best")
    samples = [sample for sample in dataset.splits[split] if sample.name in wanted]
    examples, metric = [], next(iter(result.watched()))
    for sample, image, truth in read_ahead(predictor, samples):
        spacing, affine = dataset.spacing_of(sample), sample.image.header().affine
        pictures: dict[str, np.ndarray] = {}
        if isinstance(task, DetectionTask):
            found = found_boxes(predictor, task.decoder, image, spacing, affine)
            shown = judged_boxes(image, (truth.places, truth.classes), found, pictures)
        else:
            shown = judged(truth, found_objects(predictor, task, image, spacing, affine))
        score, kind = result.per_image[sample.name], wanted[sample.name]
        examples.append(Example(sample.name, image, *shown, score, kind, spacing, PALETTE, metric, pictures))
    order = [*ranking[::-1][:count], *ranking[:count]]
    return sorted(examples, key=lambda example: order.index(example.name))


def judged(truth: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the found objects as places in `PALETTE`, both `(*S)` uint8, with gaps where objects touch.

    Args:
        truth: numbers of the true objects `(*S)`.
        answer: numbers of the found objects `(*S)`.
    """
    true, found = match(overlaps(truth, answer), MATCHED)
    return _painted(truth, true, 2), _painted(answer, found, 3)


def judged_boxes(
    image: np.ndarray,
    truth: tuple[np.ndarray, np.ndarray],
    answer: tuple[np.ndarray, np.ndarray, np.ndarray],
    pictures: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Match true and found boxes of one image, and draw both.

    Args:
        image: `(C, *S)`.
        truth: corners `(n, 2 * ndim)` and classes `(n,)`; those of a negative class are left out.
        answer: corners `(m, 2 * ndim)`, classes `(m,)` and scores `(m,)` of what was found.
        pictures: takes the pictures of images and volumes.

    Returns:
        For signals the true and the found boxes as places in `PALETTE`, both `(*S)` uint8; for others only zeros.
    """
    known = truth[1] >= 0
    true, classes = truth[0][known], truth[1][known]
    boxes = ImageBoxes(true, classes, *answer)
    was_found, is_true = np.full(len(true), 2), np.full(len(answer[0]), 3)
    for number in np.unique(classes):
        of_class = boxes.of_class(int(number))
        order = np.flatnonzero(answer[1] == number)
        order = order[np.argsort(-answer[2][order], kind="stable")]
        matched, _ = match_image(of_class, box_iou(of_class.found, of_class.true), np.array([MATCHED]))
        is_true[order[matched[0] >= 0]] = 1
        was_found[np.flatnonzero(classes == number)[matched[0][matched[0] >= 0]]] = 1
    if image.ndim == 2:
        length = image.shape[1]
        return intervals(length, true, was_found), intervals(length, answer[0], is_true)
    plane = busiest_slice(image.shape[1:], true if len(true) else answer[0])
    pictures["image"] = to_rgb(image[(slice(None), *plane)])
    pictures["truth"] = drawn(image, true, was_found, PALETTE, plane=plane)
    pictures["prediction"] = drawn(image, answer[0], is_true, PALETTE, plane=plane)
    empty = np.zeros(image.shape[1:], np.uint8)
    return empty, empty


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
