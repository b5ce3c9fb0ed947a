"""CSV tables of boxes or points: a row for each object, with the name of its image."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atrous.data.formats import SUFFIXES, FileFault, read_header, suffix_of
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, ObjectFolder
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.text import number, numbers, read_lines
from atrous.data.problems import relative

_ROLES: dict[str, tuple[str, ...]] = {
    "image": ("filename", "file", "image", "imageid", "path", "imagepath", "filepath", "imagename", "img", "imagefile"),
    "class": ("class", "label", "classname", "category", "name", "classid", "type"),
    "left": ("xmin", "x1", "left", "x0", "bboxxmin"),
    "top": ("ymin", "y1", "top", "y0", "bboxymin"),
    "right": ("xmax", "x2", "right", "bboxxmax"),
    "bottom": ("ymax", "y2", "bottom", "bboxymax"),
    "x": ("x", "bboxx", "col", "column", "cx", "xcenter", "centerx"),
    "y": ("y", "bboxy", "row", "cy", "ycenter", "centery"),
    "width": ("width", "w", "bboxwidth", "bboxw"),
    "height": ("height", "h", "bboxheight", "bboxh"),
    "bbox": ("bbox", "box"),
}
"""The columns that say each thing, in lower case and without other characters."""
LOOKED_AT = 50
"""Rows of a table whose images are opened to learn what its widths and heights are."""
NAMELESS = "object"
"""The name of objects of which a table says no class."""
_CENTERS = ("cx", "cy", "xcenter", "ycenter", "centerx", "centery")
"""Names of columns of the center of a box, where others name its corner."""
_NO_HEADER = ("image", "left", "top", "right", "bottom", "class")
"""The columns of a table without names (keras-retinanet)."""


@dataclass(frozen=True)
class ObjectTable:
    """A table of objects.

    Attributes:
        path: the file.
        delimiter: between its columns.
        columns: the place of each thing in a row, by the keys of `_ROLES`.
        first: number of the first row of objects.
        centered: whether x and y are the center of a box.
    """

    path: Path
    delimiter: str
    columns: Mapping[str, int]
    first: int
    centered: bool = False

    @property
    def kind(self) -> str:
        """What a row says: "corners", "sizes" (a corner, or the center, with width and height), "bbox", or "point"."""
        if {"left", "top", "right", "bottom"} <= set(self.columns):
            return "corners"
        if "bbox" in self.columns:
            return "bbox"
        return "sizes" if {"x", "y", "width", "height"} <= set(self.columns) else "point"


def find_tables(index: FileIndex) -> list[ObjectTable]:
    """Return the tables whose columns name an image and a box or a point."""
    files = (*index.texts.get(".csv", []), *index.texts.get(".tsv", []))
    return [table for path in files if (table := _table(path)) is not None] if index.images else []


def _table(path: Path) -> ObjectTable | None:
    """The columns by the first line of a file; None where it names none of the right ones."""
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    text = line.decode("utf-8-sig", errors="replace").strip()
    delimiter = max(",;\t", key=text.count)
    fields = next(csv.reader([text], delimiter=delimiter), [])
    if len(fields) == len(_NO_HEADER) and suffix_of(fields[0]) in SUFFIXES:
        return ObjectTable(path, delimiter, {role: place for place, role in enumerate(_NO_HEADER)}, 1)
    keys = ["".join(letter for letter in field.lower() if letter.isalnum()) for field in fields]
    columns: dict[str, int] = {}
    for role, names in _ROLES.items():
        found = [keys.index(name) for name in names if name in keys]
        place = next((place for place in found if place not in columns.values()), None)
        if place is not None:
            columns[role] = place
    places = ({"left", "top", "right", "bottom"}, {"bbox"}, {"x", "y"})
    if "image" not in columns or not any(wanted <= set(columns) for wanted in places):
        return None
    centered = all(keys[columns[role]] in _CENTERS for role in ("x", "y") if role in columns)
    return ObjectTable(path, delimiter, columns, 2, centered)


def read_tables(index: FileIndex, tables: Sequence[ObjectTable]) -> ObjectFolder:
    """Read the objects; what is wrong with a row is a problem in the result.

    Raises:
        FileFault: a table is no text.
    """
    folder = ObjectFolder(index.root, "CSV of boxes")
    used: dict[Path, Path] = {}
    for table in tables:
        split = split_in((*table.path.relative_to(index.root).parts[:-1], table.path.stem))
        for image, (size, objects) in _images(folder, index, table, split).items():
            if image in used:
                what = f"{relative(used[image], index.root)} lists objects of {image.name}, too"
                folder.error(table.path, what, "keep the objects of an image in one table", "two files")
                continue
            used[image] = table.path
            folder.add(split, AnnotatedImage(image, table.path, tuple(objects), size))
    found = [one for images in folder.images.values() for image in images for one in image.objects]
    folder.classes = sorted({one.name for one in found})
    if found and all(one.point is not None for one in found):
        folder.name = "CSV of points"
    return folder


def _images(
    folder: ObjectFolder, index: FileIndex, table: ObjectTable, split: str | None
) -> dict[Path, tuple[tuple[int, int] | None, list[AnnotatedObject]]]:
    lines = read_lines(table.path)
    found: dict[str, list[Path]] = {}
    images: dict[Path, tuple[tuple[int, int] | None, list[AnnotatedObject]]] = {}
    try:
        rows = list(csv.reader(lines, delimiter=table.delimiter))
    except csv.Error as error:
        raise FileFault(table.path, f"is no table ({error})", "export it again") from error
    if table.kind == "sizes" and _are_of_images(index, table, rows[table.first - 1 :], split):
        table = replace(table, columns={role: table.columns[role] for role in {*table.columns} - {"width", "height"}})
    for place, row in enumerate(rows[table.first - 1 :], table.first):
        if not any(field.strip() for field in row):
            continue
        said = _said(table, row)
        name = said.get("image", "")
        if name not in found:
            found[name] = index.find(name, table.path, split)
            if len(found[name]) != 1:
                _not_found(folder, table.path, name, found[name], place)
        if len(found[name]) == 1:
            objects = images.setdefault(found[name][0], (_size(table, said), []))[1]
            one = _object(folder, table, place, said)
            objects += [] if one is None else [one]
    return images


def _said(table: ObjectTable, row: Sequence[str]) -> dict[str, str]:
    """What a row says, by the keys of `_ROLES`."""
    return {role: row[column].strip() for role, column in table.columns.items() if column < len(row)}


def _are_of_images(index: FileIndex, table: ObjectTable, rows: Sequence[Sequence[str]], split: str | None) -> bool:
    """Whether width and height are those of the images, so that x and y are points: boxes so large would leave them."""
    known: list[bool] = []
    for row in rows[:LOOKED_AT]:
        said = _said(table, row)
        x, y, width, height = (number(said.get(role)) for role in ("x", "y", "width", "height"))
        found = index.find(said.get("image", ""), table.path, split)
        if len(found) != 1 or x is None or y is None:
            continue
        try:
            size = read_header(found[0]).size
        except FileFault:
            continue  # said of the image when it is read
        known.append((height, width) == size and max(x, y) > 0)
    return bool(known) and all(known)


def _not_found(folder: ObjectFolder, file: Path, name: str, found: Sequence[Path], place: int) -> None:
    if found:
        both = " and ".join(relative(path, folder.root) for path in found[:2])
        what, fix = f"line {place}: {name[:80]!r} may be {both}", "write the folder before the name"
        folder.error(file, what, fix, "ambiguous image")
    else:
        what = f"line {place}: the image {name[:80]!r} is not there"
        folder.error(file, what, "copy the image into the folder, or remove its rows", "no image")


def _size(table: ObjectTable, said: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width of the image, where a table of corners has them (TensorFlow's)."""
    if table.kind not in ("corners", "bbox"):
        return None
    height, width = number(said.get("height")), number(said.get("width"))
    return (round(height), round(width)) if height and width else None


