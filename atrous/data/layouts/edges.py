"""BSDS500 as downloaded: `images/SPLIT/NAME.jpg`, and edges of several annotators in `groundTruth/SPLIT/NAME.mat`."""

from collections.abc import Container
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import SUFFIXES, stem, suffix_of
from atrous.data.images import FileImage
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.folders import split_of
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.sample import Sample
from atrous.data.targets.edge_marks import EdgeMarks
from atrous.data.targets.values import Values
from atrous.errors import UserError

TASK = "regression"
_PLACES = (".", "data")
"""Where the two folders lie: in the folder that is given, or in `data` in it."""
_LEVELS = 2


def find_edges(root: Path, description: Description) -> Layout | None:
    """Find images with annotated edges; None without `.mat` files in `groundTruth`, or where another task is named.

    The target of an image is the share of annotators who marked each pixel.

    Raises:
        UserError: no image belongs to the annotations, or two have one name.
    """
    if description.task not in (None, TASK) or description.images is not None or description.masks is not None:
        return None
    for place in _PLACES:
        images, truth = root / place / "images", root / place / "groundTruth"
        if images.is_dir() and truth.is_dir() and (marks := _files(root, truth, (".mat",))):
            return _layout(root, description, _files(root, images, SUFFIXES), marks)
    return None


def _layout(root: Path, description: Description, images: dict[str, Path], marks: dict[str, Path]) -> Layout:
    samples: dict[str | None, list[Sample]] = {}
    for key, path in images.items():
        name = (path.parent.relative_to(root) / stem(path)).as_posix()
        target = Values(EdgeMarks(marks[key])) if key in marks else None
        image = FileImage(path, (), description.channels, description.pages)
        split = split_of(path.parent.relative_to(root).parts)
        samples.setdefault(split, []).append(Sample(name, image, target, group_of(name, description.groups)))
    if not images.keys() & marks.keys():
        first = next(iter(marks.values()))
        raise UserError(f"{first}: no image of this name in images/: name images and annotations alike")
    by_split, alone = labeled(samples)
    splits, origin = into_splits(by_split, description, ({}, ""), any(samples))
    return Layout(
        name="images in images, edges of several annotators in groundTruth",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(alone),
        labels_alone=tuple(path for key, path in marks.items() if key not in images),
        task=TASK,
    )


def _files(root: Path, folder: Path, suffixes: Container[str]) -> dict[str, Path]:
    """Return the files of some formats in a folder, by their path in it without suffix.

    Raises:
        UserError: two have one name.
    """
    named: dict[str, Path] = {}
    for here, _, names in walk(folder, lambda name: suffix_of(name) in suffixes, _LEVELS):
        for name in names:
            path = here / name
            key = (here.relative_to(folder) / stem(path)).as_posix()
            if key in named:
                raise UserError(f"{path.relative_to(root)}: the same name as {named[key].name}: rename one of them")
            named[key] = path
    return named
