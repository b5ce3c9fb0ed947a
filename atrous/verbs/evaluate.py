"""The evaluate verb: metrics of a run on a split, with a confidence interval."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from atrous.data.channel_files import turned_image
from atrous.data.dataset import Dataset
from atrous.data.formats.orient import Affine, Turn
from atrous.data.grid import restore
from atrous.data.layouts.memory import ROOT
from atrous.data.layouts.splits import DRAWN
from atrous.data.preprocess import missing, prepare, to_channels
from atrous.data.sample import Sample
from atrous.data.targets.instances import Instances
from atrous.data.views import Gaps
from atrous.errors import UserError
from atrous.objects.assemble import assemble
from atrous.objects.boxes import DenseBoxes
from atrous.prediction.boxes import decode_boxes
from atrous.prediction.inputs import Opened
from atrous.prediction.points import placed
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.recipe.run import Run
from atrous.tasks.custom import CustomTask, MetricFunction, object_task, point_task
from atrous.tasks.detection import DetectionTask
from atrous.tasks.lesions import LesionCounter
from atrous.tasks.points import PointAnswer, PointTask
from atrous.tasks.scores import Scores
from atrous.tasks.task import NotFinite, ObjectTask
from atrous.verbs.opened import open_dataset_from


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
        split: its split; "all" takes every labelled sample, whatever its split: for a folder of test data.
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
    dataset = open_dataset_from(data, description, predictor.run.recipe.task.kind, predictor.classes)
    samples = _chosen(dataset, split)
    if dataset.classes != predictor.classes:
        raise UserError(
            f"{dataset.root}: classes are {', '.join(dataset.classes)}, but the run learned "
            f"{', '.join(predictor.classes)}: name them alike in dataset.toml"
        )
    scores = measure(predictor, dataset, samples, tta=tta, progress=progress)
    return Evaluated(scores, dataset, split, _note(predictor.run, dataset, split, len(samples)))


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
    trained_on = dataset.root == ROOT or str(dataset.root.resolve()) == str(Path(run.recipe.data.root).resolve())
    if split == "all" and trained_on:
        return "--split all: these samples include those that the run was trained on, so the metrics are too good"
    if split in ("train", "val") and not trained_on and DRAWN in dataset.split_origin:
        return (
            f"{dataset.root}: measured on {count} of {len(dataset.samples)} samples, as the folder names no splits and "
            f"{split!r} was drawn from it: --split all takes every labelled sample"
        )
    return ""


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
        UserError: a file cannot be read, or a sample has other axes than the run or another size than its labels,
            or the network's output for it is not finite.
    """
    start, target, objects = time.monotonic(), dataset.target, object_task(predictor.task)
    points = point_task(predictor.task)
    metrics: Any = (objects or points or predictor.task).metrics()
    lesions = LesionCounter(len(predictor.classes))
    for index, (sample, image, values) in enumerate(read_ahead(predictor, samples)):
        if (target.has_classes or target.kind == "instances") and image.shape[1:] != target.grid(values):
            path = sample.image.path if sample.target is None else sample.target.path
            raise UserError(f"{path}: size {target.grid(values)}, but {sample.image.path} has {image.shape[1:]}")
        spacing, header = dataset.spacing_of(sample), sample.image.header()
        try:
            if isinstance(objects, DetectionTask):
                boxes = found_boxes(predictor, objects.lenient, image, spacing, header.affine)
                metrics.count(sample.name, boxes, (values.places, values.classes))
            elif objects is not None:
                metrics.count(sample.name, found_objects(predictor, objects, image, spacing, header.affine), values)
            if objects is not None:
                progress(index + 1, len(samples))
                continue
            if points is not None:
                answer = found_points(predictor, points, image, spacing, header.affine)
                metrics.count(sample.name, answer, values.places, values.classes)
                progress(index + 1, len(samples))
                continue
            found = probabilities(predictor, image, spacing, header.affine)
            metrics.update(sample.name, found, target.tensor(values), spacing)
        except NotFinite:
            raise UserError(
                f"{sample.image.path}: the network's output is not finite (nan or infinite): look at the values of "
                "this image and of the training images, and train with train.precision=32-true or a lower rate"
            ) from None
        if spacing is not None and header.unit in (None, "mm") and _is_scan(predictor, values):
            lesions.update(values, predictor.task.decode(found[None])[0].cpu().numpy(), spacing)
        progress(index + 1, len(samples))
    scores = metrics.result(time.monotonic() - start, tta)
    return replace(scores, lesions=lesions.result()) if isinstance(scores, Scores) else scores


def _is_scan(predictor: Predictor, values: Any) -> bool:
    """Whether labels `values` are those of a volume with one class at each voxel, in which lesions can be counted."""
    return predictor.kind == "grids" and predictor.run.recipe.task.kind == "semantic" and np.ndim(values) == 3


