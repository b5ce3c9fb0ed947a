"""DOTA: a text file for each image, a line for each object: the corners of a rotated box in pixels, and its class.

The lines are `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, after lines such as `imagesource:GoogleEarth` and `gsd:0.146`
(Xia et al., "DOTA: A large-scale dataset for object detection in aerial images", CVPR 2018). The last number may be
missing; an object that is difficult counts for nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, stem
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, ObjectFolder
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.text import number, numbers, read_lines
from atrous.data.problems import relative

_CORNERS = 8
"""Numbers of a line."""
_HEAD = ("imagesource", "gsd")
_FORM = "write x1 y1 x2 y2 x3 y3 x4 y4 class difficult"


def find_dota(index: FileIndex) -> list[Path]:
    """Return the text files that are called as an image is, of folders with lines of DOTA."""
    names = {stem(image) for image in index.images}
    folders: dict[Path, list[Path]] = {}
    for path in index.texts.get(".txt", []):
        if stem(path) in names:
            folders.setdefault(path.parent, []).append(path)
    return [path for files in folders.values() if _is_dota(files) for path in files]


def _is_dota(files: Sequence[Path]) -> bool:
    for path in files:
        try:
            line = next((fields for _, fields in _lines(path)), None)
        except FileFault:
            continue  # told when it is read, if the others are of DOTA
        if line is not None and (_is_object(line) or numbers(line) is not None):
            return _is_object(line)  # lines of YOLO are numbers; what is neither decides nothing
    return False


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that may be an object, with its number from 1."""
    for place, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if fields and fields[0].partition(":")[0].lower() not in _HEAD:
            yield place, fields


def _is_object(fields: Sequence[str]) -> bool:
    known = len(fields) > _CORNERS and numbers(list(fields[:_CORNERS])) is not None
    return known and number(fields[_CORNERS]) is None  # a line of YOLO has numbers alone


def read_dota(index: FileIndex, files: Sequence[Path]) -> ObjectFolder:
    """Read the annotations; what is wrong with one file is a problem in the result."""
    folder = ObjectFolder(index.root, "DOTA")
    used: dict[Path, Path] = {}
    for file in files:
        split = split_in(file.relative_to(index.root).parts[:-1])
        found = index.find(stem(file), file, split)
        if len(found) != 1:
            both = " and ".join(relative(path, index.root) for path in found[:2])
            folder.error(file, f"it fits the images {both}", "give every image a name of its own", "ambiguous image")
            continue
        if found[0] in used:
            what = f"{relative(used[found[0]], index.root)} annotates the same image"
            folder.error(file, what, "keep one of the two", "two files")
            continue
        used[found[0]] = file
        try:
            objects = tuple(_objects(folder, file))
        except FileFault as fault:
            folder.unreadable(fault, found[0])
            continue
        folder.add(split, AnnotatedImage(found[0], file, objects))
    _alone(folder, index, files)
    names = {one.name for images in folder.images.values() for image in images for one in image.objects}
    folder.classes = sorted(names)
    return folder


def _alone(folder: ObjectFolder, index: FileIndex, files: Sequence[Path]) -> None:
    """Text files in the folders of annotations that belong to no image."""
    used, folders = set(files), {path.parent for path in files}
    for path in index.texts.get(".txt", []):
        if path.parent in folders and path not in used and _is_dota([path]):
            folder.warn(path, "annotates an image that is not there", "add the image, or remove it", "no image")


def _objects(folder: ObjectFolder, file: Path) -> Iterator[AnnotatedObject]:
    for place, fields in _lines(file):
        where = f"line {place}"
        if len(fields) <= _CORNERS:
            what = f"{where} has {len(fields)} fields, but a rotated box has eight numbers and a class"
            folder.error(file, what, _FORM, "line length")
            continue
        corners = numbers(fields[:_CORNERS])
        if corners is None:
            what = f"{where} begins with {' '.join(fields[:_CORNERS])[:60]!r}, which are no eight numbers"
            folder.error(file, what, _FORM, "no numbers")
            continue
        name, difficult = fields[_CORNERS:], False
        if len(name) > 1 and name[-1] in ("0", "1", "2"):
            name, difficult = name[:-1], name[-1] != "0"
        points = np.array(corners).reshape(4, 2)[:, ::-1].copy()
        called = " ".join(name)
        yield AnnotatedObject(called, f"{where} ({called})", corners=points, ignored=difficult)
