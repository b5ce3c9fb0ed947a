"""The evaluate verb: metrics of a run on a split, with a confidence interval."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from atrous.data.dataset import Dataset
from atrous.data.formats.mirrored import named_by_url, with_urls
from atrous.data.layouts.memory import ROOT
from atrous.data.layouts.splits import DRAWN
from atrous.data.preprocess import to_channels
from atrous.data.restoration import RESTORATIONS
from atrous.data.sample import Sample
from atrous.data.views import Gaps
from atrous.data.void import measured
from atrous.errors import UserError
from atrous.prediction.confidence import sets_of
from atrous.prediction.ensemble import load_ensemble
from atrous.prediction.predictor import LoadOptions, Predictor
from atrous.recipe.build import build_restoration
from atrous.recipe.calibration import Sets
from atrous.recipe.run import Run
from atrous.stream.process import kept_memory
from atrous.tasks.confidence import ConfidenceCounter
from atrous.tasks.custom import CustomTask, MetricFunction, found_task, output_size
from atrous.tasks.ensemble import EnsembleTask
from atrous.tasks.lesions import LesionCounter
from atrous.tasks.measures import Measures
from atrous.tasks.metrics import SAMPLES
from atrous.tasks.scores import Scores
from atrous.tasks.semantic import Semantic
from atrous.tasks.task import NotFinite
from atrous.tasks.temperature import class_task
from atrous.verbs.found import MEASURED, gaps_of, probabilities_and_labels, truth_of
from atrous.verbs.opened import open_dataset_from

COVERAGE = 0.9
"""The coverage of sets of classes that is measured if none is asked for."""


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a split, and what they were measured on.

    Attributes:
        scores: the metrics.
        dataset: the data set.
        split: its split, or "all".
        note: what to know about the samples that were measured, in one sentence; empty if there is nothing.
    """

    scores: Any
    dataset: Dataset
    split: str
    note: str = ""


