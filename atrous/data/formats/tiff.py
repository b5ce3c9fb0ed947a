"""TIFF and BigTIFF of any type and compression, by tifffile and imagecodecs."""

import io
import struct
import weakref
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import tifffile
import zarr

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.header import Header
from atrous.data.formats.source import ChannelFirst

SUFFIXES = (".tif", ".tiff")
ERRORS = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    RuntimeError,
    TypeError,
    struct.error,
    zlib.error,
    MemoryError,
)
"""What tifffile and imagecodecs raise on files that are damaged or are not TIFF (codecs' own are RuntimeErrors)."""

_CHANNEL_AXES = "SC"


def read_header(path: Path) -> Header:
    """Header of the first series, without decoding its pixels."""
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        shape, axes = series.shape, series.axes
        channel = _channel_axis(axes)
        space = tuple(size for i, size in enumerate(shape) if i != channel)
        channels = 1 if channel is None else shape[channel]
        kind, palette = "array", None
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            kind, channels = "palette", 3
            palette = tuple((int(r) >> 8, int(g) >> 8, int(b) >> 8) for r, g, b in np.asarray(page.colormap).T)
        elif channels == 1:
            kind = "bilevel" if page.bitspersample == 1 else "gray"
        elif page.photometric == tifffile.PHOTOMETRIC.RGB and "S" in axes:
            kind = "rgb+alpha" if channels == 4 else "rgb"
            channels = min(channels, 3)
        stored = str(np.dtype(series.dtype))
        dtype = "uint8" if kind == "palette" else image_dtype(series.dtype)
        return Header((channels, *space), dtype, kind, None if stored == dtype else stored, palette)


def read_image(path: Path) -> np.ndarray:
    """Pixels `(C, *S)`: uint8, uint16 or float32; palettes looked up, alpha dropped."""
    header = read_header(path)
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        pixels, channel = _pixels(series), _channel_axis(series.axes)
    if header.kind == "palette" and header.palette is not None:
        return np.ascontiguousarray(np.moveaxis(np.asarray(header.palette, dtype=np.uint8)[pixels], -1, 0))
    if header.kind == "bilevel":
        return pixels.astype(np.uint8)[None] * np.uint8(255)
    pixels = pixels[None] if channel is None else np.moveaxis(pixels, channel, 0)
    return as_image(pixels[: header.channels])


def open_source(path: Path) -> Any:
    """The first series as `(C, *S)`, decoded strip by strip or tile by tile; palettes and bilevel pages whole."""
    header = read_header(path)
    if header.kind in ("palette", "bilevel"):
        return read_image(path)
    file = tifffile.TiffFile(path)
    series = file.series[0]
    array = zarr.open(series.aszarr(), mode="r")
    if not isinstance(array, zarr.Array):  # a pyramid: its finest level
        array = cast(Any, array)["0"]
    source = ChannelFirst(array, _channel_axis(series.axes), header.channels)
    weakref.finalize(source, file.close)
    return source


def read_values(path: Path) -> np.ndarray:
    """The numbers that the file stores: `(*S)`, palette indices included; `(C, *S)` for several channels."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        pixels, channel = _pixels(series), _channel_axis(series.axes)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if channel is None:
        return pixels
    pixels = np.moveaxis(pixels, channel, 0)
    return np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels[:3])


def encode_label(label: np.ndarray) -> bytes:
    """TIFF bytes of a label `(*S)`, deflated, in BigTIFF beyond 2 GB."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=label.nbytes > 2**31) as writer:
        writer.write(label, compression="zlib", photometric="minisblack", metadata=None)
    return buffer.getvalue()


def _pixels(series: tifffile.TiffPageSeries) -> np.ndarray:
    """Decoded pixels of the series; a file cut short raises, where tifffile itself would fill with zeros."""
    end = series.parent.filehandle.size if series.parent is not None else None
    for page in series.pages:
        for offset, count in zip(getattr(page, "dataoffsets", ()), getattr(page, "databytecounts", ()), strict=False):
            if end is not None and offset + count > end:
                raise ValueError(f"file ends at byte {end}, its pixels at byte {offset + count}")
    return series.asarray()


def _channel_axis(axes: str) -> int | None:
    found = [axes.index(axis) for axis in _CHANNEL_AXES if axis in axes]
    return found[0] if found else None
