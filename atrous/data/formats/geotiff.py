"""Maps by rasterio: GeoTIFF, JPEG 2000 and VRT, with projection and nodata.

A pixel has no data if every band has the nodata value there (or no finite number), or if a mask or an alpha band says
so. Images never contain nodata values: a missing value becomes the mean of its band, so that neither a convolution nor
a statistic sees -9999. In unsigned bands a nodata value of 0 may also be a dark pixel, so it is replaced only where all
bands have it. A TIFF in which 0 stands for white is inverted.
"""

import functools
import importlib.util
import math
import os
import threading
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import image_dtype
from atrous.data.formats.base import DAMAGED, Errors, FileGeometry, Format, Library, require_room
from atrous.data.formats.header import Header, MapGrid
from atrous.data.formats.tiff_tags import map_white, read_errors
from atrous.data.formats.vrt import require_safe
from atrous.data.source import Key, LazySource, Source, span
from atrous.labels import IGNORE

_MISSING = 'maps need rasterio: pip install "atrous[geo]"'
rasterio: Any = Library("rasterio", _MISSING)
enums: Any = Library("rasterio.enums", _MISSING)
gdal_errors: Any = Library("rasterio._err", _MISSING)
tifffile: Any = Library("tifffile")

TILE = 512
ROWS = 2048
"""Most rows that are read together where a slice skips some of them."""
LOOKED_AT = 16
"""Windows of a file from which the means of its bands are computed."""
_QUIET = threading.RLock()
_DRIVERS = {".jp2": ("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JP2Lura"), ".vrt": ("VRT",)}
"""GDAL's drivers for suffixes other than those of TIFF."""
_MAP_TAGS = (33550, 33922, 34264, 34735, 42113)
"""TIFF tags of maps: ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory and GDAL's nodata value."""


