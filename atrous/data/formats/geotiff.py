"""Maps by rasterio: GeoTIFF, JPEG 2000 and VRT. Windows are read, tiles are written, the projection is kept.

A position has no data where every band has the file's nodata value (or no finite number), or where a mask or an alpha
band says so. Readers here never give a nodata value: what is missing becomes the mean of its band, so that neither a
convolution nor a figure sees -9999. Nodata 0 of unsigned bands is a dark value too: it is replaced only where all bands
have it.
"""

import os
import threading
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import image_dtype
from atrous.data.formats.header import Header, MapGrid
from atrous.data.source import Key, LazySource, span
from atrous.errors import UserError
from atrous.labels import IGNORE

try:
    import rasterio
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window
except ImportError as error:
    raise UserError('maps need rasterio: pip install "atrous[geo]"') from error

SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt")
ERRORS = (RasterioError, OSError, ValueError, MemoryError)
"""What rasterio raises on files that are damaged or are not maps."""

TILE = 512
ROWS = 2048
"""Rows that are read at a time where only some of them are wanted."""
LOOKED_AT = 16
"""Windows of a file from which the means of its bands are taken."""


def read_header(path: Path) -> Header:
    """Header with projection, transform, nodata and the descriptions of the bands."""
    with opened(path) as raster:
        bands = _bands(raster)
        palette = _palette(raster)
        stored = np.result_type(*(raster.dtypes[band - 1] for band in bands))
        if stored.kind not in "buif":
            raise ValueError(f"its values are {stored}, not numbers")
        dtype = image_dtype(stored)
        a, b, c, d, e, f = raster.transform[:6]
        return Header(
            shape=(3 if palette else len(bands), raster.height, raster.width),
            dtype="uint8" if palette else dtype,
            kind="palette" if palette else "map",
            stored=None if stored.name == dtype else stored.name,
            palette=palette,
            spacing=(float(np.hypot(b, e)), float(np.hypot(a, d))),
            unit=_unit(raster),
            names=tuple(raster.descriptions[band - 1] or "" for band in bands),
            map=MapGrid(_crs_text(raster), (a, b, c, d, e, f), raster.nodata),
        )


def read_image(path: Path) -> np.ndarray:
    """Values `(C, H, W)`: uint8, uint16 or float32; alpha dropped, a palette looked up, what is missing filled."""
    source = open_source(path)
    return source if isinstance(source, np.ndarray) else source[...]


def open_source(path: Path) -> Any:
    """The map as `(C, H, W)`, of which only the windows that are sliced are read; with a palette it is read whole."""
    palette = read_header(path).palette
    if palette is None:
        return Raster(path)
    with opened(path) as raster:
        indices = raster.read(1)
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return np.ascontiguousarray(np.moveaxis(table[indices], -1, 0))


def open_valid(path: Path) -> "Valid | None":
    """Where the map has data, `(H, W)` bool, to be sliced; None where it cannot lack any."""
    with opened(path) as raster:
        bands = _bands(raster)
        floats = any(np.dtype(raster.dtypes[band - 1]).kind == "f" for band in bands)
        some = floats or _is_masked(raster) or any(raster.nodatavals[band - 1] is not None for band in bands)
    return Valid(path) if some else None


def read_values(path: Path) -> np.ndarray:
    """The numbers of a label file, `(H, W)`, palette indices included; `(3, H, W)` for three bands or more.

    A nodata value that can be no class number (beyond 0..254) becomes 255, as do NaN and masked positions.
    """
    with opened(path) as raster:
        bands = _bands(raster)
        values = raster.read(bands[:3] if len(bands) > 2 else bands[:1])
        nodata, masked = raster.nodata, _mask(raster, None) == 0 if _is_masked(raster) else None
    void = np.zeros(values.shape, bool) if masked is None else np.broadcast_to(masked, values.shape).copy()
    if values.dtype.kind == "f":
        void |= ~np.isfinite(values)
    if nodata is not None and not 0 <= nodata < IGNORE:
        void |= _equal(values, nodata)
    if void.any():
        kind = np.int32 if values.dtype.kind in "iu" and values.dtype != np.uint8 else values.dtype
        values = values.astype(kind)
        values[void] = IGNORE
    return values if len(values) == 3 else values[0]


