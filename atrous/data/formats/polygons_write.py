"""Labels of a map as polygons, in a GeoPackage or a GeoJSON file.

Each region of one class, connected by the sides of its pixels, becomes a polygon along the borders of its pixels. GDAL
traces the labels line by line, so that these may lie on disk; the polygons themselves are held in memory.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import FileFault
from atrous.data.formats.header import MapGrid
from atrous.data.formats.polygons import features, rasterio, raw, shapely
from atrous.data.formats.reading import read_header
from atrous.data.source import Source
from atrous.files import replacing

POLYGON_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
"""GDAL's driver for each suffix."""


def map_of(path: Path) -> MapGrid:
    """Return where a map lies.

    Raises:
        FileFault: it is no map, or has no transform.
    """
    grid = read_header(path).map
    if grid is None or not grid.crs or grid.transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0):
        raise FileFault(path, "polygons are written for maps, and it says no place on Earth", "leave --polygons out")
    return grid


def write_polygons(
    path: Path, labels: Source, like: Path, attributes: Mapping[str, np.ndarray], left_out: Collection[int]
) -> None:
    """Write labels `(H, W)` of whole numbers as polygons: one for each region of equal labels.

    Args:
        path: `.gpkg` or `.geojson`.
        labels: classes, or numbers of objects, on the pixels of the map.
        like: the map that was labeled; the polygons have its projection.
        attributes: of the polygons, by name: values `(n,)`, of which `values[label]` is that of a label.
        left_out: labels of which no polygons are written.

    Raises:
        FileFault: `like` is no map.
    """
    grid = map_of(like)
    wkb: list[bytes] = []
    numbers: list[int] = []
    values = np.asarray(labels[...])
    traced = values if values.dtype == np.uint8 else values.astype(np.int32)  # the types that GDAL traces
    for geometry, value in features.shapes(traced, transform=rasterio.Affine(*grid.transform)):
        if int(value) not in left_out:
            wkb.append(shapely.to_wkb(shapely.geometry.shape(geometry)))
            numbers.append(int(value))
    chosen = np.array(numbers, np.int64)
    write_shapes(path, "Polygon", wkb, {name: each[chosen] for name, each in attributes.items()}, grid)


def write_shapes(
    path: Path, kind: str, wkb: Sequence[bytes], attributes: Mapping[str, np.ndarray], grid: MapGrid
) -> None:
    """Write shapes as a layer with the projection of a map.

    Args:
        path: `.gpkg` or `.geojson`.
        kind: of the shapes, "Point" or "Polygon".
        wkb: the shapes as well-known binary.
        attributes: of the shapes, by name, one value for each.
        grid: where the map lies.
    """
    shapes = np.empty(len(wkb), object)
    shapes[:] = wkb
    fields: list[Any] = list(attributes.values())
    with replacing(path) as beside:
        raw.write(
            beside,
            shapes,
            fields,
            list(attributes),
            layer=path.stem,
            driver=POLYGON_DRIVERS[path.suffix],
            geometry_type=kind,
            crs=grid.crs,
            promote_to_multi=False,
        )
