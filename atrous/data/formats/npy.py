"""NumPy's .npy: images, volumes and labels without metadata."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import array_header, array_image, channel_axis, squeeze_channel
from atrous.data.formats.base import Errors, FileGeometry, Format, LabelDetails
from atrous.data.formats.header import Header
from atrous.data.source import Store


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
        return array_image(_mapped(path))

    def source(self, path: Path) -> np.ndarray:
        """See `Format.source`."""
        array = _mapped(path)
        axis = channel_axis(array.shape)
        return array[None] if axis is None else np.moveaxis(array, axis, 0)

    def values(self, path: Path) -> np.ndarray:
        """See `Format.values`."""
        return np.array(squeeze_channel(_mapped(path)))

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
        return np.load(path, mmap_mode="r+")
    except errors:
        return None


def _mapped(path: Path) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "buif":
        raise ValueError(f"its type is {array.dtype}, not a number")
    return array
