"""Polygons as labels: which file of polygons labels which image, and which level of a slide a label belongs to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atrous.data.description import Description
from atrous.data.formats import FileFault, read_header, read_pyramid, suffix_of
from atrous.data.formats.polygons import POLYGON_SUFFIXES
from atrous.data.formats.slide import SlideFormat
from atrous.data.layouts.folders import Folder
from atrous.data.layouts.together import ends_in
from atrous.data.targets.polygons import ClassAttribute, find_attribute
from atrous.errors import UserError


def polygon_folder(root: Path, folders: Sequence[Folder]) -> list[Folder]:
    """Return the data folder itself as a folder of labels, if it holds one file of polygons and no folder of labels.

    Raises:
        UserError: it holds several.
    """
    if any(folder.role == "label" for folder in folders):
        return []
    files = sorted(path for path in root.iterdir() if path.is_file() and suffix_of(path) in POLYGON_SUFFIXES)
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:4])
        raise UserError(f"{root}: several files of polygons ({names}): keep one here, or put them into labels/")
    return [Folder(root, "label", None, "", tuple(files))] if files else []


def find_attribute_of(folders: Sequence[Folder], description: Description) -> ClassAttribute | None:
    """Return what says the class of the polygons in folders of labels; None where there are no polygons.

    Raises:
        UserError: as `find_attribute`; or `attribute` is given in dataset.toml, and there are no polygons.
    """
    ends = description.mask_suffix or ("",)
    labels = [file for folder in folders if folder.role == "label" for file in folder.files]
    files = [f for f in labels if suffix_of(f) in POLYGON_SUFFIXES and any(ends_in(f, end) for end in ends)]
    if not files and description.attribute is not None:
        raise UserError(f"{description.file}: `attribute` is for polygons, but no labels are polygons: take it out")
    if not files:
        return None
    if description.task == "instances":  # each polygon is an object, whatever its class
        return ClassAttribute(None)
    attribute = find_attribute(files, description)
    if attribute.words and description.values is not None:
        what = f"`values` are numbers, but the class of polygons is text in `{attribute.name}`"
        raise UserError(f"{description.file}: {what}: take `values` out")
    return attribute


def slide_level(image: Path, label: Path | None, spacing: Sequence[float] | None) -> int | None:
    """Return which level of a slide is trained on; None for the finest, and for images that are no slides.

    It is the level of the size of its mask; where labels are polygons, the one whose pixels are nearest to `spacing`.

    Args:
        image: the file of the image.
        label: its mask or polygons, if any.
        spacing: that of dataset.toml, if any.
    """
    if suffix_of(image) not in SlideFormat.suffixes:
        return None
    try:
        levels = read_pyramid(image)
        if len(levels) < 2:
            return None
        size = read_header(label).size if label is not None and suffix_of(label) not in POLYGON_SUFFIXES else None
    except FileFault:
        return None  # the check says it of this file when it is read
    if size is not None:
        return next((number for number, level in enumerate(levels) if level.size == size), 0) or None
    known = [level.spacing for level in levels]
    if spacing is None or len(spacing) != 2 or None in known:
        return None
    factors = [np.log(np.prod(apart) / np.prod(spacing)) for apart in known if apart is not None]
    return int(np.argmin(np.abs(factors))) or None
