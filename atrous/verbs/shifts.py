"""`atrous evaluate --shifts`: how much a metric drops when images are noisy, blurred, darker, smaller ..."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from atrous.data.dataset import Dataset
from atrous.data.grid import restore
from atrous.data.sample import Sample
from atrous.data.shifts import SHIFTS, applicable
from atrous.data.targets.labels import Labels
from atrous.errors import UserError
from atrous.prediction.ensemble import load_ensemble
from atrous.prediction.predictor import LoadOptions, Predictor
from atrous.recipe.run import Run, open_run
from atrous.tasks.metrics import SegmentationMetrics
from atrous.tasks.shift_scores import ShiftRow, ShiftScores
from atrous.tasks.task import NotFinite
from atrous.tasks.temperature import class_task
from atrous.verbs.evaluate import open_split, read_ahead
from atrous.verbs.found import probabilities_and_labels

SAMPLES = 32
"""Samples, evenly spread over the split, that are measured at most: each is predicted 22 times."""


def evaluate_shifts(
    run: Run | Path | str,
    data: Any = None,
    *,
    split: str = "val",
    description: Path | str | None = None,
    ensemble: Sequence[Path | str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
    **loading: Unpack[LoadOptions],
) -> ShiftScores:
    """Measure the first metric of a run on changed samples of a split (`atrous.data.shifts.SHIFTS`).

    Args:
        run: folder of the run.
        data: folder of the data set, or data in memory as `train` takes them; that of the training when None.
        split: its split; "all" takes every labelled sample.
        description: a dataset.toml that lies elsewhere.
        ensemble: folders of further runs with the same classes.
        progress: called as `progress(done, total)` after each sample.
        **loading: how the network is loaded and run (`LoadOptions`).

    Raises:
        UserError: the run labels no images, volumes, signals or videos, or the data do not fit it.
    """
    require_classes(run)
    predictor = load_ensemble([run, *ensemble], **loading)
    dataset, samples = open_split(predictor, data, description, split)
    places = np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).round().astype(int)
    return _measured(predictor, dataset, [samples[place] for place in places], progress)


def require_classes(run: Run | Path | str) -> None:
    """Raise `UserError` unless a run labels images, volumes, signals or videos, which is known before it is loaded."""
    opened = run if isinstance(run, Run) else open_run(run)
    task = class_task(opened.task())
    if task is None or task.bits or opened.recipe.data.kind not in ("grids", "videos"):
        raise UserError("--shifts is for classes in images, volumes, signals and videos: leave it out")


def _measured(
    predictor: Predictor, dataset: Dataset, samples: Sequence[Sample], progress: Callable[[int, int], None]
) -> ShiftScores:
    """Measure every sample as it is and with each change that makes sense for all samples."""
    names = {shift.name for shift in SHIFTS}
    counters: dict[tuple[str, float], SegmentationMetrics] = {}
    for number, (sample, image, values) in enumerate(read_ahead(predictor, samples)):
        truth, spacing, path = dataset.target.tensor(values), dataset.spacing_of(sample), sample.image.path
        if tuple(truth.shape) != tuple(image.shape[1:]):
            raise UserError(f"{path}: has the size {image.shape[1:]}, but its labels {tuple(truth.shape)}")
        names &= {shift.name for shift in applicable(image)}
        for key, seen in _variants(image, sample.name, spacing, predictor.kind == "videos"):
            counter = counters.setdefault(
                key, SegmentationMetrics(predictor.classes, boundary=False, calibration=False)
            )
            try:
                found, labels = probabilities_and_labels(predictor, sample, seen, spacing)
                labels = None if labels is None else _on_grid(labels, truth.shape)
                counter.update(sample.name, restore(found, truth.shape), truth, labels=labels)
            except NotFinite:
                raise UserError(f"{path}: the network's output is not finite after the change {key}") from None
        progress(number + 1, len(samples))
    return _scores(counters, names, len(samples))


def _on_grid(labels: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Labels of an image whose scale was changed, on the grid of its truth."""
    return torch.from_numpy(Labels.resample(labels.numpy(), tuple(size)))


def _variants(
    image: np.ndarray, name: str, spacing: Sequence[float] | None, video: bool
) -> Iterator[tuple[tuple[str, float], np.ndarray]]:
    """The image as it is, under the key ("", 0), then changed, under the name of each change and its strength."""
    yield ("", 0.0), image
    for shift in applicable(image):
        for strength in shift.strengths:
            yield (shift.name, strength), shift.apply(image, strength, name, spacing, video=video)


def _scores(
    counters: Mapping[tuple[str, float], SegmentationMetrics], names: Collection[str], samples: int
) -> ShiftScores:
    """What was counted under each change, by its name and strength; without a change the name is empty."""
    results = {key: counter.result(0.0).watched() for key, counter in counters.items()}
    metric, clean = next(iter(results["", 0.0].items()))
    rows = []
    for shift in SHIFTS:
        for strength in shift.strengths if shift.name in names else ():
            value = results[shift.name, strength][metric]
            rows.append(ShiftRow(shift.name, shift.meaning, strength, value, clean - value))
    return ShiftScores(metric, clean, samples, tuple(rows))
