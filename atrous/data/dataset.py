"""A data set: its classes, splits and samples."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atrous.color import default_palette
from atrous.data.coding import Coding
from atrous.data.description import Color, Description, read_description
from atrous.data.formats import FileFault, code_color, color_code
from atrous.data.formats.column_roles import ColumnRule
from atrous.data.guess import Guess, guess_classes, listing, names, require_apart
from atrous.data.layouts.base import Layout
from atrous.data.layouts.table import find_layout
from atrous.data.root_folder import data_folder
from atrous.data.sample import Sample
from atrous.data.targets.base import Target
from atrous.errors import UserError
from atrous.labels import BACKGROUND_WORDS, IGNORE

THREADS = 2
BACKGROUND_NAMES = (*BACKGROUND_WORDS, "class 0")


@dataclass(frozen=True)
class Dataset:
    """A folder of images and what is known of them, understood.

    Attributes:
        root: the folder.
        layout: the layout, in words.
        kind: the kind of data: `grids`, `videos`, `genomes` or one that was added (`verbs/kinds.py`).
        task: what is learned: `semantic` (one class per position), `stranded` (any number of classes, on either strand
            of a genome) or one that was added.
        target: the class of the samples' targets.
        coding: the classes and how files store them; None where targets have no classes.
        palette: one RGB per class, for pictures.
        splits: samples of `train`, `val`, `test`, as far as there are any.
        split_origin: where the splits come from.
        nodata: values of images, volumes and signals that mean "nothing was measured here".
        channels: how many channels every image is brought to; None leaves images as they are.
        channel_names: names of the channels, if given.
        spacing: distance between neighboring positions along each axis, if given; seconds for signals.
        description: the dataset.toml that was read, if any.
        columns: which column of a table is what, if given.
        outputs: names of the numbers that are learned, where the files name them (signals of genomes).
    """

    root: Path
    layout: str
    kind: str
    task: str
    target: type[Target]
    coding: Coding | None
    palette: tuple[Color, ...]
    splits: dict[str, tuple[Sample, ...]]
    split_origin: str
    nodata: tuple[float, ...] = ()
    channels: int | None = None
    channel_names: tuple[str, ...] | None = None
    spacing: tuple[float, ...] | None = None
    description: Path | None = None
    columns: ColumnRule | None = None
    outputs: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; none where targets have no classes."""
        return () if self.coding is None else self.coding.classes

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Samples of all splits."""
        return tuple(sample for samples in self.splits.values() for sample in samples)

    def spacing_of(self, sample: Sample) -> tuple[float, ...] | None:
        """Return the distance between a sample's positions along each axis; None where nobody says it.

        dataset.toml goes before the file.

        Raises:
            UserError: the file cannot be read.
        """
        return self.spacing or sample.image.header().spacing


def open_dataset(root: Path | str, toml: Path | str | None = None) -> Dataset:
    """Open the folder `root`: find its layout and splits, read dataset.toml, and name the classes.

    Without classes in dataset.toml every label file is read once to find them.

    Args:
        root: the folder, or its URL.
        toml: a dataset.toml that lies elsewhere, for folders that cannot be written.

    Raises:
        UserError: no layout fits, dataset.toml is wrong, or the label files store colors or other things that are
            no class numbers.
    """
    root = data_folder(root)
    description = read_description(root, None if toml is None else Path(toml))
    layout = find_layout(root, description)
    dataset, guess = resolve(root, description, layout, lambda: count_values(layout))
    if guess is not None and not guess.usable:
        raise UserError(f"{root}: {guess.doubt}: {guess.fix}")
    return dataset


def resolve(
    root: Path, description: Description, layout: Layout, seen: Callable[[], Sequence[Mapping[int, int]]]
) -> tuple[Dataset, Guess | None]:
    """Put description and layout together.

    Args:
        root: the folder.
        description: what dataset.toml says.
        layout: what the folder holds.
        seen: returns the positions per label value of each label file; it is asked only where nobody names the classes.

    Returns:
        The data set, and the guess that was made from the values, if one was.
    """
    target = _target(layout)
    coding, guess = _coding(root, description, layout, seen) if target.has_classes else (None, None)
    if coding is None:
        splits, palette = layout.splits, description.palette or ()
    else:
        splits = {name: tuple(_coded(s, coding) for s in samples) for name, samples in layout.splits.items()}
        background = target.has_background and coding.classes[0].lower() in BACKGROUND_NAMES
        palette = description.palette or default_palette(len(coding.classes), background)
    rate = description.sampling_rate
    dataset = Dataset(
        root=root,
        layout=layout.name,
        kind=layout.kind,
        task=description.task or layout.task,
        target=target,
        coding=coding,
        palette=palette,
        splits=splits,
        split_origin=layout.split_origin,
        nodata=description.nodata,
        channels=description.channels,
        channel_names=layout.channel_names,
        spacing=description.spacing if rate is None else (1 / rate,),
        description=description.file,
        columns=description.columns,
        outputs=layout.outputs,
    )
    return dataset, guess


def _target(layout: Layout) -> type[Target]:
    """The class of the targets in a layout, of which there is at least one."""
    return next(type(s.target) for samples in layout.splits.values() for s in samples if s.target is not None)


def _coded(sample: Sample, coding: Coding) -> Sample:
    return sample if sample.target is None else replace(sample, target=sample.target.with_coding(coding))


def _coding(
    root: Path, description: Description, layout: Layout, seen: Callable[[], Sequence[Mapping[int, int]]]
) -> tuple[Coding, Guess | None]:
    """The classes: from dataset.toml, else from the layout, else guessed from the values seen."""
    values = description.values or layout.values
    named = layout.classes if layout.classes_are_final else description.classes
    classes, ignore, guess = named, description.ignore, None
    if classes is None:
        declared = next((known for known in (layout.classes, description.palette, values) if known is not None), None)
        if declared is None:
            files = seen()
            total: Counter[int] = Counter()
            for counts in files:
                total.update(counts)
            guess = guess_classes(total, ignore or (), files)
            classes, values = guess.classes, guess.values
            ignore = guess.ignore if ignore is None else ignore
        else:
            classes = layout.classes if declared is layout.classes else names(len(declared))
    assert classes is not None
    if values is not None and len(values) != len(classes):
        raise UserError(f"{description.file}: {len(classes)} `classes` for the values {listing(values)}: name each")
    if ignore is None:
        ignore = layout.ignore
    if guess is None:
        require_apart(description.file or root, ignore or (), classes, values)
    if ignore is None:
        ignore = () if IGNORE in (values or range(len(classes))) else (IGNORE,)
    palette = description.palette
    coding = Coding(
        classes=classes,
        values=values,
        ignore=(*ignore, *description.ignore_colors),
        colors=None if palette is None else tuple(color_code(color) for color in palette),
        ignore_colors=(*(description.ignore or ()), *description.ignore_colors),
    )
    return coding, guess


def count_values(layout: Layout) -> list[dict[int, int]]:
    """Count the positions per value in each label file of train and val (of all splits when there are none).

    Raises:
        UserError: a file cannot be read, or stores colors that nobody named.
    """
    splits = [layout.splits.get(name, ()) for name in ("train", "val")]
    chosen = [s for samples in splits for s in samples] or [s for samples in layout.splits.values() for s in samples]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_counts, [sample.target for sample in chosen if sample.target]))


def _counts(target: Target) -> dict[int, int]:
    scanned = target.scan(None)
    if scanned.colored:  # with a palette the classes would be known
        colors = [list(code_color(code)) for code in sorted(scanned.counts)][:8]
        raise FileFault(
            target.path, "stores colors", f"write the color of each class in dataset.toml: palette = {colors}"
        )
    return scanned.counts


def load_image(sample: Sample) -> np.ndarray:
    """Return the image of a sample, `(C, *S)`: `sample.image.load()`, under the name of earlier versions."""
    return sample.image.load()


def load_label(dataset: Dataset, sample: Sample) -> np.ndarray:
    """Return the labels of a sample, `(*S)`: `sample.target.read()`, under the name of earlier versions.

    Raises:
        UserError: the sample has no target, or it cannot be read.
    """
    if sample.target is None:
        raise FileFault(sample.image.path, "has no mask", f"add one to {dataset.root}")
    return sample.target.read()
