"""labelme: a JSON file for each image, with polygons, rectangles (rotated ones too), circles, points and masks."""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.data.formats import FileFault, stem
from atrous.data.formats.base import require_room
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, ObjectFolder, RunLengths
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.runs import runs_of
from atrous.data.object_files.text import contains, number, numbers, read_json
from atrous.data.problems import relative

ROTATED = ("rotation", "oriented_rectangle")
"""Names of shapes that are rotated rectangles of four points (X-AnyLabeling, labelme)."""
CORNERS = 64
"""Corners of the polygon that stands for a circle."""


def find_labelme(index: FileIndex) -> list[Path]:
    """Return the JSON files that have labelme's keys, and those beside images that were not written to their end."""
    keys = {path: contains(path, "shapes", "imagePath") for path in index.texts.get(".json", [])}
    if 2 not in keys.values():
        return []
    return [path for path, count in keys.items() if count == 2 or (index.beside(path) and _is_cut(path, count))]


def _is_cut(path: Path, count: int) -> bool:
    """Whether a file with so many of labelme's keys is empty, or ends before the second one."""
    return count == 1 or not path.stat().st_size


def read_labelme(index: FileIndex, files: Sequence[Path]) -> ObjectFolder:
    """Read the annotations; what is wrong with one file is a problem in the result."""
    folder = ObjectFolder(index.root, "labelme")
    used: dict[Path, Path] = {}
    for file in files:
        split = split_in(file.relative_to(index.root).parts[:-1])
        try:
            content = read_json(file)
            if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
                raise FileFault(file, "has no list `shapes`", "save it again in labelme")
            image = _image(index, file, content, split)
            size = _size(content)
            objects = _merged(_shapes(folder, file, content["shapes"], size))
        except FileFault as fault:
            folder.unreadable(fault, *index.find(stem(file), file))
            continue
        if image in used:
            what = f"{relative(used[image], index.root)} annotates the same image"
            folder.error(file, what, "keep one of the two", "two files")
            continue
        used[image] = file
        folder.add(split, AnnotatedImage(image, file, tuple(objects), size))
    names = {one.name for images in folder.images.values() for image in images for one in image.objects}
    folder.classes = sorted(names)
    return folder


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = number(content.get("imageHeight")), number(content.get("imageWidth"))
    return (round(height), round(width)) if height and width else None


def _image(index: FileIndex, file: Path, content: Mapping[str, Any], split: str | None) -> Path:
    """The image beside the file that has its name, else the one that is named in it."""
    beside = index.beside(file)
    if beside is not None:
        return beside
    for name in (content.get("imagePath"), file.stem):
        found = index.find(name, file, split) if isinstance(name, str) else []
        if len(found) == 1:
            return found[0]
    raise FileFault(file, "its image is not there", "copy the image beside it, or remove it")


def _shapes(
    folder: ObjectFolder, file: Path, shapes: Sequence[Any], size: tuple[int, int] | None
) -> list[tuple[Any, AnnotatedObject]]:
    """The objects, each with its group."""
    found = []
    for place, shape in enumerate(shapes, 1):
        name = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(name, str) or not name.strip():
            folder.error(file, f"shape {place} has no label", "name its class, or remove it", "no class")
            continue
        where = f"shape {place} ({name.strip()})"
        one = _object(folder, file, AnnotatedObject(name.strip(), where), shape, size)
        if one is not None:
            group = shape.get("group_id")
            found.append((None if not isinstance(group, int | str) else (name, group), one))
    return found


def _object(
    folder: ObjectFolder, file: Path, plain: AnnotatedObject, shape: Mapping[str, Any], size: tuple[int, int] | None
) -> AnnotatedObject | None:
    kind, where = str(shape.get("shape_type", "polygon")), plain.where
    stored = shape.get("points")
    rows = [numbers(point, 2) for point in stored] if isinstance(stored, list) else []
    if not rows or any(row is None for row in rows):
        folder.error(file, f"{where} has no points x, y", "draw it again", "no points")
        return None
    points = np.array(rows, float)[:, ::-1]
    if (kind == "polygon" and len(points) >= 3) or (kind == "circle" and len(points) == 2):
        return replace(plain, polygons=(points if kind == "polygon" else _circle(*points),))
    if kind in ROTATED and len(points) == 4:
        return replace(plain, corners=points)
    if (kind == "rectangle" and len(points) in (2, 4)) or (kind == "point" and len(points) == 1):
        top, left, bottom, right = (*points.min(0).tolist(), *points.max(0).tolist())
        return replace(plain, point=(top, left)) if kind == "point" else replace(plain, box=(top, left, bottom, right))
    if kind == "mask" and len(points) == 2:
        return replace(plain, runs=_mask(file, where, shape.get("mask"), points, size))
    if kind == "polygon":
        what, fix = f"{where}: a polygon of {len(points)} points encloses nothing", "draw three points, or remove it"
        folder.error(file, what, fix, "bad outline")
    else:
        what = f"{where} is a {kind[:20]} of {len(points)} points, which is no object and is left out"
        folder.warn(file, what, "draw a polygon, a rectangle, a circle or a point", "no object")
    return None


def _circle(center: np.ndarray, edge: np.ndarray) -> np.ndarray:
    angles = np.arange(CORNERS) * 2 * np.pi / CORNERS
    return center + np.hypot(*(edge - center)) * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def _mask(file: Path, where: str, stored: Any, points: np.ndarray, size: tuple[int, int] | None) -> RunLengths:
    """The mask that is stored as a PNG of the box around it.

    Raises:
        FileFault: it is none, or does not fit the box or the image.
    """
    again = "draw it again"
    if size is None or not isinstance(stored, str):
        raise FileFault(file, f"{where} has no mask, or the file has no imageHeight and imageWidth", again)
    require_room(file, size, np.bool_, "a mask in it")
    top, left = np.rint(np.clip(points[0], -1, 2**31)).astype(int).tolist()
    try:
        with Image.open(io.BytesIO(base64.b64decode(stored, validate=True)), formats=["PNG"]) as picture:
            width, height = picture.size
            if not (top >= 0 and left >= 0 and top + height <= size[0] and left + width <= size[1]):
                raise FileFault(file, f"{where}: its mask of {height} x {width} pixels leaves the image", again)
            small = np.array(picture.convert("L")) > 0
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileFault(file, f"{where}: its mask is no PNG ({error})", again) from error
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = small
    return runs_of(mask)


def _merged(shapes: Sequence[tuple[Any, AnnotatedObject]]) -> list[AnnotatedObject]:
    """The objects; polygons of one label and one group are the pieces of one."""
    objects: list[AnnotatedObject] = []
    places: dict[Any, int] = {}
    for group, one in shapes:
        if group is None or not one.polygons:
            objects.append(one)
        elif group in places:
            first = objects[places[group]]
            objects[places[group]] = replace(first, polygons=(*first.polygons, *one.polygons))
        else:
            places[group] = len(objects)
            objects.append(one)
    return objects
