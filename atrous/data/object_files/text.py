"""Annotation files as text: JSON, XML and numbers of files that are not trusted."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from atrous.data.formats import FileFault
from atrous.data.formats.base import require_bytes
from atrous.data.plain_text import encoding_of, not_utf8

_COPIES = {"JSON": 16, "XML": 40, "text": 8}
"""Bytes of memory for each byte of a file while it is parsed."""
_BLOCK = 1 << 20
"""Bytes of a file that are searched in one step."""
LARGEST = 1e9
"""Coordinates beyond this are damaged; areas and sums of smaller ones stay finite."""


def _content(path: Path, kind: str) -> bytes:
    require_bytes(path, _COPIES[kind] * path.stat().st_size, "reading its annotations")
    content = path.read_bytes()
    if not content.strip() and kind != "text":
        raise FileFault(path, "is empty", "export it again, or remove it")
    return content


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file.

    Raises:
        FileFault: it is not UTF-8 or UTF-16.
    """
    return _decoded(path, _content(path, "text")).splitlines()


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode(encoding_of(content[:4]))
    except UnicodeDecodeError as error:
        raise FileFault(path, not_utf8(content, error), "save it as UTF-8") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        FileFault: it is empty, no JSON, nested too deeply, or larger than the memory.
    """
    try:
        return json.loads(_decoded(path, _content(path, "JSON")))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FileFault):
            raise
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FileFault(path, f"is no valid JSON ({why})", "export it again") from error


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root element of an XML file.

    Raises:
        FileFault: it is empty, no XML, larger than the memory, or declares a document type or entities, which could
            take any amount of memory.
    """
    content = _content(path, "XML")
    plain = content.replace(b"\0", b"").upper()  # as it would be in UTF-8, if it is UTF-16
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise FileFault(path, "declares a document type or entities, which are not read", "remove the line `<!...>`")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise FileFault(path, f"is no valid XML ({error})", "export it again") from error


def contains(path: Path, *words: str) -> int:
    """Return how many of some words stand in quotes in a file; it is read to where the last of them stands.

    No part of it is left out: labelme writes `imagePath` between outlines and a picture of any length.
    """
    wanted = {f'"{word}"'.encode() for word in words}
    longest, before = max(map(len, wanted), default=1), b""
    missing = set(wanted)
    with path.open("rb") as file:
        while missing and (block := file.read(_BLOCK)):
            text = before + block
            missing = {word for word in missing if word not in text}
            before = text[-longest + 1 :]
    return len(wanted) - len(missing)


def number(value: Any) -> float | None:
    """Return a number that stands in a file as a number or a text; None where it is none, or beyond any image.

    >>> number("12.5"), number(3), number("nan"), number(None), number(True)
    (12.5, 3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= LARGEST else None


def numbers(values: Any, count: int | None = None) -> list[float] | None:
    """Return a list of finite numbers; None where it is none, or has another length than `count`."""
    if not isinstance(values, list | tuple) or (count is not None and len(values) != count):
        return None
    if set(map(type, values)) <= {int, float}:  # as in files of many objects, where each call counts
        return list(values) if all(-LARGEST <= value <= LARGEST for value in values) else None
    found = [number(value) for value in values]
    return None if None in found else [value for value in found if value is not None]
