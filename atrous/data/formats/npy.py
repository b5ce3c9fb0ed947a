"""NumPy's .npy."""

import io
from pathlib import Path

import numpy as np

from atrous.data.formats.array import as_image, channel_axis, image_dtype, squeeze_channel
from atrous.data.formats.header import Header

SUFFIXES = (".npy",)
ERRORS = (OSError, ValueError, EOFError, MemoryError)
"""What numpy raises on files that are damaged or are not .npy."""


def read_header(path: Path) -> Header:
    """Header of the array; the file is mapped, not read."""
    return header_of(_mapped(path))


def read_image(path: Path) -> np.ndarray:
    """The array as `(C, *S)`: uint8, uint16 or float32 (`channel_axis` says which axis is C)."""
    array = _mapped(path)
    axis = channel_axis(array.shape)
    return as_image(array[None] if axis is None else np.moveaxis(array, axis, 0))


def open_source(path: Path) -> np.ndarray:
    """The array as `(C, *S)`, mapped, not read."""
    array = _mapped(path)
    axis = channel_axis(array.shape)
    return array[None] if axis is None else np.moveaxis(array, axis, 0)


def read_values(path: Path) -> np.ndarray:
    """The numbers in the file, `(*S)`."""
    return np.array(squeeze_channel(_mapped(path)))


def encode_label(label: np.ndarray) -> bytes:
    """Bytes of a .npy of the label `(*S)`."""
    buffer = io.BytesIO()
    np.save(buffer, label, allow_pickle=False)
    return buffer.getvalue()


def header_of(array: np.ndarray) -> Header:
    """Header of a bare array `(*S)`, `(C, *S)` or `(*S, C)`."""
    axis = channel_axis(array.shape)
    channels = 1 if axis is None else array.shape[axis]
    space = tuple(size for i, size in enumerate(array.shape) if i != axis)
    dtype, stored = image_dtype(array.dtype), np.dtype(array.dtype).name
    return Header((channels, *space), dtype, "gray" if channels == 1 else "array", None if stored == dtype else stored)


def _mapped(path: Path) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "buif":
        raise ValueError(f"its type is {array.dtype}, not a number")
    return array
