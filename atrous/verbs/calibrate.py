"""`atrous calibrate`: held-out samples say how sure a run may be, or which thresholds find objects and points.

Training does the same at its end.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from atrous.data.dataset import Dataset
from atrous.data.formats.mirrored import named_by_url
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.files import remove
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.recipe.build import build_task
from atrous.recipe.calibration import FILE, Calibration
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import Recipe
from atrous.tasks.class_offsets import FEWEST, OffsetSample, shifted
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.custom import found_task, pooled_task
from atrous.tasks.detection import DetectionTask
from atrous.tasks.scores import Scores
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded
from atrous.tasks.task import NotFinite, Task
from atrous.tasks.temperature import LogitSample, calibrated, class_task, fit_temperature
from atrous.tasks.thresholds import ThresholdSample, thresholds_of, with_thresholds
from atrous.verbs.evaluate import calibrated_on, measure, open_split, read_ahead, require_same_grid
from atrous.verbs.found import found_by_each, found_classes, outputs, truth_of

SAMPLES = 32
"""Samples, evenly spread over the split, on which the temperature is fitted, or thresholds are chosen; the rest is
measured on all of them."""
POSITIONS = 2**21
"""Positions on which thresholds are chosen, about; of large samples there are fewer, but `LEAST_SAMPLES`."""
LEAST_SAMPLES = 4


@dataclass(frozen=True)
class Calibrated:
    """What calibrating a run gave.

    Attributes:
        calibration: what was written into the folder of the run.
        scores: the metrics of the samples with it.
    """

    calibration: Calibration
    scores: Any


@named_by_url()
def calibrate(
    run: Run | Path | str,
    data: Any = None,
    *,
    split: str = "val",
    description: Path | str | None = None,
    keep_temperature: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **loading: Unpack[LoadOptions],
) -> Calibrated:
    """Fit the temperature of a run on labelled samples, measure its misses, and write `calibration.json` into the run.

    In place of a temperature, classes of whole inputs that are there or not have offsets of their evidence, and objects
    and points have thresholds, those that the recipe does not give.

    Args:
        run: folder of the run.
        data: folder of the data set, or data in memory as `train` takes them; that of the training when None.
        split: its split; "all" takes every labelled sample.
        description: a dataset.toml that lies elsewhere.
        keep_temperature: whether the temperature stays as it is, so that the samples choose thresholds of sets alone.
        progress: called as `progress(done, total)` after each image.
        **loading: how the network is loaded and run (`LoadOptions`).

    Raises:
        UserError: the run has nothing to calibrate, too few inputs have a class or lack it, no sample has an object,
            or the data do not fit the run.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    opened.require_own(f"calibrate a copy, made with: atrous models {opened.title} --copy FOLDER")
    predictor = load(opened, **loading)
    task, there = class_task(predictor.task), _classes_that_are_there(predictor)
    if task is None and there is None and not open_thresholds(predictor.task, opened.recipe):
        raise UserError(
            f"{opened.title}: gives no probabilities of classes, and has no thresholds that its recipe leaves open, so "
            "there is nothing to calibrate"
        )
    if task is None and keep_temperature:
        raise UserError("--keep-temperature: the run has no temperature: leave it out")
    dataset, samples = open_split(predictor, data, description, split)
    temperature = task.temperature if keep_temperature and task is not None else None
    options: dict[str, Any] = {"temperature": temperature, "progress": progress}
    found, scores = calibrate_and_measure(predictor, dataset, split, samples, **options)
    if found is predictor:
        lacking = f"no class is in {FEWEST} inputs of {split} and missing in {FEWEST}"
        raise UserError(f"{dataset.root}: {f'{split} has no object' if there is None else lacking}: calibrate on more")
    calibration = opened.calibration()
    assert calibration is not None
    return Calibrated(calibration, scores)


def calibrate_and_measure(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    samples: Sequence[Sample],
    *,
    temperature: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Predictor, Any]:
    """Fit the temperature, measure all samples with it, and write the calibration into the folder of the run.

    A temperature that is given is not fitted again. Classes of whole inputs that are there or not get offsets of their
    evidence instead, objects and points get thresholds. Any other task is measured alone.

    Returns:
        The predictor with its temperature, and the metrics.

    Raises:
        UserError: see `measure`.
    """
    there = _classes_that_are_there(predictor)
    if there is not None:
        predictor = _with_offsets(predictor, dataset, split, samples, there)
    elif _boxes(predictor) is None and open_thresholds(predictor.task, predictor.run.recipe):
        predictor = _with_thresholds(predictor, dataset, split, samples)
    task = class_task(predictor.task)
    if not isinstance(task, Semantic | Stranded):
        scores = measure(predictor, dataset, samples, progress=progress)
        return _at_best_score(predictor, scores, calibrated_on(dataset, split), len(samples)), scores
    if temperature is None:
        temperature = fit_temperature(_sample(predictor, dataset, samples, task))
    predictor = replace(predictor, task=calibrated(predictor.task, temperature))
    scores = measure(predictor, dataset, samples, progress=progress)
    if isinstance(scores, Scores) and scores.confidence is not None:
        found = Calibration.of(scores.confidence, calibrated_on(dataset, split), len(samples))
        found.write(predictor.run.folder)
    return predictor, scores


