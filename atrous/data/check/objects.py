"""Problems of annotated objects: boxes that cannot be, coordinates read otherwise than they were written, overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.layouts.base import Layout
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, Box
from atrous.data.problems import Problem, relative, some
from atrous.data.scan import Scan
from atrous.data.targets.instances import Instances
from atrous.data.targets.object_mask import ObjectMask
from atrous.data.targets.rotated import THINNEST, RotatedBoxes
from atrous.objects.rotated import boxes_of, rectangle_around

LEAST = 2
"""Boxes from which on one may judge how all of them were written."""
SHARE = 0.1
"""Part of the boxes that must be wrong before other ways to read all of them are tried."""
MOST = 0.5
"""Part of the boxes from which on it is an error that they are wrong, in whichever way they are read."""
FEW = 0.02
"""Part of the boxes that may be wrong where they are read in the right way."""
SLACK = 2.0
"""Pixels by which a box may leave its image where ways to read it are compared."""
OUT = 1.5
"""Pixels by which a box may leave its image without a word: tools disagree on whether pixels count from 0 or 1."""
HIDDEN = 0.1
"""An object of which more than this part lies under others is reported."""
_EMPTY = "has no width or height and is left out", "have no width or height and are left out"
_AWAY = (
    "has its center outside of the image and is left out",
    "have their centers outside of the image and are left out",
)
_BEYOND = "reaches out of the image and is cut", "reach out of the image and are cut"
_TINY = "is one pixel wide or high", "are one pixel wide or high"
_REACHES = "reaches out of the image", "reach out of the image"
_TWICE = "is there twice", "are there twice"
_FLAT = "has no area and is left out", "have no area and are left out"
_CROSSED = (
    "has sides that cross, so the rectangle around its corners is taken",
    "have sides that cross, so the rectangles around their corners are taken",
)
_FEW = (
    "has three corners, so the rectangle around them is taken",
    "have three corners, so the rectangles around them are taken",
)
_PART_AWAY = (
    "has key points outside of the image, which are left out",
    "have key points outside of the image, which are left out",
)
_BOXLESS = "has no box and is left out", "have no boxes and are left out"
_BARE = "has no outline and is left out", "have no outlines and are left out"
_APART = "has a box that is not that of its outline", "have boxes that are not those of their outlines"
_HIDDEN = "has no pixel of its own and is left out", "have no pixels of their own and are left out"
_COVERED = "lies partly under others", "lie partly under others"
_PIXELS = 2.0
"""Of coordinates that were read as fractions of the size but are pixels, those of most boxes are beyond this."""
_TO_PIXELS = "multiply x by the width of the image, and y by its height"
APART = 0.5
"""A box and its outline whose intersection over union is below this are of different objects."""


@dataclass(frozen=True)
class ObjectScan:
    """The objects of one image whose size is known.

    Attributes:
        annotated: the image.
        file: of the annotations, for messages; with the name of the image where it holds those of several.
        size: height and width of the image.
        objects: with coordinates in pixels.
        scan: what was read of the sample.
    """

    annotated: AnnotatedImage
    file: str
    size: tuple[int, int]
    objects: tuple[AnnotatedObject, ...]
    scan: Scan

    @property
    def fits(self) -> bool:
        """Whether the image has the size that the annotations say, if they say one."""
        return self.annotated.size in (None, self.size)

    def problem(self, found: Sequence[AnnotatedObject], what: tuple[str, str], fix: str) -> Iterator[Problem]:
        """Yield a warning about some objects, if there are any.

        Args:
            found: the objects.
            what: is wrong with one of them, and with several, as the rest of a sentence.
            fix: what to do about it.
        """
        if found:
            named = some([one.where for one in found], 2)
            yield Problem(self.file, f"{named} {what[len(found) > 1]}", fix, "warning", what[1])


def object_problems(root: Path, layout: Layout, scans: Sequence[Scan], task: str) -> Iterator[Problem]:
    """Yield the problems of annotated objects, those that reading their files found first.

    Args:
        root: the folder of the data set.
        layout: with the annotated images.
        scans: the samples that were read.
        task: what is learned.
    """
    yield from layout.problems
    refused = {problem.file for problem in layout.problems if problem.severity == "error"}
    known = list(_known(root, layout, scans))
    for one in known:
        if not one.fits:
            yield _other_size(one)
    misread = _misread([one for one in known if one.fits])
    if misread is not None:
        yield misread
    for one in known:
        if misread is None and one.fits:
            rotated = isinstance(one.scan.target, RotatedBoxes)
            yield from _rotated_problems(one) if rotated else _box_problems(one)
            yield from _point_problems(one)
            yield from _part_problems(one) if task == "keypoints" else ()
        yield from _content_problems(one, root, task, relative(one.annotated.source, root) in refused)
        yield from _overlaps(one)
    yield from _classes(root, layout, known)


def _known(root: Path, layout: Layout, scans: Sequence[Scan]) -> Iterator[ObjectScan]:
    """The images whose annotations and whose sizes are known."""
    sources = [image.source for image in layout.annotated.values()]
    shared = len(set(sources)) < len(sources)
    for scan in scans:
        annotated = layout.annotated.get(scan.sample.name)
        if annotated is None or scan.image is None:
            continue
        file, size = relative(annotated.source, root), scan.image.size
        if len(size) != 2:
            continue  # said by `_content_problems` of the check of images: it has other axes than most
        if shared:
            file = f"{file}, {annotated.image.name}"
        yield ObjectScan(annotated, file, (size[0], size[1]), annotated.in_pixels(size), scan)


def _other_size(one: ObjectScan) -> Problem:
    said, size = one.annotated.size or (0, 0), one.size
    what = f"it is for an image of {said[0]} x {said[1]} pixels (height x width), the image has {size[0]} x {size[1]}"
    fix = "annotate the image as it is, or bring it to this size"
    if said == size[::-1]:
        fix = "turn one of the two: exchanged sides come from EXIF orientation, or from a file that swaps them"
    return Problem(one.file, what, fix, kind="other size")


def _misread(known: Sequence[ObjectScan]) -> Problem | None:
    """An error that says how coordinates were written, where most boxes or points are wrong and would then be right."""
    rows = [(one, box) for one in known for box in map(_extent, one.objects) if box is not None]
    if len(rows) < LEAST:
        return None
    boxes, sizes = np.array([box for _, box in rows]), np.array([one.size for one, _ in rows], float)
    points = np.array([item.point is not None for one in known for item in one.objects if _extent(item) is not None])
    fractions = any(one.annotated.fractions for one in known)
    wrong = _wrong(boxes, sizes, points)
    if not fractions and (boxes.min() >= -1 and boxes.max() <= 1.001) and sizes.min() > 4:
        what = "all coordinates lie between 0 and 1, but this format has pixels"
        return Problem(rows[0][0].file, what, _TO_PIXELS, kind="misread")
    if wrong.sum() < max(LEAST, SHARE * len(rows)):
        return None
    first = rows[int(np.argmax(wrong))][0]
    ways = _from_pixels(boxes, sizes) if fractions else _other_ways(boxes)
    if points.all():  # they have no sides that could be written in another way
        ways = ways[:1]
    count = f"{int(wrong.sum())} of {len(rows)}"
    for way, what, fix in ways:
        if _wrong(way, sizes, points).sum() <= FEW * len(rows):
            return Problem(first.file, f"{what}: {count} do not fit their images as they are read", fix, kind="misread")
    if wrong.sum() <= MOST * len(rows):
        return None
    what = f"{count} objects do not fit their images, and in no other way that is known"
    return Problem(
        first.file, what, "if they are of images of another size, annotate the images as they are", kind="misread"
    )


def _other_ways(boxes: np.ndarray) -> list[tuple[np.ndarray, str, str]]:
    """What boxes `(n, 4)` in pixels are if they were written in another way, what that is, and how to correct it."""
    top, left, bottom, right = boxes.T
    here = "but this format has"
    return [
        (_rows(left, top, right, bottom), "x and y are exchanged", "write x (to the right) before y (down)"),
        (
            _rows(top, left, bottom - top, right - left),
            f"boxes are two corners (x1, y1, x2, y2), {here} x, y, width and height",
            "write width = x2 - x1 and height = y2 - y1",
        ),
        (
            _rows(top, left, top + bottom, left + right),
            f"boxes are x, y, width and height, {here} two corners",
            "write xmax = x + width and ymax = y + height",
        ),
    ]


def _from_pixels(boxes: np.ndarray, sizes: np.ndarray) -> list[tuple[np.ndarray, str, str]]:
    """The same of boxes that were read as fractions; none where these are too small to be pixels of most boxes.

    Pixels that are divided by the size fit any image, so that alone says nothing.
    """
    fractions = boxes / np.tile(sizes, 2)
    if np.median(fractions.max(axis=1)) <= _PIXELS:
        return []
    what = "coordinates are in pixels, but this format has fractions of the size"
    return [(fractions, what, "divide x by the width of the image, and y by its height")]


def _rows(*columns: np.ndarray) -> np.ndarray:
    return np.stack(columns, axis=1)


def _extent(one: AnnotatedObject) -> Box | None:
    return one.extent if one.point is None else (*one.point, *one.point)


def _wrong(boxes: np.ndarray, sizes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which boxes `(n, 4)` have no extent, or leave images of these sizes `(n, 2)`; points have none."""
    low, high = boxes[:, :2], boxes[:, 2:]
    slack = np.maximum(SLACK, 0.01 * sizes)
    empty = (high <= low).any(axis=1) & ~points
    return empty | (low < -slack).any(axis=1) | (high > sizes + slack).any(axis=1)


