"""One form for annotated objects, whichever file they come from.

Coordinates are in array order (rows, then columns) and continuous: the pixel `i` spans `i` to `i + 1`, so a box that
covers the pixels 3, 4 and 5 starts at 3 and stops at 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.problems import Problem, relative

Box = tuple[float, float, float, float]
"""Top, left, bottom, right."""


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A mask as COCO stores it: lengths of runs of 0 and 1 in turn, down one column after the other, 0 first.

    Attributes:
        size: height and width of the mask.
        counts: `(n,)` int64, the lengths.
    """

    size: tuple[int, int]
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One annotated object.

    Attributes:
        name: of its class; "" where the file gives none.
        where: in the file, for messages: "object 3", "line 5".
        box: its extent, if the file gives one.
        polygons: its outline, `(n, 2)` each; several for an object in several pieces.
        runs: its mask, if the file gives it as run lengths.
        point: where it is, if it is marked by a point.
        keypoints: `(k, 3)` places of its parts with COCO's visibility (0 unknown, 1 hidden, 2 visible); None without.
        ignored: whether it counts for nothing: a crowd (COCO's `iscrowd`), or one that is `difficult` (VOC, DOTA).
        corners: `(4, 2)`, those of its rotated box, if the file gives one.
    """

    name: str
    where: str
    box: Box | None = None
    polygons: tuple[np.ndarray, ...] = ()
    runs: RunLengths | None = None
    point: tuple[float, float] | None = None
    keypoints: np.ndarray | None = None
    ignored: bool = False
    corners: np.ndarray | None = None

    @property
    def has_outline(self) -> bool:
        """Whether its pixels are known."""
        return bool(self.polygons) or self.runs is not None

    @cached_property
    def extent(self) -> Box | None:
        """Its box, or the box around its outline or its rotated box; None for a point."""
        if self.box is not None:
            return self.box
        if self.polygons or self.corners is not None:
            corners = np.concatenate(self.polygons) if self.corners is None else self.corners
            return (*corners.min(0).tolist(), *corners.max(0).tolist())
        return None if self.runs is None else runs_extent(self.runs)

    @property
    def around(self) -> np.ndarray | None:
        """Points `(n, 2)` whose hull is that of the object: its corners, its outline, or its box; None for a point."""
        if self.corners is not None or self.polygons:
            return np.concatenate(self.polygons) if self.corners is None else self.corners
        if self.runs is not None:
            return runs_corners(self.runs)
        if self.box is None:
            return None
        top, left, bottom, right = self.box
        return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)

    def scaled(self, size: Sequence[int]) -> "AnnotatedObject":
        """Return the object with its coordinates, which are fractions of the image, in pixels."""
        factor = np.array(size, float)
        box, point = self.box, self.point
        if box is not None:
            box = (box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1])
        if point is not None:
            point = (point[0] * size[0], point[1] * size[1])
        keypoints = None if self.keypoints is None else self.keypoints * (*factor, 1)
        corners = None if self.corners is None else self.corners * factor
        polygons = tuple(ring * factor for ring in self.polygons)
        return replace(self, box=box, point=point, polygons=polygons, keypoints=keypoints, corners=corners)


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """The objects of one image.

    Attributes:
        image: the file of the image.
        source: the file of the annotations.
        objects: in the order of the file.
        size: height and width that the annotation file says; None where it does not.
        fractions: whether coordinates are fractions of the height and the width (YOLO).
    """

    image: Path
    source: Path
    objects: tuple[AnnotatedObject, ...]
    size: tuple[int, int] | None = None
    fractions: bool = False

    def in_pixels(self, size: Sequence[int]) -> tuple[AnnotatedObject, ...]:
        """Return the objects with coordinates in pixels of an image of this size."""
        return tuple(one.scaled(size) for one in self.objects) if self.fractions else self.objects


@dataclass
class ObjectFolder:
    """What the annotation files of a folder say.

    Attributes:
        root: the folder.
        name: of the format, in words.
        classes: names in the order of the files.
        images: the annotated images by the split that a folder or a file names; None where none does.
        lists: names by split, where text files list them.
        list_file: where these files lie.
        problems: what is wrong with the files.
        lost: images whose annotations cannot be read.
        keypoints: names of the key points of an object, if the files give them.
    """

    root: Path
    name: str
    classes: list[str] = field(default_factory=list)
    images: dict[str | None, list[AnnotatedImage]] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    list_file: str = ""
    problems: list[Problem] = field(default_factory=list)
    lost: set[Path] = field(default_factory=set)
    keypoints: list[str] = field(default_factory=list)

    def add(self, split: str | None, image: AnnotatedImage) -> None:
        """Add an image to a split."""
        self.images.setdefault(split, []).append(image)

    def error(self, file: Path, what: str, fix: str, kind: str) -> None:
        """Report a problem that stops a training."""
        self.problems.append(Problem(relative(file, self.root), what, fix, kind=kind))

    def unreadable(self, fault: FileFault, *images: Path) -> None:
        """Report that a file of annotations cannot be used, and that it is that of these images."""
        self.error(fault.file, fault.what, fault.fix, "unreadable")
        self.lost.update(images)

    def warn(self, file: Path, what: str, fix: str, kind: str) -> None:
        """Report a problem that does not stop a training."""
        self.problems.append(Problem(relative(file, self.root), what, fix, "warning", kind))


def runs_extent(runs: RunLengths) -> Box:
    """Return the box around a mask of run lengths; an empty one at the corner where it covers nothing.

    >>> runs_extent(RunLengths((3, 4), np.array([4, 1, 2, 1, 4])))
    (1, 1, 2, 3)
    """
    height = runs.size[0]
    ends = np.cumsum(runs.counts)
    starts, stops = ends[:-1:2], ends[1::2]
    covers = stops > starts
    starts, stops = starts[covers], stops[covers]
    if not len(starts):
        return (0, 0, 0, 0)
    first, last = starts // height, (stops - 1) // height
    several = last > first  # such a run reaches the lower border of its column, and the upper one of the next
    top = 0 if several.any() else int((starts % height).min())
    bottom = height if several.any() else int(((stops - 1) % height).max()) + 1
    return (top, int(first.min()), bottom, int(last.max()) + 1)


def runs_corners(runs: RunLengths) -> np.ndarray:
    """Return points `(n, 2)` whose hull is that of a mask: the corners of its pieces of columns.

    >>> runs_corners(RunLengths((3, 4), np.array([4, 1, 7]))).tolist()
    [[1.0, 1.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0], [1.0, 1.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]]
    """
    height = runs.size[0]
    ends = np.cumsum(runs.counts)
    starts, stops = ends[:-1:2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    first, last = starts // height, (stops - 1) // height
    several, low, high = last > first, starts % height, (stops - 1) % height + 1
    full, zeros = last > first + 1, np.zeros_like(first)
    pieces = np.concatenate([  # top, bottom, left and right of the first column, the last one, and those between
        np.stack([low, np.where(several, height, high), first, first + 1], axis=1),
        np.stack([np.where(several, 0, low), high, last, last + 1], axis=1),
        np.stack([zeros, zeros + height, first + 1, last], axis=1)[full],
    ])  # fmt: skip
    return pieces[:, [0, 2, 1, 2, 0, 3, 1, 3]].reshape(-1, 2).astype(float)
