"""What the data doctor found, and how it looks at images, volumes, recordings and videos."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atrous.data.check.fingerprint import Fingerprint, fingerprint
from atrous.data.check.genomes import genome_fingerprint, scan_genomes, track_notes
from atrous.data.check.images import image_notes, image_problems
from atrous.data.check.objects import object_problems
from atrous.data.check.splits import split_problems
from atrous.data.check.tables import columns_text
from atrous.data.check.text import RATE_PER_CORE, ClassRow, render
from atrous.data.check.world import world_notes, world_problems
from atrous.data.dataset import Dataset, resolve
from atrous.data.description import MOST_CLASSES, Description
from atrous.data.formats import Header, code_color, suffix_of
from atrous.data.formats.mirrored import with_urls
from atrous.data.guess import Guess
from atrous.data.layouts.base import Layout
from atrous.data.layouts.matching import NAMELESS
from atrous.data.moments import Moments
from atrous.data.problems import Problem, gather, relative
from atrous.data.scan import Progress, Scan, scan, total_counts
from atrous.data.targets.base import Facts
from atrous.data.targets.label_problems import MOST_COLORS
from atrous.machine import cores

AXES = {1: " samples", 2: " (height x width)", 3: " (slices x rows x columns)"}
"""What the axes of images, volumes and recordings are."""


@dataclass(frozen=True)
class Check:
    """What the data doctor found in a data set.

    Attributes:
        dataset: the data set as training would see it.
        fingerprint: the numbers that planning needs.
        classes: one row per class.
        ignored: share of all target positions that count for nothing, those outside the region included.
        faults: the problems, errors first.
        notes: what was accepted, and how it is read.
        minutes_per_epoch: a rough estimate, see `RATE_PER_CORE`.
        targets: what the targets are, in words.
        axes: what the axes are, in words.
        columns: the role of every column of tables, in words; "" where there are none.
        compares_cases: whether intensities of cases are worth comparing (signals and volumes have no common unit).
        headers: of the images that could be read, by the name of the sample.
        moments: statistics of their intensities, in the same way.
    """

    dataset: Dataset
    fingerprint: Fingerprint
    classes: tuple[ClassRow, ...]
    ignored: float
    faults: tuple[Problem, ...]
    notes: tuple[str, ...]
    minutes_per_epoch: float
    targets: str = ""
    axes: str = ""
    columns: str = ""
    compares_cases: bool = False
    headers: Mapping[str, Header] = field(default_factory=dict)
    moments: Mapping[str, Moments] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the data set can be trained on: no problem is an error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop a training."""
        return tuple(problem for problem in self.faults if problem.severity == "error")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        dataset, coding = self.dataset, self.dataset.coding
        return {
            "root": with_urls(str(dataset.root)),
            "ok": self.ok,
            "layout": dataset.layout,
            "kind": dataset.kind,
            "task": dataset.task,
            "splits": {name: len(samples) for name, samples in dataset.splits.items()},
            "split_origin": dataset.split_origin,
            "classes": [{"name": row.name, "frequency": row.frequency, "images": row.images} for row in self.classes],
            "values": None if coding is None or coding.values is None else list(coding.values),
            "ignore": [] if coding is None else list(coding.ignore),
            "ignored": self.ignored,
            "columns": self.columns or None,
            "fingerprint": self.fingerprint.to_dict(),
            "minutes_per_epoch": self.minutes_per_epoch,
            "notes": list(self.notes),
            "faults": [problem.to_dict() for problem in self.faults],
        }

    def text(self) -> str:
        """Return the findings as a plain table; bytes in file names that are no text are written as `\\udcfc`."""
        return with_urls(render(self).encode(errors="backslashreplace").decode())


def check_grids(root: Path, description: Description, layout: Layout, progress: Progress | None = None) -> Check:
    """Read every image, volume, recording or video of a data set once.

    Args:
        root: the folder.
        description: its dataset.toml.
        layout: what it holds.
        progress: called as `progress(done, total)` after each sample.

    Raises:
        UserError: not one image can be read.
    """
    scans = scan(layout.splits, description.palette is not None, progress)
    dataset, guess = _dataset(root, description, layout, scans)
    numbers = fingerprint(dataset, scans)
    facts = Facts(root, dataset.coding, guess, dataset.description)
    problems = [
        *image_problems(root, description, scans, numbers),
        *dataset.target.problems(scans, facts),
        *split_problems(dataset, layout, scans),
        *world_problems(root, scans),
        *object_problems(root, layout, scans, dataset.task),
    ]
    notes = [
        *image_notes(root, scans),
        *dataset.target.notes(scans, facts),
        *world_notes(dataset, scans),
    ]
    checked = _result(dataset, numbers, scans, problems, notes)
    said = columns_text(dataset) if numbers.ndim == 1 else ""
    return replace(checked, axes=AXES[numbers.ndim], compares_cases=numbers.ndim != 2, columns=said)


