"""The data doctor: look at every file once, say what is there and what is wrong."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.data.check.faults import Fault, gather
from atrous.data.check.fingerprint import Fingerprint, class_counts, fingerprint
from atrous.data.check.genomes import genome_faults, genome_fingerprint, genome_notes, scan_genomes
from atrous.data.check.images import image_faults, image_notes
from atrous.data.check.masks import MOST_COLORS, VALUE_KINDS, absence_notes, class_faults, mask_faults, mask_notes
from atrous.data.check.scan import Progress, Scan, scan, total_counts
from atrous.data.check.splits import split_faults
from atrous.data.check.world import world_faults, world_notes
from atrous.data.classes import Guess
from atrous.data.dataset import Dataset, resolve
from atrous.data.description import MOST_CLASSES, Description, read_description
from atrous.data.formats import code_color
from atrous.data.layouts.find import Layout, find_layout

RATE_PER_CORE = {1: 150_000, 2: 350_000, 3: 280_000}
"""Positions trained per second and core by axes, for `minutes_per_epoch`: the planned networks in bfloat16 (2026,
AVX512-BF16): pictures by a U-Net over EfficientNet-Lite0, batch 8 of 320x448; volumes and signals by ResNets. Smaller
networks are faster, processors without bfloat16 about half as fast."""


@dataclass(frozen=True)
class ClassRow:
    """One class in the masks.

    Attributes:
        name: of the class.
        frequency: share of the labeled positions of train.
        images: masks of all splits that have it.
    """

    name: str
    frequency: float
    images: int


@dataclass(frozen=True)
class Check:
    """What `check` found.

    Attributes:
        dataset: the data set as training would see it.
        fingerprint: the numbers that planning needs.
        classes: one row per class.
        ignored: share of all mask positions that count for nothing, region included.
        faults: what is wrong, errors first.
        notes: what was accepted, and how it is read.
        minutes_per_epoch: a rough estimate, see `RATE_PER_CORE`.
        colored: whether masks store colors.
    """

    dataset: Dataset
    fingerprint: Fingerprint
    classes: tuple[ClassRow, ...]
    ignored: float
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    minutes_per_epoch: float
    colored: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way of a training: no fault is an error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that stop a training."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        dataset = self.dataset
        return {
            "root": str(dataset.root),
            "ok": self.ok,
            "layout": dataset.layout,
            "task": dataset.task,
            "splits": {name: len(samples) for name, samples in dataset.splits.items()},
            "split_origin": dataset.split_origin,
            "classes": [{"name": row.name, "frequency": row.frequency, "images": row.images} for row in self.classes],
            "values": None if dataset.values is None else list(dataset.values),
            "ignore": list(dataset.ignore),
            "ignored": self.ignored,
            "fingerprint": self.fingerprint.to_dict(),
            "minutes_per_epoch": self.minutes_per_epoch,
            "notes": list(self.notes),
            "faults": [fault.to_dict() for fault in self.faults],
        }

    def text(self) -> str:
        """The findings as a plain table; what is no text in names of files is written as `\\udcfc`."""
        from atrous.data.check.text import render

        return render(self).encode(errors="backslashreplace").decode()


def check(root: Path | str, toml: Path | str | None = None, progress: Progress | None = None) -> Check:
    """Look at every file of a data set once; tell what it is and what is wrong with it.

    Args:
        root: the folder.
        toml: a dataset.toml that lies elsewhere.
        progress: called as `progress(done, of)` after each image.

    Returns:
        The findings; `print(check(root).text())` shows them.

    Raises:
        UserError: no layout fits, dataset.toml is wrong, or not one image can be read. All else is a fault in the
            result, so that one run shows all of them.

    >>> import tempfile
    >>> from atrous.demo.digits import write_digit_scenes
    >>> found = check(write_digit_scenes(tempfile.mkdtemp() + "/data", train=3, val=1, test=1, size=(64, 64)))
    >>> found.fingerprint.images, found.ok
    ({'train': 3, 'val': 1, 'test': 1}, True)
    """
    root = Path(root)
    description = read_description(root, None if toml is None else Path(toml))
    layout = find_layout(root, description)
    if layout.task == "stranded":
        return _genomes(root, description, layout, progress)
    scans = scan(layout.splits, description.palette is not None, progress)
    dataset, guess = _dataset(root, description, layout, scans)
    found = fingerprint(dataset, scans)
    faults = [
        *image_faults(root, description, scans, found),
        *mask_faults(dataset, scans, guess),
        *split_faults(dataset, layout, scans),
        *world_faults(root, scans),
    ]
    notes = list(_notes(dataset, description, scans))
    if not any(fault.severity == "error" and fault.kind in VALUE_KINDS for fault in faults):
        faults += class_faults(dataset, scans)
        notes += absence_notes(dataset, scans)
    return Check(
        dataset=dataset,
        fingerprint=found,
        classes=_rows(dataset, scans, found),
        ignored=_ignored(dataset, scans),
        faults=gather(faults),
        notes=tuple(notes),
        minutes_per_epoch=found.positions.get("train", 0) / (RATE_PER_CORE[found.ndim] * cores()) / 60,
        colored=any(one.colored for one in scans),
    )


def _notes(dataset: Dataset, description: Description, scans: Sequence[Scan]) -> Iterator[str]:
    yield from image_notes(dataset.root, scans)
    yield from mask_notes(dataset, scans)
    yield from world_notes(dataset, scans)
    if dataset.video and description.video is None and any(one.image.is_dir() for one in dataset.samples):
        yield "numbered images are read as the frames of videos: if they are not, write video = false"


def _genomes(root: Path, description: Description, layout: Layout, progress: Progress | None) -> Check:
    dataset, _ = resolve(root, description, layout, dict)
    scans = scan_genomes(dataset, progress)
    found = genome_fingerprint(dataset, scans)
    void, everything = sum(one.outside for one in scans), sum(found.positions.values())
    return Check(
        dataset=dataset,
        fingerprint=found,
        classes=tuple(
            ClassRow(name, found.class_frequency[k], sum(one.counts.get(k, 0) > 0 for one in scans))
            for k, name in enumerate(dataset.classes)
        ),
        ignored=void / max(1, everything),
        faults=gather([*genome_faults(dataset, scans), *split_faults(dataset, layout, scans)]),
        notes=tuple(genome_notes(dataset, scans)),
        minutes_per_epoch=found.positions.get("train", 0) / (RATE_PER_CORE[1] * cores()) / 60,
    )


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dataset(
    root: Path, description: Description, layout: Layout, scans: Sequence[Scan]
) -> tuple[Dataset, Guess | None]:
    """The data set; where masks store colors that nobody named, with one class per color, to show what is there."""
    chosen = [one for one in scans if one.split in ("train", "val")] or scans
    gray, colors = total_counts(chosen, colored=False), total_counts(chosen, colored=True)
    unnamed = description.classes is None and description.palette is None
    if unnamed and colors and not gray and len(colors) <= min(MOST_COLORS, MOST_CLASSES):
        names = tuple("color {}, {}, {}".format(*code_color(code)) for code in colors)
        palette = tuple(code_color(code) for code in colors)
        dataset, _ = resolve(
            root, replace(description, classes=names, palette=palette, ignore=None), layout, lambda: gray
        )
        colors_toml = ", ".join(str(list(color)) for color in palette)
        mend = f'write palette = [{colors_toml}] in dataset.toml, and classes = ["NAME", ...] in the same order'
        doubt = f"masks store {len(colors)} colors, not class numbers"
        return dataset, Guess(names, None, (), doubt, mend, usable=False)
    return resolve(root, description, layout, lambda: gray)


def _rows(dataset: Dataset, scans: Sequence[Scan], found: Fingerprint) -> tuple[ClassRow, ...]:
    present = [class_counts(dataset, one) > 0 for one in scans]
    return tuple(
        ClassRow(name, found.class_frequency[i], sum(int(has[i]) for has in present))
        for i, name in enumerate(dataset.classes)
    )


def _ignored(dataset: Dataset, scans: Sequence[Scan]) -> float:
    """Share of mask positions outside the region or with an ignored value."""
    everything = sum(sum(one.counts.values()) + one.outside for one in scans)
    counted = sum(int(class_counts(dataset, one).sum()) for one in scans)
    wrong = sum(count for one in scans for value, count in one.counts.items() if value not in dataset.ignore)
    return 0.0 if not everything else (everything - max(counted, wrong)) / everything
