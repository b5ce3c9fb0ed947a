"""Write GeoTIFFs tile by tile, on the grid and in the projection of the map that was labeled."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.geotiff import TILE, opened, quiet, rasterio, window
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.labels import IGNORE

OVERVIEWS_FROM = 1024
"""Longest side from which smaller copies are stored in the file, so that viewers can show the whole map at once."""


def write(
    path: Path,
    values: Source,
    *,
    like: Path,
    names: Sequence[str] = (),
    nodata: float | None = None,
    palette: Sequence[Sequence[int]] | None = None,
    factor: int = 1,
) -> None:
    """Write labels `(H, W)` or bands `(K, H, W)` as a tiled, deflated GeoTIFF with the georeference of `like`.

    One row of tiles is held in memory at a time. Larger files get overviews.

    Args:
        path: the file to write.
        values: whole numbers or float32.
        like: the map whose projection, transform and ground control points are kept.
        names: of the classes: they describe the bands, or the values of the one band of labels.
        nodata: value that means "no data".
        palette: color of each label, for viewers.
        factor: rows and columns of `values` are finer than those of `like` by this factor.

    Raises:
        UserError: `like` and `values` differ in size.
    """
    shape = tuple(values.shape)
    bands = shape[0] if len(shape) == 3 else 1
    with opened(like) as source:
        if (factor * source.height, factor * source.width) != shape[-2:]:
            raise UserError(f"{like}: size {(source.height, source.width)}, but its labels have {shape[-2:]}")
        profile = _profile(source, bands, np.dtype(values.dtype), nodata, factor)
        points, points_crs = source.gcps
        points = [_finer_point(point, factor) for point in points]
        rpcs = None if source.rpcs is None else _finer_rpcs(source.rpcs, factor)
    profile |= {"height": shape[-2], "width": shape[-1]}
    with quiet(), rasterio.open(path, "w", **profile) as raster:
        if points:
            raster.gcps = points, points_crs
        if rpcs is not None:
            raster.rpcs = rpcs
        _describe(raster, names, palette if len(shape) == 2 else None, labels=len(shape) == 2)
        height, width = shape[-2:]
        for row in range(0, height, TILE):
            part = np.asarray(values[(..., slice(row, row + TILE), slice(None))])
            tiles = window(row, 0, part.shape[-2], width)
            raster.write(part.reshape(bands, *part.shape[-2:]), window=tiles)
        factors = [2**n for n in range(1, 12) if max(shape[-2:]) > OVERVIEWS_FROM * 2 ** (n - 1)]
        if factors:
            how = rasterio.enums.Resampling
            raster.build_overviews(factors, how.nearest if len(shape) == 2 else how.average)


def _finer_point(point: Any, factor: int) -> Any:
    """A ground control point on a finer grid; pixel 0 spans 0 to 1."""
    row, column = factor * point.row, factor * point.col
    return type(point)(row, column, point.x, point.y, point.z, point.id, point.info)


def _finer_rpcs(rpcs: Any, factor: int) -> Any:
    """Rational polynomials on a finer grid; they count from the centers of pixels."""
    finer = copy.copy(rpcs)
    for axis in ("line", "samp"):
        setattr(finer, f"{axis}_off", (getattr(rpcs, f"{axis}_off") + 0.5) * factor - 0.5)
        setattr(finer, f"{axis}_scale", getattr(rpcs, f"{axis}_scale") * factor)
    return finer


def _profile(source: Any, bands: int, dtype: np.dtype, nodata: float | None, factor: int) -> dict[str, Any]:
    profile = {
        "driver": "GTiff",
        "count": bands,
        "dtype": dtype.name,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "predictor": 3 if dtype.kind == "f" else 1,
        "interleave": "band",
        "bigtiff": "if_safer",
    }
    if source.crs is not None:
        profile["crs"] = source.crs
    if not source.gcps[0] and not source.transform.is_identity:
        a, b, c, d, e, f = source.transform[:6]
        profile["transform"] = type(source.transform)(a / factor, b / factor, c, d / factor, e / factor, f)
    return profile if nodata is None else profile | {"nodata": nodata}


def _describe(raster: Any, names: Sequence[str], palette: Sequence[Sequence[int]] | None, labels: bool) -> None:
    if labels and names:
        raster.set_band_description(1, "labels")
        raster.update_tags(1, **{f"CLASS_{value}": name for value, name in enumerate(names)})
    for band, name in enumerate(() if labels else names, 1):
        raster.set_band_description(band, name)
    if palette is not None and raster.dtypes[0] == "uint8":
        colors = {value: (*(int(level) for level in color), 255) for value, color in enumerate(palette)}
        raster.write_colormap(1, colors | {IGNORE: (0, 0, 0, 0)})
