"""Arrays without metadata, from .npy and .zarr: which axis is the channel, and in which type an image is kept."""

import numpy as np

from atrous.data.formats.header import Header
from atrous.data.source import Source

MOST_CHANNELS = 32
"""A longer axis is not taken for the channels."""


def image_dtype(dtype: np.dtype | type) -> str:
    """Return the type in which an image of this type is kept: uint8, uint16, else float32.

    >>> image_dtype(np.dtype("uint16")), image_dtype(np.dtype("int16")), image_dtype(np.dtype(bool))
    ('uint16', 'float32', 'uint8')
    """
    name = np.dtype(dtype).name
    if name == "bool":
        return "uint8"
    return name if name in ("uint8", "uint16") else "float32"


def as_image(pixels: np.ndarray) -> np.ndarray:
    """Return the values as a contiguous array of the type that `image_dtype` says."""
    return np.ascontiguousarray(pixels, dtype=image_dtype(pixels.dtype))


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis of the channels in an array that does not name its axes, None if it has no channels.

    Arrays of one or two axes have none. Otherwise it is the shorter of the first and the last axis, the first if they
    are equally long, so `(3, H, W)`, `(H, W, 3)` and `(1, D, H, W)` are all understood. If that axis is longer than
    `MOST_CHANNELS`, the array is a volume without channels.

    >>> channel_axis((40, 50)), channel_axis((3, 40, 50)), channel_axis((40, 50, 3)), channel_axis((64, 64, 64))
    (None, 0, 2, None)
    """
    if len(shape) < 3:
        return None
    axis = len(shape) - 1 if shape[-1] < shape[0] else 0
    return axis if shape[axis] <= MOST_CHANNELS else None


def squeeze_channel(values: np.ndarray) -> np.ndarray:
    """Return labels `(*S)`: of three axes or more, a first or last axis of length one is dropped.

    >>> squeeze_channel(np.zeros((1, 4, 5))).shape
    (4, 5)
    """
    if values.ndim >= 3 and values.shape[0] == 1:
        return values[0]
    return values[..., 0] if values.ndim >= 3 and values.shape[-1] == 1 else values


def array_header(array: Source) -> Header:
    """Return the header of an array `(*S)`, `(C, *S)` or `(*S, C)` that names neither axes nor channels."""
    axis = channel_axis(array.shape)
    channels = 1 if axis is None else int(array.shape[axis])
    space = tuple(int(size) for i, size in enumerate(array.shape) if i != axis)
    dtype, stored = image_dtype(array.dtype), np.dtype(array.dtype).name
    return Header((channels, *space), dtype, "gray" if channels == 1 else "array", None if stored == dtype else stored)


def array_image(array: np.ndarray) -> np.ndarray:
    """Return an array as an image `(C, *S)` in uint8, uint16 or float32."""
    axis = channel_axis(array.shape)
    return as_image(array[None] if axis is None else np.moveaxis(array, axis, 0))
