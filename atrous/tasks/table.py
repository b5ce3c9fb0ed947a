"""The table of tasks: what the output channels of a network can mean."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous.tasks.task import Task  # the data doctor asks for names, and must not wait for torch

BuildTask = Callable[[Mapping[str, Any]], "Task"]


def _semantic(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.semantic import Semantic

    return Semantic.build(section)


def _stranded(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.stranded import Stranded

    return Stranded.build(section)


def _instances(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.instances import InstanceTask
    from atrous.tasks.stars import StarTask

    shape = section["options"].get("shape", "votes")
    if shape not in ("votes", "stars"):
        raise ValueError(f'options.shape is {shape!r}: give "votes" or "stars"')
    return StarTask.build(section) if shape == "stars" else InstanceTask.build(section)


def _counting(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.counting import CountingTask

    return CountingTask.build(section)


def _keypoints(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.keypoints import KeypointTask

    return KeypointTask.build(section)


def _detection(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.detection import DetectionTask
    from atrous.tasks.rotated_detection import RotatedDetectionTask

    rotated = section["options"].get("rotated", False)
    if not isinstance(rotated, bool):
        raise ValueError(f"options.rotated is {rotated!r}: give true or false")
    return (RotatedDetectionTask if rotated else DetectionTask).build(section)


def _edges(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.edges import EdgeTask

    return EdgeTask.build(section)


def _regression(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.values import RegressionTask

    return RegressionTask.build(section)


def _restoration(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.restoration import RestorationTask

    return RestorationTask.build(section)


def _change(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.change import change_task

    return change_task(section)


def _motion(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.motion import motion_task

    return motion_task(section)


def _style(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.style import StyleTask

    return StyleTask.build(section)


def _classification(section: Mapping[str, Any]) -> "Task":
    from atrous.tasks.classification import ClassificationTask

    return ClassificationTask.build(section)


TASKS: dict[str, BuildTask] = {
    "semantic": _semantic,
    "stranded": _stranded,
    "instances": _instances,
    "detection": _detection,
    "counting": _counting,
    "keypoints": _keypoints,
    "edges": _edges,
    "regression": _regression,
    "denoise": _restoration,
    "deblur": _restoration,
    "super-resolution": _restoration,
    "style": _style,
    "change": _change,
    "motion": _motion,
    "classification": _classification,
}
"""By name, a function that makes the task from the section `task` of a recipe."""


def add_task(name: str, build: BuildTask) -> None:
    """Add a task, so that recipes and dataset.toml can name it.

    Args:
        name: a name that no task has.
        build: given the section `task` of a recipe as a dictionary, it returns the task. Keys of its own stand in
            `options`.

    Raises:
        ValueError: there is a task of that name.
    """
    if name in TASKS:
        raise ValueError(f"there is a task {name!r} already")
    TASKS[name] = build