def check_videos(root: Path, description: Description, layout: Layout, progress: Progress | None = None) -> Check:
    """Read every video of a data set once; see `check_grids`."""
    checked = check_grids(root, description, layout, progress)
    checked = replace(checked, axes=" (frames x rows x columns)", compares_cases=False)
    if description.video is None and any(sample.image.path.is_dir() for sample in checked.dataset.samples):
        note = "numbered images change little from one to the next and are read as the frames of videos: if they are "
        note += "not, write video = false in dataset.toml"
        return replace(checked, notes=(*checked.notes, note))
    return checked


def check_scenes(root: Path, description: Description, layout: Layout, progress: Progress | None = None) -> Check:
    """Read every labelled frame of a fixed camera once, with its background; see `check_grids`."""
    checked = check_grids(root, description, layout, progress)
    return replace(checked, axes=" (frames x rows x columns)", compares_cases=False)


def check_genomes(root: Path, description: Description, layout: Layout, progress: Progress | None = None) -> Check:
    """Read every sequence of a data set of genomes once; see `check_grids`."""
    dataset, _ = resolve(root, description, layout, list)
    scans = scan_genomes(dataset, progress)
    numbers = genome_fingerprint(dataset, scans)
    facts = Facts(root, dataset.coding, None, dataset.description)
    unreadable = [
        Problem(relative(failure.file, root), failure.what, failure.fix, kind="unreadable")
        for one in scans for failure in one.failures
    ]  # fmt: skip
    problems = [*unreadable, *dataset.target.problems(scans, facts), *split_problems(dataset, layout, scans)]
    notes = [*dataset.target.notes(scans, facts), *track_notes(dataset)]
    return replace(_result(dataset, numbers, scans, problems, notes), axes=" bases")


def _result(
    dataset: Dataset, numbers: Fingerprint, scans: Sequence[Scan], problems: Sequence[Problem], notes: Sequence[str]
) -> Check:
    rate = RATE_PER_CORE[numbers.ndim] * cores()
    facts = Facts(dataset.root, dataset.coding, None, dataset.description)
    return Check(
        dataset=dataset,
        fingerprint=numbers,
        classes=tuple(_rows(dataset, scans, numbers)),
        ignored=dataset.target.void_share(scans, dataset.coding),
        faults=gather(problems),
        notes=tuple(notes),
        minutes_per_epoch=numbers.positions.get("train", 0) / rate / 60,
        targets=dataset.target.summary(facts, any(one.colored for one in scans)),
        headers={one.sample.name: one.image for one in scans if one.image is not None},
        moments={one.sample.name: one.moments for one in scans if one.moments is not None},
    )


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
        dataset, _ = resolve(root, replace(description, classes=names, palette=palette, ignore=None), layout, list)
        colors_toml = ", ".join(str(list(color)) for color in palette)
        fix = f'write palette = [{colors_toml}] in dataset.toml, and classes = ["NAME", ...] in the same order'
        if all(suffix_of(one.target.path) in NAMELESS for one in chosen if one.target is not None and one.colored):
            fix = f'if their first axis is that of slices, write pages = "z" in dataset.toml; if of colors, {fix}'
        doubt = f"masks store {len(colors)} colors, not class numbers"
        return dataset, Guess(names, None, (), doubt, fix, usable=False)
    return resolve(root, description, layout, lambda: [one.counts for one in chosen if not one.colored and one.counts])


def _rows(dataset: Dataset, scans: Sequence[Scan], numbers: Fingerprint) -> Iterator[ClassRow]:
    if dataset.coding is not None:
        present = [dataset.target.class_counts(one, dataset.coding) > 0 for one in scans]
        for i, name in enumerate(dataset.classes):
            yield ClassRow(name, numbers.class_frequency[i], sum(int(has[i]) for has in present))
