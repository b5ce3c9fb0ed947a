"""Whole slides of digital pathology, read by windows from a level of their pyramid: SVS, NDPI, SCN and Philips' TIFF.

A slide is one picture at several resolutions, its levels, finest first. Thumbnail, label and macro pictures of the
glass are in the same file and are never taken for it. Spacing is in micrometers per pixel of the level.

- Aperio SVS: `MPP` in the description of its first page.
- Philips: `DICOM_PIXEL_SPACING` in its XML, in millimeters.
- Hamamatsu NDPI and Leica SCN: the resolution tags.
"""

import re
import weakref
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import read_axes
from atrous.data.formats.base import (
    DAMAGED,
    Errors,
    FileFault,
    FileGeometry,
    Format,
    Library,
    require_room,
)
from atrous.data.formats.header import Header
from atrous.data.formats.tiff_tags import Meaning, read_errors, read_meaning
from atrous.data.source import ChannelFirst, Entry, Key, LazySource, span

tifffile: Any = Library("tifffile")
zarr: Any = Library("zarr")

_KEPT = 2**28
"""Bytes of one row of tiles that are kept for the next strip."""
_PICTURES = ("Label", "Macro", "Map", "Thumbnail", "Unknown")
"""What tifffile calls pictures that are not the slide."""
_MICROMETERS = {2: 25400.0, 3: 10000.0}
"""Micrometers in the unit of the resolution tags: inch, centimeter."""


