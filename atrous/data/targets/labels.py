"""Labels: one class at every position, `(*S)` uint8, `IGNORE` where nothing is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from atrous.color import VOID, Palette
from atrous.data.coding import Coding, label_runs, value_counts
from atrous.data.formats import FileFault, Format, Header, read_header, read_values, read_words
from atrous.data.guess import listing
from atrous.data.images import SampleImage
from atrous.data.problems import Problem
from atrous.data.targets import label_problems
from atrous.data.targets.annotations import Rule, annotated_values
from atrous.data.targets.base import FOREGROUND, Facts, Scanned, Target, TargetScan
from atrous.data.targets.blobs import numbered_objects
from atrous.data.targets.mask_files import MergedMasks, lossy_file
from atrous.data.view import View
from atrous.data.void import make_void
from atrous.labels import IGNORE

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

POSITIONS_KEPT = 256
"""Places remembered per class and sample, to center crops on."""
RISING = 16
"""Labels of more rows than this, each greater than the one before, are no labels."""
LOOKED_AT = 2_000_000
"""Positions of a sample among which these places are drawn, about."""


class LabelReader(Protocol):
    """Where the values of a label target come from."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def header(self) -> Header:
        """Header of the file."""
        ...

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """Return the values of the file, `(*S)`, and whether they are colors `0xRRGGBB`.

        An RGB file whose channels are equal everywhere is gray, unless `color_expected`.
        """
        ...

    def unlabeled(self) -> np.ndarray | None:
        """Return where the file says nothing, bool that broadcasts to `(*S)`; None where it says something."""
        ...


@dataclass(frozen=True)
class LabelTable:
    """The labels of a recording: a column or array with a word or a number for each sample.

    Attributes:
        path: the table, often the recording itself.
        words: the words in label order; None where the labels are numbers.
        reader: as `FileImage.reader`.
    """

    path: Path
    words: tuple[str, ...] | None
    reader: Format | None = None

    def header(self) -> Header:
        """See `LabelReader.header`."""
        return read_header(self.path, self.reader)

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`: words become their positions in `words`; what has no label is `IGNORE`."""
        if self.words is None:
            return self._numbers(), False
        labels = read_words(self.path, self.reader)
        if labels is None:
            raise FileFault(self.path, "its labels are numbers, those of other files are words", "make them alike")
        position = {word: place for place, word in enumerate(self.words)} | {"": IGNORE}
        unknown = sorted(set(labels.tolist()) - set(position))
        if unknown:
            what = f"label {unknown[0]!r} is none of the classes {', '.join(self.words)}"
            raise FileFault(self.path, what, "add it to `classes`, or correct the file")
        return np.array([position[word] for word in labels.tolist()], dtype=np.uint8), False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: `values` says it already."""

    def _numbers(self) -> np.ndarray:
        """The labels as numbers; those of times or rows, which rise from row to row, are no classes."""
        numbers = read_values(self.path, self.reader)
        if len(numbers) > RISING and (np.diff(numbers.astype(np.int64)) > 0).all():
            what = f"its labels rise from row to row, from {numbers[0]} to {numbers[-1]}: they are times or row numbers"
            raise FileFault(self.path, what, "name the column of labels in dataset.toml: [columns] label = ...")
        return numbers


@dataclass(frozen=True)
class AnnotatedRecording:
    """The labels of a recording: annotations (EDF+, WFDB) that a rule turns into a label for each sample.

    Attributes:
        path: the recording, or the file beside it that holds its annotations (a hypnogram).
        rule: how annotations become labels.
        words: the classes in label order.
        recording: the recording, if the annotations are in another file.
    """

    path: Path
    rule: Rule
    words: tuple[str, ...]
    recording: Path | None = None

    def header(self) -> Header:
        """See `LabelReader.header`."""
        return read_header(self.recording or self.path)

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`: positions in `words`; `IGNORE` where nothing is known."""
        return annotated_values(self.path, self.rule, self.words, self.recording), False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: `values` says it already."""


