"""The parts of Nikon's ND2 files: where each chunk lies, checked before anything of it is read.

A file is a sequence of chunks: a header of 16 bytes (a magic number, the length of the name, the length of the data),
the name, filled up with zeros, and the data. The last 40 bytes name the place of the chunk that maps names to places.
One chunk `ImageDataSeq|i!` holds plane `i`, all channels interleaved, behind 8 bytes with its time. Chunks whose names
end in `LV!` hold metadata, often packed by zlib.

The library `nd2` reads the metadata. It returns zeros for planes that are missing or cut off, and unpacks without a
limit; so both are looked at here.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from atrous.data.formats.base import FileFault, require_bytes

MAGIC, JPEG_2000 = b"\xda\xce\xbe\x0a", b"\x00\x00\x00\x0c"
SIGNATURE = b"ND2 FILE SIGNATURE CHUNK NAME01!"
MAP, MAP_PLACE = b"ND2 FILEMAP SIGNATURE NAME 0001!", b"ND2 CHUNK MAP SIGNATURE 0000001!"
HEADER = struct.Struct("<4sIQ")
PLANE = b"ImageDataSeq|"
TIME = 8
"""Bytes before the pixels of a plane."""
MOST_METADATA = 1 << 24
"""Bytes of metadata in one chunk, unpacked."""
_PACKED = 76
_CONVERT = "convert it: bioformats2raw"


@dataclass(frozen=True)
class Chunk:
    """The data of a chunk: `size` bytes of the file from `start` on."""

    start: int
    size: int


def read_chunks(path: Path) -> Mapping[bytes, Chunk]:
    """Return where the planes and the metadata lie, by the names of their chunks, all of them within the file.

    Raises:
        FileFault: the file is of an older version, or metadata of it unpacks to too much.
        ValueError: it is damaged, cut short or no ND2 file.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        _require_version(path, file.read(16 + 32 + 64))
        file.seek(max(0, length - 40))
        name, place = struct.unpack("<32sQ", file.read(40))
        if name != MAP_PLACE:
            raise ValueError("its end does not say where its chunks are")
        found, name = _chunk(file, place, length)
        if name != MAP:
            raise ValueError("there is no map of its chunks where its end says")
        require_bytes(path, 20 * found.size, "the map of its chunks")
        file.seek(found.start)
        places = [(name, at) for name, at in _places(file.read(found.size)) if name.startswith(PLANE) or _is_read(name)]
        chunks = {}
        for name, at in places:
            chunks[name], own_name = _chunk(file, at, length)
            if name.startswith(PLANE) and name != own_name:
                raise ValueError(f"there is no {name.decode(errors='replace')} at byte {at}")
            if _is_read(name):
                _require_small(path, file, name, chunks[name])
    return chunks


def planes(chunks: Mapping[bytes, Chunk]) -> dict[int, Chunk]:
    """Return the chunks of planes by number."""
    return {int(name[len(PLANE) : -1]): chunk for name, chunk in chunks.items() if name.startswith(PLANE)}


def _require_version(path: Path, head: bytes) -> None:
    if head[:4] == JPEG_2000 or (head.startswith(MAGIC) and head[48:52] in (b"Ver1", b"Ver2")):
        fix = f"{_CONVERT} {path.name} {path.stem}.ome.zarr"
        raise FileFault(path, "it is an ND2 file of a version before 3", fix)
    if not head.startswith(MAGIC) or head[16:48] != SIGNATURE:
        raise ValueError("its beginning is not that of an ND2 file")


def _is_read(name: bytes) -> bool:
    """Whether a chunk holds metadata that are read."""
    return name.endswith((b"LV!", b"LV|0!"))


def _chunk(file: BinaryIO, place: int, length: int) -> tuple[Chunk, bytes]:
    """Return the data of the chunk at a place, and its name up to the first `!`."""
    file.seek(min(place, length))
    head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise ValueError(f"a chunk begins beyond its end, at byte {place}")
    magic, name_length, size = HEADER.unpack(head)
    name = file.read(min(name_length, 4096)).partition(b"!")[0] + b"!"
    start = place + HEADER.size + name_length
    if magic != MAGIC:
        raise ValueError(f"there is no chunk at byte {place}")
    if start + size > length:
        raise ValueError(f"the chunk {name.decode(errors='replace')} goes beyond its end")
    return Chunk(start, size), name


def _places(text: bytes) -> list[tuple[bytes, int]]:
    """Return the name and the place of every chunk that the map names."""
    found, at = [], 0
    while True:
        end = text.index(b"!", at) + 1
        name = text[at:end]
        if name == MAP_PLACE:
            return found
        place, _ = struct.unpack_from("<QQ", text, end)
        found.append((name, place))
        at = end + 16


def _require_small(path: Path, file: BinaryIO, name: bytes, chunk: Chunk) -> None:
    """Raise if metadata unpacks to more than `MOST_METADATA`."""
    file.seek(chunk.start)
    data, size = file.read(min(chunk.size, MOST_METADATA)), chunk.size
    if data[:1] == bytes([_PACKED]):  # two bytes say that it is packed, ten more how long it is
        size = max(size, len(zlib.decompressobj().decompress(data[12:], MOST_METADATA + 1)))
    if size > MOST_METADATA:
        what = f"its metadata {name.decode(errors='replace')} has more than {MOST_METADATA >> 20} MB"
        raise FileFault(path, what, f"{_CONVERT} {path.name} {path.stem}.ome.zarr")