class SlideFormat(Format):
    """Whole slides. Labels are written as tiled OME-TIFF with the spacing of the level that was labeled."""

    name = "slides"
    suffixes = (".svs", ".ndpi", ".scn", ".tif", ".tiff")

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return read_errors()

    def claims(self, path: Path) -> bool:
        """Return whether a file is a slide; a TIFF is one if a scanner of slides wrote it."""
        return self.suffix(path) not in (".tif", ".tiff") or is_slide(path)

    def header(self, path: Path) -> Header:
        """See `Format.header`: that of the finest level."""
        return _headers(path)[0]

    def pyramid(self, path: Path) -> tuple[Header, ...]:
        """See `Format.pyramid`."""
        return _headers(path)

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`: all of the finest level, if it fits into memory."""
        return self.level_image(path, 0)

    def level_image(self, path: Path, level: int) -> np.ndarray:
        """See `Format.level_image`."""
        header = _headers(path)[level]
        require_room(path, header.shape, header.dtype, f"its level {level}")
        return as_image(np.asarray(self.level_source(path, level)[...]))

    def source(self, path: Path) -> "SlideLevel":
        """Return the finest level `(C, H, W)`, of which only the tiles that are sliced are decoded."""
        return self.level_source(path, 0)

    def level_source(self, path: Path, level: int) -> "SlideLevel":
        """See `Format.level_source`."""
        return SlideLevel(path, level, _headers(path)[level])

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("slide", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return suffix if suffix in (".tif", ".tiff") else ".tif"


class SlideLevel(LazySource):
    """One level of a slide as a source `(C, H, W)`. The last row of tiles is kept for the next strip."""

    def __init__(self, path: Path, level: int, header: Header) -> None:
        super().__init__(header.shape, header.dtype)
        file = tifffile.TiffFile(path)
        try:
            series = _slide_series(path, file)
            page = series.levels[level].keyframe
            require_room(path, page.chunks, page.dtype, "one of its strips or tiles")
            axes, meaning = _axes_of(path, series.levels[level]), read_meaning(path, page)
            stored = axes.view(zarr.open(series.aszarr(level=level), mode="r"))
        except BaseException:
            file.close()
            raise
        self._pixels = ChannelFirst(meaning.view(stored), 0, header.channels)
        self._tile = int(page.chunks[0]) if page.chunks else 1
        self._kept: tuple[tuple[int, int, int], np.ndarray] | None = None
        weakref.finalize(self, file.close)

    def _read(self, key: Key) -> np.ndarray:
        channel, rows, columns = key
        top, bottom, row_rest = span(rows, self.shape[1])
        left, right, column_rest = span(columns, self.shape[2])
        if top == bottom or left == right or _skips(row_rest) or _skips(column_rest):
            return np.asarray(self._pixels[key]).astype(self.dtype, copy=False)
        parts = []
        for start in range(top // self._tile * self._tile, bottom, self._tile):
            tiles = self._tiles(start, left, right)
            parts.append(tiles[:, max(0, top - start) : bottom - start])
        values = parts[0] if len(parts) == 1 else np.concatenate(parts, 1)
        return values[channel][(..., row_rest, column_rest)].astype(self.dtype, copy=False)

    def _tiles(self, start: int, left: int, right: int) -> np.ndarray:
        """One row of tiles between two columns, all channels."""
        kept, place = self._kept, (start, left, right)
        if kept is not None and kept[0] == place:
            return kept[1]
        values = np.asarray(self._pixels[:, start : min(start + self._tile, self.shape[1]), left:right])
        if values.nbytes <= _KEPT:
            self._kept = place, values
        return values


def is_slide(path: Path) -> bool:
    """Return whether a TIFF was written by a scanner of slides; False for other files."""
    if not path.is_file():
        return False
    status = path.stat()
    return _is_slide(path, status.st_mtime_ns, status.st_size)


@lru_cache(4096)
def _is_slide(path: Path, _changed: int, _size: int) -> bool:
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            return bool(page.is_svs or page.is_ndpi or page.is_scn or page.is_philips)
    except (*read_errors(), *DAMAGED):
        return False


def _headers(path: Path) -> tuple[Header, ...]:
    status = path.stat()
    return _read_headers(path, status.st_mtime_ns, status.st_size)


@lru_cache(256)
def _read_headers(path: Path, _changed: int, _size: int) -> tuple[Header, ...]:
    """Return the header of every level, finest first."""
    with tifffile.TiffFile(path) as file:
        series = _slide_series(path, file)
        spacing = _spacing(file, series.keyframe)
        headers: list[Header] = []
        for level in series.levels:
            header = _level_header(path, level, read_meaning(path, level.keyframe))
            if headers and (header.channels != headers[0].channels or header.size[0] > headers[-1].size[0]):
                raise FileFault(path, "its levels do not fit each other", "convert it with bioformats2raw")
            size = headers[0].size if headers else header.size
            if spacing is not None:
                apart = tuple(s * whole / n for s, whole, n in zip(spacing, size, header.size, strict=True))
                header = replace(header, spacing=apart, unit="µm")
            headers.append(header)
    return tuple(headers)


def _level_header(path: Path, level: Any, meaning: Meaning) -> Header:
    axes = _axes_of(path, level)
    if len(axes.space) != 2:
        what = f"it has several focal planes ({level.axes} of {tuple(level.shape)})"
        raise FileFault(path, what, "export one of them")
    samples = 1 if axes.channel is None else level.shape[axes.channel]
    channels, stored = meaning.channels(samples), str(np.dtype(level.dtype))
    kind = "rgb" if meaning.color and channels == 3 else "gray" if channels == 1 else "array"
    size = meaning.size(tuple(level.shape[axis] for axis in axes.space))
    dtype = image_dtype(level.dtype)
    return Header((channels, *size), dtype, kind, None if stored == dtype else stored, axes="YX")


def _axes_of(path: Path, level: Any) -> Any:
    try:
        return read_axes(level.axes, level.shape)
    except ValueError as error:
        what, _, fix = str(error).partition(": ")
        raise FileFault(path, what, fix) from error


def _slide_series(path: Path, file: Any) -> Any:
    """Return the series of the slide itself: the largest picture that is none of the glass.

    Raises:
        FileFault: there is none, or the scanner left several regions of one resolution.
    """
    pictures = [series for series in file.series if series.name not in _PICTURES and series.keyframe is not None]
    if not pictures:
        raise FileFault(path, "it holds no slide, only pictures of the glass", "export it from the scanner again")
    chosen = max(pictures, key=lambda series: series.keyframe.imagelength * series.keyframe.imagewidth)
    if file.is_scn:
        resolution = _tag_spacing(chosen.keyframe)
        others = [other for other in pictures if other is not chosen and _tag_spacing(other.keyframe) == resolution]
        if others and resolution is not None:
            what = f"it has {1 + len(others)} regions of one resolution"
            raise FileFault(path, what, "export each region as a file of its own")
    return chosen


def _spacing(file: Any, page: Any) -> tuple[float, float] | None:
    """Return the distance of pixels in micrometers, rows first; None where the file does not say it."""
    if page.is_svs:
        written = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", page.description)
        return _both(float(written[1])) if written else None
    if page.is_philips or file.pages.first.is_philips:
        text = file.pages.first.description
        quoted = r'(?:"|&quot;)?([0-9.eE+-]+)(?:"|&quot;)?'
        written = re.search(rf'DICOM_PIXEL_SPACING"[^>]*>\s*{quoted}\s*{quoted}', text)
        return (float(written[1]) * 1000, float(written[2]) * 1000) if written else None
    return _tag_spacing(page)


def _both(distance: float) -> tuple[float, float] | None:
    return (distance, distance) if distance > 0 else None


def _tag_spacing(page: Any) -> tuple[float, float] | None:
    unit = _MICROMETERS.get(int(page.tags.valueof("ResolutionUnit", 0)))
    found = [page.tags.valueof(name) for name in ("YResolution", "XResolution")]
    if unit is None or not all(isinstance(value, tuple) and value[0] and value[1] for value in found):
        return None
    rows, columns = (unit * bottom / top for top, bottom in found)
    return float(f"{rows:.6g}"), float(f"{columns:.6g}")


def _skips(rest: Entry) -> bool:
    return isinstance(rest, slice) and rest.step not in (None, 1)