class GeoTiffFormat(Format):
    """Maps. Their labels are written as GeoTIFF with the same projection (`geotiff_write`)."""

    name = "maps"
    suffixes = (".tif", ".tiff", ".jp2", ".vrt")

    @property
    def errors(self) -> Errors:
        """See `Format.errors`; some errors of GDAL reach us as they are."""
        return (rasterio.errors.RasterioError, gdal_errors.CPLE_BaseError, *read_errors())

    def is_lossy(self, path: Path) -> bool:
        """See `Format.is_lossy`: JPEG in GeoTIFF."""
        with opened(path) as raster:
            return "jpeg" in str(raster.profile.get("compress", "")).lower()

    def claims(self, path: Path) -> bool:
        """Return whether a file is a map; a TIFF is one if it has a projection or GDAL's nodata value."""
        return self.suffix(path) in (".jp2", ".vrt") or (has_rasterio() and is_map(path))

    def header(self, path: Path) -> Header:
        """Return the header with projection, transform, nodata value and descriptions of the bands."""
        inverted = map_white(path) is not None
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
                inverted=inverted,
                spacing=(float(np.hypot(b, e)), float(np.hypot(a, d))),
                unit=_unit(raster),
                names=tuple(raster.descriptions[band - 1] or "" for band in bands),
                map=MapGrid(_crs_text(raster), (a, b, c, d, e, f), raster.nodata),
            )

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`; alpha is dropped, a palette is looked up, missing values are filled."""
        header = self.header(path)
        require_room(path, header.shape, header.dtype, copies=3)  # as read, the mask of missing values, as returned
        return np.asarray(self.source(path)[...])

    def source(self, path: Path) -> Source:
        """Return the map `(C, H, W)`, of which only the windows that are sliced are read; with a palette all of it."""
        header = self.header(path)
        if header.palette is None:
            return Raster(path, header)
        require_room(path, header.shape, np.uint8)
        with opened(path) as raster:
            indices = raster.read(1)
        table = np.zeros((256, 3), np.uint8)
        table[: len(header.palette)] = header.palette
        return np.ascontiguousarray(np.moveaxis(table[indices], -1, 0))

    def valid(self, path: Path) -> "Valid | None":
        """Return a mask `(H, W)` of the pixels that have data; None if the map cannot lack any."""
        with opened(path) as raster:
            bands = _bands(raster)
            floats = any(np.dtype(raster.dtypes[band - 1]).kind == "f" for band in bands)
            some = floats or _is_masked(raster) or any(raster.nodatavals[band - 1] is not None for band in bands)
        return Valid(path) if some else None

    def values(self, path: Path) -> np.ndarray:
        """Return the numbers of a label file, `(H, W)`; `(3, H, W)` of three bands or more. Of a palette, the indices.

        A nodata value that can be no class number (outside of 0..254) becomes 255, as do NaN and masked pixels.
        """
        white = map_white(path)
        with opened(path) as raster:
            bands = _bands(raster)
            chosen = bands[:3] if len(bands) > 2 else bands[:1]
            require_room(path, (len(chosen), raster.height, raster.width), raster.dtypes[bands[0] - 1], copies=3)
            values = raster.read(chosen)
            nodata, masked = raster.nodata, _mask(raster, None) == 0 if _is_masked(raster) else None
        void = np.zeros(values.shape, bool) if masked is None else np.broadcast_to(masked, values.shape).copy()
        if values.dtype.kind == "f":
            void |= ~np.isfinite(values)
        if nodata is not None and not 0 <= nodata < IGNORE:
            void |= _equal(values, nodata)
        if white is not None:
            values = values.dtype.type(white) - values
        if void.any():
            kind = np.int32 if values.dtype.kind in "iu" and values.dtype != np.uint8 else values.dtype
            values = values.astype(kind)
            values[void] = IGNORE
        return values if len(values) == 3 else values[0]

    def numbers(self, path: Path) -> np.ndarray:
        """See `Format.numbers`: what is missing in a band is NaN, where `image` fills it."""
        header, white = self.header(path), map_white(path)
        if header.palette is not None:
            return super().numbers(path)
        require_room(path, header.shape, np.float32, copies=3)
        with opened(path) as raster:
            bands = _bands(raster)
            values = raster.read(bands)
            missing = _missing(raster, values, bands)
            if _is_masked(raster):
                missing |= _mask(raster, None) == 0
        values = np.where(missing, 0, values if white is None else values.dtype.type(white) - values)
        return np.where(missing, np.float32(np.nan), values.astype(np.float32))

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("map", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return suffix if suffix in (".tif", ".tiff") else ".tif"


def has_rasterio() -> bool:
    """Return whether rasterio is installed."""
    return importlib.util.find_spec("rasterio") is not None


def is_map(path: Path) -> bool:
    """Return whether a TIFF has a georeference, or a nodata value as GDAL writes it; False for other files."""
    if not path.is_file():
        return False
    status = path.stat()
    return _has_tags(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(4096)
def _has_tags(path: Path, _changed: int, _size: int) -> bool:
    try:
        with tifffile.TiffFile(path) as file:
            tags = file.pages.first.tags
            return any(code in tags for code in _MAP_TAGS)
    except (*read_errors(), *DAMAGED):
        return False


class Raster(LazySource):
    """A map as a source `(C, H, W)` in uint8, uint16 or float32; several threads may slice it."""

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(header.shape, header.dtype)
        self._lock = threading.Lock()
        self._raster = opened(path)
        self._bands = _bands(self._raster)
        blocks = [self._raster.block_shapes[band - 1] for band in self._bands]
        require_room(path, (len(blocks), *max(blocks, key=math.prod)), header.stored or header.dtype, "a strip or tile")
        self._fill: np.ndarray | None = None
        self._white = map_white(path)

    def _read(self, key: Key) -> np.ndarray:
        channel, rows, columns = key
        low, high, rest = span(channel, self.shape[0])
        chosen = self._bands[low:high]
        return _by_rows(lambda window: self._window(chosen, window), self.shape, rows, columns)[rest]

    def _window(self, bands: Sequence[int], window: Any) -> np.ndarray:
        with self._lock:
            pixels = self._filled(self._raster.read(bands, window=window), bands, window)
        return pixels if self._white is None else self.dtype.type(self._white) - pixels

    def _filled(self, pixels: np.ndarray, bands: Sequence[int], window: Any) -> np.ndarray:
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
    """A mask `(H, W)` of bool: true where a map has data."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._raster = opened(path)
        self._bands = _bands(self._raster)
        super().__init__((self._raster.height, self._raster.width), bool)

    def _read(self, key: Key) -> np.ndarray:
        rows, columns = key
        return _by_rows(self._window, (1, *self.shape), rows, columns)[0]

    def _window(self, window: Any) -> np.ndarray:
        with self._lock:
            missing = _missing(self._raster, self._raster.read(self._bands, window=window), self._bands)
            void = _void(self._raster, missing, self._bands, window)
        return np.ones((1, *missing.shape[1:]), bool) if void is None else ~void[None]


def opened(path: Path) -> Any:
    """Open a map with the drivers of its suffix, whatever its content says; the caller closes it.

    Raises:
        FileFault: it is a VRT that is not allowed.
    """
    suffix = path.suffix.lower()
    if suffix == ".vrt":
        require_safe(path)
    with quiet():
        return rasterio.open(os.fspath(path), driver=_driver(suffix))


@functools.cache
def _driver(suffix: str) -> str:
    """Return the driver for a suffix: the first one that this GDAL has."""
    with rasterio.Env() as environment:
        known = environment.drivers()
    return next((name for name in _DRIVERS.get(suffix, ()) if name in known), "GTiff")


@contextmanager
def quiet() -> Any:
    """Silence the warning that a file has no georeference: files that only have a nodata value are read too.

    One thread at a time, since the filters of warnings are those of the whole process.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


def _bands(raster: Any) -> list[int]:
    """Return the numbers of the bands other than alpha."""
    return [
        band for band, color in zip(raster.indexes, raster.colorinterp, strict=True) if color != enums.ColorInterp.alpha
    ]


def _palette(raster: Any) -> tuple[tuple[int, int, int], ...] | None:
    if len(_bands(raster)) != 1 or raster.colorinterp[0] != enums.ColorInterp.palette or raster.dtypes[0] != "uint8":
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
    """Return which values `(C, h, w)` are the nodata value of their band or not finite."""
    missing = ~np.isfinite(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
    for index, band in enumerate(bands):
        nodata = raster.nodatavals[band - 1]
        if nodata is not None:
            missing[index] |= _equal(pixels[index], nodata)
    return missing


def _void(raster: Any, missing: np.ndarray, bands: Sequence[int], window: Any) -> np.ndarray | None:
    """Return which pixels `(h, w)` have no data in any band; None if there are none."""
    if len(bands) < len(_bands(raster)) and missing.any():
        everything = _bands(raster)
        missing = _missing(raster, raster.read(everything, window=window), everything)
    void: Any = missing.all(0)
    if _is_masked(raster):
        void |= _mask(raster, window) == 0
    return void if void.any() else None


def _is_masked(raster: Any) -> bool:
    return enums.ColorInterp.alpha in raster.colorinterp or enums.MaskFlags.per_dataset in raster.mask_flag_enums[0]


def _mask(raster: Any, window: Any) -> np.ndarray:
    """Return the alpha band or the mask; 0 means no data. GDAL itself uses alpha only beside one or three bands."""
    if enums.ColorInterp.alpha in raster.colorinterp:
        return raster.read(raster.colorinterp.index(enums.ColorInterp.alpha) + 1, window=window)
    return raster.dataset_mask(window=window)


def _band_means(raster: Any, bands: Sequence[int]) -> np.ndarray:
    """Return the mean of each band `(C,)` over a few windows, or over the whole map if those hold no data."""
    height, width = raster.height, raster.width
    tops = np.unique(np.linspace(0, max(0, height - TILE), int(LOOKED_AT**0.5)).astype(int))
    lefts = np.unique(np.linspace(0, max(0, width - TILE), int(LOOKED_AT**0.5)).astype(int))
    few = [_inside(top, left, raster) for top in tops for left in lefts]
    everything = (window(top, 0, min(TILE, height - top), width) for top in range(0, height, TILE))
    total, count = np.zeros(len(bands)), np.zeros(len(bands))
    for windows in (few, everything):
        total[:], count[:] = 0, 0
        for tile in windows:
            pixels = raster.read(bands, window=tile)
            missing = _missing(raster, pixels, bands)
            void = _void(raster, missing, bands, tile)
            measured = ~missing if void is None else ~(missing | void)
            total += np.where(measured, pixels, 0).sum((1, 2), dtype=np.float64)
            count += measured.sum((1, 2))
        if count.all():
            break
    return np.divide(total, count, out=np.zeros(len(bands)), where=count > 0)


def window(top: int, left: int, height: int, width: int) -> Any:
    """Return a window of a map, for rasterio."""
    return rasterio.windows.Window(int(left), int(top), int(width), int(height))


def _inside(top: int, left: int, raster: Any) -> Any:
    """Return the window of a tile, cut at the border of the map."""
    return window(top, left, min(TILE, raster.height - top), min(TILE, raster.width - left))


def _by_rows(read: Any, shape: tuple[int, ...], rows: Any, columns: Any) -> np.ndarray:
    """Read rows and columns; if rows are skipped, piece by piece, so that the skipped ones are never all in memory."""
    top, bottom, row_rest = span(rows, shape[1])
    left, right, column_rest = span(columns, shape[2])
    step = row_rest.step if isinstance(row_rest, slice) and row_rest.step is not None else 1
    if step <= 1 or bottom - top <= ROWS:
        return read(window(top, left, bottom - top, right - left))[:, row_rest, column_rest]
    piece = max(1, ROWS // step) * step
    places = (window(start, left, min(piece, bottom - start), right - left) for start in range(top, bottom, piece))
    return np.concatenate([read(place)[:, ::step, column_rest] for place in places], 1)
