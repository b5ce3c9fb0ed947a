"""Which axis of a bare array is the channel, and which type an image is kept in."""

import numpy as np

MOST_CHANNELS = 32


def image_dtype(dtype: np.dtype | type) -> str:
    """Type in which an image of this type is kept: uint8, uint16, else float32.

    >>> image_dtype(np.dtype("uint16")), image_dtype(np.dtype("int16")), image_dtype(np.dtype(bool))
    ('uint16', 'float32', 'uint8')
    """
    name = np.dtype(dtype).name
    if name == "bool":
        return "uint8"
    return name if name in ("uint8", "uint16") else "float32"


def as_image(pixels: np.ndarray) -> np.ndarray:
    """The pixels, contiguous, as `image_dtype` says."""
    return np.ascontiguousarray(pixels, dtype=image_dtype(pixels.dtype))


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Axis of the channels in a bare array: none of one or two axes, else the shorter of the first and the last.

    The last one wins only when it is shorter, so `(3, H, W)`, `(H, W, 3)` and `(1, D, H, W)` are all understood. An
    array of three axes whose first and last both exceed `MOST_CHANNELS` is a volume without channels.

    >>> channel_axis((40, 50)), channel_axis((3, 40, 50)), channel_axis((40, 50, 3)), channel_axis((64, 64, 64))
    (None, 0, 2, None)
    """
    if len(shape) < 3:
        return None
    axis = len(shape) - 1 if shape[-1] < shape[0] else 0
    return axis if shape[axis] <= MOST_CHANNELS else None


def squeeze_channel(values: np.ndarray) -> np.ndarray:
    """A label array `(*S)`: an axis of length 1 at the front or back of three or more is dropped.

    >>> squeeze_channel(np.zeros((1, 4, 5))).shape
    (4, 5)
    """
    if values.ndim >= 3 and values.shape[0] == 1:
        return values[0]
    return values[..., 0] if values.ndim >= 3 and values.shape[-1] == 1 else values
