"""Key points of annotated objects (COCO, YOLO) as points with names of their own."""

from collections.abc import Sequence
from dataclasses import replace

from atrous.data.object_files.base import AnnotatedObject, ObjectFolder
from atrous.errors import UserError


def in_parts(folder: ObjectFolder, names: Sequence[str] | None) -> ObjectFolder:
    """Return a folder in which every key point that is seen or hidden is an object, a point that has its own name.

    A folder whose objects have no key points stays as it is.

    Args:
        folder: what the annotation files say.
        names: of the key points, in their order; None for those of the files, or `point 1`, `point 2`, ...

    Raises:
        UserError: objects have different numbers of key points, or there are names for another number.
    """
    objects = [one for members in folder.images.values() for image in members for one in image.objects]
    counts = sorted({len(one.keypoints) for one in objects if one.keypoints is not None})
    if not counts:
        return folder
    if len(counts) > 1:
        raise UserError(
            f"{folder.root}: objects have {counts[0]} to {counts[-1]} key points: keep one category of objects"
        )
    given = names or folder.parts or [f"point {number}" for number in range(1, counts[0] + 1)]
    if len(given) != counts[0]:
        raise UserError(f"{folder.root}: {len(given)} names for {counts[0]} key points: name each in `classes`")
    images = {
        split: [
            replace(image, objects=tuple(part for one in image.objects for part in _parts(one, given)))
            for image in members
        ]
        for split, members in folder.images.items()
    }
    return replace(folder, images=images, classes=list(given))


def _parts(one: AnnotatedObject, names: Sequence[str]) -> list[AnnotatedObject]:
    """The key points of an object that are there: COCO's visibility 0 says that one is not."""
    if one.keypoints is None or one.ignored:
        return []
    rows = zip(one.keypoints.tolist(), names, strict=True)
    return [AnnotatedObject(name, one.where, point=(y, x)) for (y, x, seen), name in rows if seen > 0]
