"""Files that say how sure the answer is at each position: uncertainty, its picture, and sizes of sets of classes."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.color import VOID
from atrous.data.formats import stem, write_probabilities
from atrous.data.source import Sink, full_key
from atrous.data.void import ROWS
from atrous.errors import UserError
from atrous.files import replacing
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Companions, Output
from atrous.prediction.overlay import LARGEST
from atrous.prediction.predictor import Predictor
from atrous.prediction.probabilities import SUFFIXES, ProbabilityFile
from atrous.recipe.calibration import Sets
from atrous.report.pictures import busiest, flat, to_rgb
from atrous.tasks.conformal import set_sizes
from atrous.tasks.ensemble import EnsembleTask
from atrous.tasks.temperature import class_task
from atrous.tasks.uncertainty import entropy_of

Reduce = Callable[[np.ndarray], np.ndarray]
"""Probabilities `(K, ...)` to one number at each position `(...)`, float32."""
UNCERTAINTY = "uncertainty"
"""Name of the entropy in files."""
UNSURE = np.array([255, 214, 10], np.float32)
"""Color of a position of which nothing is known."""


class ReducingSink:
    """A sink of probabilities `(K, *S)` that keeps one number of each position.

    Attributes:
        shape: `(K, *S)`.
        dtype: float32.
    """

    def __init__(self, sink: Sink, classes: int, reduce: Reduce) -> None:
        self.shape, self.dtype = (classes, *sink.shape[1:]), np.dtype(np.float32)
        self._sink, self._reduce = sink, reduce

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        place = full_key(key, len(self.shape))[1:]
        self._sink[(slice(None), *place)] = self._reduce(np.asarray(values))[None]


class ReducedFile(ProbabilityFile):
    """One number of the probabilities at each position, `(1, *S)` float32, in a file like those of probabilities.

    Args:
        path: `.zarr` or `.tif`.
        like: the input file, which lends its geometry.
        classes: K.
        name: of the number.
        reduce: makes it of the probabilities.

    Attributes:
        number: name of the number.
        mean: of the numbers, over the positions with data; None until the file is finished.
    """

    mean: float | None = None

    def __init__(self, path: Path, like: Path, classes: int, name: str, reduce: Reduce) -> None:
        super().__init__(path, like, (name,))
        self.number, self._count, self._reduce = name, classes, reduce
        self._reduced: np.ndarray | None = None

    def _shape(self, opened: Opened) -> tuple[int, ...]:
        # Probabilities are resampled to the grid of the file before they are reduced.
        return (self._count if opened.regridded else 1, *(int(n) for n in opened.source.shape[1:]))

    @property
    def sink(self) -> Sink | None:
        """Takes probabilities `(K, *S)` on the network's grid, in any order."""
        inner, opened = super().sink, self._opened
        if inner is None or opened is None or opened.regridded:
            return inner
        return ReducingSink(inner, self._count, self._reduce)

    def on_file_grid(self) -> Any:
        """Return the numbers `(1, *S)` on the grid of the input's file, once all probabilities have arrived."""
        assert self._opened is not None
        assert self._written is not None
        if not self._opened.regridded:
            return self._written.array
        if self._reduced is None:
            self._reduced = self._reduce(self._opened.maps_on_file(np.asarray(self._written.array[...])))[None]
        return self._reduced

    def finish(self) -> None:
        """Put the file in its place."""
        assert self._opened is not None
        self.mean = _mean(self.on_file_grid())
        if self._opened.regridded:
            write_probabilities(self.paths[0], self.on_file_grid(), self._classes, self._like)
            self.discard()
        else:
            super().finish()


def _mean(values: Any) -> float:
    """The mean of `(1, *S)` over what is a number, some rows at a time; nan where there is none."""
    total, count = 0.0, 0
    for row in range(0, values.shape[1], ROWS):
        part = np.asarray(values[:, row : row + ROWS])
        total, count = total + float(np.nansum(part, dtype=np.float64)), count + int(np.isfinite(part).sum())
    return total / count if count else math.nan