def _box_problems(one: ObjectScan) -> Iterator[Problem]:
    empty, away, beyond, tiny, twice = [], [], [], [], []
    seen: set[tuple[object, ...]] = set()
    for item in one.objects:
        box = item.extent
        if box is None:
            continue
        height, width = box[2] - box[0], box[3] - box[1]
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if height <= 0 or width <= 0:
            empty.append(item)
        elif not (0 <= middle[0] < one.size[0] and 0 <= middle[1] < one.size[1]):
            away.append(item)
        elif min(box[:2]) < -OUT or box[2] > one.size[0] + OUT or box[3] > one.size[1] + OUT:
            beyond.append(item)
        if 0 < height <= 1 or 0 < width <= 1:
            tiny.append(item)
        key = (item.name, *np.round(box, 3).tolist())
        twice += [item] if key in seen else []
        seen.add(key)
    yield from one.problem(empty, _EMPTY, "correct or remove it")
    yield from one.problem(away, _AWAY, "correct or remove it")
    yield from one.problem(beyond, _BEYOND, "fine if the border of the image cuts it")
    yield from one.problem(tiny, _TINY, "correct or remove it")
    yield from one.problem(twice, _TWICE, "remove the copy")


def _rotated_problems(one: ObjectScan) -> Iterator[Problem]:
    """The problems of rotated boxes, which stay rectangles where they reach out of the image."""
    flat, away, beyond, twice, crossed, few = [], [], [], [], [], []
    seen: set[tuple[object, ...]] = set()
    for item in one.objects:
        points = item.around
        if points is None:
            continue
        row, column, _, width, _ = boxes_of(rectangle_around(points)).reshape(5).tolist()
        if width <= THINNEST:
            flat.append(item)
        elif not _holds(one.size, (row, column)):
            away.append(item)
        elif points.min() < -OUT or (points.max(axis=0) > np.add(one.size, OUT)).any():
            beyond.append(item)
        if len(points) == 4 and width > THINNEST and _crosses(points):
            crossed.append(item)
        few += [item] if len(points) == 3 else []
        key = (item.name, *np.round(points, 3).ravel().tolist())
        twice += [item] if key in seen else []
        seen.add(key)
    yield from one.problem(flat, _FLAT, "correct or remove it")
    yield from one.problem(away, _AWAY, "correct or remove it")
    yield from one.problem(beyond, _REACHES, "fine if the border of the image cuts it")
    yield from one.problem(crossed, _CROSSED, "write its corners one side after the other")
    yield from one.problem(few, _FEW, "draw the fourth corner")
    yield from one.problem(twice, _TWICE, "remove the copy")


