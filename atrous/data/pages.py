"""Pages of a TIFF as the slices of a volume or as the channels of a picture: the same numbers, seen in two ways.

A file that does not say is read as slices, `(1, P, Y, X)`. `pages = "channels"` in dataset.toml reads `(P, Y, X)`, and
`pages = "z"` reads channels as slices. A trained network needs no such word: it knows how many axes it reads.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from atrous.data.formats.header import Header
from atrous.data.source import full_key

KINDS = ("z", "channels")


class AsChannels:
    """A source `(1, P, *S)` as `(P, *S)`."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.shape, self.dtype = tuple(source.shape[1:]), source.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices and whole numbers, as numpy would give them."""
        return np.asarray(self._source[(0, *full_key(key, len(self.shape)))])


class AsSlices:
    """A source `(P, *S)` as `(1, P, *S)`."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.shape, self.dtype = (1, *source.shape), source.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices and whole numbers, as numpy would give them."""
        channel, *place = full_key(key, len(self.shape))
        return np.asarray(self._source[tuple(place)])[None][channel]


def turn_pages(image: np.ndarray, pages: str | None) -> np.ndarray:
    """An image with its pages read as `pages` says; as it is where that is None or so already.

    >>> turn_pages(np.zeros((1, 5, 8, 9)), "channels").shape, turn_pages(np.zeros((5, 8, 9)), "z").shape
    ((5, 8, 9), (1, 5, 8, 9))
    """
    if pages == "channels" and image.ndim == 4 and len(image) == 1:
        return image[0]
    return image[None] if pages == "z" and image.ndim == 3 and len(image) > 1 else image


def turn_header(header: Header, pages: str | None) -> Header:
    """The header of an image whose pages are read so."""
    if pages == "channels" and len(header.shape) == 4 and header.shape[0] == 1:
        spacing = None if header.spacing is None else header.spacing[1:]
        return replace(header, shape=header.shape[1:], spacing=spacing, axes=header.axes and header.axes[1:], names=())
    if pages == "z" and len(header.shape) == 3 and header.shape[0] > 1:
        return replace(header, shape=(1, *header.shape), spacing=None, axes=header.axes and "Z" + header.axes, names=())
    return header


def turn_source(source: Any, ndim: int, channels: int) -> Any:
    """A source as a network of so many axes and channels reads it, where that is a matter of pages alone.

    >>> turn_source(np.zeros((1, 5, 8, 9)), ndim=2, channels=5).shape
    (5, 8, 9)
    """
    shape = tuple(source.shape)
    if ndim == 2 and len(shape) == 4 and shape[:2] == (1, channels):
        return AsChannels(source)
    if ndim == 3 and len(shape) == 3 and channels == 1 and shape[0] > 1:
        return AsSlices(source)
    return source
