"""MATLAB's .mat files of version 5 to 7, by SciPy: one variable of numbers, cells and structures.

Files from elsewhere are not trusted. Variables are compressed, so that a small file may hold gigabytes: the size of a
variable is declared at its start, compared with the memory of this process, and nothing beyond it is unpacked. Every
size inside is compared with that of the part that holds it before SciPy sees the variable. Objects and functions of
MATLAB are refused. Nothing in a file is run.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.data.formats.base import FileFault, guarded, require_bytes

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT = 1, 2
_NUMBERS = range(6, 16)
"""Classes of arrays of numbers: double, single, and whole numbers of 1 to 8 bytes."""
_OTHERS = {3: "an object", 4: "text", 5: "a sparse array", 16: "a function", 17: "an object"}
_COMPLEX = 0x0800
_DEPTH = 8
_MOST_PARTS = 100_000
"""Arrays in one variable: an empty one takes 8 bytes in the file and a hundred in memory."""
_COMPLEX_BYTES = 40
"""Of a complex number, of which the file may hold two bytes: the sum, the imaginary part alone, and what is packed."""
_COPIES = 3
"""The unpacked bytes, SciPy's copy of them, and the arrays."""


def read_mat(path: Path, name: str) -> Any:
    """Return the variable `name` of a .mat file as `scipy.io.loadmat` does.

    Numbers are arrays `(rows, columns)`, cells are arrays of objects, structures have a type with named fields.

    Raises:
        FileFault: the file is missing, damaged, of another version, or too large; it has no such variable, or the
            variable contains other things than numbers, cells and structures.

    >>> import tempfile, scipy.io
    >>> path = Path(tempfile.mkdtemp()) / "a.mat"
    >>> scipy.io.savemat(path, {"sizes": [[3, 4]]}, do_compression=True)
    >>> read_mat(path, "sizes").tolist()
    [[3, 4]]
    """
    if not path.is_file():
        raise FileFault(path, "no such file", "check the path")
    require_bytes(path, 2 * path.stat().st_size, "reading it")
    return guarded(path, "mat", (NotImplementedError, TypeError, KeyError, IndexError), lambda: _read(path, name))


def _read(path: Path, name: str) -> Any:
    from scipy.io import loadmat

    content = path.read_bytes()
    order = _byte_order(path, content)
    names = []
    for variable in _variables(path, content, order):
        part = _Part(variable, order, _tag(variable, 0, len(variable), order))
        names.append(part.name)
        if part.name != name:
            continue
        _require_sound(path, part, [0], _DEPTH)
        # unpacked and alone: SciPy is given nothing else than what was looked at
        return loadmat(io.BytesIO(content[:_HEADER] + variable))[name]
    has = ", ".join(names[:6]) or "none"
    raise FileFault(path, f"it has no variable {name!r} (it has {has})", f"save it under the name {name!r}")


def _byte_order(path: Path, content: bytes) -> str:
    """Return "<" or ">" from the header of a file.

    Raises:
        FileFault: it is of version 7.3.
        ValueError: it is none of version 5 to 7.
    """
    mark = content[126:128]
    version = content[124:126]
    if mark not in (b"IM", b"MI"):
        raise ValueError("its header is not that of version 5 to 7")
    if version == (b"\x00\x02" if mark == b"IM" else b"\x02\x00"):
        raise FileFault(path, "it is of version 7.3 (HDF5), which is not read", "save it with the option -v7")
    if version != (b"\x00\x01" if mark == b"IM" else b"\x01\x00"):
        raise ValueError("its header is not that of version 5 to 7")
    return "<" if mark == b"IM" else ">"


@dataclass(frozen=True)
class _Tag:
    """Where an element lies: its type, the interval of its data, and where the next element begins."""

    kind: int
    start: int
    end: int
    next: int