def _crosses(ring: np.ndarray) -> bool:
    """Whether two sides of a quadrilateral `(4, 2)` that share no corner cross each other."""

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    for a, b, c, d in (ring, np.roll(ring, -1, axis=0)):
        if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
            return True
    return False


def _point_problems(one: ObjectScan) -> Iterator[Problem]:
    points = [item for item in one.objects if item.point is not None]
    away = [item for item in points if not _holds(one.size, item.point or (0, 0))]
    seen: set[tuple[object, ...]] = set()
    twice = [item for item in points if (item.name, item.point) in seen or seen.add((item.name, item.point))]
    yield from one.problem(away, _AWAY, "correct or remove it")
    yield from one.problem(twice, _TWICE, "remove the copy")


def _part_problems(one: ObjectScan) -> Iterator[Problem]:
    """Objects of which the image does not hold a key point that is not unknown."""
    away = [
        item
        for item in one.objects
        if item.keypoints is not None
        and any(seen > 0 and not _holds(one.size, (row, column)) for row, column, seen in item.keypoints.tolist())
    ]
    yield from one.problem(away, _PART_AWAY, "correct them, or give them the visibility 0")


def _holds(size: tuple[int, int], point: tuple[float, float]) -> bool:
    return 0 <= point[0] < size[0] and 0 <= point[1] < size[1]


