"""What the report shows of numbers at every position: input, answer and truth on one scale, and the error."""

import numpy as np

from atrous.data.dataset import Dataset
from atrous.prediction.predictor import Predictor
from atrous.prediction.values import shown
from atrous.recipe.style_picture import read_style
from atrous.report.page import Example
from atrous.report.pictures import resized
from atrous.tasks.custom import value_task
from atrous.tasks.style import StyleTask
from atrous.tasks.task import EvaluationResult
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import probabilities
from atrous.verbs.object_examples import extremes

LIMIT = 960
"""Pixels of the longer side of a picture."""


def value_examples(predictor: Predictor, dataset: Dataset, split: str, result: EvaluationResult) -> list[Example]:
    """Return the samples with the best and the worst value of the first metric, the best first."""
    kinds, metric = extremes(result), next(iter(result.watched()))
    samples = [sample for sample in dataset.splits[split] if sample.name in kinds]
    examples = []
    task = value_task(predictor.task)
    for sample, image, truth in read_ahead(predictor, samples):
        spacing = dataset.spacing_of(sample)
        answer = probabilities(predictor, image, spacing, sample.image.header().affine).cpu().numpy()
        if isinstance(task, StyleTask):
            pictures = _styled(predictor, task, image, answer)
        else:
            pictures = _pictures(np.asarray(image, np.float32), np.asarray(truth, np.float32), answer)
        if task is not None and not task.pictures:
            pictures["input"] = shown(image, image)
        blank = np.zeros((1, 1), np.uint8)
        examples.append(
            Example(
                sample.name, image, blank, blank, result.per_image[sample.name], kinds[sample.name], spacing,
                metric=metric, pictures={name: resized(picture, LIMIT) for name, picture in pictures.items()},
                compared=task is not None and task.pictures,
            )
        )  # fmt: skip
    order = list(kinds)
    return sorted(examples, key=lambda example: order.index(example.name))


def _pictures(image: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> dict[str, np.ndarray]:
    """Input, answer, truth and error as colors, the first of a restoration on the scale of the truth."""
    known = np.isfinite(truth)
    scale = truth if known.any() else answer
    error = np.where(known, np.abs(answer - np.nan_to_num(truth)), 0)
    most = float(np.percentile(error, 99.5)) or 1.0
    seen = shown(answer, scale)
    before = shown(image, scale if len(image) == len(truth) else image)
    return {
        "input": _as_large(before, seen),
        "answer": seen,
        "truth": shown(truth, scale),
        f"error (white: {most:.3g} and more)": shown(error, np.array([0.0, most])),
    }


def _styled(predictor: Predictor, task: StyleTask, image: np.ndarray, answer: np.ndarray) -> dict[str, np.ndarray]:
    """Input and answer as colors, and the picture whose style was learned."""
    scale = np.array(task.limits or (0.0, 255.0))
    style = read_style(predictor.run.located.task.style)
    return {"input": shown(image, scale), "answer": shown(answer, scale), "style": shown(style, np.array([0, 255]))}


def _as_large(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A picture `(h, w, 3)` on the grid of another one: pixels of a coarser input are repeated."""
    rows, columns = (
        np.minimum(np.arange(wide) * narrow // wide, narrow - 1)
        for wide, narrow in zip(like.shape[:2], picture.shape[:2], strict=True)
    )
    return picture[rows][:, columns]
