"""Edges as targets: BSDS500 as downloaded, and images with masks whose boundaries are learned.

BSDS500 is `images/SPLIT/NAME.jpg`, with the edges of several annotators in `groundTruth/SPLIT/NAME.mat`.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from atrous.data.description import Description
from atrous.data.formats import SUFFIXES, FileFault, stem, suffix_of
from atrous.data.images import FileImage
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.folders import MOST_LEVELS, folder_key, split_of
from atrous.data.layouts.images import find_images
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.sample import Sample
from atrous.data.targets.base import Target
from atrous.data.targets.edge_marks import EdgeMarks, LabelEdges, shows_lines, without
from atrous.data.targets.edges import Edges
from atrous.data.targets.labels import AnnotatedRecording, LabelReader, Labels, LabelTable
from atrous.data.targets.mask_files import MaskFile, MergedMasks
from atrous.data.targets.values import Values
from atrous.errors import UserError

TASK = "edges"
_TASKS = (TASK, "regression")
_PLACES = (".", "data")
"""Where the two folders lie: in the folder that is given, or in `data` in it."""
_LEVELS = 2
EDGE_WORDS = ("edges", "edge", "edgemaps", "boundaries", "boundary", "contours", "contour")
"""Names of folders of images of edges, without case and signs."""
_LOOKED_AT = 8
"""Masks that are looked at to see whether they mark lines or show regions."""


def find_edges(root: Path, description: Description) -> Layout | None:
    """Find images with edges that several annotators marked; None where there are none, or another task is named.

    Without a task, `groundTruth` must hold `.mat` files. Where edges are learned, it may hold images too, or a folder
    of images for each image, one for each annotator; and masks may lie in a folder that is called edges. For a
    regression, the target is the share of the annotators who marked each pixel.

    Raises:
        UserError: no image belongs to the annotations, or two have one name.
    """
    if description.task not in (None, *_TASKS) or description.images is not None or description.masks is not None:
        return None
    suffixes = (".mat", *(SUFFIXES if description.task == TASK else ()))
    for place in _PLACES:
        images, truth = root / place / "images", root / place / "groundTruth"
        if images.is_dir() and truth.is_dir() and (marks := _files(root, truth, suffixes)):
            files = _files(root, images, SUFFIXES)
            return _layout(root, description, files, _by_image(truth, marks, files))
    folder = _named_folder(root) if description.task == TASK else None
    return None if folder is None else find_images(root, replace(description, masks=folder))


def _by_image(truth: Path, marks: dict[str, Path], images: Iterable[str]) -> dict[str, Path]:
    """The annotations by name; where a folder has the name of an image, the folder in place of the files in it."""
    holding = {path.parent for path in marks.values()}
    folders = {key: truth / key for key in images if truth / key in holding}
    inside = set(folders.values())
    return {key: path for key, path in marks.items() if path.parent not in inside} | folders


def _named_folder(root: Path) -> str | None:
    """The name of a folder of images that says that it holds edges, if there is one."""
    holding = [here for here, _, files in walk(root, lambda name: suffix_of(name) in SUFFIXES, MOST_LEVELS) if files]
    parts = [part for here in holding for part in here.relative_to(root).parts]
    return next((part for part in parts if folder_key(part) in EDGE_WORDS), None)


def _layout(root: Path, description: Description, images: dict[str, Path], marks: dict[str, Path]) -> Layout:
    samples: dict[str | None, list[Sample]] = {}
    task = description.task or TASK
    for key, path in images.items():
        name = (path.parent.relative_to(root) / stem(path)).as_posix()
        target: Target | None = None
        image = FileImage(path, (), description.channels, description.pages)
        if key in marks:
            reader = EdgeMarks(marks[key], bool(description.boundaries))
            target = Edges(reader, image) if task == TASK else Values(reader, image)
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
        task=task,
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


def edges_layout(layout: Layout, description: Description, task: str) -> Layout:
    """Return a layout whose masks are read as edges: the boundaries of their regions, or the lines that they mark.

    `boundaries` of dataset.toml (`task.boundaries`) says which; where it does not, masks whose values are 0 and one
    other, of which most lie at a border, mark lines.

    Raises:
        UserError: the labels are no masks of images.
    """
    targets = [sample.target for samples in layout.splits.values() for sample in samples]
    found = [reader for target in targets if (reader := _reader(target, task)) is not None]
    if not found:  # the layout made edges itself
        return layout
    ignore = (*(description.ignore or ()), *description.ignore_colors)
    regions = _show_regions(found, ignore) if description.boundaries is None else description.boundaries
    colors = description.palette is not None

    def read(sample: Sample) -> Sample:
        reader = _reader(sample.target, task)
        if reader is None:
            return sample
        return replace(sample, target=Edges(LabelEdges(reader, regions, ignore, colors), sample.image))

    return replace(
        layout,
        name=layout.name.replace("masks in", "boundaries of masks in" if regions else "edges in"),
        splits={split: tuple(read(sample) for sample in samples) for split, samples in layout.splits.items()},
        values=None, classes=None, ignore=None, task=task,
    )  # fmt: skip


def _reader(target: Target | None, task: str) -> LabelReader | None:
    """What reads the labels of a target: numbers of objects where it has some; None where it needs no reader.

    Raises:
        UserError: the target is something else.
    """
    if target is None or isinstance(target, Edges):
        return None
    if not isinstance(target, Labels) or isinstance(target.reader, LabelTable | AnnotatedRecording):
        raise UserError(f'{target.path}: task = "{task}" needs an image of edges or of regions for each image')
    reader = target.reader
    if isinstance(reader, MaskFile):  # objects of one class part at their boundaries too
        return replace(reader, objects=None)
    if isinstance(reader, MergedMasks) and reader.numbers is None:
        return replace(reader, numbers=tuple(range(1, len(reader.parts) + 1)))
    return reader


def _show_regions(readers: Sequence[LabelReader], ignore: Sequence[int]) -> bool:
    """Whether masks show regions, as some of them look; those that are empty but for what is ignored say nothing."""
    for reader in readers[:_LOOKED_AT]:
        try:
            labels, _ = reader.values(False)
        except FileFault:
            continue  # the check reports it with this sample
        labels = without(labels, ignore)
        if np.any(labels != 0):
            return labels.ndim != 2 or not shows_lines(labels)
    return True
