"""What the report shows of classes of whole inputs: the best and the worst, and where their classes were seen."""

import math
from collections.abc import Iterable

import numpy as np
import torch

from atrous.color import Palette
from atrous.data.dataset import Dataset
from atrous.prediction.classes import class_colors, painted, seen
from atrous.prediction.predictor import Predictor
from atrous.report.page import Example
from atrous.report.pictures import signal, to_rgb
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.task import EvaluationResult
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import found_classes
from atrous.verbs.object_examples import extremes

EXAMPLES = 3
"""So many of the best and of the worst inputs are shown."""
LARGEST = 1024
"""Of a longer side, every second (third, ...) pixel is drawn."""
TRACK = 96
"""Pixels of the height of a curve."""
WHERE = "where classes were seen"


def class_examples(
    predictor: Predictor, task: ClassificationTask, dataset: Dataset, split: str, result: EvaluationResult
) -> list[Example]:
    """Return the inputs with the lowest and the highest log loss, with what they have, and what was found."""
    wanted, metric = extremes(result, EXAMPLES), next(iter(result.watched()))
    samples = [sample for sample in dataset.splits[split] if sample.name in wanted]
    colors, examples = class_colors(predictor.palette, len(task.names)), {}
    for sample, values, truth in read_ahead(predictor, samples):
        image = np.asarray(values)
        answer = found_classes(predictor, task, image, dataset.spacing_of(sample), sample.image.header().affine)
        chosen = task.chosen(torch.from_numpy(answer.scores))
        said = f"is {_listed(task, np.flatnonzero(truth.present == 1))}, found {_listed(task, chosen, answer.scores)}"
        empty = np.zeros((1,) * (image.ndim - 1), np.uint8)
        examples[sample.name] = Example(
            sample.name, image, empty, empty, result.per_image[sample.name], wanted[sample.name], palette=colors,
            metric=metric, pictures=class_pictures(image, seen(answer.evidence, task), colors), note=said,
            legend=dict(zip(task.names, colors, strict=True)),
        )  # fmt: skip
    return [examples[name] for name in wanted]


def class_pictures(image: np.ndarray, evidence: np.ndarray, colors: Palette) -> dict[str, np.ndarray]:
    """Return pictures by caption: where classes were seen over an image, a slice of a volume, or behind a curve.

    Args:
        image: `(C, *S)`.
        evidence: `(K, *S')`, from 0 to 1.
        colors: one for each class.
    """
    if image.ndim == 2:
        curves = np.moveaxis(signal(image, TRACK), -1, 0)
        return {WHERE: painted(curves, evidence[:, None], colors)}
    step = max(1, math.ceil(max(image.shape[-2:]) / LARGEST))
    shown = {WHERE: painted(image, evidence, colors, step)}
    return {"image": to_rgb(image[:, ::step, ::step]), **shown} if image.ndim == 3 else shown


def _listed(task: ClassificationTask, classes: Iterable[int], scores: np.ndarray | None = None) -> str:
    """Names of classes, with their probabilities where they are given."""
    names = [task.names[k] if scores is None else f"{task.names[k]} ({scores[k]:.2f})" for k in classes]
    return ", ".join(names) or ("none" if scores is None else f"none ({scores.max():.2f})")
