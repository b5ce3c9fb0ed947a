"""COCO JSON: all images of a split in one file, with boxes, outlines, run-length masks and key points."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, Box, ObjectFolder, RunLengths
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.runs import read_runs
from atrous.data.object_files.text import contains, number, numbers, read_json
from atrous.data.problems import relative, some

_KEYS = ("images", "annotations", "categories")
_OTHER_KINDS = ("captions", "panoptic", "stuff", "image_info")
_SECOND = "person_keypoints"
"""Files of COCO that hold the same persons again."""


def find_coco(index: FileIndex) -> list[Path]:
    """Return the JSON files that have two of COCO's three keys at their beginning or end."""
    files = [path for path in index.texts.get(".json", []) if not path.name.startswith(_OTHER_KINDS)]
    files = [path for path in files if contains(path, *_KEYS) >= 2]
    first = [path for path in files if not path.name.startswith(_SECOND)]
    return first or files


def read_coco(index: FileIndex, files: Sequence[Path]) -> ObjectFolder:
    """Read the annotations; what is wrong with one of them is a problem in the result.

    Raises:
        FileFault: a file is no JSON, or larger than the memory.
    """
    folder = ObjectFolder(index.root, "COCO")
    used: dict[Path, Path] = {}
    for file in files:
        content = read_json(file)
        if not isinstance(content, dict) or not all(isinstance(content.get(key, []), list) for key in _KEYS):
            raise FileFault(file, "has no lists `images`, `annotations` and `categories`", "export it again as COCO")
        split = split_in((*file.relative_to(index.root).parts[:-1], file.stem))
        names = _categories(folder, file, content)
        objects = _objects(folder, file, content, names)
        for image in _images(folder, index, file, content, split):
            key, annotated = image
            if annotated.image in used:
                _twice(folder, file, annotated.image, used[annotated.image])
                continue
            used[annotated.image] = file
            found = tuple(objects.get(key, ()))
            folder.add(split, AnnotatedImage(annotated.image, file, found, annotated.size))
    return folder


def _twice(folder: ObjectFolder, file: Path, image: Path, other: Path) -> None:
    where = "twice in it" if other == file else f"in {relative(other, folder.root)}, too"
    folder.error(file, f"the image {image.name} is {where}", "list every image once", "two entries")


def _id(record: Any, key: str) -> int | str | None:
    """An id that an entry gives; None where it is neither a whole number, also one written as 1.0, nor a text."""
    found = record.get(key) if isinstance(record, dict) else None
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return found if isinstance(found, int | str) else None


def _records(
    folder: ObjectFolder, file: Path, content: Mapping[str, Any], key: str
) -> list[tuple[Any, dict[str, Any]]]:
    """The entries of a list with their ids; an id that comes again is a problem, and the first entry counts."""
    seen: dict[Any, dict[str, Any]] = {}
    twice: Counter[Any] = Counter()
    for place, record in enumerate(content.get(key, []), 1):
        known = _id(record, "id")
        if known is None:
            folder.error(file, f"entry {place} of `{key}` has no id", "export it again as COCO", "no id")
        elif known in seen:
            twice[known] += 1
        else:
            seen[known] = record
    if twice:
        what = f"ids of `{key}` that occur more than once: {some([str(known) for known in twice], 3)}"
        folder.error(file, what, f"give each of the {key} an id of its own", "duplicate id")
    return list(seen.items())


def _categories(folder: ObjectFolder, file: Path, content: Mapping[str, Any]) -> dict[Any, str]:
    """The name of each category; those that only stand above others, and are never used, are no classes."""
    records = _records(folder, file, content, "categories")
    names = {key: str(record.get("name", "")).strip() or f"class {key}" for key, record in records}
    used = {_id(record, "category_id") for record in content.get("annotations", [])}
    above = {
        str(record.get("supercategory", "")) for key, record in records if names[key] != record.get("supercategory")
    }
    for name, count in Counter(names.values()).items():
        if count > 1:
            folder.error(file, f"{count} categories are named {name!r}", "give each its own name", "duplicate class")
    for name, record in [(names[key], record) for key, record in records]:
        parts = record.get("keypoints")
        if isinstance(parts, list) and parts:
            if folder.keypoints and folder.keypoints != [str(part) for part in parts]:
                what = f"the category {name!r} has other key points than the one before"
                folder.error(file, what, "keep categories of the same key points in a file", "key points")
            folder.keypoints = folder.keypoints or [str(part) for part in parts]
    for key, name in sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])):
        if name not in folder.classes and (key in used or name not in above):
            folder.classes.append(name)
    return names


