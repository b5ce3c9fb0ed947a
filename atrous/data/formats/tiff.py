"""TIFF and BigTIFF of any type and compression, by tifffile and imagecodecs; OME-TIFF and ImageJ's with their scale.

Pages are the slices of a volume, unless the file says that they are channels (OME-XML, ImageJ).
"""

import io
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from atrous.data.formats import geotiff
from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import Axes, read_axes
from atrous.data.formats.base import (
    Errors,
    FileFault,
    FileGeometry,
    Format,
    LabelDetails,
    Library,
    Palette,
    require_room,
)
from atrous.data.formats.header import Header
from atrous.data.formats.lif import LifFormat
from atrous.data.formats.nd2 import Nd2Format
from atrous.data.formats.npy import create_memmap, open_memmap
from atrous.data.formats.ome import Scale, read_scale, scale_metadata
from atrous.data.formats.orient import upright
from atrous.data.formats.slide import SlideFormat
from atrous.data.formats.tiff_tags import main_series, read_errors, read_meaning, unread_sizes
from atrous.data.source import ChannelFirst, Source, Store
from atrous.errors import UserError
from atrous.files import replacing

tifffile: Any = Library("tifffile")
zarr: Any = Library("zarr")
TILE = 512
"""Height and width of the tiles that are written."""
_JPEG = (6, 7)
"""TIFF's numbers of JPEG compression, old and new."""
LEVELS_FROM = 4096
"""Longest side from which labels of a slide get coarser copies, so that viewers can show all of it at once."""


