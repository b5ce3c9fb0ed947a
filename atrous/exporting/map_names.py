"""What each channel of the dense maps is from which objects, boxes and points are decoded."""

from collections.abc import Callable, Sequence
from typing import Any

from atrous.tasks.classification import ClassificationTask
from atrous.tasks.counting import CountingTask
from atrous.tasks.custom import found_task
from atrous.tasks.detection import DetectionTask
from atrous.tasks.instances import InstanceTask
from atrous.tasks.keypoints import KeypointTask
from atrous.tasks.rotated_detection import RotatedDetectionTask
from atrous.tasks.stars import StarTask
from atrous.tasks.task import Task


def map_names(task: Task) -> list[str]:
    """Return a name for each channel of the output `maps`; those of a task that was added are numbered.

    >>> map_names(InstanceTask(ndim=2))
    ['inside', 'center of object', 'offset along axis 0', 'offset along axis 1']
    """
    found = found_task(task)
    name = next((name for kind, name in NAMES if isinstance(found, kind)), None)
    return [f"map {number}" for number in range(task.out_channels)] if name is None else name(found)


def _instances(task: Any) -> list[str]:
    return ["inside", *_each("center of", task.names), *(f"offset along axis {axis}" for axis in range(task.ndim))]


def _stars(task: Any) -> list[str]:
    classes = _each("is", task.names) if len(task.names) > 1 else []
    return ["inside", *classes, *(f"distance along ray {ray} of {task.rays}" for ray in range(task.rays))]


def _boxes(task: Any) -> list[str]:
    sides = [f"distance to the {side} face along axis" for side in ("low", "high")]
    return [*_each("score of", task.classes), *(f"{side} {axis}" for side in sides for axis in range(task.ndim))]


def _rotated(task: Any) -> list[str]:
    form = [f"form {i} of the box" for i in range(5)]
    return [*_each("score of", task.classes), "to the center along axis 0", "to the center along axis 1", *form]


def _counts(task: Any) -> list[str]:
    return [*_each("density of", task.names), *_each("heat of", task.names)]


def _points(task: Any) -> list[str]:
    return _each("heat of", task.names)


def _evidence(task: Any) -> list[str]:
    return _each("evidence of", task.names)


def _each(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what} {name}" for name in names or ("object",)]


NAMES: tuple[tuple[type, Callable[[Any], list[str]]], ...] = (
    (InstanceTask, _instances),
    (StarTask, _stars),
    (RotatedDetectionTask, _rotated),  # before the task that it is a kind of
    (DetectionTask, _boxes),
    (CountingTask, _counts),
    (KeypointTask, _points),
    (ClassificationTask, _evidence),
)
"""By the class of a task, what names its channels."""