def _object(folder: ObjectFolder, table: ObjectTable, place: int, said: Mapping[str, str]) -> AnnotatedObject | None:
    """The object of a row; None for an image without objects, whose places are empty."""
    name = said.get("class") or NAMELESS
    where = f"line {place} ({name})" if "class" in table.columns else f"line {place}"
    roles = {
        "corners": ("top", "left", "bottom", "right"), "sizes": ("y", "x", "height", "width"), "point": ("y", "x"),
        "bbox": ("bbox",),
    }[table.kind]  # fmt: skip
    texts = [said.get(role, "") for role in roles]
    if not any(texts):
        return None
    values = _listed(texts[0]) if table.kind == "bbox" else numbers(texts)
    if values is None:
        what = f"line {place}: {', '.join(texts)[:60]!r} are not numbers"
        folder.error(table.path, what, f"write {', '.join(roles)} as numbers", "no numbers")
        return None
    if table.kind == "point":
        return AnnotatedObject(name, where, point=(values[0], values[1]))
    top, left, bottom, right = values
    if table.kind != "corners":
        if table.kind == "sizes" and table.centered:
            top, left = top - bottom / 2, left - right / 2
        bottom, right = top + bottom, left + right
    return AnnotatedObject(name, where, (top, left, bottom, right))


def _listed(text: str) -> list[float] | None:
    """The y, x, height and width of `[x, y, width, height]` in one column."""
    try:
        found = numbers(json.loads(text), 4)
    except (ValueError, RecursionError):
        return None
    return None if found is None else [found[1], found[0], found[3], found[2]]
