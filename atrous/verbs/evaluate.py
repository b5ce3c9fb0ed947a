"""The evaluate verb: metrics of a run on a split, with a confidence interval."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from atrous.data.dataset import Dataset
from atrous.data.images import to_channels
from atrous.data.preprocess import prepare, restore
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.recipe.build import build_preparation
from atrous.recipe.run import Run
from atrous.tasks.custom import CustomTask, MetricFunction
from atrous.verbs.opened import open_dataset_from


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a split, and what they were measured on."""

    scores: Any
    dataset: Dataset
    split: str


def evaluate(
    run: Run | Path | str,
    data: Any = None,
    *,
    split: str = "val",
    description: Path | str | None = None,
    tta: str = "none",
    metrics: dict[str, MetricFunction] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **loading: Unpack[LoadOptions],
) -> Evaluated:
    """Measure a run on a split of a data set.

    Args:
        run: folder of the run.
        data: folder of the data set, or data in memory as `train` takes them; that of the training when None.
        split: its split.
        description: a dataset.toml that lies elsewhere.
        tta: "none", or "flip" to average over mirror images.
        metrics: further metrics by name: functions of probabilities and target of one image.
        progress: called as `progress(done, total)` after each image.
        **loading: how the network is loaded and run (`LoadOptions`).

    Raises:
        UserError: the split does not exist, has no labels, has other axes or classes than the run, or there is no such
            device.
    """
    if tta not in ("none", "flip"):
        raise UserError(f"--tta {tta}: none or flip")
    predictor = load(run, flip=tta == "flip", **loading)
    if metrics:
        predictor = replace(predictor, task=CustomTask(predictor.task, None, metrics))
    if data is None:
        data, described = predictor.run.data()
        description = description or described
    dataset = open_dataset_from(data, description)
    samples = dataset.splits.get(split, ())
    if not samples:
        raise UserError(f"{dataset.root}: no split {split!r}: it has {', '.join(dataset.splits)}")
    if dataset.classes != predictor.classes:
        raise UserError(
            f"{dataset.root}: classes are {', '.join(dataset.classes)}, but the run learned "
            f"{', '.join(predictor.classes)}: name them alike in dataset.toml"
        )
    return Evaluated(measure(predictor, dataset, samples, tta=tta, progress=progress), dataset, split)


def measure(
    predictor: Predictor,
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    tta: str = "none",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Any:
    """Return the metrics of some samples; the next one is read while one is computed.

    Raises:
        UserError: a file cannot be read, or a sample has other axes than the run or another size than its labels.
    """
    start, metrics, target = time.monotonic(), predictor.task.metrics(), dataset.target
    ndim = predictor.run.recipe.model.ndim
    for index, (sample, image, values) in enumerate(read_ahead(predictor, samples)):
        if len(image.shape) != ndim + 1:
            raise UserError(f"{sample.image.path}: has {len(image.shape) - 1} axes, but the run labels data of {ndim}")
        if target.has_classes and image.shape[1:] != target.grid(values):
            path = sample.image.path if sample.target is None else sample.target.path
            raise UserError(f"{path}: size {target.grid(values)}, but {sample.image.path} has {image.shape[1:]}")
        spacing = dataset.spacing_of(sample)
        metrics.update(sample.name, probabilities(predictor, image, spacing), target.tensor(values), spacing)
        progress(index + 1, len(samples))
    return metrics.result(time.monotonic() - start, tta)


def probabilities(predictor: Predictor, image: np.ndarray, spacing: tuple[float, ...] | None) -> torch.Tensor:
    """Return the probabilities `(K, *S)` of an image `(C, *S)` as its file has it, on the grid of the file.

    The image is prepared as in training.
    """
    prepared = prepare(image, build_preparation(predictor.run.recipe), spacing)
    worked_on = predictor.task.probabilities(predictor.output(prepared))[0]
    return restore(worked_on, image.shape[1:])


def read_ahead(predictor: Predictor, samples: Sequence[Sample]) -> Iterator[tuple[Sample, np.ndarray, Any]]:
    """Yield each sample with its image `(C, *S)` and its target's values; a thread reads the next one meanwhile."""
    channels = predictor.run.recipe.model.in_channels

    def read(sample: Sample) -> tuple[Sample, np.ndarray, Any]:
        if sample.target is None:
            raise UserError(f"{sample.image.path}: has no mask: add one")
        return sample, to_channels(sample.image.load(), channels, sample.image.path), sample.target.read()

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(read, sample) for sample in samples[:1]]
        for index in range(len(samples)):
            if index + 1 < len(samples):
                waiting.append(pool.submit(read, samples[index + 1]))
            yield waiting.pop(0).result()
