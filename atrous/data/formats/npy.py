"""NumPy's .npy: images, volumes and labels without metadata."""

import ast
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import array_header, array_image, channel_axis, squeeze_channel
from atrous.data.formats.base import Errors, FileFault, FileGeometry, Format, LabelDetails, require_room
from atrous.data.formats.header import Header
from atrous.data.source import Store

_MOST_HEADER = 1 << 16
"""Bytes of the header of a .npy file that are read; numpy writes 64 to a few hundred."""


class NpyFormat(Format):
    """Files with one array, which is mapped into memory and read where it is sliced."""

    name = ".npy files"
    suffixes = (".npy",)
    label_suffixes = (".npy",)

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, EOFError, MemoryError)

    def header(self, path: Path) -> Header:
        """See `Format.header`."""
        return array_header(_mapped(path))

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`; `channel_axis` says which axis is the channel."""
        array = _mapped(path)
        require_room(path, array.shape, array.dtype, copies=1)  # the file itself is mapped
        return array_image(array)

    def source(self, path: Path) -> np.ndarray:
        """See `Format.source`."""
        array = _mapped(path)
        axis = channel_axis(array.shape)
        return array[None] if axis is None else np.moveaxis(array, axis, 0)

    def values(self, path: Path) -> np.ndarray:
        """See `Format.values`."""
        array = _mapped(path)
        require_room(path, array.shape, array.dtype, copies=1)
        return np.array(squeeze_channel(array))

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".npy"

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """See `Format.encode`."""
        buffer = io.BytesIO()
        np.save(buffer, labels, allow_pickle=False)
        return buffer.getvalue()

    def create_store(self, path: Path, shape: Sequence[int], dtype: Any, chunks: Sequence[int]) -> Store:
        """See `Format.create_store`."""
        return create_memmap(path, shape, dtype)

    def open_store(self, path: Path) -> Store | None:
        """See `Format.open_store`."""
        return open_memmap(path, self.errors)

    def is_finished(self, geometry: FileGeometry | None) -> bool:
        """See `Format.is_finished`."""
        return True


def create_memmap(path: Path, shape: Sequence[int], dtype: Any) -> Store:
    """Create a .npy file that is filled where it is assigned; the suffix of `path` may be any.

    Its place on the disk is taken at once: to assign to a mapped file for which there is no place ends the process.

    Raises:
        OSError: the disk has no place for it.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
        if hasattr(os, "posix_fallocate") and array.nbytes:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return array


def open_memmap(path: Path, errors: Errors) -> Store | None:
    """Open a .npy file to be filled further; None if reading it raises one of `errors`, since it was cut short."""
    try:
        return np.load(path, mmap_mode="r+", allow_pickle=False)
    except errors:
        return None


def read_npy_header(path: Path, file: Any, what: str = "it") -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of the array in an open .npy file; none of its values is read.

    Args:
        path: the file that is named in messages.
        file: opened for reading, at its start.
        what: the array in messages.

    Raises:
        FileFault: it holds Python objects (a pickle).
        ValueError: it is no .npy file.
    """
    magic = file.read(8)
    if magic[:1] == b"\x80":
        raise FileFault(path, *_pickled(what))
    if magic[:6] != b"\x93NUMPY" or magic[6] not in (1, 2, 3):
        raise ValueError(f"{what} does not begin as .npy files do")
    length = int.from_bytes(file.read(2 if magic[6] == 1 else 4), "little")
    if length > _MOST_HEADER:
        raise ValueError(f"{what} has a header of {length} bytes")
    try:
        described = ast.literal_eval(file.read(length).decode("latin-1" if magic[6] < 3 else "utf-8").strip())
        shape, dtype = tuple(int(n) for n in described["shape"]), np.dtype(described["descr"])
    except (SyntaxError, TypeError, KeyError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{what} has a header that cannot be read ({type(error).__name__})") from error
    if dtype.hasobject:
        raise FileFault(path, *_pickled(what))
    if any(n < 0 for n in shape):
        raise ValueError(f"{what} has the shape {shape}")
    return shape, dtype


def _pickled(what: str) -> tuple[str, str]:
    """Return what is wrong with a pickle, and what to do about it."""
    said = f"{what} holds Python objects (a pickle), which are not read: they could run code"
    return said, "save an array of numbers: np.save(path, np.asarray(values, dtype))"


def _mapped(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        shape, dtype = read_npy_header(path, file)
    if dtype.kind not in "buif":
        raise ValueError(f"its type is {dtype}, not a number")
    if math.prod(shape) == 0:
        raise ValueError(f"it is empty, its shape is {shape}")
    return np.load(path, mmap_mode="r", allow_pickle=False)