@named_by_url()
@kept_memory()
def evaluate(
    run: Run | Path | str,
    data: Any = None,
    *,
    split: str = "val",
    description: Path | str | None = None,
    tta: str = "none",
    metrics: dict[str, MetricFunction] | None = None,
    coverage: float | None = None,
    ensemble: Sequence[Path | str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
    **loading: Unpack[LoadOptions],
) -> Evaluated:
    """Measure a run on a split of a data set.

    Args:
        run: folder of the run, or the name of a model.
        data: folder of the data set or its URL, or data in memory as `train` takes them; None: that of the training.
        split: its split; "all" takes every labelled sample, whatever its split: for a folder of test data.
        description: a dataset.toml that lies elsewhere.
        tta: "none", or "flip" to average over mirror images.
        metrics: further metrics by name: functions of probabilities and target of one image.
        coverage: of sets of classes: the share of the positions whose set is to hold the true class. None measures
            those for 0.9, if the run was calibrated on enough samples.
        ensemble: folders of further runs with the same classes; the mean of all probabilities is measured.
        progress: called as `progress(done, total)` after each image.
        **loading: how the network is loaded and run (`LoadOptions`).

    Raises:
        UserError: the split does not exist, has no labels, has other axes or classes than the run, or there is no such
            device.
    """
    if tta not in ("none", "flip"):
        raise UserError(f"--tta {tta}: none or flip")
    predictor = load_ensemble([run, *ensemble], flip=tta == "flip", **loading)
    sets = _sets(predictor, coverage)
    if metrics:
        predictor = replace(predictor, task=CustomTask(predictor.task, None, metrics))
    dataset, samples = open_split(predictor, data, description, split)
    scores = measure(predictor, dataset, samples, tta=tta, sets=sets, progress=progress)
    note = _note(predictor.run, dataset, split, len(samples))
    note = "; ".join(filter(None, [note, _unlike_training(predictor, samples[0])]))
    calibration = predictor.run.calibration()
    if coverage is not None and calibration is not None and calibration.measured_on == calibrated_on(dataset, split):
        note = "; ".join(filter(None, [note, "these samples calibrated the run, so the coverage is that asked for"]))
    return Evaluated(scores, dataset, split, note)


def calibrated_on(dataset: Dataset, split: str) -> str:
    """Return what a calibration says that it was made on."""
    return f"{split} of {dataset.root if dataset.root == ROOT else with_urls(str(dataset.root.resolve()))}"


def _sets(predictor: Predictor, coverage: float | None) -> Sets | None:
    """What makes sets of classes for a coverage; None if none was asked for and the run has none for the usual one.

    Raises:
        UserError: a coverage was asked for that the run cannot give.
    """
    averaged = isinstance(predictor.task, EnsembleTask) or bool(predictor.flips)  # other than what was calibrated
    if coverage is None and (averaged or class_task(predictor.task) is None):
        return None
    if coverage is not None:
        return sets_of(predictor, coverage)
    calibration = predictor.run.calibration()
    usual = () if calibration is None else calibration.misses
    if calibration is None or all(curve.threshold(COVERAGE) is None for curve in usual):
        return None
    return calibration.sets(COVERAGE, predictor.run.folder)


def open_split(
    predictor: Predictor, data: Any, description: Path | str | None, split: str
) -> tuple[Dataset, Sequence[Sample]]:
    """Open a data set for a run, and return it with the samples of a split.

    Args:
        predictor: the run.
        data: folder of the data set, or data in memory; that of the training when None.
        description: a dataset.toml that lies elsewhere.
        split: its split, or "all".

    Raises:
        UserError: the split does not exist, or the data have other classes than the run.
    """
    if data is None:
        data, described = predictor.run.data()
        description = description or described
    task = predictor.run.recipe.task
    dataset = open_dataset_from(data, description, task.kind, predictor.classes, task.model_dump())
    samples = _chosen(dataset, split)
    as_one = dataset.task == "instances" and not predictor.classes
    if dataset.classes != predictor.classes and not as_one:
        raise UserError(
            f"{dataset.root}: classes are {', '.join(dataset.classes)}, but the run learned "
            f"{', '.join(predictor.classes)}: name them alike in dataset.toml"
        )
    outputs = tuple(task.options.get("outputs", ()))
    if dataset.outputs and dataset.outputs != outputs:
        raise UserError(
            f"{dataset.root}: the signals to measure are {', '.join(dataset.outputs)}, but the run learned "
            f"{', '.join(outputs)}: name them in dataset.toml, under [tracks] targets"
        )
    return dataset, samples


def _chosen(dataset: Dataset, split: str) -> Sequence[Sample]:
    """The samples of a split; for "all" those of every split that have a label, in the order of the splits.

    Raises:
        UserError: there is no such split, or it has no sample.
    """
    samples = dataset.splits.get(split, ())
    if split == "all":
        samples = tuple(sample for sample in dataset.samples if sample.target is not None)
        if not samples:
            raise UserError(f"{dataset.root}: no sample has labels: add masks")
    if not samples:
        has = ", ".join(dataset.splits)
        raise UserError(
            f"{dataset.root}: no split {split!r}: it has {has}; --split all takes every labelled sample of any split"
        )
    return samples


def _note(run: Run, dataset: Dataset, split: str, count: int) -> str:
    """What to know about the samples that were measured."""
    trained_on = dataset.root == ROOT or _same(dataset.root, run.recipe.data.root)
    if split == "all" and trained_on:
        return "--split all: these samples include those that the run was trained on, so the metrics are too good"
    if split in ("train", "val") and not trained_on and DRAWN in dataset.split_origin:
        return (
            f"{dataset.root}: measured on {count} of {len(dataset.samples)} samples, as the folder names no splits and "
            f"{split!r} was drawn from it: --split all takes every labelled sample"
        )
    if dataset.target.own and not run.recipe.task.self_supervised:
        made = build_restoration(run.recipe).degradation
        parts = (("blur", made.blur or made.psf is not None), ("noise", made.noise or made.gain or made.impulse))
        added = " and ".join(name for name, on in parts if on)
        return f"the images are taken as clean: {added} is added to them" if added else ""
    return ""


def _unlike_training(predictor: Predictor, sample: Sample) -> str:
    """How the values of a restoration's first image differ from those of the training; nothing for other tasks.

    Peak and noise have the unit of the training: of images from 0 to 1, a run of 8 bits would have a PSNR of 50 dB.
    """
    if predictor.run.recipe.task.kind not in RESTORATIONS:
        return ""
    found = predictor.expected.differences(sample.image.load(), None, predictor.preparation)
    return f"{sample.image.path}: {found[0]} (peak and noise are in units of the training data)" if found else ""


def _same(root: Path, stored: str) -> bool:
    """Whether a folder is that which a recipe names."""
    return with_urls(str(root)) == stored or root.resolve() == Path(stored).resolve()


def measure(
    predictor: Predictor,
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    tta: str = "none",
    sets: Sets | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Any:
    """Return the metrics of some samples; the next one is read while one is computed.

    `sets` says how sets of classes are made, whose coverage is measured then.

    Raises:
        UserError: a file cannot be read, or a sample has other axes than the run or another size than its labels,
            or the network's output for it is not finite.
    """
    start, target, task = time.monotonic(), dataset.target, found_task(predictor.task)
    metrics: Any = (task or predictor.task).metrics()
    confidence = _confidence(predictor, sets)
    lesions = LesionCounter(len(predictor.classes))
    for index, (sample, image, values) in enumerate(read_ahead(predictor, samples)):
        require_same_grid(predictor, dataset, sample, image, values)
        spacing, header = dataset.spacing_of(sample), sample.image.header()
        try:
            if task is not None:
                answer = MEASURED[task.found](predictor, task, image, spacing, header.affine, sample.image.valid())
                metrics.count(sample.name, answer, truth_of(values))
                progress(index + 1, len(samples))
                continue
            found, labels = probabilities_and_labels(predictor, sample, image, spacing)
            decoded = {} if labels is None else {"labels": labels}
            metrics.update(sample.name, found, target.tensor(values), spacing, **decoded)
            if confidence is not None:
                confidence.update(sample.name, found, target.tensor(values), sample.group)
        except NotFinite:
            raise UserError(
                f"{sample.image.path}: the network's output is not finite (nan or infinite): look at the values of "
                "this image and of the training images, and train with train.precision=32-true or a lower rate"
            ) from None
        if spacing is not None and header.unit in (None, "mm") and _is_scan(predictor, values):
            lesions.update(values, found.argmax(0).to(torch.uint8).cpu().numpy(), spacing)
        progress(index + 1, len(samples))
    scores = metrics.result(time.monotonic() - start, tta)
    if isinstance(scores, Measures):
        return replace(scores, sample=_sample(predictor))
    if not isinstance(scores, Scores):
        return scores
    measured = None if confidence is None else confidence.result()
    reliability = scores.reliability if measured is None else measured.after
    return replace(scores, lesions=lesions.result(), confidence=measured, reliability=reliability)


def _sample(predictor: Predictor) -> str:
    """What a sample is called."""
    return {"genomes": "sequence", "videos": "video"}.get(predictor.kind, SAMPLES[predictor.run.recipe.model.ndim])


def _confidence(predictor: Predictor, sets: Sets | None) -> ConfidenceCounter | None:
    """What counts the probabilities of classes; None for a task that gives none."""
    task = class_task(predictor.task)
    if task is None:
        return None
    level = 0.5 if isinstance(task, Semantic) else task.level
    counter = partial(ConfidenceCounter, len(task.classes), bits=task.bits, temperature=task.temperature, level=level)
    return counter() if sets is None else counter(coverage=sets.coverage, threshold=sets.threshold, unit=sets.unit)


def _is_scan(predictor: Predictor, values: Any) -> bool:
    """Whether labels `values` are those of a volume with one class at each voxel, in which lesions can be counted."""
    return predictor.kind == "grids" and predictor.run.recipe.task.kind == "semantic" and np.ndim(values) == 3


def require_same_grid(predictor: Predictor, dataset: Dataset, sample: Sample, image: Any, values: Any) -> None:
    """Raise if the target of a sample has another size than what the run makes of its image.

    Args:
        predictor: the run.
        dataset: says what targets are.
        sample: for the message.
        image: `(C, *S)`.
        values: of the target.

    Raises:
        UserError: it has.
    """
    target, grid = dataset.target, output_size(predictor.task, image.shape[1:])
    gridded = (target.has_classes or target.kind in ("instances", "values", "edges")) and not target.of_whole
    if gridded and grid != target.grid(values):
        path = sample.image.path if sample.target is None else sample.target.path
        made = "" if grid == image.shape[1:] else f", of which the run makes {grid}"
        raise UserError(f"{path}: size {target.grid(values)}, but {sample.image.path} has {image.shape[1:]}{made}")


def read_ahead(predictor: Predictor, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Any, Any]]:
    """Yield each sample with its image `(C, *S)` and its target's values; a thread reads the next one meanwhile."""
    wanted, ndim = predictor.expected.channels, predictor.run.recipe.model.ndim
    own = any(sample.target is not None and sample.target.own for sample in samples)
    restoration = build_restoration(predictor.run.recipe) if own else None

    def read(sample: Sample) -> tuple[Sample, Any, Any]:
        if sample.target is None:
            raise UserError(f"{sample.image.path}: has no mask: add one")
        loaded = sample.image.load()
        values = loaded if sample.target.own else sample.target.read()
        if len(loaded.shape) != ndim + 1:
            raise UserError(f"{sample.image.path}: has {len(loaded.shape) - 1} axes, but the run labels data of {ndim}")
        if predictor.preparation.nodata:
            loaded = Gaps(loaded, predictor.preparation.nodata)[...]
        valid = sample.image.valid() if sample.target.kind in ("instances", "boxes", "points") else None
        if restoration is None and (gaps := gaps_of(loaded, valid)) is not None:
            values = type(sample.target).without(values, gaps)
        image = to_channels(loaded, wanted, sample.image.path, sample.image.channel_names)
        image = image if image is loaded else np.asarray(image[...])
        if restoration is not None:
            image, values = restoration.measured(sample.name, measured(np.asarray(image), sample.image.valid()))
        return sample, image, values

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(read, sample) for sample in samples[:1]]
        for index in range(len(samples)):
            if index + 1 < len(samples):
                waiting.append(pool.submit(read, samples[index + 1]))
            yield waiting.pop(0).result()