class TiffFormat(Format):
    """TIFF files. Labels of maps are written as GeoTIFF, labels of microscope images as OME-TIFF."""

    name = "TIFF"
    suffixes = (".tif", ".tiff")
    label_suffixes = (".tif", ".tiff")
    probability_suffixes = (".tif", ".tiff")

    @property
    def errors(self) -> Errors:
        """See `Format.errors`; what codecs raise of their own are RuntimeErrors."""
        return read_errors()

    def header(self, path: Path) -> Header:
        """Return the header of the main series, without decoding its pixels."""
        with tifffile.TiffFile(path) as file:
            return read_tiff_header(path, file)

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`; a palette is looked up, alpha is dropped, tags are obeyed (see `tiff_tags`)."""
        with tifffile.TiffFile(path) as file:
            header, series = read_tiff_header(path, file), main_series(path, file)
            stored = _axes(path, series).view(_pixels(path, series))
            pixels = np.asarray(read_meaning(path, series.keyframe).view(stored)[...])
        if header.kind == "palette" and header.palette is not None:
            return np.ascontiguousarray(np.moveaxis(np.asarray(header.palette, np.uint8)[pixels[0]], -1, 0))
        if header.kind == "bilevel":
            return pixels.astype(np.uint8) * np.uint8(255)
        return as_image(pixels[: header.channels])

    def source(self, path: Path) -> Source:
        """Return the main series, decoded by strips or tiles; pages with a palette or of one bit are decoded whole."""
        if self.header(path).kind in ("palette", "bilevel"):
            return self.image(path)
        return tiff_source(path, tifffile.TiffFile(path))

    def values(self, path: Path) -> np.ndarray:
        """Return the stored numbers, `(*S)`; `(C, *S)` for several channels. Of a palette they are the indices.

        Tags are obeyed as for images: numbers of a file in which 0 is white are inverted.
        """
        with tifffile.TiffFile(path) as file:
            series = main_series(path, file)
            meaning, stored = read_meaning(path, series.keyframe), _axes(path, series).view(_pixels(path, series))
            values = np.asarray(meaning.view(stored)[...])
        values = values[: meaning.channels(len(values))]
        if values.dtype == bool:
            values = values.astype(np.uint8)
        return np.ascontiguousarray(values[0] if len(values) == 1 else values[:3])

    def is_lossy(self, path: Path) -> bool:
        """See `Format.is_lossy`: JPEG in TIFF."""
        with tifffile.TiffFile(path) as file:
            return main_series(path, file).keyframe.compression in _JPEG

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`. A map is read here only if rasterio is not installed."""
        return FileGeometry("map" if geotiff.is_map(path) else "tiff", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return suffix

    def why_lost(self, geometry: FileGeometry) -> str | None:
        """Return a message for maps if rasterio is not installed, which writes their projection."""
        if geometry.kind != "map" or geotiff.has_rasterio():
            return None
        return f'{geometry.path}: its projection would be lost without rasterio: pip install "atrous[geo]"'

    def write_labels(self, path: Path, labels: Source, details: LabelDetails) -> None:
        """See `Format.write_labels`. One row of tiles is held in memory, unless the labels are there already."""
        geometry = details.geometry if len(labels.shape) > 1 else None
        in_memory = isinstance(labels, np.ndarray) and not isinstance(labels, np.memmap)
        in_memory |= len(labels.shape) == 1  # which cannot be tiled
        with replacing(path) as beside:
            if self._write_like(beside, labels, geometry, details.names or (), details.palette, details.void, False):
                return
            if in_memory:
                beside.write_bytes(_encoded(np.asarray(labels[...])))
            else:
                _write_tiles(beside, labels, ome=False, metadata=None)

    def write_probabilities(
        self, path: Path, values: Source, classes: Sequence[str], geometry: FileGeometry | None
    ) -> None:
        """See `Format.write_probabilities`; the names are those of bands, channels or planes. NaN is nodata in maps."""
        ndim = len(values.shape) - 1
        with replacing(path) as beside:
            if not self._write_like(beside, values, geometry, classes, None, np.nan, True):
                tifffile.imwrite(
                    beside,
                    np.asarray(values[...]),
                    photometric="minisblack",
                    compression="zlib",
                    predictor=True,
                    metadata={"axes": "C" + "ZYX"[-ndim:], "Labels": list(classes)},
                )

    def create_store(self, path: Path, shape: Sequence[int], dtype: Any, chunks: Sequence[int]) -> Store:
        """Create a .npy file, from which the TIFF is written when it is full."""
        return create_memmap(path, shape, dtype)

    def open_store(self, path: Path) -> Store | None:
        """See `Format.open_store`."""
        return open_memmap(path, (OSError, ValueError, EOFError, MemoryError))

    def _write_like(
        self,
        path: Path,
        values: Source,
        geometry: FileGeometry | None,
        names: Sequence[str],
        palette: Palette | None,
        nodata: float | None,
        bands: bool,
    ) -> bool:
        """Write labels, or bands `(K, *S)`, on the grid of a labeled file; return False if it has no grid to keep."""
        if geometry is None:
            return False
        if (lost := self.why_lost(geometry)) is not None:
            raise UserError(lost)
        if geometry.kind == "map":
            from atrous.data.formats import geotiff_write

            geotiff_write.write(
                path, values, like=geometry.path, names=names, nodata=nodata, palette=palette, factor=geometry.factor
            )
            return True
        reader = {"tiff": self, "slide": SlideFormat(), "lif": LifFormat(), "nd2": Nd2Format()}.get(geometry.kind)
        header = None if reader is None else reader.header(geometry.path)
        if header is None or header.axes is None:
            return False
        _write_ome(path, values, header, names, bands)
        return True


def tiff_source(path: Path, file: Any, kept: Callable[[Any], Source] = lambda array: array) -> Source:
    """Return the main series of an open TIFF, decoded by strips or tiles. The file is closed with the source.

    `kept` is given the stored array, and returns what it is read through.
    """
    try:
        header, series = read_tiff_header(path, file), main_series(path, file)
        require_room(path, series.keyframe.chunks, series.dtype, "one of its strips or tiles")
        _check_length(series)
    except BaseException:
        file.close()
        raise
    array = zarr.open(series.aszarr(read_only=True), mode="r")
    if not isinstance(array, zarr.Array):  # a pyramid: its finest level
        array = cast(Any, array)["0"]
    stored = _axes(path, series).view(kept(array))
    source = ChannelFirst(read_meaning(path, series.keyframe).view(stored), 0, header.channels)
    weakref.finalize(source, file.close)
    return source


def _encoded(labels: np.ndarray) -> bytes:
    """Return the content of a TIFF with labels `(*S)`, deflated; BigTIFF beyond 2 GB."""
    labels = np.ascontiguousarray(labels.astype(np.uint8) if labels.dtype == bool else labels)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=labels.nbytes > 2**31) as writer:
        writer.write(labels, compression="zlib", photometric="minisblack", metadata=None)
    return buffer.getvalue()


def read_tiff_header(path: Path, file: Any) -> Header:
    """Return the header of the main series of an open file."""
    series = main_series(path, file)
    page, axes, scale = series.keyframe, _axes(path, series), read_scale(file)
    meaning = read_meaning(path, page)
    space = meaning.size(tuple(series.shape[axis] for axis in axes.space))
    samples = 1 if axes.channel is None else series.shape[axes.channel]
    channels = meaning.channels(samples)
    kind, palette = "array", None
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        kind, channels, palette = "palette", 3, _palette(page)
    elif meaning.inks:
        kind = "cmyk"
    elif meaning.color and channels == 3 and "S" in axes.names:
        kind = "rgb" if samples == channels else "rgb+alpha"
    elif channels == 1:
        kind = "bilevel" if page.bitspersample == 1 else "gray" if samples == 1 else "gray+alpha"
    stored = str(np.dtype(series.dtype))
    dtype = "uint8" if kind == "palette" else image_dtype(series.dtype)
    turned, inverted = upright(meaning.orientation, 2) is not None, meaning.white is not None
    header = Header(
        (channels, *space), dtype, kind, None if stored == dtype else stored, palette, rotated=turned, inverted=inverted
    )
    header = replace(header, unread=unread_sizes(file, series))
    return header if scale is None else _scaled(header, scale, axes, meaning.orientation in (5, 6, 7, 8))


def _palette(page: Any) -> tuple[tuple[int, int, int], ...]:
    """Return the colors of a palette, which has 16 bits; some writers fill 8 of them alone."""
    colors = np.asarray(page.colormap).T
    colors = colors if int(colors.max()) < 256 else colors >> 8
    return tuple((int(red), int(green), int(blue)) for red, green, blue in colors)


def _pixels(path: Path, series: Any) -> np.ndarray:
    """Decode the pixels of a series."""
    require_room(path, series.shape, series.dtype)
    _check_length(series)
    return series.asarray()


def _check_length(series: Any) -> None:
    """Raise `ValueError` for a file that was cut short; tifffile would read zeros there."""
    end = series.parent.filehandle.size if series.parent is not None else None
    first = series.keyframe
    if len(first.dataoffsets) < math.prod(first.chunked):
        raise ValueError(f"it has {len(first.dataoffsets)} of its {math.prod(first.chunked)} strips or tiles")
    for page in series.pages:
        for offset, count in zip(getattr(page, "dataoffsets", ()), getattr(page, "databytecounts", ()), strict=False):
            if end is not None and offset + count > end:
                raise ValueError(f"file ends at byte {end}, its pixels at byte {offset + count}")


def _axes(path: Path, series: Any) -> Axes:
    try:
        return read_axes(series.axes, series.shape)
    except ValueError as error:
        what, _, fix = str(error).partition(": ")
        raise FileFault(path, what, fix) from error


def _scaled(header: Header, scale: Scale, axes: Axes, exchanged: bool) -> Header:
    """Return the header with the scale, the axes and the channel names that a microscope wrote."""
    letters, names = axes.letters, scale.names
    spacing = scale.spacing(letters)
    if exchanged and spacing is not None:  # rows and columns
        spacing = (*spacing[:-2], spacing[-1], spacing[-2])
    return replace(
        header,
        spacing=spacing,
        unit=None if spacing is None else "µm" if letters[0] != "T" else "s, µm",
        axes=letters,
        names=names if len(names) == header.channels else (),
    )


def _write_ome(path: Path, values: Source, header: Header, names: Sequence[str], bands: bool) -> None:
    """Write an OME-TIFF with the axes and physical sizes of a microscope image; bands become channels with names.

    Labels of a level of a slide are smaller than the slide: their pixels are as many times further apart.
    """
    ndim = len(values.shape) - bands
    letters = f"Z{header.axes}"[-ndim:]  # a network may have read channels as slices
    lead, spacing = "C" if bands else "", (header.spacing or ())[-ndim:]
    if len(spacing) == len(header.size) == ndim:
        whole = zip(spacing, header.size, values.shape[-ndim:], strict=True)
        spacing = tuple(distance * stored / written for distance, stored, written in whole)
    metadata = {"axes": lead + letters, **scale_metadata(spacing, letters[ndim - len(spacing) :])}
    if lead and names:
        metadata["Channel"] = {"Name": list(names)}
    longest = max(values.shape[-2:])
    levels = 0 if bands or ndim != 2 or longest < LEVELS_FROM else math.ceil(math.log2(longest / TILE / 2))
    _write_tiles(path, values, ome=True, metadata=metadata, levels=levels)


def _write_tiles(path: Path, values: Source, ome: bool, metadata: dict[str, Any] | None, levels: int = 0) -> None:
    """Write a tiled, deflated TIFF, as BigTIFF beyond 2 GB; one row of tiles is held in memory at a time.

    Args:
        path: the file.
        values: labels `(*S)` or bands.
        ome: whether OME-XML is written.
        metadata: what it says.
        levels: how many copies are written beneath it, each of every second row and column of the one before.
    """
    size = math.prod(values.shape) * values.dtype.itemsize
    with tifffile.TiffWriter(path, bigtiff=size > 2**31, ome=ome) as writer:
        for step in [2**level for level in range(levels + 1)]:
            shape = (*values.shape[:-2], *(-(-n // step) for n in values.shape[-2:]))
            writer.write(
                _tiles(values, step),
                shape=shape,
                dtype=values.dtype,
                tile=(TILE, TILE),
                compression="zlib",
                photometric="minisblack",
                **({"metadata": metadata, "subifds": levels} if step == 1 else {"metadata": None, "subfiletype": 1}),
            )


def _tiles(values: Source, step: int = 1) -> Iterator[np.ndarray]:
    """Yield the tiles of an array, of every `step`th row and column, in the order of a TIFF; padded with zeros."""
    whole = TILE * step
    for plane in np.ndindex(values.shape[:-2]):
        for top in range(0, values.shape[-2], whole):
            for left in range(0, values.shape[-1], whole):
                part = np.asarray(values[(*plane, slice(top, top + whole, step), slice(left, left + whole, step))])
                tile = np.zeros((TILE, TILE), values.dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile
