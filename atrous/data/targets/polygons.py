"""Labels that are polygons: which attribute holds the class, and what it means."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.description import MOST_CLASSES, Description
from atrous.data.formats import FileFault, Header
from atrous.data.formats.polygons import Polygons, burn, read_polygons
from atrous.data.images import SampleImage
from atrous.errors import UserError
from atrous.labels import BACKGROUND_WORDS, IGNORE

_CLASS_NAMES = ("class", "classification", "label", "class_name", "classname", "category", "class_id", "classid")
"""Names of attributes that say the class where several could, the first one first."""
_OTHERS = ("id", "fid", "ogc_fid", "objectid", "gid", "uuid", "index", "objecttype", "islocked")
"""Names of attributes that say no class: they number polygons, or say how they were drawn."""


@dataclass(frozen=True)
class ClassAttribute:
    """What says the class of polygons.

    Attributes:
        name: of the attribute; None where every polygon is the class 1.
        words: for attributes of text, the class names in label order; empty for numbers.
        ground: the value outside of all polygons: the class 0, or `IGNORE` where polygons have that class too.
        given: whether dataset.toml names the attribute.
    """

    name: str | None
    words: tuple[str, ...] = ()
    ground: int = 0
    given: bool = False

    def text(self) -> str:
        """How polygons are read, in one line."""
        outside = "void, since polygons have class 0 too" if self.ground == IGNORE else "class 0"
        if self.name is None:
            return f"polygons have no attribute that says a class: inside of them is class 1, outside is {outside}"
        said = "as dataset.toml says" if self.given else "attribute = in dataset.toml names another"
        return f"the class of polygons is their attribute `{self.name}` ({said}); outside of them is {outside}"


@dataclass(frozen=True)
class PolygonMask:
    """The labels of a map or a slide: the polygons of a file, burned onto its pixels (a `LabelReader`).

    Attributes:
        path: the file of polygons.
        image: the image.
        attribute: what says the class; None if polygons are objects, numbered from 1 in the order of the file.
        alone: whether the polygons are those of this image alone, not of several.
    """

    path: Path
    image: SampleImage
    attribute: ClassAttribute | None
    alone: bool = True

    def header(self) -> Header:
        """See `LabelReader.header`: on the pixels of the image."""
        header = self.image.header()
        return Header(
            (1, *header.size), "uint8" if self.attribute else "int32", "map" if header.map else "gray", map=header.map
        )

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`."""
        polygons = read_polygons(self.path)
        header, attribute = self.image.header(), self.attribute
        if attribute is None and not len(polygons.shapes):  # an image that shows no object
            return np.zeros(header.size, np.int32), False
        if attribute is None:
            values, ground = list(range(1, len(polygons.shapes) + 1)), 0
        else:
            values, ground = values_of(polygons, attribute), attribute.ground
        return burn(polygons, values, self.image.path, header, alone=self.alone, ground=ground), False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: `values` says it already."""


def values_of(polygons: Polygons, attribute: ClassAttribute) -> list[int]:
    """Return the value of each polygon: the position of its word among the classes, or its number.

    Raises:
        FileFault: the file has no such attribute, or a polygon has no value or an unknown one.
    """
    if attribute.name is None:
        return [1] * len(polygons.shapes)
    if attribute.name not in polygons.attributes:
        known = ", ".join(polygons.attributes) or "none"
        raise FileFault(polygons.path, f"it has no attribute `{attribute.name}` (it has {known})", "add it to the file")
    column, values = polygons.attributes[attribute.name], []
    place = {word.casefold(): number for number, word in enumerate(attribute.words)}
    for number, entry in enumerate(column, 1):
        if entry is None or (isinstance(entry, float | np.floating) and not np.isfinite(entry)):
            what = f"feature {number} has no value in `{attribute.name}`"
            raise FileFault(polygons.path, what, "give it a class, or remove it")
        if attribute.words:
            word = _word(entry)
            if word.casefold() not in place:
                what = f"class {word!r} of feature {number} is none of {', '.join(attribute.words)}"
                raise FileFault(polygons.path, what, "add it to `classes` in dataset.toml, or correct the file")
            values.append(place[word.casefold()])
        elif isinstance(entry, str) or float(entry) != int(entry):
            what = f"`{attribute.name}` of feature {number} is {entry!r}, not a whole number as in other files"
            raise FileFault(polygons.path, what, "use the same kind of class in all files")
        else:
            values.append(int(entry))
    return values


def find_attribute(files: Sequence[Path], description: Description) -> ClassAttribute:
    """Return what says the class in files of polygons: the attribute that dataset.toml names, else the only candidate.

    Candidates are attributes of text and of whole numbers that do not number the polygons. Of several, one with a usual
    name counts (`class`, `label` and so on).

    Files that cannot be read are left to the check of their samples.

    Raises:
        UserError: no file can be read, the named attribute is in none of them, or there are several candidates.
    """
    named, classes, toml = description.attribute, description.classes, description.file
    name, columns = named, _columns_of(files)
    if named is not None and named not in columns:
        raise UserError(f"{toml}: `attribute` is {named!r}, but polygons have {', '.join(columns) or 'none'}: name one")
    if named is None:
        candidates = [name for name, parts in columns.items() if all(_may_be_class(name, part) for part in parts)]
        known = {name.casefold(): name for name in candidates}
        candidates = [known[usual] for usual in _CLASS_NAMES if usual in known][:1] or candidates
        if len(candidates) > 1:
            choice = " or ".join(f'"{name}"' for name in candidates[:6])
            raise FileFault(files[0], f"its class is in {choice}", "write attribute = one of them in dataset.toml")
        name = candidates[0] if candidates else None
    if name is None:
        return ClassAttribute(None)
    values = np.concatenate([part.astype(object) for part in columns[name]])
    if not any(isinstance(value, str) for value in values):
        zero = any(value is not None and value == 0 for value in values)
        return ClassAttribute(name, ground=IGNORE if zero else 0, given=named is not None)
    words = {_word(value): None for value in values if value is not None}
    return _of_words(name, sorted(words), classes, files[0], named is not None)


def _columns_of(files: Sequence[Path]) -> dict[str, list[np.ndarray]]:
    """Return the columns of each attribute in the files that can be read.

    Raises:
        FileFault: none can.
    """
    columns: dict[str, list[np.ndarray]] = {}
    failures = []
    for file in files:
        try:
            attributes = read_polygons(file).attributes
        except FileFault as failure:
            failures.append(failure)
            continue
        for attribute, column in attributes.items():
            columns.setdefault(attribute, []).append(column)
    if failures and len(failures) == len(files):
        raise failures[0]
    return columns


def _of_words(
    name: str, words: Sequence[str], classes: tuple[str, ...] | None, file: Path, given: bool
) -> ClassAttribute:
    if classes is not None:
        labeled = classes[0].casefold() in {word.casefold() for word in words}
        return ClassAttribute(name, classes, IGNORE if labeled else 0, given)
    if len(words) >= MOST_CLASSES:
        what = f"`{name}` has {len(words)} different texts, which are no classes"
        raise FileFault(file, what, 'write attribute = "..." in dataset.toml for another one')
    first = next((word for word in words if word.casefold() in BACKGROUND_WORDS), None)
    if first is not None:
        return ClassAttribute(name, (first, *(word for word in words if word != first)), IGNORE, given)
    return ClassAttribute(name, ("background", *words), 0, given)


def _may_be_class(name: str, column: np.ndarray) -> bool:
    """Whether an attribute holds whole numbers or text, and does not number the polygons."""
    if name.casefold() in _OTHERS:
        return False
    text = column.dtype.kind == "O" and all(value is None or isinstance(value, str) for value in column)
    return text or column.dtype.kind in "iub"


def _word(value: object) -> str:
    """The class in an attribute of text; QuPath writes `{"name": "Tumor", ...}`."""
    text = str(value).strip()
    if text.startswith("{"):
        try:
            inner = json.loads(text)
        except ValueError:
            return text
        return str(inner.get("name", text)) if isinstance(inner, dict) else text
    return text
