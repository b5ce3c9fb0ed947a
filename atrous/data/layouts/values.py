"""Numbers as targets: images with a file of values each (regression), or images that are to be restored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import stem
from atrous.data.images import FileImage, SampleImage
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, group_of
from atrous.data.layouts.folders import MOST_LEVELS, Folder, folder_key, read_folders
from atrous.data.layouts.genome_files import holds_genomes
from atrous.data.layouts.images import find_images
from atrous.data.layouts.recordings import find_recordings
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.restoration import PICTURES, RESTORATIONS, STYLE
from atrous.data.sample import Sample
from atrous.data.targets.base import Target
from atrous.data.targets.fine_image import FineValues
from atrous.data.targets.labels import AnnotatedRecording, Labels, LabelTable
from atrous.data.targets.mask_files import MaskFile
from atrous.data.targets.own_image import ImageValues, OwnImage
from atrous.data.targets.values import RecordedValues, ValueFile, Values
from atrous.errors import UserError

CLEAN_WORDS = (
    "clean", "groundtruth", "gt", "sharp", "original", "originals", "reference", "target", "targets", "high", "hr",
    "highres",
)  # fmt: skip
"""Names of folders of clean images."""
DEGRADED_WORDS = (
    "noisy", "noise", "degraded", "blurred", "blurry", "blur", "input", "inputs", "source", "low", "lr", "lowres",
)  # fmt: skip
"""Names of folders of what is measured of them."""
VALUE_WORDS = (
    "values", "depth", "depths", "height", "heights", "elevation", "dem", "density", "targets", "target",
)  # fmt: skip
"""Names of folders of numbers that are learned from images."""


def find_values(root: Path, description: Description) -> Layout | None:
    """Find the images and values of a task that learns numbers; None for other tasks, and for signals of genomes.

    Recordings hold their numbers in columns or arrays of their own. Images and their values (of a restoration: degraded
    and clean images) lie in two folders and have the same names, as images and masks do. Of a restoration, a folder of
    images alone is read as well: each image is its own target.

    Raises:
        UserError: there are no images, or none with values.
    """
    task = description.task
    if task not in (*PICTURES, "regression") or (task == "regression" and holds_genomes(root, description)):
        return None
    if task == STYLE:
        if description.pairs:
            raise UserError(f"{root}: pairs are for restorations: style learns from images alone: leave task.pairs out")
        return _own_images(root, description)
    restores = task in RESTORATIONS
    described = _with_folders(root, description, restores)
    if restores and (description.pairs is False or described.masks is None):
        if description.pairs:
            raise UserError(
                f"{root}: pairs are wanted, but no folder holds clean images: name it clean/, beside noisy/ or images/"
            )
        return _own_images(root, description)
    recordings = None if restores else find_recordings(root, description)
    return values_layout(recordings or find_images(root, described), description, task)


def values_layout(layout: Layout, description: Description, task: str) -> Layout:
    """Return a layout whose label files are read as numbers, each channel as an output.

    Raises:
        UserError: dataset.toml says what is for classes of positions, or labels stand in files that hold no numbers.
    """
    said = description.file or "--task"
    for key in ("classes", "ignore", "values", "palette", "objects"):
        if getattr(description, key):
            raise UserError(f'{said}: `{key}` is for classes of positions, not for task = "{task}": take it out')
    splits = {
        split: tuple(
            one if one.target is None else replace(one, target=as_values(one.target, one.image, description, task))
            for one in samples
        )
        for split, samples in layout.splits.items()
    }
    name = layout.name.replace("masks in", "values in")
    columns = description.columns
    outputs = columns.targets if columns is not None and _are_recorded(splits) else ()
    return replace(layout, name=name, splits=splits, values=None, classes=None, ignore=None, task=task, outputs=outputs)


def _are_recorded(splits: Mapping[str, Sequence[Sample]]) -> bool:
    """Whether the numbers stand in tables or arrays of recordings."""
    targets = [sample.target for samples in splits.values() for sample in samples]
    return any(isinstance(target, Values) and isinstance(target.reader, RecordedValues) for target in targets)


def as_values(target: Target, image: SampleImage, description: Description, task: str) -> Values:
    """Return the numbers of what would be a mask; clean images have the channels of their images.

    Those of super-resolution may be finer than their images.

    Raises:
        UserError: it is no file of one value (or several) at each position.
    """
    if isinstance(target, Values):  # in memory, or the images themselves
        return FineValues(target.reader, image) if task == "super-resolution" and not target.own else target
    if isinstance(target, Labels) and isinstance(target.reader, MaskFile):
        file = target.reader
        clean = FileImage(file.path, (), description.channels, file.pages)
        if task == "super-resolution":
            return FineValues(ImageValues(clean), image)
        restores = task in RESTORATIONS
        reader = ImageValues(clean, file.image) if restores else ValueFile(file.path, file.image, file.pages)
        return Values(reader, image)
    if isinstance(target, Labels) and isinstance(target.reader, LabelTable) and task == "regression":
        if target.reader.words is not None:
            raise UserError(f'{target.path}: its labels are words, task = "{task}" learns numbers: name their column')
        return Values(RecordedValues(target.path, target.reader.reader), image)
    if isinstance(target, Labels) and isinstance(target.reader, AnnotatedRecording):
        raise UserError(
            f'{target.path}: its labels are annotations, task = "{task}" learns numbers: put a CSV of the same name '
            "with a column `label` beside it"
        )
    raise UserError(f'{target.path}: task = "{task}" needs a file of numbers for each image')


def _with_folders(root: Path, description: Description, restores: bool) -> Description:
    """A description that names the folders which usual words name; what dataset.toml says stays."""
    names = {folder_key(part): part for here, _, _ in _directories(root) for part in here.relative_to(root).parts}
    targets, inputs = (CLEAN_WORDS, DEGRADED_WORDS) if restores else (VALUE_WORDS, ())
    masks = description.masks or next((names[word] for word in targets if _beside(root, names.get(word))), None)
    images = description.images or next((names[word] for word in inputs if word in names and masks is not None), None)
    return replace(description, masks=masks, images=images)


def _beside(root: Path, name: str | None) -> bool:
    """Whether there is a folder of this name, and files in another one beside it."""
    folders = [] if name is None else _folders(root, Description(masks=name))
    return len({name in folder.path.relative_to(root).parts for folder in folders}) == 2


def _directories(root: Path) -> Sequence[tuple[Path, list[str], list[str]]]:
    return list(walk(root, lambda name: True, MOST_LEVELS))


def _folders(root: Path, description: Description) -> Sequence[Folder]:
    return read_folders(root, description.images, description.masks)


def _named(root: Path, folder: Folder, words: Sequence[str]) -> bool:
    return any(folder_key(part) in words for part in folder.path.relative_to(root).parts)


def _own_images(root: Path, description: Description) -> Layout:
    """Every image as its own target: those in folders of images, or all where no folder says what it holds."""
    folders = [folder for folder in _folders(root, description) if folder.role in (None, "image")]
    folders = [folder for folder in folders if folder.role == "image"] or folders
    others = CLEAN_WORDS if description.noisy else DEGRADED_WORDS  # of pairs that are not to be read as such
    folders = [folder for folder in folders if not _named(root, folder, others)] or folders
    samples: dict[str, list[Sample]] = {}
    for folder in folders:
        for path in folder.files:
            image = FileImage(path, (), description.channels, description.pages)
            inside = path.relative_to(root).parent
            name = (inside / stem(path)).as_posix()
            sample = Sample(name, image, OwnImage(ImageValues(image)), group_of(name, description.groups))
            samples.setdefault(folder.split or "train", []).append(sample)
    if not samples:
        raise UserError(f"{root}: no images: give a folder of pictures, volumes or arrays")
    names = [sample.name for members in samples.values() for sample in members]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise UserError(f"{root}: two images are called {twice}: rename one")
    splits, origin = into_splits(samples, description, ({}, ""), any(folder.split for folder in folders))
    where = ", ".join(sorted({str(folder.path.relative_to(root)) for folder in folders})[:3])
    name = f"images in {where}, each its own target"
    return Layout(name, ordered(splits), origin, task=description.task or "denoise")