def probabilities(
    predictor: Predictor, image: np.ndarray, spacing: tuple[float, ...] | None, affine: Affine | None = None
) -> torch.Tensor:
    """Return the probabilities `(K, *S)` of an image `(C, *S)` as its file has it, on the grid of the file.

    The image is prepared as in training, and brought to the orientation and spacing of the training data as in
    prediction.
    """
    worked_on, size, turn = _worked_on(predictor, image, spacing, affine)
    found = restore(worked_on, size)
    return found if turn is None else torch.from_numpy(turn.back(found.cpu().numpy()))


def found_objects(
    predictor: Predictor,
    task: ObjectTask,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
) -> np.ndarray:
    """Return the numbers of the objects in an image `(C, *S)`, `(*S)` uint32 on the grid of the file.

    As in prediction, objects are decoded on the grid that the network works on, and none lies where there are no data.

    Raises:
        NotFinite: the network's output is not finite.
    """
    worked_on, size, turn = _worked_on(predictor, image, spacing, affine)
    maps, gaps = worked_on.cpu().numpy(), missing(image)
    if not np.isfinite(maps).all():
        raise NotFinite("the image")
    if gaps is not None and turn is None and maps.shape[1:] == size:
        maps[0][gaps] = 0
    numbers = np.zeros(maps.shape[1:], np.uint32)
    assemble(maps, task.decoder, numbers)
    numbers = Instances.resample(numbers, size)
    numbers = numbers if turn is None else turn.back(numbers)
    return numbers if gaps is None else np.where(gaps, 0, numbers).astype(np.uint32)


def found_boxes(
    predictor: Predictor,
    decoder: DenseBoxes,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return corners, classes and scores of the boxes in an image `(C, *S)`, on the grid of the file.

    As in prediction, boxes are decoded on the grid that the network works on, and none has its middle where there are
    no data.

    Raises:
        NotFinite: the network's output is not finite.
    """
    worked_on, size, turn = _worked_on(predictor, image, spacing, affine)
    maps, gaps = worked_on.cpu().numpy(), missing(image)
    if not np.isfinite(maps).all():
        raise NotFinite("the image")
    if gaps is not None and turn is not None:
        gaps = turn(gaps)
    return decode_boxes(maps, decoder, Opened(image, size, valid=None if gaps is None else ~gaps, turn=turn))


def found_points(
    predictor: Predictor,
    task: PointTask,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
) -> PointAnswer:
    """Return the points in an image `(C, *S)` on the grid of the file, decoded as in prediction.

    Raises:
        NotFinite: the network's output is not finite.
    """
    worked_on, size, turn = _worked_on(predictor, image, spacing, affine)
    maps, gaps = worked_on.cpu().numpy(), missing(image)
    if not np.isfinite(maps).all():
        raise NotFinite("the image")
    if gaps is not None and turn is None and maps.shape[1:] == size:
        maps[:, gaps] = 0
    return placed(task.answer(maps), maps.shape[1:], size, turn)


def _worked_on(
    predictor: Predictor, image: np.ndarray, spacing: tuple[float, ...] | None, affine: Affine | None
) -> tuple[torch.Tensor, tuple[int, ...], Turn | None]:
    """What the task makes of the network's output `(K, *S')` on its grid, the size of the turned file, and the turn."""
    turn = predictor.expected.turn(affine)
    if turn is not None:
        image = np.asarray(turned_image(image, turn))
        spacing = None if spacing is None else tuple(spacing[axis] for axis in turn.order)
    prepared = prepare(image, predictor.expected.preparation(predictor.preparation, spacing), spacing)
    return predictor.task.probabilities(predictor.output(prepared))[0], tuple(image.shape[1:]), turn


def read_ahead(predictor: Predictor, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Any, Any]]:
    """Yield each sample with its image `(C, *S)` and its target's values; a thread reads the next one meanwhile."""
    wanted, ndim = predictor.expected.channels, predictor.run.recipe.model.ndim

    def read(sample: Sample) -> tuple[Sample, Any, Any]:
        if sample.target is None:
            raise UserError(f"{sample.image.path}: has no mask: add one")
        loaded, values = sample.image.load(), sample.target.read()
        if len(loaded.shape) != ndim + 1:
            raise UserError(f"{sample.image.path}: has {len(loaded.shape) - 1} axes, but the run labels data of {ndim}")
        if predictor.preparation.nodata:
            loaded = Gaps(loaded, predictor.preparation.nodata)[...]
        if (gaps := missing(loaded)) is not None:
            values = type(sample.target).without(values, gaps)
        image = to_channels(loaded, wanted, sample.image.path, sample.image.channel_names)
        return sample, image if image is loaded else np.asarray(image[...]), values

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(read, sample) for sample in samples[:1]]
        for index in range(len(samples)):
            if index + 1 < len(samples):
                waiting.append(pool.submit(read, samples[index + 1]))
            yield waiting.pop(0).result()
