"""What a network says of one labeled sample, on the grid of its file: probabilities, objects, boxes or points."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atrous.data.channel_files import turned_image
from atrous.data.formats.orient import Affine, Turn
from atrous.data.grid import restore
from atrous.data.preprocess import missing, prepare
from atrous.data.sample import Sample
from atrous.data.source import Source
from atrous.data.targets.instances import Instances
from atrous.data.targets.labels import Labels
from atrous.data.targets.places import Places
from atrous.objects.assemble import assemble
from atrous.objects.boxes import LatticeBoxes
from atrous.objects.decoder import NO_DATA
from atrous.objects.kinds import with_classes
from atrous.prediction.boxes import decode_boxes
from atrous.prediction.classes import decode_classes
from atrous.prediction.inputs import Opened
from atrous.prediction.intervals import interval_labels, valid_on_grid
from atrous.prediction.points import placed
from atrous.prediction.predictor import Predictor
from atrous.tasks.class_metrics import ClassAnswer
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.custom import least_lengths, output_size
from atrous.tasks.detection import DetectionTask
from atrous.tasks.instances import InstanceAnswer
from atrous.tasks.points import PointAnswer, PointTask
from atrous.tasks.task import FoundTask, NotFinite, ObjectTask


def probabilities(
    predictor: Predictor, image: np.ndarray, spacing: tuple[float, ...] | None, affine: Affine | None = None
) -> torch.Tensor:
    """Return the probabilities `(K, *S)` of an image `(C, *S)` as its file has it, on the grid of the file.

    The image is prepared as in training, and brought to the orientation and spacing of the training data as in
    prediction.
    """
    return _on_file(*_worked_on(predictor, image, spacing, affine))


def probabilities_and_labels(
    predictor: Predictor, sample: Sample, image: np.ndarray, spacing: tuple[float, ...] | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what `probabilities` returns, and labels `(*S)` uint8 where these are not the most probable classes.

    They are not where the intervals of a signal have a least length. As in prediction, they are decoded on the grid on
    which the network works, and intervals end where there are no data.

    Args:
        predictor: the network.
        sample: whose file says where it has no data.
        image: its values `(C, *S)` as its file has them, NaN where there are none; also at another scale.
        spacing: distance of neighboring positions along each axis.

    Raises:
        NotFinite: there are least lengths, and the network's output is not finite.
    """
    worked_on, size, turn = _worked_on(predictor, image, spacing, sample.image.header().affine)
    found, least = _on_file(worked_on, size, turn), least_lengths(predictor.task)
    if not least:
        return found, None
    gaps, valid = missing(image), None
    for mask in (sample.image.valid(), None if gaps is None else ~gaps):
        if (known := valid_on_grid(mask, tuple(worked_on.shape[1:]))) is not None:
            valid = np.asarray(known[...]) if valid is None else valid & np.asarray(known[...])
    labels = interval_labels(_finite(worked_on), least, valid)
    return found, torch.from_numpy(Labels.resample(labels, size))


def outputs(
    predictor: Predictor, image: np.ndarray, spacing: tuple[float, ...] | None, affine: Affine | None = None
) -> torch.Tensor:
    """Return what `probabilities` returns, but as the network's output has it, before the task looks at it."""
    return _on_file(*_worked_on(predictor, image, spacing, affine, lambda output: output))


def _on_file(worked_on: torch.Tensor, size: tuple[int, ...], turn: Turn | None) -> torch.Tensor:
    """Values `(K, *S')` on the grid of the file."""
    found = restore(worked_on, size)
    return found if turn is None else torch.from_numpy(turn.back(found.cpu().numpy()))


def gaps_of(image: Any, valid: Source | None) -> np.ndarray | None:
    """Return where an image `(C, *S)` has no data, `(*S)` bool; None if it has everywhere.

    Args:
        image: no data are where it is not finite,
        valid: and where this is false, bool `(*S)`; None where the file does not say it.

    >>> gaps_of(np.array([[1.0, np.nan, 3.0]]), np.array([True, True, False])).tolist()
    [False, True, True]
    """
    gaps = missing(image)
    known = None if valid is None or tuple(valid.shape) != tuple(image.shape[1:]) else np.asarray(valid[...])
    if known is None or known.all():
        return gaps
    return ~known if gaps is None else gaps | ~known


def found_objects(
    predictor: Predictor,
    task: ObjectTask,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
    valid: Source | None = None,
) -> InstanceAnswer:
    """Return the objects in an image `(C, *S)`, on the grid of the file.

    As in prediction, objects are decoded on the grid that the network works on, and none lies where there are no data.

    Raises:
        NotFinite: the network's output is not finite.
    """
    return _objects(_dense(predictor, image, spacing, affine, valid), task)


