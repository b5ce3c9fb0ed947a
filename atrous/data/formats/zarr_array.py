"""Zarr arrays (versions 2 and 3) in a folder that ends in .zarr."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr

from atrous.data.formats.array import as_image, channel_axis, squeeze_channel
from atrous.data.formats.header import Header
from atrous.data.formats.npy import header_of
from atrous.data.source import ChannelFirst

SUFFIXES = (".zarr",)
ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError)
"""What zarr raises on folders that are damaged or hold no array."""


def read_header(path: Path) -> Header:
    """Header of the array, from its metadata."""
    return header_of(cast(Any, _opened(path)))


def read_image(path: Path) -> np.ndarray:
    """The array as `(C, *S)`: uint8, uint16 or float32 (`channel_axis` says which axis is C)."""
    array = np.asarray(_opened(path)[...])
    axis = channel_axis(array.shape)
    return as_image(array[None] if axis is None else np.moveaxis(array, axis, 0))


def open_source(path: Path) -> ChannelFirst:
    """The array as `(C, *S)`, of which only the chunks that are sliced are decoded."""
    array = _opened(path)
    return ChannelFirst(array, channel_axis(array.shape))


def read_values(path: Path) -> np.ndarray:
    """The numbers in the array, `(*S)`."""
    return squeeze_channel(np.asarray(_opened(path)[...]))


def _opened(path: Path) -> zarr.Array:
    found = zarr.open(path, mode="r")
    if not isinstance(found, zarr.Array):
        raise ValueError("it is a group, not one array")
    return found
