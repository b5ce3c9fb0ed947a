"""Which keys fit together of those that are for one class at every position."""

from collections.abc import Sequence

from atrous.data.composite import PAIRED
from atrous.errors import UserError
from atrous.recipe.sections import AugmentSection, DataSection, ModelSection, TaskSection, TrainSection

CLASSED = ("semantic", *PAIRED)
"""Tasks of one class at every position."""
VARIED = ("semantic", "instances", "detection", "counting", "keypoints", "edges")
"""Tasks whose samples are images with targets of another kind, so that strong changes leave the targets alone."""

INTERVALS = ("stranded", "semantic")
"""Tasks whose labels are intervals, where there is one axis."""


def agree_classes(
    data: DataSection, model: ModelSection, task: TaskSection, augment: AugmentSection, train: TrainSection, source: str
) -> None:
    """Reject keys that the task or other keys do not allow; `source` names the recipe in errors.

    Raises:
        UserError: a key does not fit.
    """
    losses = {f"task.{key}": getattr(task, key) for key in ("smoothing", "focal", "boundary")}
    named = {f"augment.{key}": getattr(augment, key) for key in ("foreground_classes", "paste_classes")}
    for key, given in {**losses, "train.teacher": train.teacher, **named}.items():
        if given and task.kind not in CLASSED:
            raise UserError(f"{source}: {key} is for {', '.join(CLASSED)}, not for task.kind = {task.kind!r}")
    for key, classes in named.items():
        _known(key, classes, task.classes, source)
    if augment.paste_classes and not augment.paste:
        raise UserError(f"{source}: augment.paste_classes is set, but nothing is pasted: set augment.paste too")
    if augment.strength and (task.kind not in VARIED or data.kind == "genomes"):
        raise UserError(f"{source}: augment.strength is for {', '.join(VARIED)}, not for task.kind = {task.kind!r}")
    if task.shortest and not (task.kind in INTERVALS and (model.ndim == 1 or task.kind != "semantic")):
        raise UserError(f"{source}: task.shortest is for {' and '.join(INTERVALS)} labels along one axis: set it to []")
    if task.boundary and train.whole:
        raise UserError(f"{source}: task.boundary needs neighbors that strips do not have: set train.whole = false")
    if train.teacher and (train.whole or train.devices * train.nodes > 1):
        raise UserError(
            f"{source}: train.teacher is for crops on one device: set train.whole = false, train.devices = "
            "train.nodes = 1"
        )


def _known(key: str, given: Sequence[str], classes: Sequence[str], source: str) -> None:
    unknown = [name for name in given if name not in classes]
    if unknown:
        raise UserError(f"{source}: {key} names {unknown[0]!r}: the classes are {', '.join(classes)}")
