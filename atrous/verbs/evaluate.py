"""Honest figures of a run on a split."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atrous.data.dataset import Dataset, load_image, load_label, open_dataset, spacing_of, to_channels
from atrous.data.preprocess import prepare, restore
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.prediction.predictor import Predictor, load
from atrous.recipe.build import build_preparation
from atrous.recipe.run import Run
from atrous.tasks.scores import Scores


@dataclass(frozen=True)
class Evaluated:
    """Scores of a split, and what they were measured on."""

    scores: Scores
    dataset: Dataset
    split: str


def evaluate(
    run: Run | Path | str,
    data: Path | str | None = None,
    *,
    split: str = "val",
    description: Path | str | None = None,
    tta: str = "none",
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluated:
    """Measure a run on a split of a data set.

    Args:
        run: folder of the run.
        data: folder of the data set; that of the training when None.
        split: its split.
        description: a dataset.toml that lies elsewhere.
        tta: "none", or "flip" to average over mirror images.
        device: where to run.
        dtype: arithmetic; that of the training when None.
        progress: told how many of how many images are done.

    Raises:
        UserError: the split does not exist, has no labels, has other axes or classes than the run, or there is no such
            device.
    """
    if tta not in ("none", "flip"):
        raise UserError(f"--tta {tta}: none or flip")
    predictor = load(run, device=device, dtype=dtype, flip=tta == "flip")
    recipe = predictor.run.recipe
    if data is None:
        data, description = recipe.data.root, description or recipe.data.description
    dataset = open_dataset(data, description)
    samples = dataset.splits.get(split, ())
    if not samples:
        raise UserError(f"{data}: no split {split!r}: it has {', '.join(dataset.splits)}")
    if dataset.classes != predictor.classes:
        raise UserError(
            f"{data}: classes are {', '.join(dataset.classes)}, but the run learned {', '.join(predictor.classes)}: "
            "name them alike in dataset.toml"
        )
    return Evaluated(measure(predictor, dataset, samples, tta=tta, progress=progress), dataset, split)


def measure(
    predictor: Predictor,
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    tta: str = "none",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Scores of `samples`; the next is read while one is computed."""
    start, metrics = time.monotonic(), predictor.task.metrics()
    ndim = predictor.run.recipe.model.ndim
    for index, (sample, image, label) in enumerate(read_ahead(predictor, dataset, samples)):
        if len(image.shape) != ndim + 1:
            raise UserError(f"{sample.image}: has {len(image.shape) - 1} axes, but the run labels data of {ndim}")
        if image.shape[1:] != label.shape:
            raise UserError(f"{sample.label}: size {label.shape}, but {sample.image} has {image.shape[1:]}")
        spacing = spacing_of(dataset, sample)
        metrics.update(sample.name, probabilities(predictor, image, spacing), torch.from_numpy(label.copy()), spacing)
        progress(index + 1, len(samples))
    return metrics.result(time.monotonic() - start, tta)


def probabilities(predictor: Predictor, image: np.ndarray, spacing: tuple[float, ...] | None) -> torch.Tensor:
    """Probabilities `(K, *S)` of an image `(C, *S)` as in its file, prepared as in training, on the file's grid."""
    prepared = prepare(image, build_preparation(predictor.run.recipe), spacing)
    found = predictor.task.probabilities(predictor.output(prepared))[0]
    return restore(found, image.shape[1:])


def read_ahead(
    predictor: Predictor, dataset: Dataset, samples: Sequence[Sample]
) -> Iterator[tuple[Sample, np.ndarray, np.ndarray]]:
    """Image `(C, *S)` and label `(*S)` of each sample, read one ahead on a thread."""
    channels = predictor.run.recipe.model.in_channels

    def read(sample: Sample) -> tuple[Sample, np.ndarray, np.ndarray]:
        return sample, to_channels(load_image(sample), channels, sample.image), load_label(dataset, sample)

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(read, sample) for sample in samples[:1]]
        for index in range(len(samples)):
            if index + 1 < len(samples):
                waiting.append(pool.submit(read, samples[index + 1]))
            yield waiting.pop(0).result()
