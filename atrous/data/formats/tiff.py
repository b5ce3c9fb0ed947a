"""TIFF and BigTIFF of any type and compression, by tifffile and imagecodecs; OME-TIFF and ImageJ's with their scale.

Pages are the slices of a volume, unless the file says that they are channels (OME-XML, ImageJ).
"""

import io
import struct
import weakref
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import tifffile
import zarr

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import Axes, read_axes
from atrous.data.formats.failure import FileFault
from atrous.data.formats.header import Header
from atrous.data.formats.ome import Scale, read_scale

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


def read_header(path: Path) -> Header:
    """Header of the first series, without decoding its pixels."""
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        shape, axes, scale = series.shape, _axes(path, series), read_scale(file)
        space = tuple(shape[axis] for axis in axes.space)
        channels = 1 if axes.channel is None else shape[axes.channel]
        kind, palette = "array", None
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            kind, channels = "palette", 3
            palette = tuple((int(r) >> 8, int(g) >> 8, int(b) >> 8) for r, g, b in np.asarray(page.colormap).T)
        elif channels == 1:
            kind = "bilevel" if page.bitspersample == 1 else "gray"
        elif page.photometric == tifffile.PHOTOMETRIC.RGB and "S" in axes.names:
            kind = "rgb+alpha" if channels == 4 else "rgb"
            channels = min(channels, 3)
        stored = str(np.dtype(series.dtype))
        dtype = "uint8" if kind == "palette" else image_dtype(series.dtype)
        header = Header((channels, *space), dtype, kind, None if stored == dtype else stored, palette)
        return header if scale is None else _scaled(header, scale, axes)


def read_image(path: Path) -> np.ndarray:
    """Pixels `(C, *S)`: uint8, uint16 or float32; palettes looked up, alpha dropped."""
    header = read_header(path)
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        pixels, axes = _pixels(series), _axes(path, series)
    if header.kind == "palette" and header.palette is not None:
        return np.ascontiguousarray(np.moveaxis(np.asarray(header.palette, dtype=np.uint8)[pixels], -1, 0))
    if header.kind == "bilevel":
        return pixels.astype(np.uint8)[None] * np.uint8(255)
    return as_image(axes.view(pixels, header.channels)[...])


def open_source(path: Path) -> Any:
    """The first series as `(C, *S)`, decoded strip by strip or tile by tile; palettes and bilevel pages whole."""
    header = read_header(path)
    if header.kind in ("palette", "bilevel"):
        return read_image(path)
    file = tifffile.TiffFile(path)
    try:
        series = file.series[0]
        _check_length(series)
    except BaseException:
        file.close()
        raise
    array = zarr.open(series.aszarr(), mode="r")
    if not isinstance(array, zarr.Array):  # a pyramid: its finest level
        array = cast(Any, array)["0"]
    source = _axes(path, series).view(array, header.channels)
    weakref.finalize(source, file.close)
    return source


def read_values(path: Path) -> np.ndarray:
    """The numbers that the file stores: `(*S)`, palette indices included; `(C, *S)` for several channels."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        pixels, axes = _pixels(series), _axes(path, series)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    values = axes.view(pixels)[...]
    return np.ascontiguousarray(values[0] if len(values) == 1 else values[:3])


def encode_label(label: np.ndarray) -> bytes:
    """TIFF bytes of a label `(*S)`, deflated, in BigTIFF beyond 2 GB."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=label.nbytes > 2**31) as writer:
        writer.write(label, compression="zlib", photometric="minisblack", metadata=None)
    return buffer.getvalue()


def _pixels(series: tifffile.TiffPageSeries) -> np.ndarray:
    """Decoded pixels of the series."""
    _check_length(series)
    return series.asarray()


def _check_length(series: tifffile.TiffPageSeries) -> None:
    """Raise for a file cut short, where tifffile itself would fill with zeros."""
    end = series.parent.filehandle.size if series.parent is not None else None
    for page in series.pages:
        for offset, count in zip(getattr(page, "dataoffsets", ()), getattr(page, "databytecounts", ()), strict=False):
            if end is not None and offset + count > end:
                raise ValueError(f"file ends at byte {end}, its pixels at byte {offset + count}")


def _axes(path: Path, series: tifffile.TiffPageSeries) -> Axes:
    try:
        return read_axes(series.axes, series.shape)
    except ValueError as error:
        what, _, mend = str(error).partition(": ")
        raise FileFault(path, what, mend) from error


def _scaled(header: Header, scale: Scale, axes: Axes) -> Header:
    """The header with what a microscope says."""
    letters, names = axes.letters, scale.names
    spacing = scale.spacing(letters)
    return replace(
        header,
        spacing=spacing,
        unit=None if spacing is None else "µm" if letters[0] != "T" else "s, µm",
        axes=letters,
        names=names if len(names) == header.channels else (),
    )