def open_thresholds(task: Task, recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the thresholds of a task that its recipe leaves open; none for most tasks."""
    return tuple(name for name in thresholds_of(task) if name not in recipe.task.options)


def share_of_samples(count: int) -> float:
    """Return the share of a split of `count` samples on which a temperature is fitted, or thresholds are chosen.

    >>> share_of_samples(10), share_of_samples(64)
    (1.0, 0.5)
    """
    return min(1.0, SAMPLES / max(1, count))


def forget_calibration(run: Run) -> None:
    """Remove the calibration of a run whose weights are about to change."""
    remove(run.folder / FILE)


def _classes_that_are_there(predictor: Predictor) -> ClassificationTask | None:
    """The task if it says of whole inputs which classes are there, each by itself; None for others."""
    pooled = pooled_task(predictor.task)
    return pooled if isinstance(pooled, ClassificationTask) and not pooled.exclusive else None


def _with_offsets(
    predictor: Predictor, dataset: Dataset, split: str, samples: Sequence[Sample], task: ClassificationTask
) -> Predictor:
    """Fit the offsets of the evidence on some samples, and write them into the folder of the run.

    The predictor itself is returned where too few of them have a class or lack it.
    """
    sample = OffsetSample(len(task.names))
    raw = replace(predictor, task=shifted(predictor.task, (0.0,) * len(task.names)))  # not on top of earlier offsets
    for each, image, values in read_ahead(raw, _spread(samples)):
        found = found_classes(raw, task, image, dataset.spacing_of(each), each.image.header().affine)
        sample.add(found.evidence, values.present)
    offsets = sample.fit()
    if not any(offsets):
        return predictor
    Calibration(1.0, calibrated_on(dataset, split), len(samples), offsets=offsets).write(predictor.run.folder)
    return replace(predictor, task=shifted(predictor.task, offsets))


def _with_thresholds(predictor: Predictor, dataset: Dataset, split: str, samples: Sequence[Sample]) -> Predictor:
    """Choose the thresholds of objects or points on some samples, and write them into the folder of the run."""
    task = found_task(build_task(predictor.run.located))  # without thresholds that were chosen earlier
    assert task is not None
    sample = ThresholdSample(task, predictor.run.recipe.task.options)
    positions = np.mean([math.prod(each.image.header().size) for each in _spread(samples)])
    for each, image, values in read_ahead(predictor, _spread(samples, max(LEAST_SAMPLES, int(POSITIONS / positions)))):
        require_same_grid(predictor, dataset, each, image, values)
        place = dataset.spacing_of(each), each.image.header().affine, each.image.valid()
        try:
            answers = found_by_each(predictor, sample.tasks, image, *place)
        except NotFinite:
            return predictor  # `measure` says which image it is
        sample.add(each.name, answers, truth_of(values))
    return _chosen(predictor, sample.fit(), calibrated_on(dataset, split), len(samples))


def _at_best_score(predictor: Predictor, scores: Any, measured_on: str, samples: int) -> Predictor:
    """Show boxes from the score with the best F1, which metrics of boxes know; other tasks stay as they are."""
    if _boxes(predictor) is None or not open_thresholds(predictor.task, predictor.run.recipe):
        return predictor
    score = scores.values[DetectionTask.threshold_metrics[0]]
    # A box is kept if its score is above the threshold: the next lower thousandth keeps those of this score.
    threshold = {} if math.isnan(score) else {"threshold": (math.ceil(1000 * min(max(score, 0.05), 0.95)) - 1) / 1000}
    return _chosen(predictor, threshold, measured_on, samples)


def _boxes(predictor: Predictor) -> DetectionTask | None:
    """The task if it finds boxes; None for others."""
    task = found_task(predictor.task)
    return task if isinstance(task, DetectionTask) else None


def _chosen(predictor: Predictor, thresholds: Mapping[str, float], measured_on: str, samples: int) -> Predictor:
    """Write thresholds into the folder of the run; the predictor itself is returned where there are none."""
    if not thresholds:
        return predictor
    Calibration(1.0, measured_on, samples, thresholds=thresholds).write(predictor.run.folder)
    return replace(predictor, task=with_thresholds(predictor.task, thresholds))


def _spread(samples: Sequence[Sample], most: int = SAMPLES) -> list[Sample]:
    """At most `SAMPLES` of the samples, or fewer, evenly spread."""
    places = np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples), most)).round().astype(int)
    return [samples[place] for place in places]


def _sample(
    predictor: Predictor, dataset: Dataset, samples: Sequence[Sample], task: Semantic | Stranded
) -> LogitSample:
    """Outputs at some positions of some samples."""
    chosen = _spread(samples)
    sample = LogitSample(len(chosen), task.bits)
    for each, image, values in read_ahead(predictor, chosen):
        output = outputs(predictor, image, dataset.spacing_of(each), each.image.header().affine)
        truth = dataset.target.tensor(values)
        if output.shape[1:] == truth.shape:  # else `measure` says what is wrong
            sample.add(output[: len(task.classes)], truth)
    return sample
