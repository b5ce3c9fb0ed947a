"""Dots: points that are drawn as images of their own, one dot for each object, on a background of 0."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, suffix_of
from atrous.data.images import SampleImage
from atrous.data.problems import Problem
from atrous.data.targets.base import Facts, Scanned, Target, TargetScan
from atrous.data.targets.labels import AnnotatedRecording, LabelReader, Labels, LabelTable
from atrous.data.targets.mask_files import MergedMasks
from atrous.data.targets.places import Places
from atrous.data.targets.point_problems import dot_problems
from atrous.data.targets.points import PointTarget, scanned
from atrous.data.targets.polygons import PolygonMask
from atrous.errors import UserError

COVERED = 0.25
"""Dots that cover a greater part of an image are no dots."""
LARGE = 1.8
"""A blob so many times as large as the median of its file may be two dots that touch."""
LOSSY = (".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class Dots(PointTarget):
    """Points in images of dots, such as the VGG cells' `001dots.png`.

    Where most dots of a file are single positions, every position that is not 0 is a point, also where two touch. Else
    dots are blobs, and each blob (connected also by corners) is a point at its centroid.

    Attributes:
        path: the first file.
        image: the image that the dots lie on.
        parts: reads the files: one for all classes, or one for each class; each with the (first) class of its dots.
        values: the value, or color `0xRRGGBB`, of the dots of each class, where one file has those of several classes.
    """

    path: Path
    image: SampleImage
    parts: tuple[tuple[int, LabelReader], ...]
    values: tuple[int, ...] = ()

    def read(self) -> Places:
        """Return the points with the size of their image.

        Raises:
            UserError: a file cannot be read, has another size than its image, or shows no dots but a mask.
        """
        return self._read()[0]

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`."""
        return scanned(*self._read())

    def _read(self) -> tuple[Places, tuple[str, ...]]:
        size = self.image.header().size
        places, classes, remarks = [np.zeros((0, len(size)))], [np.zeros(0, np.int64)], []
        for number, part in self.parts:
            values = _values(part, size, bool(self.values))
            wanted = self.values or (None,)
            if self.values and (other := set(np.unique(values).tolist()) - {0, *self.values}):
                what = f"a dot has the value {_said(min(other))}, which is that of no class"
                raise FileFault(part.path, what, "add it to `values` (to `palette` for colors) in dataset.toml")
            for k, value in enumerate(wanted):
                found, remark = dots_in(values != 0 if value is None else values == value)
                places.append(found)
                classes.append(np.full(len(found), number + k, np.int64))
                remarks += [remark] if remark else []
        return Places(tuple(size), np.concatenate(places), np.concatenate(classes)), tuple(remarks)

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield what is wrong with the dots of a data set."""
        yield from super().problems(scans, facts)
        yield from dot_problems(scans, facts)

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield how many points there are, and that dots which touch are told apart."""
        yield from super().notes(scans, facts)
        yield "where most dots are single pixels every pixel that is not 0 is a point, else every blob is one"


def _values(part: LabelReader, size: Sequence[int], colored: bool) -> np.ndarray:
    """The values `(*S)` of one file of dots, 0 for none; colors as `0xRRGGBB`."""
    values = part.values(colored)[0]
    if values.shape != tuple(size):
        shapes = (" x ".join(map(str, shape)) for shape in (values.shape, size))
        what = "it is {}, its image {}".format(*shapes)
        raise FileFault(part.path, what, "save the dots at the size of the image")
    share = float((values != 0).mean()) if values.size else 0.0
    if share > COVERED:
        what = f"{share:.0%} of it is not 0, so it shows no dots"
        raise FileFault(part.path, what, 'draw a dot for each object on 0, or write task = "instances" for masks')
    if suffix_of(part.path) in LOSSY:
        what = "its dots are smeared, since JPEG does not keep values"
        raise FileFault(part.path, what, "save dots as PNG")
    return values


def dots_in(marked: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the dots in an array `(*S)` bool: places `(n, ndim)`, the middle of position i at i + 0.5, and a remark.

    The order is that of their first positions.

    >>> dots_in(np.array([0, 1, 0, 1, 1, 0, 1], bool))[0].tolist()  # most are single: each position is a dot
    [[1.5], [3.5], [4.5], [6.5]]
    >>> dots_in(np.array([0, 1, 1, 1, 0, 0, 1, 1], bool))[0].tolist()
    [[2.5], [7.0]]
    """
    from scipy import ndimage

    positions = np.argwhere(marked).astype(np.float64)
    if not len(positions):
        return positions.reshape(0, marked.ndim), ""
    numbers: np.ndarray = np.zeros(marked.shape, np.int32)
    count = int(ndimage.label(marked, np.ones((3,) * marked.ndim), output=numbers))  # pyright: ignore[reportArgumentType]
    sizes = np.bincount(numbers[marked], minlength=count + 1)[1:]
    if 2 * int((sizes == 1).sum()) >= count:
        return positions + 0.5, ""
    of_blob = numbers[marked] - 1
    centers = np.stack([np.bincount(of_blob, axis) for axis in positions.T], axis=1) / sizes[:, None]
    large = int((sizes > LARGE * np.median(sizes)).sum())
    remark = ""
    if large:
        remark = (
            f"{large} of {count} dots {'is' if large == 1 else 'are'} much larger than the others "
            f"({int(sizes.max())} pixels, median {np.median(sizes):g}), and count as one each: "
            "draw dots that touch apart, as single pixels"
        )
    return centers + 0.5, remark


def as_points(target: Target, image: SampleImage, values: Sequence[int]) -> Target:
    """Return a target of labels as one of points: its files show dots. Other kinds of targets stay as they are.

    Args:
        target: of the sample.
        image: of the sample.
        values: of the dots of each class, where one file has those of several classes.

    Raises:
        UserError: the labels are no images: polygons, words or annotations; or only a part of the image counts.
    """
    if not isinstance(target, Labels):
        return target
    reader = target.reader
    words = isinstance(reader, LabelTable) and reader.words is not None
    if words or isinstance(reader, (PolygonMask, AnnotatedRecording)) or target.region is not None:
        raise UserError(
            f"{target.path}: points are read from images of dots or from tables of coordinates, and this is none: see "
            "docs/counting.md"
        )
    if not isinstance(reader, MergedMasks):
        return Dots(reader.path, image, ((0, reader),), tuple(values))
    if reader.numbers is None:
        raise UserError(
            f"{target.path}: several files of dots fit this image by name: write mask_suffix in dataset.toml, the one "
            "that is read, or one for each class"
        )
    parts = tuple((number - 1, part) for number, part in zip(reader.numbers, reader.parts, strict=True))
    return Dots(reader.path, image, parts)


def _said(value: int) -> str:
    return str(value) if value < 256 else f"({value >> 16}, {value >> 8 & 255}, {value & 255})"
