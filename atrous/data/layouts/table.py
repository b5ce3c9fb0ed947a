"""The table of layouts, and the way from a folder to the one that fits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.data.composite import PAIRED, CompositeImage
from atrous.data.description import Description
from atrous.data.formats import SIGNAL_SUFFIXES, FileFault, suffix_of
from atrous.data.genomes.sequences import SequenceImage
from atrous.data.images import FileImage
from atrous.data.layouts.base import Layout
from atrous.data.layouts.changes import find_changes
from atrous.data.layouts.classes import find_classes
from atrous.data.layouts.dicom import find_series
from atrous.data.layouts.edges import edges_layout, find_edges
from atrous.data.layouts.folders import read_folders
from atrous.data.layouts.genomes import find_genomes
from atrous.data.layouts.images import find_images
from atrous.data.layouts.instances import instances_layout
from atrous.data.layouts.nnunet import find_cases
from atrous.data.layouts.objects import find_objects
from atrous.data.layouts.points import points_layout
from atrous.data.layouts.recordings import find_recordings
from atrous.data.layouts.scenes import SceneImage, find_scenes
from atrous.data.layouts.strays import strays
from atrous.data.layouts.values import find_values, values_layout
from atrous.data.layouts.videos import find_videos
from atrous.data.preprocess import positions
from atrous.data.restoration import PICTURES
from atrous.data.sample import Sample
from atrous.errors import UserError

FindLayout = Callable[[Path, Description], Layout | None]

LAYOUTS: dict[str, FindLayout] = {
    "classes": find_classes,
    "changes": find_changes,
    "scenes": find_scenes,
    "edges": find_edges,
    "values": find_values,
    "objects": find_objects,
    "nnunet": find_cases,
    "videos": find_videos,
    "genomes": find_genomes,
    "recordings": find_recordings,
    "series": find_series,
    "images": find_images,
}
"""Each looks at a folder and gives its layout, or None where another one may fit; they are asked in this order."""


def add_layout(name: str, find: FindLayout) -> None:
    """Add a layout, which is asked before all others.

    Args:
        name: a name that no layout has.
        find: given the folder and its dataset.toml, it returns the layout, or None where the folder is none of its own.

    Raises:
        ValueError: there is a layout of that name.
    """
    if name in LAYOUTS:
        raise ValueError(f"there is a layout {name!r} already")
    others = dict(LAYOUTS)
    LAYOUTS.clear()
    LAYOUTS.update({name: find, **others})


def find_layout(root: Path, description: Description) -> Layout:
    """Find the samples and splits of a folder, whichever layout it has.

    Raises:
        UserError: there is no such folder, or no layout fits; or what a layout found in it is wrong.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder: give the folder that holds the images and masks")
    read_folders.cache_clear()
    wanted = LAYOUTS
    if description.kind is not None:
        if description.kind not in LAYOUTS:
            known = ", ".join(LAYOUTS)
            raise UserError(f'{description.file}: kind = "{description.kind}" is not known: it is one of {known}')
        wanted = {description.kind: LAYOUTS[description.kind]}
    for name, find in wanted.items():
        if (layout := find(root, description)) is not None:
            _check_paired(root, layout, description)
            left_out = (*layout.left_out, *strays(root, name, layout, description))
            return for_task(_completed(replace(layout, left_out=left_out), description), description)
    if description.kind is not None:
        raise UserError(f'{root}: kind = "{description.kind}" in {description.file}, but there are none in it')
    raise UserError(f"{root}: no layout fits what the folder holds: see docs/data.md for the layouts that are read")


FOR_TASK: dict[str, Callable[[Layout, Description, str], Layout]] = {
    "instances": instances_layout,
    "counting": points_layout,
    "keypoints": points_layout,
    "edges": edges_layout,
    **dict.fromkeys((*PICTURES, "regression"), values_layout),
}
"""By task, the function that returns a layout of labels in images as one whose targets the task learns."""