def _tag(data: bytes, place: int, end: int, order: str) -> _Tag:
    """Read the tag of the element at `place`, which must lie before `end`.

    Raises:
        ValueError: it does not.
    """
    if place + 8 > end:
        raise ValueError("a part of it is cut short")
    kind, size = struct.unpack_from(f"{order}II", data, place)
    start, small = place + 8, kind >> 16
    if small:  # type and size share four bytes, and the data are in the next four
        kind, size, start = kind & 0xFFFF, small, place + 4
    if start + size > end or (small and size > 4):
        raise ValueError(f"a part of it declares {size} bytes, more than there are")
    return _Tag(kind, start, start + size, place + 8 if small else start + -(-size // 8) * 8)


def _variables(path: Path, content: bytes, order: str) -> Iterator[bytes]:
    """Yield each variable unpacked, with its tag."""
    place = _HEADER
    while place < len(content):
        tag = _tag(content, place, len(content), order)
        if tag.kind == _COMPRESSED:
            yield _unpacked(path, content[tag.start : tag.end], order)
            place = tag.end  # compressed elements are not padded
        elif tag.kind == _MATRIX:
            yield content[place : tag.end]
            place = tag.next
        else:
            raise ValueError(f"it holds data of type {tag.kind} where a variable is expected")


def _unpacked(path: Path, packed: bytes, order: str) -> bytes:
    """Return a compressed variable with its tag; no more than what the tag declares is unpacked."""
    inflate = zlib.decompressobj()
    head = inflate.decompress(packed, 8)
    if len(head) < 8:
        raise ValueError("a variable is cut short")
    kind, size = struct.unpack(f"{order}II", head)
    if kind != _MATRIX:
        raise ValueError(f"a variable is of type {kind}, which is none")
    require_bytes(path, _COPIES * size, "a variable")
    data = inflate.decompress(inflate.unconsumed_tail, size) if size else b""
    if len(data) < size:
        raise ValueError(f"a variable declares {size} bytes and has {len(data)}")
    return head + data


class _Part:
    """An array inside a variable, as its first elements describe it.

    Attributes:
        kind: its class: `_CELL`, `_STRUCT`, or one of `_NUMBERS`; 0 for an empty element.
        count: how many numbers, cells or structures it has.
        name: "" for arrays inside others.
    """

    def __init__(self, data: bytes, order: str, tag: _Tag) -> None:
        if tag.kind != _MATRIX:
            raise ValueError(f"it holds data of type {tag.kind} where an array is expected")
        self.data, self.order, self.end = data, order, tag.end
        self.kind, self.count, self.name, self.complex, self.place = 0, 0, "", False, tag.end
        if tag.start == tag.end:
            return
        flags = _tag(data, tag.start, self.end, order)
        sizes = _tag(data, flags.next, self.end, order)
        name = _tag(data, sizes.next, self.end, order)
        if flags.end - flags.start != 8 or (sizes.end - sizes.start) % 4 or sizes.end - sizes.start < 8:
            raise ValueError("the description of an array is damaged")
        (described,) = struct.unpack_from(f"{order}I", data, flags.start)
        shape = struct.unpack_from(f"{order}{(sizes.end - sizes.start) // 4}i", data, sizes.start)
        if min(shape) < 0:
            raise ValueError(f"an array declares the shape {shape}")
        self.kind, self.complex = described & 0xFF, bool(described & _COMPLEX)
        self.count, self.place = math.prod(shape), name.next
        self.name = data[name.start : name.end].decode("latin-1")

    def element(self) -> _Tag:
        """Return the tag of the next element, and go on behind it."""
        tag = _tag(self.data, self.place, self.end, self.order)
        self.place = tag.next
        return tag


def _require_sound(path: Path, part: _Part, seen: list[int], depth: int) -> None:
    """Raise unless a part holds what it declares; `seen[0]` counts the arrays of the variable."""
    seen[0] += 1
    if depth < 0 or seen[0] + part.count * (part.kind in (_CELL, _STRUCT)) > _MOST_PARTS:
        raise ValueError(f"a variable holds more than {_MOST_PARTS} arrays, or some {_DEPTH} deep in each other")
    if part.kind == 0 and part.place == part.end:
        return
    if part.kind in _NUMBERS:
        _require_numbers(path, part)
        return
    if part.kind not in (_CELL, _STRUCT):
        what = f"{part.name or 'a part of it'} is {_OTHERS.get(part.kind, 'of an unknown class')}, which is not read"
        raise FileFault(path, what, "save arrays of numbers, cells and structures")
    for _ in range(part.count * (_fields(part) if part.kind == _STRUCT else 1)):
        _require_sound(path, _Part(part.data, part.order, part.element()), seen, depth - 1)


def _require_numbers(path: Path, part: _Part) -> None:
    """Raise unless an array has as many numbers as its shape says; the type in the file may be a smaller one."""
    if part.complex:
        require_bytes(path, _COMPLEX_BYTES * part.count, "an array of complex numbers")
    widths = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
    for _ in range(2 if part.complex else 1):
        tag = part.element()
        if tag.kind not in widths or tag.end - tag.start != widths[tag.kind] * part.count:
            raise ValueError(f"an array declares {part.count} numbers and has {tag.end - tag.start} bytes")


def _fields(part: _Part) -> int:
    """Return how many fields a structure has, and go on behind their names."""
    length, names = part.element(), part.element()
    if length.end - length.start != 4:
        raise ValueError("the description of a structure is damaged")
    (size,) = struct.unpack_from(f"{part.order}i", part.data, length.start)
    if size <= 0 or (names.end - names.start) % size:
        raise ValueError("the names of a structure's fields are damaged")
    return (names.end - names.start) // size