def _content_problems(one: ObjectScan, root: Path, task: str, refused: bool) -> Iterator[Problem]:
    """No object, crowds alone, no outline where one is needed, a box that is not that of its outline.

    Objects may be missing since a part of the file is `refused`, which is said already.
    """
    counted = [item for item in one.objects if not item.ignored]
    if not one.objects and not refused:
        file = relative(one.annotated.image, root)
        yield Problem(file, "it has no object", "fine if the image shows none", "warning", "no object")
    elif one.objects and not counted:
        what = f"all of its {len(one.objects)} objects count for nothing (crowds, or difficult ones)"
        yield Problem(one.file, what, "fine if it is one image of many", "warning", "crowds alone")
    bare = [item for item in counted if not item.has_outline]
    if task in ("instances", "semantic"):
        yield from one.problem(bare, _BARE, "draw a polygon")
    if task in ("detection", "counting"):
        bare = [item for item in counted if item.extent is None and (item.point is None or task == "detection")]
        yield from one.problem(bare, _BOXLESS, "draw a box")
    apart = [item for item in one.objects if item.box is not None and item.polygons and _apart(item)]
    yield from one.problem(apart, _APART, "export the annotations again")


def _apart(item: AnnotatedObject) -> bool:
    corners = np.concatenate(item.polygons)
    box, other = np.array(item.box), np.concatenate([corners.min(0), corners.max(0)])
    common = np.clip(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0, None).prod()
    union = (box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - common
    return bool(common < APART * union)


def _overlaps(one: ObjectScan) -> Iterator[Problem]:
    """Objects of which other objects hide a part, where each position has the number of one object."""
    target = one.scan.target
    if not isinstance(target, Instances) or not isinstance(target.reader, ObjectMask) or one.scan.contents is None:
        return
    _, counts = target.reader.painted()
    hidden, covered = [], []
    for number, (item, count) in enumerate(zip(target.reader.used, counts.tolist(), strict=True), 1):
        seen = one.scan.counts.get(number, 0)
        if not seen:
            hidden.append(item)
        elif count - seen > HIDDEN * count:
            covered.append(item)
    yield from one.problem(hidden, _HIDDEN, "correct or remove it")
    yield from one.problem(covered, _COVERED, "fine if smaller objects lie in front; else draw what is visible")


def _classes(root: Path, layout: Layout, known: Sequence[ObjectScan]) -> Iterator[Problem]:
    """Classes that no training image shows; those of pixels and points are looked at with other masks and dots."""
    target = known[0].scan.target if known else None
    if target is None or target.kind not in ("boxes", "instances"):
        return
    train = [one for one in known if one.scan.split == "train"] or known
    shown = {item.name for one in train for item in one.objects if not item.ignored}
    for name in layout.classes or ():
        if name not in shown:
            what = f"no object of the class {name!r} in the training images"
            fix = "annotate some, move an image that shows it to train, or leave the class out"
            yield Problem(str(root), what, fix, "warning", "class never seen")