def for_task(layout: Layout, description: Description) -> Layout:
    """Return a layout whose targets are of the kind that the task of dataset.toml learns.

    Raises:
        UserError: the labels cannot be read so.
    """
    task, said = description.task or layout.task, description.file or "--task"
    _check_boxes(layout, task, str(said))
    if layout.annotated or task not in FOR_TASK:
        return layout
    if layout.kind != "grids" and layout.task == task:  # the layout made these targets itself
        return layout
    if layout.kind != "grids":
        raise UserError(f'{said}: task = "{task}" is for images, volumes and signals, not for {layout.kind}')
    return FOR_TASK[task](layout, description, task)


def _check_paired(root: Path, layout: Layout, description: Description) -> None:
    """Raise where samples of two images are needed, and the layout has other ones."""
    task = description.task
    if task in PAIRED and layout.task != task:
        raise UserError(f'{root}: task = "{task}" needs samples of two images: take `kind` out of {description.file}')


def _check_boxes(layout: Layout, task: str, said: str) -> None:
    """Raise where boxes are needed and targets are something else, or the other way round."""
    samples = [sample for samples in layout.splits.values() for sample in samples]
    kinds = {sample.target.kind: sample.target.path for sample in samples if sample.target is not None}
    other = next((path for kind, path in kinds.items() if kind != "boxes"), None)
    if task == "detection" and other is not None:
        raise UserError(
            f'{said}: task = "detection" needs boxes, but {other} labels positions: give files of boxes, or choose '
            'task = "instances" to find objects by their masks'
        )
    if task == "detection" and layout.kind != "grids":
        raise UserError(f'{said}: task = "detection" is for images, volumes and signals, not for {layout.kind}')
    if task != "detection" and "boxes" in kinds:
        raise UserError(f'{said}: task = "{task}" needs labels of positions, but {kinds["boxes"]} has boxes')


def _completed(layout: Layout, description: Description) -> Layout:
    """A layout whose images know the names by which their channels are found, and their values for no data.

    Raises:
        UserError: `nodata` is given for data that are read in another way.
    """
    others = {type(one.image) for members in layout.splits.values() for one in members} & {SceneImage, SequenceImage}
    if description.nodata and others:
        what = "nodata is for images, volumes, signals and videos"
        raise UserError(f"{description.file}: {what}, not for {layout.name}: take it out")
    said, first = description.channel_names or layout.channel_names, _first_names(layout)
    names = said or first or ()
    known = {"channel_names": names, "nodata": description.nodata, "renames": not _used(layout, names)}
    if not said and first:
        known["named_by"] = "other files of the data set have"
    elif said and first and known["renames"] and len(first) == len(said) and _are_recordings(layout):
        # dataset.toml gives new names to the channels of the first recording: in the others they may have other places
        known |= {"channel_names": first, "renames": False, "named_by": "other files of the data set have"}
    splits = {split: tuple(_informed(one, known) for one in samples) for split, samples in layout.splits.items()}
    return replace(layout, channel_names=names or None, splits=splits)


def _are_recordings(layout: Layout) -> bool:
    return all(suffix_of(one.image.path) in SIGNAL_SUFFIXES for samples in layout.splits.values() for one in samples)


def _used(layout: Layout, names: Sequence[str]) -> bool:
    """Whether a recording has one of these names: others, which have none of them, are then of other channels."""
    for sample in (sample for samples in layout.splits.values() for sample in samples):
        if names and suffix_of(sample.image.path) in SIGNAL_SUFFIXES:
            try:
                if any(positions(sample.image.stored_names(), (name,)) is not None for name in names):
                    return True
            except FileFault:
                continue  # the check reports it with this sample
    return False


def _first_names(layout: Layout) -> tuple[str, ...] | None:
    """The names that the first readable image gives to its channels; None where it does not name all of them."""
    for sample in (sample for samples in layout.splits.values() for sample in samples):
        try:
            names = sample.image.stored_names()
        except FileFault:
            continue  # the check reports it with this sample
        return names if names and all(names) else None
    return None


def _informed(sample: Sample, known: dict[str, Any]) -> Sample:
    image = sample.image
    if isinstance(image, CompositeImage):
        parts = tuple(
            replace(part, nodata=known["nodata"]) if isinstance(part, FileImage) else part for part in image.parts
        )
        return replace(sample, image=CompositeImage(parts))
    if not isinstance(image, FileImage):
        return sample
    return replace(sample, image=replace(image, **(known | ({"channel_names": ()} if image.more else {}))))
