"""Data in whichever form a caller has them: a folder, arrays, a torch data set, a loader."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from atrous.data.composite import MOTION
from atrous.data.dataset import Dataset, count_values, resolve
from atrous.data.description import Description, read_description
from atrous.data.feed.batches import Batch, Stepped
from atrous.data.layouts.base import Layout
from atrous.data.layouts.memory import ROOT, arrays_layout, items_layout
from atrous.data.layouts.memory_boxes import boxed_items_layout, boxes_layout
from atrous.data.layouts.table import find_layout, for_task
from atrous.data.restoration import PICTURES
from atrous.data.root_folder import data_folder
from atrous.errors import UserError
from atrous.recipe.background import background_of

LOOKED_AT = 64
"""At most so many images of a loader are looked at to plan a training."""


@dataclass(frozen=True)
class OpenedData:
    """A data set as a caller gave it.

    Attributes:
        root: its folder, or what stands for one.
        name: what a run on it is called.
        description: its dataset.toml.
        layout: its samples.
        batches: the user's own batches, where a loader was given.
    """

    root: Path
    name: str
    description: Description
    layout: Layout
    batches: Stepped | None = None


def open_data(
    data: Any,
    toml: Path | str | None = None,
    val: Any = None,
    task: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> OpenedData:
    """Open data in whichever form they are.

    Args:
        data: a folder, or its URL; a pair `(images, targets)` of sequences of equal length; a torch `Dataset` that
            gives pairs; or a `DataLoader` that gives pairs of batches, which needs `val`. For `task = "detection"`
            targets are boxes (`atrous.data.layouts.memory_boxes`).
        toml: a dataset.toml that lies elsewhere, or one that describes arrays.
        val: validation data in one of the last three forms.
        task: what is learned; None leaves it to the dataset.toml.
        settings: keys of the section `task` of a recipe, of which `gray`, `pairs` and `boundaries` say how data are
            read.

    Raises:
        UserError: the data have another form, or no layout fits the folder.
    """
    described = None if toml is None else Path(toml)
    if isinstance(data, str | Path):
        if val is not None:
            raise UserError("val= is for data in memory: a folder says its splits itself (docs/data.md)")
        root = data_folder(data)
        description = _with_settings(read_description(root, described, task), settings or {})
        return OpenedData(root, root.resolve().name, description, find_layout(root, description))
    description = _with_settings(read_description(ROOT, described, task), settings or {})
    if description.nodata:
        raise UserError(f"{described}: nodata is for files: write NaN into arrays where nothing was measured")
    if description.task == MOTION:
        raise UserError(f'task = "{MOTION}" needs whole sequences: give a folder with input/ and groundtruth/')
    boxed, numbers = description.task == "detection", description.task in (*PICTURES, "regression")
    if numbers and not isinstance(data, DataLoader):
        layout = arrays_layout(_pairs(data), None if val is None else _pairs(val), numbers=True)
        return OpenedData(ROOT, "memory", description, for_task(layout, description))
    if isinstance(data, DataLoader):
        if boxed:
            raise UserError("a DataLoader has no place for boxes: give (images, boxes), or a torch Dataset of pairs")
        if val is None:
            raise UserError("a DataLoader is trained on as it comes: give validation data as val=")
        layout = arrays_layout(islice(_entries(data), LOOKED_AT), _pairs(val), numbers=numbers)
        return OpenedData(ROOT, "memory", description, for_task(layout, description), LoaderBatches(data))
    if isinstance(data, TorchDataset):
        if isinstance(data, IterableDataset):
            raise UserError("an IterableDataset has no items to be asked for: give a DataLoader over it, and val=")
        held_out = None if val is None else val if isinstance(val, TorchDataset) else list(_pairs(val))
        make = partial(boxed_items_layout, description=description) if boxed else items_layout
        layout = make(data, held_out)  # pyright: ignore[reportArgumentType]
        return OpenedData(ROOT, "memory", description, for_task(layout, description))
    pairs = _pairs(data), None if val is None else _pairs(val)
    layout = boxes_layout(*pairs, description) if boxed else arrays_layout(*pairs)
    return OpenedData(ROOT, "memory", description, for_task(layout, description))


def _with_settings(description: Description, settings: Mapping[str, Any]) -> Description:
    """A description that says what settings say of how data are read: colors, pairs, boundaries and rotated boxes."""
    if settings.get("gray"):
        description = replace(description, channels=1)
    description = replace(description, noisy=bool(settings.get("self_supervised")))
    description = replace(description, rotated=_rotated(settings, description.rotated))
    if description.task in (None, MOTION):
        description = replace(description, background=background_of(_options(settings)))
    said = {key: bool(settings[key]) for key in ("pairs", "boundaries") if settings.get(key) is not None}
    return replace(description, **said)


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What settings say of the options of a task: those of a recipe, then single ones."""
    options = settings.get("options")
    single = {key.partition(".")[2]: value for key, value in settings.items() if key.startswith("options.")}
    return {**(options if isinstance(options, Mapping) else {}), **single}


