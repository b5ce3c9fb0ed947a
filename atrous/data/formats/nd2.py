"""Nikon's ND2 files: planes of channels, through depth or time, mapped from the file plane by plane."""

import math
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import read_axes
from atrous.data.formats.base import Errors, FileFault, FileGeometry, Format, Library, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.nd2_chunks import TIME, Chunk, planes, read_chunks
from atrous.data.formats.ome import Scale
from atrous.data.source import Key, LazySource

nd2: Any = Library("nd2", 'ND2 files need nd2: pip install "atrous[microscopes]"')

_LOOPS = {"TimeLoop": "T", "NETimeLoop": "T", "ZStackLoop": "Z"}
"""What the loops of a recording go through, beside positions of the stage."""


class Nd2Format(Format):
    """ND2 files of one position. Labels are written as OME-TIFF with its axes and scale."""

    name = "ND2"
    suffixes = (".nd2",)

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, LookupError, TypeError, AttributeError, NameError, RuntimeError, AssertionError)

    def header(self, path: Path) -> Header:
        """See `Format.header`."""
        return _read(path)[1]

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`."""
        source = self.source(path)
        require_room(path, source.shape, source.dtype)
        return as_image(source[...])

    def source(self, path: Path) -> "Planes":
        """See `Format.source`."""
        return _read(path)[0]

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("nd2", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".tif"


@dataclass(frozen=True)
class PlaneLayout:
    """How the pixels of a plane lie in the file: `(height, width, channels)`, rows `row_bytes` apart."""

    height: int
    width: int
    channels: int
    dtype: np.dtype
    row_bytes: int
    packed: bool

    @property
    def size(self) -> int:
        """Bytes of a plane."""
        return self.height * self.row_bytes


class Planes(LazySource):
    """The planes of a file as `(C, H, W)` or, if there are several, `(C, planes, H, W)`; each is read as it is sliced.

    Args:
        path: the file.
        chunks: of the planes, in order.
        layout: of each.
    """

    def __init__(self, path: Path, chunks: Sequence[Chunk], layout: PlaneLayout) -> None:
        several = (len(chunks),) if len(chunks) > 1 else ()
        super().__init__((layout.channels, *several, layout.height, layout.width), layout.dtype.newbyteorder("="))
        self._path, self._chunks, self._layout = path, chunks, layout

    def _read(self, key: Key) -> np.ndarray:
        channel, *deep, rows, columns = key
        if not deep:
            return self._plane(0)[channel, rows, columns].astype(self.dtype)
        numbers = range(len(self._chunks))[deep[0]]
        if isinstance(numbers, int):
            return self._plane(numbers)[channel, rows, columns].astype(self.dtype)
        axis = 0 if isinstance(channel, int) else 1
        found = [self._plane(number)[channel, rows, columns].astype(self.dtype) for number in numbers or [0]]
        return np.stack(found, axis) if numbers else np.take(np.stack(found, axis), [], axis)

    def _plane(self, number: int) -> np.ndarray:
        """Return plane `number`, `(C, H, W)`, mapped from the file, or unpacked if it is packed by zlib."""
        chunk, plain = self._chunks[number], self._layout
        start, size = chunk.start + TIME, chunk.size - TIME
        data = np.memmap(self._path, np.uint8, "r", start, (max(1, size),))
        if plain.packed:
            unpacked = zlib.decompressobj().decompress(data.tobytes(), plain.size)
            data = np.frombuffer(unpacked, np.uint8)
        if data.size < plain.size:
            raise FileFault(self._path, f"plane {number} is cut short", "copy it again from its source")
        step = plain.dtype.itemsize
        shape, strides = (plain.height, plain.width, plain.channels), (plain.row_bytes, plain.channels * step, step)
        return np.ndarray(shape, plain.dtype, data, strides=strides).transpose(2, 0, 1)


def _read(path: Path) -> tuple[Planes, Header]:
    """Return the planes of a file and what its metadata say of them."""
    chunks = read_chunks(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what `nd2` does not know; what is needed is checked here
        with nd2.ND2File(path) as file:
            attributes, loops, metadata = file.attributes, list(file.experiment), file.metadata
    layout = _layout(path, attributes)
    long = [(_LOOPS.get(loop.type, "P" if loop.type == "XYPosLoop" else "?"), loop) for loop in loops if loop.count > 1]
    other = [loop.type for letter, loop in long if letter not in "TZ"]
    if other:
        what = f"it has several positions or other series ({', '.join(other)})"
        raise FileFault(path, what, "export each as a file of its own")
    names = "".join(letter for letter, _ in long)
    try:
        axes = read_axes(f"{names}YX", (*(loop.count for _, loop in long), layout.height, layout.width))
    except ValueError as error:
        what, _, fix = str(error).partition(": ")
        raise FileFault(path, what, fix) from error
    count, found = math.prod(loop.count for _, loop in long), planes(chunks)
    missing = [number for number in range(count) if number not in found]
    if missing:
        what = f"{len(missing)} of {count} planes are missing, the first is number {missing[0]}"
        raise FileFault(path, what, "the recording was ended early, or the file is damaged: export what is there")
    source = Planes(path, [found[number] for number in range(count)], layout)
    if layout.packed:
        require_room(path, (layout.size,), np.uint8, "a plane")
    return source, _header(source, axes.letters, metadata, dict(long))


def _layout(path: Path, attributes: Any) -> PlaneLayout:
    """Return how a plane lies in the file.

    Raises:
        FileFault: it holds colors, or pixels of a type that is not read.
        ValueError: its numbers contradict each other.
    """
    bits, components = attributes.bitsPerComponentInMemory, attributes.componentCount
    if attributes.componentCount != (attributes.channelCount or 1):
        what = f"it has channels of several parts, as colors have ({components} in {attributes.channelCount or 1})"
        raise FileFault(path, what, "export it as OME-TIFF")
    if bits not in (8, 16, 32) or attributes.compressionType == "lossy":
        what = f"its pixels are of {bits} bits" if bits not in (8, 16, 32) else "its pixels are packed with losses"
        raise FileFault(path, what, "export it as OME-TIFF")
    dtype = np.dtype("<f4" if attributes.pixelDataType == "float" else f"<u{bits // 8}")
    height, width, row = attributes.heightPx, attributes.widthPx or 0, attributes.widthBytes or 0
    if min(height, width, components) < 1 or row < width * components * dtype.itemsize:
        raise ValueError(f"{height} rows of {width} pixels and {components} channels do not fit {row} bytes a row")
    return PlaneLayout(height, width, components, dtype, row, attributes.compressionType == "lossless")


def _header(source: Planes, letters: str, metadata: Any, loops: dict[str, Any]) -> Header:
    known = metadata.channels or []
    size: dict[str, float] = {}
    if known:
        volume = known[0].volume
        apart = zip("XYZ", volume.axesCalibration, volume.axesCalibrated, strict=True)
        size = {letter: round(distance, 12) for letter, distance, is_known in apart if is_known and distance > 0}
    period = getattr(loops["T"].parameters, "periodMs", 0.0) if "T" in loops else 0.0
    if period > 0:
        size["T"] = period / 1000
    names = tuple(channel.channel.name for channel in known)
    named = len(names) == source.shape[0] and all(names) and len(set(names)) == len(names)
    spacing = Scale(size).spacing(letters)
    stored, dtype = source.dtype.name, image_dtype(source.dtype)
    return Header(
        source.shape, dtype, "gray" if source.shape[0] == 1 else "array", None if stored == dtype else stored,
        spacing=spacing, unit=None if spacing is None else "s, µm" if letters[0] == "T" else "µm",
        axes=letters, names=names if named else (),
    )  # fmt: skip
