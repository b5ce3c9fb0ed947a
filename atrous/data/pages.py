"""The pages of a TIFF are the slices of a volume or the channels of an image: the same numbers, read in two ways.

A file that does not say which is read as a volume of P slices, `(1, P, Y, X)`. `pages = "channels"` in dataset.toml
reads such files as images of P channels, `(P, Y, X)`; `pages = "z"` reads channels as slices. An array of two axes
without names is read as an image, `(1, C, L)`, and by `pages = "rows"` as a recording of C channels, `(C, L)`.
Prediction needs no such entry, since a network knows how many spatial axes it reads.
"""

from dataclasses import replace

import numpy as np

from atrous.data.formats import Header
from atrous.data.source import AsChannels, AsSlices, Source

KINDS = ("z", "channels", "rows")
"""Values of `pages` in dataset.toml."""


def turn_pages(image: np.ndarray, pages: str | None) -> np.ndarray:
    """Return an image with its pages as slices ("z") or as channels ("channels"), or its rows as channels ("rows").

    An image that is so already, or for which `pages` is None, is returned as it is.

    >>> turn_pages(np.zeros((1, 5, 8, 9)), "channels").shape, turn_pages(np.zeros((5, 8, 9)), "z").shape
    ((5, 8, 9), (1, 5, 8, 9))
    >>> turn_pages(np.zeros((1, 2, 5000)), "rows").shape
    (2, 5000)
    """
    if _become_channels(image.shape, pages):
        return image[0]
    return image[None] if pages == "z" and image.ndim == 3 and len(image) > 1 else image


def turn_header(header: Header, pages: str | None) -> Header:
    """Return the header of the image that `turn_pages` would return for an image with this header."""
    if _become_channels(header.shape, pages):
        spacing = None if header.spacing is None else header.spacing[1:]
        return replace(header, shape=header.shape[1:], spacing=spacing, axes=header.axes and header.axes[1:], names=())
    if pages == "z" and len(header.shape) == 3 and header.shape[0] > 1:
        return replace(header, shape=(1, *header.shape), spacing=None, axes=header.axes and "Z" + header.axes, names=())
    return header


def _become_channels(shape: tuple[int, ...], pages: str | None) -> bool:
    """Whether the first spatial axis of an image `(C, *S)` of one channel is read as that of its channels."""
    return shape[0] == 1 and len(shape) == {"channels": 4, "rows": 3}.get(pages or "")


def turn_source(source: Source, ndim: int, channels: int) -> Source:
    """Return a source with its pages (or rows) as the slices or the channels that a network expects.

    A source that fits already, or that other pages would not make fit, is returned as it is.

    Args:
        source: `(C, *S)`.
        ndim: spatial axes that the network reads.
        channels: channels that the network reads.

    >>> turn_source(np.zeros((1, 5, 8, 9)), ndim=2, channels=5).shape
    (5, 8, 9)
    """
    shape = tuple(source.shape)
    if ndim in (1, 2) and len(shape) == ndim + 2 and shape[:2] == (1, channels):
        return AsChannels(source)
    if ndim == 3 and len(shape) == 3 and channels == 1 and shape[0] > 1:
        return AsSlices(source)
    return source
