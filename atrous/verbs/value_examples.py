"""What the report shows of numbers at every position: input, answer and truth on one scale, and the error."""

from typing import Any

import numpy as np

from atrous.data.dataset import Dataset
from atrous.data.feed.genomes import window_starts
from atrous.data.targets.tracks import signal_readers
from atrous.prediction.predictor import Predictor
from atrous.prediction.values import shown, shown_scale
from atrous.recipe.style_picture import read_style
from atrous.report.page import Example
from atrous.report.pictures import resized
from atrous.tasks.custom import value_task
from atrous.tasks.style import StyleTask
from atrous.tasks.task import EvaluationResult
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import probabilities
from atrous.verbs.object_examples import extremes

CURVES = 2
"""Axes of a signal `(C, L)`, which is drawn as curves."""
CONTEXT = 4095
"""Bases on either side of what is drawn of a genome that the network is given too: whole codons."""
WIDE = 3000
"""Bases of a genome that are drawn."""
LIMIT = 960
"""Pixels of the longer side of a picture."""
Drawn = dict[str, tuple[np.ndarray, tuple[float, float]]]
"""By caption, colors `(height, width, 3)` and the values that black and white stand for."""


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
            pictures["input"] = shown(image, image), shown_scale(image)
        blank = np.zeros((1, 1), np.uint8)
        examples.append(
            Example(
                sample.name, image, blank, blank, result.per_image[sample.name], kinds[sample.name], spacing,
                metric=metric, pictures={name: resized(picture, LIMIT) for name, (picture, _) in pictures.items()},
                scales={name: scale for name, (_, scale) in pictures.items()},
                compared=task is not None and task.pictures,
            )
        )  # fmt: skip
    order = list(kinds)
    return sorted(examples, key=lambda example: order.index(example.name))


def track_examples(predictor: Predictor, dataset: Dataset, split: str, result: EvaluationResult) -> list[Example]:
    """Return of the sequences with the best and the worst value the windows in which their signals vary most."""
    if value_task(predictor.task) is None:
        return []
    kinds, metric = extremes(result), next(iter(result.watched()))
    examples = []
    for sample in (one for one in dataset.splits[split] if one.name in kinds):
        source, values = sample.image.load(), signal_readers([sample.target])[0].open()
        start = _varied(values)
        first = max(0, start - CONTEXT)
        image = np.asarray(source[:, first : start + WIDE + CONTEXT], np.float32)
        answer = predictor.task.probabilities(predictor.output(image))[0].cpu().numpy()[:, start - first :][:, :WIDE]
        truth = np.asarray(values[:, start : start + WIDE])
        pictures = {name: picture for name, (picture, _) in _pictures(truth, truth, answer).items()}
        names = ", ".join(predictor.run.recipe.task.options.get("outputs", ()))
        shown_as = {f"{names}: bases {start + 1:,} to {start + truth.shape[1]:,}, truth": pictures["truth"]}
        shown_as |= {name: picture for name, picture in pictures.items() if name not in ("input", "truth")}
        blank = np.zeros((1, 1), np.uint8)
        examples.append(
            Example(
                sample.name, truth, blank, blank, result.per_image[sample.name], kinds[sample.name], metric=metric,
                pictures=shown_as,
            )
        )  # fmt: skip
    order = list(kinds)
    return sorted(examples, key=lambda example: order.index(example.name))


def _varied(values: Any) -> int:
    """Where the window begins in which the first signal varies most, of some that are spread over a sequence."""
    starts = [start // 3 * 3 for start in window_starts(values.shape[1])]

    def spread(start: int) -> float:
        known = np.asarray(values[0, start : start + WIDE])
        known = known[np.isfinite(known)]
        return float(known.std()) if known.size else -1.0

    return max(starts, key=spread)


def _pictures(image: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> Drawn:
    """Input, answer, truth and error as colors, the first of a restoration on the scale of the truth."""
    known = np.isfinite(truth)
    scale = truth if known.any() else answer
    error = np.where(known, np.abs(answer - np.nan_to_num(truth)), 0)
    most = float(np.percentile(error, 99.5)) or 1.0
    seen, own, reach = shown(answer, scale), scale if len(image) == len(truth) else image, np.array([0.0, most])
    before = shown(image, own)
    return {
        "input": (before if image.ndim == CURVES else _as_large(before, seen), shown_scale(own)),
        "answer": (seen, shown_scale(scale)),
        "truth": (shown(truth, scale), shown_scale(scale)),
        f"error ({'top' if image.ndim == CURVES else 'white'}: {most:.3g} and more)": (
            shown(error, reach),
            shown_scale(reach),
        ),
    }


def _styled(predictor: Predictor, task: StyleTask, image: np.ndarray, answer: np.ndarray) -> Drawn:
    """Input and answer as colors, and the picture whose style was learned."""
    scale = np.array(task.limits or (0.0, 255.0))
    style, plain = read_style(predictor.run.located.task.style), np.array([0.0, 255.0])
    parts = {"input": (image, scale), "answer": (answer, scale), "style": (style, plain)}
    return {name: (shown(values, own), shown_scale(own)) for name, (values, own) in parts.items()}


def _as_large(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A picture `(h, w, 3)` on the grid of another one: pixels of a coarser input are repeated."""
    rows, columns = (
        np.minimum(np.arange(wide) * narrow // wide, narrow - 1)
        for wide, narrow in zip(like.shape[:2], picture.shape[:2], strict=True)
    )
    return picture[rows][:, columns]
