"""Points as labels: which folders hold images of dots, and what their samples are for a task of points."""

import re
from collections.abc import Sequence
from dataclasses import replace

from atrous.data.description import Description
from atrous.data.formats import color_code, stem
from atrous.data.layouts.base import Layout
from atrous.data.layouts.folders import Folder
from atrous.data.targets.dots import as_points
from atrous.errors import UserError

_DOTS = re.compile(r"(?:^|[-_. ]|\d)(?:dots?|dotmaps)$", re.IGNORECASE)
"""The end of the names of folders and files that hold dots."""


def task_of(folders: Sequence[Folder]) -> str:
    """Return what is learned from folders of images and labels: counting where all labels are called dots."""
    labels = [folder for folder in folders if folder.role == "label"]
    dots = [bool(_DOTS.search(f.path.name)) or all(_DOTS.search(stem(path)) for path in f.files) for f in labels]
    return "counting" if dots and all(dots) else "semantic"


def points_layout(layout: Layout, description: Description, task: str) -> Layout:
    """Return a layout whose targets are points, for a task that learns points.

    Labels in images become dots; points that stand in tables stay as they are. In one file of dots of several classes,
    `values` (of colors: `palette`) of dataset.toml says which value means which class.

    Raises:
        UserError: the labels cannot be read so, or dataset.toml says what is for classes of positions.
    """
    said = description.file or "--task"
    unused = next((key for key in ("ignore", "objects") if getattr(description, key) is not None), None)
    if unused is not None:
        raise UserError(f'{said}: `{unused}` is for classes of positions, not for task = "{task}": take it out')
    values = description.values or tuple(color_code(color) for color in description.palette or ())
    several = len(description.mask_suffix or ()) > 1
    classes = layout.classes[1:] if several and layout.classes is not None else layout.classes
    names = description.classes or classes or tuple(f"class {number}" for number in range(1, len(values) + 1))
    names = names or ("object",)
    if values and len(values) != len(names):
        raise UserError(f"{said}: {len(names)} `classes` for {len(values)} values of dots: name each")
    if several and len(names) != len(description.mask_suffix or ()):
        raise UserError(f"{said}: {len(names)} `classes` for {len(description.mask_suffix or ())} files: name each")
    if not values and not several and len(names) > 1:
        values = tuple(range(1, len(names) + 1))
    splits = {
        split: tuple(
            s if s.target is None else replace(s, target=as_points(s.target, s.image, values)) for s in samples
        )
        for split, samples in layout.splits.items()
    }
    return replace(layout, splits=splits, values=None, classes=names)
