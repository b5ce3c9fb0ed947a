"""YOLO: a text file for each image, a line for each object, in fractions of the width and the height."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from atrous.data.description import MOST_CLASSES
from atrous.data.formats import FileFault
from atrous.data.formats.base import require_bytes
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, ObjectFolder
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.text import number, numbers, read_lines
from atrous.data.object_files.yolo_splits import read_splits

_NAMES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt")
"""Text files with one class name a line."""
_YAML_COPIES = 200
_BOX = 5


@dataclass(frozen=True)
class YoloFiles:
    """The files of a YOLO data set.

    Attributes:
        labels: the text file of each image; None for an image that has none, and so shows no object.
        names: the file that names the classes, if there is one.
    """

    labels: dict[Path, Path | None]
    names: Path | None


def find_yolo(index: FileIndex) -> YoloFiles | None:
    """Return the text files of images, which lie in `labels/` as images do in `images/`, or beside them."""
    texts = {path.with_suffix("") for path in index.texts.get(".txt", [])}
    labels: dict[Path, Path | None] = {}
    for image in index.images:
        own = next((place for place in _places(index.root, image) if place in texts), None)
        if own is not None:
            labels[image] = own.with_name(f"{own.name}.txt")
    names = _names_file(index)
    first = next((path for path in labels.values() if path is not None and path.stat().st_size), None)
    if first is None or not (names is not None or _is_label(first)):
        return None
    folders = {image.parent for image in labels}
    labels |= {image: None for image in index.images if image.parent in folders and image not in labels}
    return YoloFiles({image: labels[image] for image in index.images if image in labels}, names)


def _places(root: Path, image: Path) -> Iterator[Path]:
    """Where the text file of an image may lie, without suffix: the last folder `images` becomes `labels`."""
    parts = image.relative_to(root).with_suffix("").parts
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == "images":
            yield root.joinpath(*parts[:place], "labels", *parts[place + 1 :])
            break
    yield image.with_suffix("")


def _is_label(path: Path) -> bool:
    try:
        fields = next((line.split() for line in read_lines(path) if line.strip()), [])
    except FileFault:
        return False
    return len(fields) >= _BOX and numbers(fields) is not None and fields[0].isdigit()


def _names_file(index: FileIndex) -> Path | None:
    """A YAML file that has the key `names`, or a list of names."""
    for path in (*index.texts.get(".yaml", []), *index.texts.get(".yml", [])):
        if len(path.relative_to(index.root).parts) <= 2 and b"names" in path.read_bytes()[: 1 << 16]:
            return path
    texts = (*index.texts.get(".txt", []), *index.texts.get(".names", []))
    return next((path for path in texts if path.name in _NAMES), None)


def read_yolo(index: FileIndex, files: YoloFiles) -> ObjectFolder:
    """Read the annotations; what is wrong with one of them is a problem in the result.

    Raises:
        FileFault: the file that names the classes cannot be read.
    """
    folder = ObjectFolder(index.root, "YOLO")
    settings: dict[str, Any] = {}
    if files.names is not None:
        settings = _settings(files.names)
        folder.classes = _class_names(files.names, settings.get("names"))
        read_splits(folder, index, files.names, settings, files.labels)
    shape = (0, 0) if files.names is None else _shape(files.names, settings.get("kpt_shape"))
    for image, label in files.labels.items():
        split = split_in(image.relative_to(index.root).parts[:-1])
        objects: list[AnnotatedObject] = []
        if label is not None:
            try:
                lines = read_lines(label)
            except FileFault as fault:
                folder.unreadable(fault, image)
                continue
            objects = list(_objects(folder, label, lines, files.names, shape))
        folder.add(split, AnnotatedImage(image, label or image, tuple(objects), fractions=True))
    _alone(folder, index, files)
    return folder


def _shape(file: Path, stored: Any) -> tuple[int, int]:
    """How many key points an object has, and numbers each: x, y and maybe whether it is seen; (0, 0) without any."""
    found = numbers(stored, 2)
    if found is None:
        return 0, 0
    if found[0] < 1 or found[1] not in (2, 3):
        what = f"`kpt_shape` is [{', '.join(str(value)[:20] for value in stored)}]"
        raise FileFault(file, what, "write [points, 3] for x, y and visibility of each, or [points, 2] for x and y")
    return int(found[0]), int(found[1])


def _alone(folder: ObjectFolder, index: FileIndex, files: YoloFiles) -> None:
    """Text files in the folders of labels that belong to no image."""
    used = set(files.labels.values())
    folders = {path.parent for path in used if path is not None}
    for path in index.texts.get(".txt", []):
        if path.parent in folders and path not in used and path.name not in _NAMES and _is_label(path):
            folder.warn(path, "annotates an image that is not there", "add the image, or remove it", "no image")


def _settings(path: Path) -> dict[str, Any]:
    """What the file of names says; every value of YAML as text, since a class may be called `no`."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return {"names": [line.strip() for line in read_lines(path) if line.strip()]}
    require_bytes(path, _YAML_COPIES * path.stat().st_size, "reading it")
    try:
        content = yaml.load("\n".join(read_lines(path)), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise FileFault(path, f"is no valid YAML ({why})", "correct it") from error
    if not isinstance(content, dict):
        raise FileFault(path, "has no key `names`", "write names: [first class, second class]")
    return content


def _class_names(path: Path, names: Any) -> list[str]:
    """Names in the order of their numbers: a list, or number: name."""
    if isinstance(names, dict) and all(isinstance(name, str) for name in names.values()):
        known = {number(key): name for key, name in names.items()}
        if set(known) != set(range(len(known))):
            raise FileFault(path, "`names` does not number the classes 0, 1, 2, ...", "name every number")
        return [known[place] for place in range(len(known))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FileFault(path, "`names` is no list of class names", "write names: [first class, second class]")
    return names


def _objects(
    folder: ObjectFolder, file: Path, lines: Sequence[str], names: Path | None, shape: tuple[int, int]
) -> Iterator[AnnotatedObject]:
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields, where = line.split(), f"line {place}"
        values = numbers(fields)
        if values is None:
            folder.error(
                file, f"{where} is {line.strip()[:40]!r}, not numbers", "write class, x, y, width, height", "no numbers"
            )
            continue
        kind = values[0]
        if kind != int(kind) or kind < 0:
            folder.error(file, f"{where} has the class {fields[0][:20]}", "number classes 0, 1, 2, ...", "no class")
            continue
        if names is not None and kind >= len(folder.classes):
            what = f"{where} has the class {int(kind)}, but {names.name} names {len(folder.classes)}"
            folder.error(file, what, f"add its name to {names.name}, or correct the line", "unknown class")
            continue
        while names is None and len(folder.classes) <= kind < MOST_CLASSES:
            folder.classes.append(f"class {len(folder.classes)}")
        if kind >= len(folder.classes):
            folder.error(file, f"{where} has the class {int(kind)}", "number classes 0, 1, 2, ...", "unknown class")
            continue
        name = folder.classes[int(kind)]
        one = _object(folder, file, f"{where} ({name})", name, values[1:], shape)
        if one is not None:
            yield one


def _object(
    folder: ObjectFolder, file: Path, where: str, name: str, values: list[float], shape: tuple[int, int]
) -> AnnotatedObject | None:
    count = len(values)
    points = shape[0] * shape[1]
    if count == 4 or (points and count == 4 + points):
        x, y, width, height = values[:4]
        keypoints = None
        if points and count > 4:
            rows = np.array(values[4:]).reshape(shape)
            seen = rows[:, 2] if shape[1] == 3 else np.full(len(rows), 2.0)
            keypoints = np.stack([rows[:, 1], rows[:, 0], seen], axis=1)
        box = (y - height / 2, x - width / 2, y + height / 2, x + width / 2)
        return AnnotatedObject(name, where, box, keypoints=keypoints)
    if count == 5:
        what, fix = f"{where} has six numbers, as predictions with a confidence", "take the last column out"
    elif count % 2 == 0 and count >= 6:
        return AnnotatedObject(name, where, polygons=(np.array(values).reshape(-1, 2)[:, ::-1].copy(),))
    else:
        what, fix = f"{where} has {count + 1} numbers", "write class x y width height, or class x1 y1 x2 y2 x3 y3 ..."
    folder.error(file, what, fix, "line length")
    return None
