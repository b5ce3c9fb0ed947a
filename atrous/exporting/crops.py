"""The inputs of a proof: three crops of odd sizes."""

from collections.abc import Sequence

import numpy as np

from atrous.data.source import Source
from atrous.exporting.program import ExportSizes

COUNT = 3
SIDE = {1: 4001, 2: 321, 3: 57}
"""Positions along each axis of the largest crop."""
PARTS = (1.0, 0.8, 0.63)
"""Of these, in the three crops."""


def crop_size(available: Sequence[int], number: int, sizes: ExportSizes) -> tuple[int, ...]:
    """Return the size of a crop: odd where the sizes of the file may be, and another one along each axis.

    Args:
        available: size of the image.
        number: of the crop, 0 to 2.
        sizes: which sizes the file is for.

    >>> crop_size((500, 500), 0, ExportSizes((33, 33), (1, 1))), crop_size((64, 64), 2, ExportSizes((33, 33), (1, 1)))
    ((321, 317), (63, 63))
    """
    if sizes.fixed is not None:
        return sizes.fixed
    chosen = []
    for axis, (length, least, multiple) in enumerate(zip(available, sizes.least, sizes.multiple, strict=True)):
        wanted = min(length, int(SIDE[len(available)] * PARTS[number]) - 4 * axis)
        wanted = wanted // multiple * multiple
        wanted -= 1 - wanted % 2 if multiple == 1 else 0
        chosen.append(max(wanted, -(-least // multiple) * multiple))
    return tuple(chosen)


def odd_crops(images: Sequence[Source], sizes: ExportSizes) -> list[np.ndarray]:
    """Return three crops from the middle of images `(C, *S)`, each image in turn."""
    return [odd_crop(images[number % len(images)], number, sizes) for number in range(COUNT)]


def odd_crop(image: Source, number: int, sizes: ExportSizes) -> np.ndarray:
    """Return a crop from the middle of an image `(C, *S)`, of which no more than that is read.

    An image that is smaller than the least size is continued with its outermost values.

    Args:
        image: the values.
        number: of the crop, 0 to 2.
        sizes: which sizes the file is for.
    """
    available = tuple(int(n) for n in image.shape[1:])
    size = crop_size(available, number, sizes)
    start = [max(0, (length - n) // 2) for length, n in zip(available, size, strict=True)]
    crop = np.asarray(image[(slice(None), *(slice(a, a + n) for a, n in zip(start, size, strict=True)))])
    missing = [(0, n - length) for n, length in zip(size, crop.shape[1:], strict=True)]
    return np.pad(crop, [(0, 0), *missing], mode="edge")


def made_images(
    channels: int, sizes: ExportSizes, low: np.ndarray, high: np.ndarray, seed: int = 0
) -> list[np.ndarray]:
    """Return three images of blobs and noise, float32 `(C, *S)`, with values between `low` and `high` `(C,)`.

    >>> images = made_images(1, ExportSizes((9,), (1,)), np.zeros(1), np.ones(1))
    >>> [image.shape for image in images]
    [(1, 4001), (1, 3199), (1, 2519)]
    """
    rng, ndim = np.random.default_rng(seed), len(sizes.least)
    images = []
    for number in range(COUNT):
        size = crop_size((SIDE[ndim],) * ndim, number, sizes)
        values = rng.random((channels, *(-(-n // 16) for n in size)))
        for axis in range(1, ndim + 1):
            values = values.repeat(16, axis)
        values = 0.8 * values[(slice(None), *(slice(0, n) for n in size))] + 0.2 * rng.random((channels, *size))
        shape = (channels, *[1] * ndim)
        images.append((low.reshape(shape) + (high - low).reshape(shape) * values).astype(np.float32))
    return images