def found_boxes(
    predictor: Predictor,
    decoder: LatticeBoxes,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
    valid: Source | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return corners, classes and scores of the boxes in an image `(C, *S)`, on the grid of the file.

    As in prediction, boxes are decoded on the grid that the network works on, and none has its middle where there are
    no data.

    Raises:
        NotFinite: the network's output is not finite.
    """
    worked_on, size, turn = _worked_on(predictor, image, spacing, affine)
    maps, gaps = _finite(worked_on), gaps_of(image, valid)
    if gaps is not None and turn is not None:
        gaps = turn(gaps)
    return decode_boxes(maps, decoder, Opened(image, size, valid=None if gaps is None else ~gaps, turn=turn))


def found_points(
    predictor: Predictor,
    task: PointTask,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
    valid: Source | None = None,
) -> PointAnswer:
    """Return the points in an image `(C, *S)` on the grid of the file, decoded as in prediction.

    Raises:
        NotFinite: the network's output is not finite.
    """
    return _points(_dense(predictor, image, spacing, affine, valid), task)


def found_classes(
    predictor: Predictor,
    task: ClassificationTask,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
    valid: Source | None = None,
) -> ClassAnswer:
    """Return the classes of an image `(C, *S)` as a whole, and the evidence on the network's grid.

    Raises:
        NotFinite: the network's output is not finite.
    """
    return decode_classes(_finite(_worked_on(predictor, image, spacing, affine)[0]), task)


def lenient_boxes(
    predictor: Predictor,
    task: DetectionTask,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
    valid: Source | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `found_boxes` does with the lower threshold for scores that average precision needs."""
    return found_boxes(predictor, task.lenient, image, spacing, affine, valid)


MEASURED: dict[
    str, Callable[[Predictor, Any, np.ndarray, tuple[float, ...] | None, Affine | None, Source | None], Any]
] = {
    "objects": found_objects,
    "boxes": lenient_boxes,
    "points": found_points,
    "classes": found_classes,
}
"""For what a task finds (`FoundTask.found`), the function whose answer its metrics are given.

It is called as `found_objects` is; `valid` says where the file has data, bool `(*S)`, beside what is NaN in the image.
"""


def found_by_each(
    predictor: Predictor,
    tasks: Sequence[FoundTask],
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None = None,
    valid: Source | None = None,
) -> Iterator[Any]:
    """Return what each of some tasks of objects or points finds in an image `(C, *S)`, one after the other.

    The network runs once, before this returns.

    Args:
        tasks: that of the predictor with other thresholds.

    Raises:
        NotFinite: the network's output is not finite.
    """
    dense = _dense(predictor, image, spacing, affine, valid)
    return (_DECODED[task.found](dense, task) for task in tasks)


@dataclass(frozen=True)
class _Dense:
    """The dense maps of an image `(K, *S')`, where it has no data, the size of its turned file, and the turn."""

    maps: np.ndarray
    gaps: np.ndarray | None
    size: tuple[int, ...]
    turn: Turn | None

    @property
    def inner_gaps(self) -> np.ndarray | None:
        """Where there are no data, on the grid of the maps; None where there are data everywhere."""
        if self.gaps is None:
            return None
        known = ~(self.gaps if self.turn is None else self.turn(self.gaps))
        return ~np.asarray(valid_on_grid(known, tuple(self.maps.shape[1:])))


def _dense(
    predictor: Predictor,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None,
    valid: Source | None,
) -> _Dense:
    worked_on, size, turn = _worked_on(predictor, image, spacing, affine)
    return _Dense(_finite(worked_on), gaps_of(image, valid), size, turn)


def _objects(dense: _Dense, task: ObjectTask) -> InstanceAnswer:
    maps, gaps = dense.maps, dense.gaps
    if (inner := dense.inner_gaps) is not None:
        maps[0][inner] = NO_DATA
    numbers = np.zeros(maps.shape[1:], np.uint32)
    found = assemble(maps, task.decoder, numbers).candidates
    numbers = with_classes(numbers, found.classes, max(1, len(task.names)))
    numbers = Instances.resample(numbers, dense.size)
    numbers = numbers if dense.turn is None else dense.turn.back(numbers)
    numbers = numbers if gaps is None else np.where(gaps, 0, numbers).astype(np.uint32)
    return InstanceAnswer(numbers, found.scores)


def _points(dense: _Dense, task: PointTask) -> PointAnswer:
    if (inner := dense.inner_gaps) is not None:
        dense.maps[:, inner] = 0
    return placed(task.answer(dense.maps), dense.maps.shape[1:], dense.size, dense.turn)


_DECODED: dict[str, Callable[[_Dense, Any], Any]] = {"objects": _objects, "points": _points}


def truth_of(values: Any) -> Any:
    """Return the values of a target as metrics are given them: of boxes and points their places and classes."""
    return (values.places, values.classes) if isinstance(values, Places) else values


def _finite(maps: torch.Tensor) -> np.ndarray:
    """Dense maps as an array.

    Raises:
        NotFinite: some are nan or infinite.
    """
    if not bool(torch.isfinite(maps).all()):
        raise NotFinite("the image")
    return maps.cpu().numpy()


def _worked_on(
    predictor: Predictor,
    image: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: Affine | None,
    post: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, tuple[int, ...], Turn | None]:
    """What the task makes of the network's output `(K, *S')` on its grid, the size of the turned file, and the turn.

    `post` takes the place of the task's probabilities.
    """
    turn = predictor.expected.turn(affine)
    if turn is not None:
        image = np.asarray(turned_image(image, turn))
        spacing = None if spacing is None else tuple(spacing[axis] for axis in turn.order)
    prepared = prepare(image, predictor.expected.preparation(predictor.preparation, spacing), spacing)
    values = (post or predictor.task.probabilities)(predictor.output(prepared))[0]
    return values, output_size(predictor.task, image.shape[1:]), turn
