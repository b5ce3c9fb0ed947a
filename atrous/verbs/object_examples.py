"""What the report shows of objects: those that were found, missed and invented."""

from collections.abc import Sequence

import numpy as np

from atrous.color import Palette
from atrous.data.dataset import Dataset
from atrous.prediction.predictor import Predictor
from atrous.report.page import Example
from atrous.tasks.instance_metrics import THRESHOLDS, match, overlaps
from atrous.tasks.task import EvaluationResult, ObjectTask
from atrous.verbs.evaluate import found_objects, read_ahead

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
        spacing = dataset.spacing_of(sample)
        answer = found_objects(predictor, task, image, spacing, sample.image.header().affine)
        shown = judged(truth, answer)
        score, kind = result.per_image[sample.name], wanted[sample.name]
        examples.append(Example(sample.name, image, *shown, score, kind, spacing, PALETTE, metric))
    order = [*ranking[::-1][:count], *ranking[:count]]
    return sorted(examples, key=lambda example: order.index(example.name))


def judged(truth: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the found objects as places in `PALETTE`, both `(*S)` uint8, with gaps where objects touch.

    Args:
        truth: numbers of the true objects `(*S)`.
        answer: numbers of the found objects `(*S)`.
    """
    true, found = match(overlaps(truth, answer), THRESHOLDS[0])
    return _painted(truth, true, 2), _painted(answer, found, 3)


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