@dataclass(frozen=True)
class Labels(Target):
    """One class at every position.

    Attributes:
        reader: where the values come from.
        image: the image that is labeled; where it has no data, the labels are void.
        region: a mask of the image's size; where it is zero, the labels are void (DRIVE's field of view).
        coding: which value means which class; None until the data set knows its classes.
    """

    reader: LabelReader
    image: SampleImage
    region: Path | None = None
    coding: Coding | None = None

    kind = "labels"
    has_classes = True

    @property
    def path(self) -> Path:
        """See `Target.path`."""
        return self.reader.path

    def with_coding(self, coding: Coding) -> "Labels":
        """See `Target.with_coding`."""
        return replace(self, coding=coding)

    def read(self) -> np.ndarray:
        """Return labels `(*S)` uint8: class numbers `0..K-1`, and `IGNORE` for void.

        Raises:
            UserError: the file cannot be read, it has a value that is no class, or the region's size differs.
        """
        if self.coding is None:
            raise ValueError(f"{self.path}: the classes are not known yet: open the data set first")
        values, colored = self.reader.values(self.coding.colors is not None)
        labels = self.coding.labels(values, self.path, colored)
        if self.region is not None:
            labels[self._region(labels.shape) == 0] = IGNORE
        valid = self.image.valid()
        if valid is not None and tuple(valid.shape) == labels.shape:
            make_void(labels, valid)
        if (unlabeled := self.reader.unlabeled()) is not None:
            labels[np.broadcast_to(unlabeled, labels.shape)] = IGNORE
        return labels

    def _region(self, shape: tuple[int, ...]) -> np.ndarray:
        assert self.region is not None
        region = read_values(self.region)
        if region.shape != shape:
            sizes = f"{'x'.join(map(str, region.shape))}, but its mask is {'x'.join(map(str, shape))}"
            raise FileFault(self.region, f"the region is {sizes}", "make them equal")
        return region

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: positions per file value, those that count for nothing left out."""
        values, colored = self.reader.values(color_expected)
        scanned = TargetScan(self.reader.header(), values.shape, colored=colored, lossy=lossy_file(self.reader))
        inside = None if self.region is None else self._region(values.shape) != 0
        if valid is not None and valid.shape == values.shape:
            inside = valid if inside is None else inside & valid
        if (unlabeled := self.reader.unlabeled()) is not None:
            labeled = np.broadcast_to(~unlabeled, values.shape)
            inside = labeled if inside is None else inside & labeled
        if inside is None:
            scanned.counts = value_counts(values)
        else:
            scanned.outside = int(np.count_nonzero(~inside))
            scanned.counts = value_counts(values[inside])
        scanned.objects = numbered_objects(values, scanned.counts)
        if values.ndim == 1 and len(values):
            scanned.runs = label_runs(values, inside)
        if values.ndim == 3:
            places = np.flatnonzero(values if inside is None else np.where(inside, values, 0))
            scanned.foreground = places[np.linspace(0, len(places) - 1, min(len(places), FOREGROUND)).astype(int)]
        return scanned

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """See `Target.problems`."""
        return label_problems.problems(scans, facts)

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """See `Target.notes`."""
        yield from label_problems.notes(scans, facts)
        regions = sum(isinstance(one.target, Labels) and one.target.region is not None for one in scans)
        if regions:
            yield f"{regions} masks come with a region (field of view): labels outside it count for nothing"
        yield from _merged(scans)

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """See `Target.frequency`."""
        assert coding is not None
        counts = np.sum([cls.class_counts(one, coding) for one in scans], axis=0, dtype=np.float64)
        return tuple(float(share) for share in counts / max(counts.sum(), 1))

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """See `Target.class_counts`; void and values that are no class are left out."""
        return coding.counts(scanned.counts, scanned.colored)

    @classmethod
    def void_share(cls, scans: Sequence[Scanned], coding: Coding | None) -> float:
        """See `Target.void_share`: outside the region, without data, or with an ignored value."""
        assert coding is not None
        total = sum(sum(one.counts.values()) + one.contents.outside for one in scans if one.contents is not None)
        counted = sum(int(cls.class_counts(one, coding).sum()) for one in scans)
        # Where the classes are wrong, their values count all the same: only void is void.
        named = sum(count for one in scans for value, count in one.counts.items() if value not in coding.ignore)
        return (total - max(counted, named)) / total if total else 0.0

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        assert facts.coding is not None
        coding, count = facts.coding, len(facts.coding.classes)
        if coding.colors is not None and colored:
            stored = f"{count} classes, by color"
        elif coding.values is not None:
            stored = f"{count} class{'es' if count > 1 else ''}, values {listing(coding.values)}"
        else:
            stored = f"{count} classes, values 0..{count - 1}" if count > 1 else "1 class"
        return f"{stored}, ignored {listing(coding.ignore)}" if coding.ignore else f"{stored}, none ignored"

    @staticmethod
    def resample(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """See `Target.resample`: each position takes the nearest label."""
        from atrous.data.grid import resample_label

        return resample_label(values, shape)

    @staticmethod
    def without(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """See `Target.without`."""
        return np.where(missing, np.asarray(IGNORE, values.dtype), values) if missing.shape == values.shape else values

    @staticmethod
    def places(values: np.ndarray, seed: int) -> dict[int, np.ndarray]:
        """See `Target.places`: drawn evenly at random; classes that do not occur have no entry."""
        rng = np.random.default_rng(seed)
        step = max(1, int((values.size / LOOKED_AT) ** (1 / values.ndim)))
        offsets = rng.integers(0, step, values.ndim)
        thin = values[tuple(slice(int(offset), None, step) for offset in offsets)]
        places_of = {}
        for label in np.unique(thin):
            if label == IGNORE:
                continue
            places = np.argwhere(thin == label)
            if len(places) > POSITIONS_KEPT:
                places = places[rng.choice(len(places), POSITIONS_KEPT, replace=False)]
            places_of[int(label)] = places * step + offsets
        return places_of

    @staticmethod
    def counts_for_nothing(values: np.ndarray) -> bool:
        """See `Target.counts_for_nothing`."""
        return bool(values.min() == IGNORE)  # the greatest value of uint8

    @staticmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return labels `(*crop)` int64: the nearest label, `IGNORE` outside the sample."""
        import torch

        from atrous.data.cut import cut_values

        # Labels are shifted by one, so that the zero that torch puts outside the sample means IGNORE.
        nearest = cut_values(Shifted(values), view, crop, "nearest", border=False)[0]
        return (nearest.to(torch.int64) + IGNORE) % (IGNORE + 1)

    @staticmethod
    def tensor(values: np.ndarray) -> "torch.Tensor":
        """Return labels `(*S)` uint8."""
        import torch

        return torch.from_numpy(np.array(values))

    @staticmethod
    def draw(image: np.ndarray, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return labels in the colors of the palette, void in gray."""
        colors = np.full((IGNORE + 1, 3), VOID, np.uint8)
        colors[: len(palette)] = palette
        return colors[values]


class Shifted:
    """Labels `(*S)` as a source `(1, *S)` of `label + 1`, with 0 for `IGNORE`, computed for what is sliced alone."""

    def __init__(self, labels: Any) -> None:
        self._labels = labels
        self.shape, self.dtype = (1, *labels.shape), np.dtype(np.int16)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        return ((np.asarray(self._labels[key[1:]]).astype(np.int16) + 1) % (IGNORE + 1))[None]


def _merged(scans: Sequence[Scanned]) -> Iterator[str]:
    """How images with several masks are read."""
    readers = [one.target.reader for one in scans if isinstance(one.target, Labels)]
    merged = [reader for reader in readers if isinstance(reader, MergedMasks)]
    several = [len(reader.parts) for reader in merged if reader.numbers is None]
    if several:
        images = "1 image has" if len(several) == 1 else f"{len(several)} images have"
        yield (
            f"{images} a mask file for each object ({sum(several)} files): these are instances; they are merged, so "
            'that what is learned is object or background; task = "instances" learns one object from the other'
        )
    if any(reader.numbers is not None for reader in merged):
        yield "one mask file per class (`mask_suffix`): where two of them overlap, the later class counts"