class UncertaintyPicture(Output):
    """A PNG of the uncertainty over the image, darker where the network is sure and yellow where it is not.

    Args:
        path: the file.
        uncertainty: the file from which it is drawn.
    """

    def __init__(self, path: Path, uncertainty: ReducedFile) -> None:
        self.paths, self.drawn_from = (path,), uncertainty
        self._uncertainty = uncertainty
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Remember the image."""
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        picture = draw_uncertainty(self._opened, self._uncertainty.on_file_grid())
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def draw_uncertainty(opened: Opened, uncertainty: Any, largest: int = LARGEST) -> np.ndarray:
    """Draw uncertainty `(1, *S)` on the grid of the file over its image, as uint8 `(height, width, 3)`.

    A position of uncertainty u has (1 - u) of its own color, at half its brightness, and u of yellow. Of a volume three
    planes are drawn, through the most uncertain positions.

    Args:
        opened: the input.
        uncertainty: 0 to 1, NaN where there are no data; read as it is sliced.
        largest: number of positions that are drawn at most.
    """
    size = tuple(uncertainty.shape[1:])
    step = max(1, math.ceil((math.prod(size) / largest) ** (1 / len(size))))
    every = (slice(None, None, step),) * len(size)
    drawn = np.asarray(uncertainty[(slice(None), *every)])[0]
    void = np.isnan(drawn)
    share = np.where(void, 0, drawn)[..., None]
    seen = np.asarray(opened.image_on_file()[(slice(None), *every)])
    image = to_rgb(np.split(seen, opened.images)[-1])  # of two images of one place the later one
    colors = ((1 - share) * image / 2 + share * UNSURE).round().astype(np.uint8)
    colors[void] = VOID
    high = (~void & (drawn >= np.quantile(drawn[~void], 0.95) if (~void).any() else void)).astype(np.uint8)
    return flat(colors, busiest(high), opened.spacing if len(size) == 3 else None)


def confidence_outputs(predictor: Predictor, path: Path, target: Path, companions: Companions) -> list[Output]:
    """Return the files of uncertainty and of sizes of sets that are wanted beside the labels `target` of an input.

    Args:
        predictor: the network.
        path: the input file.
        target: its label file.
        companions: what is wanted.

    Raises:
        UserError: the task gives no probabilities of classes.
    """
    outputs: list[Output] = []
    task, suffix = class_task(predictor.task), SUFFIXES[companions.probabilities or "tiff"]
    if task is None:
        companions.leave_out("uncertainty", "it is for classes")
        companions.leave_out("coverage", "it is for one class at each position")
        return outputs
    if companions.uncertainty:
        reduce = partial(entropy_of, bits=task.bits)
        name = f"{stem(target)}_uncertainty"
        file = ReducedFile(target.with_name(name + suffix), path, len(task.classes), UNCERTAINTY, reduce)
        outputs += [UncertaintyPicture(target.with_name(f"{name}.png"), file), file]
    if companions.coverage is not None:
        reduce = partial(set_sizes, threshold=sets_of(predictor, companions.coverage).threshold)
        name = target.with_name(f"{stem(target)}_sets{suffix}")
        outputs.append(ReducedFile(name, path, len(task.classes), "classes in the set", reduce))
    return outputs


def mean_of(output: Output) -> float | None:
    """Return the mean uncertainty of an output that was just written; None for any other output."""
    if not (isinstance(output, ReducedFile) and output.number == UNCERTAINTY):
        return None
    return None if output.mean is None or math.isnan(output.mean) else output.mean


def sets_of(predictor: Predictor, coverage: float) -> Sets:
    """Return what makes sets of classes that hold the true one as often as is asked.

    Raises:
        UserError: the run was not calibrated, or on too few samples, or classes may overlap; or several runs or mirror
            images are averaged.
    """
    folder, task = predictor.run.folder, class_task(predictor.task)
    if isinstance(task, EnsembleTask):
        raise UserError("--coverage is calibrated for a single run: leave --ensemble out")
    if predictor.flips:
        raise UserError("--coverage is calibrated for inputs that are not mirrored: leave --tta flip out")
    if task is None or task.bits:
        raise UserError(f"{folder}: --coverage is for one class at each position: leave it out")
    calibration = predictor.run.calibration()
    if calibration is None:
        raise UserError(f"{folder}: was not calibrated, by an earlier version: atrous calibrate {folder}")
    return calibration.sets(coverage, folder)