class Raster(LazySource):
    """A map as something to slice, `(C, H, W)`; it may be sliced from several threads.

    Attributes:
        shape: `(C, H, W)`.
        dtype: uint8, uint16 or float32.
    """

    def __init__(self, path: Path) -> None:
        header = read_header(path)
        super().__init__(header.shape, header.dtype)
        self._lock = threading.Lock()
        self._raster = opened(path)
        self._bands = _bands(self._raster)
        self._fill: np.ndarray | None = None

    def _read(self, key: Key) -> np.ndarray:
        channel, rows, columns = key
        low, high, rest = span(channel, self.shape[0])
        chosen = self._bands[low:high]
        return _by_rows(lambda window: self._window(chosen, window), self.shape, rows, columns)[rest]

    def _window(self, bands: Sequence[int], window: Window) -> np.ndarray:
        with self._lock:
            return self._filled(self._raster.read(bands, window=window), bands, window)

    def _filled(self, pixels: np.ndarray, bands: Sequence[int], window: Window) -> np.ndarray:
        missing = _missing(self._raster, pixels, bands)
        void = _void(self._raster, missing, bands, window)
        dark = np.array([self._raster.nodatavals[band - 1] == 0 for band in bands]) & (pixels.dtype.kind == "u")
        missing &= ~dark[:, None, None]
        if void is not None:
            missing |= void
        if missing.any():
            fill = self._means()[[self._bands.index(band) for band in bands]]
            fill = np.rint(fill) if pixels.dtype.kind in "iu" else fill
            pixels = np.where(missing, fill[:, None, None].astype(pixels.dtype), pixels)
        return pixels.astype(self.dtype, copy=False)

    def _means(self) -> np.ndarray:
        if self._fill is None:
            self._fill = _band_means(self._raster, self._bands)
        return self._fill


class Valid(LazySource):
    """Where a map has data, `(H, W)` bool, as something to slice."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._raster = opened(path)
        self._bands = _bands(self._raster)
        super().__init__((self._raster.height, self._raster.width), bool)

    def _read(self, key: Key) -> np.ndarray:
        rows, columns = key
        return _by_rows(self._window, (1, *self.shape), rows, columns)[0]

    def _window(self, window: Window) -> np.ndarray:
        with self._lock:
            missing = _missing(self._raster, self._raster.read(self._bands, window=window), self._bands)
            void = _void(self._raster, missing, self._bands, window)
        return np.ones((1, *missing.shape[1:]), bool) if void is None else ~void[None]


def opened(path: Path) -> Any:
    """The file, open; to be closed."""
    with quiet():
        return rasterio.open(os.fspath(path))


@contextmanager
def quiet() -> Any:
    """Without the warning that a file has no georeference: files with nodata alone are read here too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _bands(raster: Any) -> list[int]:
    """Numbers of the bands that are no alpha."""
    return [band for band, color in zip(raster.indexes, raster.colorinterp, strict=True) if color != ColorInterp.alpha]


def _palette(raster: Any) -> tuple[tuple[int, int, int], ...] | None:
    if len(_bands(raster)) != 1 or raster.colorinterp[0] != ColorInterp.palette or raster.dtypes[0] != "uint8":
        return None
    colors = raster.colormap(1)
    return tuple(colors[value][:3] for value in sorted(colors))


def _crs_text(raster: Any) -> str:
    crs = raster.crs or raster.gcps[1]
    if crs is None:
        return ""
    number = crs.to_epsg()
    return crs.to_wkt() if number is None else f"EPSG:{number}"


def _unit(raster: Any) -> str | None:
    crs = raster.crs
    if crs is None:
        return None
    return "degrees" if crs.is_geographic else {"metre": "m", "meter": "m"}.get(crs.linear_units, crs.linear_units)


