"""How a recipe says that the background of a fixed camera is found."""

from collections.abc import Mapping
from typing import Any

from atrous.data.background import Background
from atrous.data.composite import MOTION
from atrous.errors import UserError
from atrous.recipe.sections import TaskSection

KEYS = {"frames": "background_frames", "span": "background_span"}
"""Keys of `task.options`, by their names in `Background`."""


def background_of(options: Mapping[str, Any], source: str = "task.options") -> Background:
    """Return how the options of a task say that the background is found; what they do not say is as usual.

    Raises:
        UserError: a number does not fit.

    >>> background_of({"background_span": 256})
    Background(frames=32, span=256)
    """
    given = {name: options[key] for name, key in KEYS.items() if key in options}
    if any(isinstance(value, bool) or not isinstance(value, int) for value in given.values()):
        raise UserError(f"{source}: {' and '.join(KEYS.values())} are whole numbers of frames")
    try:
        return Background(**given)
    except ValueError as error:
        raise UserError(f"{source}: {', '.join(KEYS.values())}: {error}") from error


def background_of_task(task: TaskSection) -> Background | None:
    """Return how the background of motion is found; None for other tasks."""
    return background_of(task.options) if task.kind == MOTION else None
