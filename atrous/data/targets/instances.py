"""Instances: objects by number, `(*S)` uint32; 0 is background, and every object may have a class."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from atrous.color import Palette, default_palette
from atrous.data.coding import Coding
from atrous.data.formats import FileFault, Header, is_color, read_header, read_numbers, read_values
from atrous.data.problems import Problem, relative, some
from atrous.data.targets.base import Facts, Scanned, Target, TargetScan
from atrous.data.targets.label_problems import compression, grid_problems
from atrous.data.targets.labels import AnnotatedRecording, LabelReader, Labels, LabelTable
from atrous.data.targets.mask_files import MaskFile, MergedMasks, lossy_file
from atrous.data.targets.object_mask import ObjectMask
from atrous.data.targets.polygons import PolygonMask
from atrous.data.view import View
from atrous.errors import UserError
from atrous.objects.directions import RAYS
from atrous.objects.kinds import with_classes
from atrous.objects.star_iou import star_iou
from atrous.objects.steps import unit_steps

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

STARS = 4
"""So many objects of an image are compared with star-convex shapes, at most."""
MEASURED = 10
"""The sides of a typical object are known from so many objects on."""
EXACT = 1 << 24
"""float32, in which views are cut, holds whole numbers up to this one exactly."""


@dataclass(frozen=True)
class Instances(Target):
    """Objects by number.

    Attributes:
        path: a label image whose values are the numbers of objects.
        class_of: the class of an object, by its number as it is read; objects that are not named have class 1.
        reader: reads the numbers, where they do not simply stand in the file.
    """

    path: Path
    class_of: Mapping[int, int] = field(default_factory=dict, hash=False)
    reader: LabelReader | None = None

    kind: ClassVar[str] = "instances"

    def header(self) -> Header:
        """Return the header of the label image."""
        return read_header(self.path) if self.reader is None else self.reader.header()

    def read(self) -> np.ndarray:
        """Return numbers `(*S)` uint32: those of the file, or their ranks from 1 where one is beyond `EXACT`.

        Raises:
            UserError: the file cannot be read, stores colors, has negative numbers, or a table has rows without one.
        """
        values = self._stored()
        if int(values.max(initial=0)) <= EXACT:
            return values.astype(np.uint32)
        unique, ranks = np.unique(values, return_inverse=True)
        return (ranks + int(unique[0] != 0)).reshape(values.shape).astype(np.uint32)

    def _stored(self) -> np.ndarray:
        """The numbers `(*S)` in the file; see `read`."""
        values, colored = (read_values(self.path), False) if self.reader is None else self.reader.values(False)
        if colored or is_color(values, self.header()):
            raise FileFault(self.path, "stores colors, not the numbers of objects", "save numbers in one channel")
        if isinstance(self.reader, LabelTable) and np.isnan(read_numbers(self.path, self.reader.reader)).any():
            raise FileFault(self.path, "has rows without a number", "write 0 where there is no object")
        if values.size and values.min() < 0:
            raise FileFault(self.path, f"has the number {values.min()}", "number objects from 1; 0 is background")
        return values

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `counts` has the positions of every object, by its number in the file."""
        numbers = self._stored()
        unique, counts = np.unique(numbers, return_counts=True)
        present = {int(number): int(count) for number, count in zip(unique, counts, strict=True) if number}
        drawn = isinstance(self.reader, ObjectMask)  # outlines may have pieces, where something lies in front
        windows = {} if drawn else windows_of(numbers)
        pieces = pieces_of(numbers, windows)
        lossy = lossy_file(self.reader or MaskFile(self.path, self.path))
        spans = None
        if numbers.ndim == 3:
            spans = spans_of([window for number, window in windows.items() if number not in pieces], numbers.shape)
        stars = star_ious(numbers, tuple(present), _steps_of(spans))
        return TargetScan(
            self.header(), numbers.shape, counts=present, pieces=pieces, spans=spans, stars=stars, lossy=lossy
        )

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield what is wrong with label images: their size, compression, no object, classes, objects in pieces."""
        yield from _file_problems(scans, facts)
        known = [(one.target, one.contents) for one in scans if one.contents and isinstance(one.target, Instances)]
        in_pieces = [(relative(target.path, facts.root), scan.pieces) for target, scan in known if scan.pieces]
        if in_pieces and all(len(scan.counts) < 2 for _, scan in known):  # one number for all objects of an image
            file, pieces = in_pieces[0]
            what = f"its only number, {next(iter(pieces))}, is on several pieces, "
            what += "and no other file has more than one number either"
            fix = "give every object a number of its own (skimage.measure.label), or leave `task` (--task) out"
            yield Problem(file, what, fix, kind="one number", others=tuple(name for name, _ in in_pieces[1:]))
            in_pieces = []
        for file, pieces in in_pieces:
            named = some([f"{number} ({count})" for number, count in pieces.items()], 3)
            what = f"objects in several pieces, with the number of these: {named}"
            yield Problem(file, what, "number the pieces apart if they are different objects", "warning", "pieces")
        for target, scan in known:
            if not scan.counts and not isinstance(target.reader, ObjectMask):  # said in `check/objects.py`
                file = relative(target.path, facts.root)
                yield Problem(file, "it has no object", "fine if the image shows none", "warning", "empty")

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield how many objects there are, how large they are, and whether they have several classes."""
        areas = [area for one in scans for area in one.counts.values()]
        if areas:
            low, middle, high = np.percentile(areas, [5, 50, 95])
            yield f"{len(areas):,} objects of {middle:.0f} positions (median; 5 to 95 %: {low:.0f} to {high:.0f})"
        spans = [one.contents.spans for one in scans if one.contents is not None and one.contents.spans is not None]
        if (sides := typical_sides(spans)).size:
            apart = " x ".join(f"{side:.3g}" for side in sides)
            yield f"{sum(map(len, spans))} of them are whole, in one piece: {apart} positions long (geometric means)"
        compared = [one.contents for one in scans if one.contents is not None and one.contents.stars]
        if compared:
            stars, ndim = [iou for contents in compared for iou in contents.stars], len(compared[0].size)
            bodies = f"star-convex {'polygons' if ndim == 2 else 'polyhedra'} of {RAYS[ndim]} rays"
            yield f"{bodies} reproduce {len(stars)} of them with a mean IoU of {np.mean(stars):.2f}"

    @staticmethod
    def resample(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """See `Target.resample`: each position takes the nearest number."""
        sizes = zip(shape, values.shape, strict=True)
        axes = [np.minimum(((np.arange(m) + 0.5) * n / m).astype(int), n - 1) for m, n in sizes]
        return values[np.ix_(*axes)]

    @staticmethod
    def without(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """See `Target.without`: no object lies there, and none is found there."""
        return np.where(missing, np.zeros((), values.dtype), values) if missing.shape == values.shape else values

    @staticmethod
    def places(values: np.ndarray, seed: int) -> dict[int, np.ndarray]:
        """See `Target.places`: the center of every object, as places of class 1."""
        unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        flat = inverse.reshape(-1)
        axes = np.indices(values.shape).reshape(values.ndim, -1)
        centers = np.stack([np.bincount(flat, weights=axis) / counts for axis in axes], axis=1)
        centers = np.rint(centers[unique != 0]).astype(int)
        return {1: centers} if len(centers) else {}

    @staticmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return numbers `(*crop)` int64: the nearest, background outside the sample."""
        import torch

        from atrous.data.cut import cut_values

        if int(np.max(values, initial=0)) > EXACT:
            raise ValueError(f"objects are numbered beyond {EXACT}: number them from 1")
        return cut_values(np.asarray(values)[None], view, crop, "nearest", border=False)[0].to(torch.int64)

    @staticmethod
    def tensor(values: np.ndarray) -> "torch.Tensor":
        """Return numbers `(*S)` int64."""
        import torch

        return torch.from_numpy(np.asarray(values).astype(np.int64))

    @staticmethod
    def draw(image: np.ndarray, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return every object in one of 40 colors, the background black."""
        colors = np.array(default_palette(40, background=False), np.uint8)
        picture = colors[(np.asarray(values).astype(np.int64) * 7) % len(colors)]
        picture[np.asarray(values) == 0] = 0
        return picture


@dataclass(frozen=True)
class ClassedInstances(Instances):
    """Objects by number that have classes.

    `read` gives numbers that say the class as well (`atrous.objects.kinds`).

    Attributes:
        kinds: number of classes.
    """

    kinds: int = 1

    has_classes: ClassVar[bool] = True
    has_background: ClassVar[bool] = False

    def read(self) -> np.ndarray:
        """See `Instances.read`."""
        numbers = super().read()
        classes = [self.class_of.get(number, 1) - 1 for number in range(1, int(numbers.max(initial=0)) + 1)]
        return with_classes(numbers, np.array(classes, np.int64), self.kinds)

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """See `Target.frequency`: the share of each class among the objects."""
        assert coding is not None
        counts = sum((cls.class_counts(one, coding) for one in scans), np.zeros(len(coding.classes)))
        return tuple((counts / max(1.0, counts.sum())).tolist())

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """See `Target.class_counts`: the objects of each class that an image shows."""
        counts = np.zeros(len(coding.classes), np.int64)
        if isinstance(scanned.target, ClassedInstances):
            for number in scanned.counts:
                counts[scanned.target.class_of.get(number, 1) - 1] += 1
        return counts

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        assert facts.coding is not None
        return f"objects of {len(facts.coding.classes)} classes (shares are those of the objects)"


def _file_problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Label images of another size than their image, or saved with a compression that makes up numbers."""
    for one in scans:
        if one.contents is None or one.target is None:
            continue
        yield from grid_problems(relative(one.target.path, facts.root), one.image, one.contents)
        if (lossy := one.contents.lossy) is not None:
            what = f"saved as {compression(lossy)}, which changes the numbers of objects"
            yield Problem(relative(lossy, facts.root), what, "export the masks as PNG", kind="lossy mask")


def windows_of(numbers: np.ndarray) -> dict[int, tuple[slice, ...]]:
    """Return the part of the grid that each object spans, by number.

    >>> windows_of(np.array([[7, 0, 7, 2], [0, 0, 0, 2]]))[7]
    (slice(0, 1, None), slice(0, 3, None))
    """
    from scipy import ndimage  # imported here: `atrous --help` must not wait for it

    unique, places = np.unique(numbers, return_inverse=True)
    first = int(unique[0] != 0) if len(unique) else 0  # without background, the first place is that of an object
    found = ndimage.find_objects(places.reshape(numbers.shape) + first)
    return {int(unique[place - first]): window for place, window in enumerate(found, 1)}


def spans_of(windows: Sequence[tuple[slice, ...]], size: Sequence[int]) -> np.ndarray:
    """Return how many positions objects span along each axis, `(n, ndim)`, of those that no border of the grid cuts.

    >>> spans_of([(slice(1, 3), slice(2, 9)), (slice(0, 2), slice(2, 3))], (5, 12)).tolist()
    [[2, 7]]
    """
    ends = np.array([[(part.start, part.stop) for part in window] for window in windows], np.int64)
    low, high = np.moveaxis(ends.reshape(-1, len(size), 2), -1, 0)
    return (high - low)[((low > 0) & (high < np.array(size))).all(axis=1)]


def typical_sides(spans: Sequence[np.ndarray]) -> np.ndarray:
    """Return the geometric means `(ndim,)` of what objects span, `(n, ndim)` each; empty with fewer than `MEASURED`."""
    rows = np.concatenate(spans) if spans else np.zeros((0, 0))
    return np.exp(np.log(rows).mean(axis=0)) if len(rows) >= MEASURED else np.zeros(0)


def pieces_of(numbers: np.ndarray, windows: Mapping[int, tuple[slice, ...]]) -> dict[int, int]:
    """Return how many pieces objects have, by number, of those that have several; corners connect.

    >>> numbers = np.array([[1, 0, 1, 2], [0, 3, 0, 2]])
    >>> pieces_of(numbers, windows_of(numbers))
    {1: 2}
    """
    from scipy import ndimage  # imported here: `atrous --help` must not wait for it

    found: dict[int, int] = {}
    around, label = np.ones((3,) * numbers.ndim), cast("Callable[..., tuple[np.ndarray, int]]", ndimage.label)
    for number, window in windows.items():
        _, count = label(numbers[window] == number, around)
        if count > 1:
            found[number] = count
    return found


def star_ious(numbers: np.ndarray, present: Sequence[int], steps: Sequence[float] = ()) -> tuple[float, ...]:
    """Return how well star-convex shapes reproduce at most `STARS` of the objects, evenly chosen.

    None are compared but in images and volumes. `steps` is the length of a step along each axis; none for 1 along all.

    >>> star_ious(np.array([[1, 1, 0, 2], [1, 1, 0, 2]]), (1, 2))
    (1.0, 1.0)
    """
    if numbers.ndim not in RAYS or not present:
        return ()
    chosen = np.unique(np.linspace(0, len(present) - 1, STARS).round().astype(int))
    found = []
    for number in (present[index] for index in chosen):
        mask, axes = numbers == number, range(numbers.ndim)
        sides = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
        found.append(star_iou(mask[tuple(slice(side[0], side[-1] + 1) for side in sides)], steps=steps))
    return tuple(found)


def _steps_of(spans: np.ndarray | None) -> tuple[float, ...]:
    """Steps along the axes in whose unit the objects of a volume, spanning `(n, 3)`, are as long along each axis."""
    if spans is None or not len(spans):
        return ()
    return unit_steps(tuple(np.exp(-np.log(spans).mean(axis=0)).tolist()), spans.shape[1])


def as_instances(target: Target) -> Target:
    """Return a target of labels as one of instances: the values of its files number objects.

    Of several files of one image, each is an object, and so is each polygon of a file. Other kinds of targets stay as
    they are.

    Raises:
        UserError: the labels say classes and not objects: words, annotations, one file per class; or only a
            part of the image counts.
    """
    if not isinstance(target, Labels):
        return target
    reader = target.reader
    several = isinstance(reader, MergedMasks) and reader.numbers is None
    if isinstance(reader, PolygonMask):
        return Instances(target.path, reader=replace(reader, attribute=None))
    classes = isinstance(reader, (AnnotatedRecording, MergedMasks)) and not several
    if classes or (isinstance(reader, LabelTable) and reader.words is not None) or target.region is not None:
        raise UserError(
            f'{target.path}: task = "instances" needs the number of an object at every position, but this says '
            "classes: number the objects from 1, or leave `task` (--task) out"
        )
    if isinstance(reader, MaskFile):
        reader = replace(reader, objects=None)
    if isinstance(reader, MergedMasks):
        reader = replace(reader, numbers=tuple(range(1, len(reader.parts) + 1)))
    return Instances(target.path, reader=reader)
