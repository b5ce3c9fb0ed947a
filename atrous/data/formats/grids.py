"""TIFF and zarr written in tiles on the grid of the file that was labeled: its projection, its axes, its scale."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from atrous.data.formats import tiff
from atrous.data.formats.header import Header
from atrous.data.formats.ome import scale_metadata
from atrous.data.formats.variant import has_rasterio, is_group, is_map
from atrous.errors import UserError
from atrous.files import replacing

TILE = 512
CHUNK = 512


def grid_kind(path: Path, like: Path) -> str | None:
    """What a TIFF `path` for the labels of `like` keeps of it: `map`, its projection, or `ome`, its axes and scale.

    Raises:
        UserError: it has a projection, which cannot be kept since rasterio is not installed.
    """
    suffix = like.suffix.lower()
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    if suffix in (".jp2", ".vrt"):
        return "map"
    if suffix not in (".tif", ".tiff"):
        return None
    if is_map(like):
        if not has_rasterio():
            raise UserError(f'{like}: its projection would be lost without rasterio: pip install "atrous[geo]"')
        return "map"
    return "ome" if tiff.read_header(like).axes is not None else None


def write_tiff(
    path: Path,
    values: Any,
    *,
    like: Path | None = None,
    names: Sequence[str] = (),
    palette: Sequence[Sequence[int]] | None = None,
    nodata: float | None = None,
    bands: bool = False,
) -> None:
    """Write labels `(*S)` or bands `(K, *S)` as a tiled, deflated TIFF; one row of tiles is held at a time.

    The file is written beside its place, then renamed.

    Args:
        path: where to.
        values: whole numbers or float32, sliced.
        like: the file that was labeled; a map lends its projection, a microscope's picture its axes and scale.
        names: classes: descriptions of the bands, or of the values of labels.
        palette: RGB of each label, kept in maps.
        nodata: value that means "no data", kept in maps.
        bands: whether the first axis is that of classes.
    """
    with replacing(path) as beside:
        kind = None if like is None else grid_kind(path, like)
        if kind == "map" and like is not None:
            from atrous.data.formats import geotiff_write

            geotiff_write.write(beside, values, like=like, names=names, nodata=nodata, palette=palette)
        elif kind == "ome" and like is not None:
            _write_ome(beside, values, tiff.read_header(like), names, bands)
        else:
            _write_tiles(beside, values, ome=False, metadata=None)


def write_zarr(
    path: Path,
    values: Any,
    *,
    like: Path | None = None,
    names: Sequence[str] = (),
    palette: Sequence[Sequence[int]] | None = None,
    bands: bool = False,
) -> None:
    """Write labels `(*S)` or bands `(K, *S)` as zarr: as OME-Zarr if `like` is one, else as a bare array.

    Where a network took the channels of `like` for slices, its grid is not that of the labels: a bare array, too.

    The folder is written beside its place, then renamed.
    """
    with replacing(path) as beside:
        if like is not None and is_group(like) and _spatial_axes(like) == len(values.shape) - bands:
            from atrous.data.formats import ngff_write

            ngff_write.write(beside, values, like=like, names=names, palette=palette)
        else:
            chunks = tuple(min(CHUNK, n) for n in values.shape)
            array = zarr.create_array(beside, shape=tuple(values.shape), dtype=values.dtype, chunks=chunks)
            for row in range(0, values.shape[0], CHUNK):
                array[row : row + CHUNK] = np.asarray(values[row : row + CHUNK])


def _spatial_axes(like: Path) -> int:
    """Axes of space of an OME-Zarr."""
    from atrous.data.formats import ngff

    return len(ngff.read_header(like).size)


def _write_ome(path: Path, values: Any, header: Header, names: Sequence[str], bands: bool) -> None:
    """OME-TIFF with the axes and physical sizes of the picture; of bands the channels are `names`."""
    ndim = len(values.shape) - bands
    letters = f"Z{header.axes}"[-ndim:]  # a network may have taken channels for slices
    lead, spacing = "C" if bands else "", (header.spacing or ())[-ndim:]
    metadata = {"axes": lead + letters, **scale_metadata(spacing, letters[ndim - len(spacing) :])}
    if lead and names:
        metadata["Channel"] = {"Name": list(names)}
    _write_tiles(path, values, ome=True, metadata=metadata)


def _write_tiles(path: Path, values: Any, ome: bool, metadata: dict[str, Any] | None) -> None:
    """BigTIFF beyond 2 GB."""
    size = math.prod(values.shape) * values.dtype.itemsize
    with tifffile.TiffWriter(path, bigtiff=size > 2**31, ome=ome) as writer:
        writer.write(
            _tiles(values),
            shape=tuple(values.shape),
            dtype=values.dtype,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            metadata=metadata,
        )


def _tiles(values: Any) -> Iterator[np.ndarray]:
    for plane in np.ndindex(values.shape[:-2]):
        for top in range(0, values.shape[-2], TILE):
            for left in range(0, values.shape[-1], TILE):
                found = values[(*plane, slice(top, top + TILE), slice(left, left + TILE))]
                tile = np.zeros((TILE, TILE), values.dtype)
                tile[: found.shape[0], : found.shape[1]] = found
                yield tile