def _images(
    folder: ObjectFolder, index: FileIndex, file: Path, content: Mapping[str, Any], split: str | None
) -> list[tuple[Any, AnnotatedImage]]:
    images, lost = [], []
    records = _records(folder, file, content, "images")
    for key, record in records:
        name = record.get("file_name")
        found = index.find(name, file, split) if isinstance(name, str) else []
        if len(found) > 1:
            both = " and ".join(relative(path, folder.root) for path in found[:2])
            what, fix = f"its image {str(name)[:80]!r} may be {both}", "write the folder before the name"
            folder.error(file, what, fix, "ambiguous image")
        elif not found:
            lost.append(repr(str(name)[:80]))
        else:
            height, width = number(record.get("height")), number(record.get("width"))
            size = (round(height), round(width)) if height and width else None
            images.append((key, AnnotatedImage(found[0], file, (), size)))
    if lost:
        _not_there(folder, file, lost, len(records))
    return images


def _not_there(folder: ObjectFolder, file: Path, lost: Sequence[str], count: int) -> None:
    """Report the images that are not there in one line, however many of the `count` images of a file they are."""
    if len(lost) == 1:
        what, fix = f"its image {lost[0]} is not there", "copy the image into the folder, or remove its entry"
    else:
        what = f"{len(lost):,} of its {count:,} images are not there: {some(lost, 3)}"
        fix = "copy the images into the folder, or remove their entries"
    folder.error(file, what, fix, "no image")


def _objects(
    folder: ObjectFolder, file: Path, content: Mapping[str, Any], names: Mapping[Any, str]
) -> dict[Any, list[AnnotatedObject]]:
    """The objects of each image, by its id."""
    images = {_id(record, "id") for record in content.get("images", [])} - {None}
    objects: dict[Any, list[AnnotatedObject]] = {}
    lost: list[str] = []
    for place, record in enumerate(content.get("annotations", []), 1):
        if not isinstance(record, dict):
            folder.error(file, f"entry {place} of `annotations` is no object", "export it again as COCO", "no object")
            continue
        key, category = _id(record, "image_id"), _id(record, "category_id")
        where = f"annotation {record.get('id', place)}"
        if key not in images:
            lost.append(where)
        elif category not in names:
            what = f"{where} has the category {str(record.get('category_id'))[:40]!r}, which is not in `categories`"
            folder.error(file, what, "add the category, or correct the annotation", "unknown class")
        else:
            try:
                objects.setdefault(key, []).append(_object(file, where, record, names[category]))
            except FileFault as fault:
                folder.error(fault.file, fault.what, fault.fix, "bad outline")
    if lost:
        what = f"{some(lost, 3)}: the image is not in its list `images`"
        folder.error(file, what, "list the image, or remove the annotations", "lost annotation")
    return objects


def _object(file: Path, where: str, record: Mapping[str, Any], name: str) -> AnnotatedObject:
    where = f"{where} ({name})"
    polygons, runs = _outline(file, where, record.get("segmentation"))
    keypoints = None
    if record.get("keypoints"):
        places = numbers(record["keypoints"])
        if places is None or len(places) % 3:
            raise FileFault(file, f"{where}: `keypoints` are no x, y, v in turn", "write three numbers for each")
        keypoints = np.array(places).reshape(-1, 3)[:, [1, 0, 2]]
    ignored = record.get("iscrowd") in (1, "1")
    box = _box(file, where, record.get("bbox"), bool(polygons) or runs is not None or keypoints is not None)
    if keypoints is not None and box is not None and box[:2] == box[2:]:
        box = None  # some tools write [0, 0, 0, 0] where only key points were marked
    return AnnotatedObject(name, where, box, polygons, runs, keypoints=keypoints, ignored=ignored)


def _box(file: Path, where: str, stored: Any, known: bool) -> Box | None:
    """The box of `[x, y, width, height]`; objects whose place is `known` otherwise need none."""
    if not stored and known:
        return None
    found = numbers(stored, 4)
    if found is None:
        raise FileFault(file, f"{where} has no `bbox` of four numbers", "write [x, y, width, height]")
    x, y, width, height = found
    return (y, x, y + height, x + width)


def _outline(file: Path, where: str, stored: Any) -> tuple[tuple[np.ndarray, ...], RunLengths | None]:
    if not stored:
        return (), None
    if isinstance(stored, dict):
        return (), read_runs(file, where, stored)
    if not isinstance(stored, list):
        raise FileFault(file, f"{where}: `segmentation` is neither polygons nor run lengths", "export it again")
    rings = [stored] if number(stored[0]) is not None else [ring for ring in stored if ring != []]  # [[]] says none
    return tuple(ring_of(file, where, ring) for ring in rings), None


def ring_of(file: Path, where: str, stored: Any) -> np.ndarray:
    """Return the corners `(n, 2)` of a polygon that a file stores as x, y, x, y, ...

    Raises:
        FileFault: it has other things than pairs of numbers, or fewer than three corners.
    """
    found = numbers(stored)
    if found is None or len(found) % 2:
        raise FileFault(file, f"{where}: its polygon is no list of x, y in turn", "export it again")
    if len(found) < 6:
        what = f"{where}: a polygon of {len(found) // 2} points encloses nothing"
        raise FileFault(file, what, "draw at least three points, or remove it")
    return np.array(found).reshape(-1, 2)[:, ::-1].copy()