def _rotated(settings: Mapping[str, Any], described: bool | None) -> bool | None:
    """Whether boxes are rotated ones: as a setting says it, else as the options of a recipe do, else as described."""
    options = settings.get("options")
    if isinstance(options, Mapping):  # a recipe of upright boxes says nothing
        described = bool(options.get("rotated", False))
    said = settings.get("options.rotated", described)
    if said is not None and not isinstance(said, bool):
        raise UserError(f"--set task.options.rotated={said}: give true or false")
    return said


def open_dataset_from(
    data: Any,
    toml: Path | str | None = None,
    task: str | None = None,
    classes: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> Dataset:
    """Open data in whichever form they are as a data set; every label is read once where nobody names the classes.

    Args:
        data: as `open_data` takes them.
        toml: a dataset.toml that lies elsewhere, or one that describes arrays.
        task: what is learned; None leaves it to the dataset.toml.
        classes: names of the classes of boxes in memory and of annotation files, where no dataset.toml names them. Of
            files they are taken if these name no others: a folder need not show an object of each.
        settings: as `open_data` takes them.

    Raises:
        UserError: as `open_data`; or the labels are no class numbers.
    """
    opened = open_data(data, toml, task=task, settings=settings)
    if opened.root == ROOT and opened.layout.task == "detection" and classes and opened.description.classes is None:
        opened = replace(opened, layout=replace(opened.layout, classes=classes))
    opened = _with_classes(opened, classes)
    dataset, guess = resolve(opened.root, opened.description, opened.layout, lambda: count_values(opened.layout))
    if guess is not None and not guess.usable:
        raise UserError(f"{opened.root}: {guess.doubt}: {guess.fix}")
    return dataset


def _with_classes(opened: OpenedData, classes: tuple[str, ...]) -> OpenedData:
    """Annotation files of objects with these classes, if nobody names others; other data as they are."""
    found, description = opened.layout.classes or (), opened.description
    if not opened.layout.annotated or description.classes is not None or found == classes or not {*found} <= {*classes}:
        return opened
    description = replace(description, classes=classes)
    layout = find_layout(opened.root, description)
    return replace(opened, description=description, layout=layout) if layout.classes == classes else opened


def _pairs(data: Any) -> Iterator[tuple[Any, Any]]:
    """Pairs of image and target of data in memory."""
    if isinstance(data, DataLoader):
        yield from _entries(data)
        return
    if isinstance(data, TorchDataset):
        yield from (data[number] for number in range(len(data)))  # pyright: ignore[reportArgumentType]
        return
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UserError(
            f"data are {type(data).__name__}: give a folder, a pair (images, targets), a torch Dataset or DataLoader"
        )
    images, targets = data
    if len(images) != len(targets):
        raise UserError(f"{len(images)} images for {len(targets)} targets: give one target for each image")
    yield from zip(images, targets, strict=True)


def _entries(loader: DataLoader) -> Iterator[tuple[Any, Any]]:
    """The entries of a loader's batches."""
    for images, targets in loader:
        yield from zip(images, targets, strict=True)


class LoaderBatches:
    """The batches of a `DataLoader`, one pass after the other.

    Steps are to be asked for in order; to ask for an earlier one begins a new pass.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader, self._batches, self._next = loader, iter(()), 0

    @property
    def per_epoch(self) -> int:
        """Batches in a pass."""
        return max(1, len(self._loader))

    def __getitem__(self, step: int) -> Batch:
        if step != self._next:
            self._batches = iter(())
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self._loader)
            batch = next(self._batches, None)
        if batch is None:
            raise UserError("the DataLoader gives no batch")
        self._next = step + 1
        images, targets = (torch.as_tensor(part) for part in _two(batch))
        return Batch(images.float(), targets if targets.is_floating_point() else targets.long())


def _two(batch: Any) -> Sequence[Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise UserError(f"a batch of the DataLoader is {type(batch).__name__}: it must be (images, targets)")
    return batch
