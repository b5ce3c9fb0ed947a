"""Whether the objects of a folder are learned as rotated boxes, and the target that they make."""

from collections.abc import Mapping, Sequence

import numpy as np

from atrous.data.description import Description
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject
from atrous.data.sample import Sample
from atrous.data.targets.rotated import RotatedBoxes
from atrous.labels import AREA, area_of

UPRIGHT = 1e-3
"""Sides that leave an axis by less than this part of the extent of their box lie along it."""


def is_rotated(images: Sequence[AnnotatedImage], description: Description) -> bool:
    """Return whether boxes of these objects lie in any direction.

    They do where somebody says so, and where the files hold such boxes: those of DOTA, rotated rectangles of labelme,
    and outlines that are four corners each (YOLO-OBB), of which one is not upright. Objects that have both a box and an
    outline (COCO) have said which box is theirs.
    """
    if description.rotated is not None:
        return description.rotated
    objects = [one for image in images for one in image.objects]
    if any(one.corners is not None for one in objects):
        return True
    outlined = [one for one in objects if one.has_outline]
    four = all(one.box is None and len(one.polygons) == 1 and len(one.polygons[0]) == 4 for one in outlined)
    return four and any(_is_turned(one) for one in outlined)


def _is_turned(one: AnnotatedObject) -> bool:
    """Whether a side of a quadrilateral lies along no axis, at any scale of the axes."""
    ring = one.polygons[0]
    sides = np.abs(np.roll(ring, -1, axis=0) - ring)
    return bool((sides > UPRIGHT * np.maximum(np.ptp(ring, axis=0), 1e-12)).all(axis=1).any())


def rotated_boxes(image: AnnotatedImage, sample: Sample, number: dict[str, int]) -> RotatedBoxes:
    """Return the rotated boxes of an image, each once; see `class_or_area` for those that count for nothing."""
    rows: dict[tuple[int, tuple[float, ...]], np.ndarray] = {}
    for one in image.objects:
        points = one.around
        if points is not None and (one.ignored or one.name in number):
            kind = class_or_area(one, number)
            rows.setdefault((kind, tuple(points.ravel().tolist())), points)
    classes = np.array([kind for kind, _ in rows], np.int64)
    return RotatedBoxes.of(image.source, sample.image, tuple(rows.values()), classes, image.fractions)


def class_or_area(one: AnnotatedObject, number: Mapping[str, int]) -> int:
    """Return the class of a box; of a crowd, or of a difficult object, that of an area in which its class is no error.

    In the area of an ignored object whose class nobody named, nothing counts (`AREA`).
    """
    if not one.ignored:
        return number[one.name]
    return area_of(number[one.name]) if one.name in number else AREA