def _equal(values: np.ndarray, nodata: float) -> np.ndarray:
    if np.isnan(nodata):
        return np.isnan(values)
    return values == (values.dtype.type(nodata) if values.dtype.kind == "f" else nodata)


def _missing(raster: Any, pixels: np.ndarray, bands: Sequence[int]) -> np.ndarray:
    """Values `(C, h, w)` that are their band's nodata or no finite number."""
    missing = ~np.isfinite(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
    for index, band in enumerate(bands):
        nodata = raster.nodatavals[band - 1]
        if nodata is not None:
            missing[index] |= _equal(pixels[index], nodata)
    return missing


def _void(raster: Any, missing: np.ndarray, bands: Sequence[int], window: Window) -> np.ndarray | None:
    """Positions `(h, w)` without data in any band; None where there is none."""
    if len(bands) < len(_bands(raster)) and missing.any():
        everything = _bands(raster)
        missing = _missing(raster, raster.read(everything, window=window), everything)
    void: Any = missing.all(0)
    if _is_masked(raster):
        void |= _mask(raster, window) == 0
    return void if void.any() else None


def _is_masked(raster: Any) -> bool:
    return ColorInterp.alpha in raster.colorinterp or MaskFlags.per_dataset in raster.mask_flag_enums[0]


def _mask(raster: Any, window: Window | None) -> np.ndarray:
    """The alpha band (which GDAL takes for a mask only beside one or three others), or the mask; 0 is no data."""
    if ColorInterp.alpha in raster.colorinterp:
        return raster.read(raster.colorinterp.index(ColorInterp.alpha) + 1, window=window)
    return raster.dataset_mask(window=window)


def _band_means(raster: Any, bands: Sequence[int]) -> np.ndarray:
    """Mean of each band's data `(C,)` over a few windows; over all of the map where those have none."""
    height, width = raster.height, raster.width
    tops = np.unique(np.linspace(0, max(0, height - TILE), int(LOOKED_AT**0.5)).astype(int))
    lefts = np.unique(np.linspace(0, max(0, width - TILE), int(LOOKED_AT**0.5)).astype(int))
    few = [_inside(top, left, raster) for top in tops for left in lefts]
    everything = (window(top, 0, min(TILE, height - top), width) for top in range(0, height, TILE))
    total, count = np.zeros(len(bands)), np.zeros(len(bands))
    for windows in (few, everything):
        total[:], count[:] = 0, 0
        for place in windows:
            pixels = raster.read(bands, window=place)
            missing = _missing(raster, pixels, bands)
            void = _void(raster, missing, bands, place)
            kept = ~missing if void is None else ~(missing | void)
            total += np.where(kept, pixels, 0).sum((1, 2), dtype=np.float64)
            count += kept.sum((1, 2))
        if count.all():
            break
    return np.divide(total, count, out=np.zeros(len(bands)), where=count > 0)


def window(top: int, left: int, height: int, width: int) -> Any:
    """A window of a map."""
    return Window(int(left), int(top), int(width), int(height))  # pyright: ignore[reportCallIssue]


def _inside(top: int, left: int, raster: Any) -> Any:
    """A tile at this place, cut at the border."""
    return window(top, left, min(TILE, raster.height - top), min(TILE, raster.width - left))


def _by_rows(read: Any, shape: tuple[int, ...], rows: Any, columns: Any) -> np.ndarray:
    """Read a key of rows and columns; where rows are skipped, a few at a time, so that they are never all held."""
    top, bottom, row_rest = span(rows, shape[1])
    left, right, column_rest = span(columns, shape[2])
    step = row_rest.step if isinstance(row_rest, slice) and row_rest.step is not None else 1
    if step <= 1 or bottom - top <= ROWS:
        return read(window(top, left, bottom - top, right - left))[:, row_rest, column_rest]
    piece = max(1, ROWS // step) * step
    places = (window(start, left, min(piece, bottom - start), right - left) for start in range(top, bottom, piece))
    return np.concatenate([read(place)[:, ::step, column_rest] for place in places], 1)
