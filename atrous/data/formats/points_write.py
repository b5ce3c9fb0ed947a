"""Points on a map, in a GeoPackage or a GeoJSON file with the projection of the map."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.polygons import raw, shapely
from atrous.data.formats.polygons_write import POLYGON_DRIVERS, map_of
from atrous.files import replacing


def write_map_points(path: Path, places: np.ndarray, like: Path, attributes: Mapping[str, np.ndarray]) -> None:
    """Write points in pixels of a map as points in its projection.

    Args:
        path: `.gpkg` or `.geojson`.
        places: `(n, 2)` rows and columns; the middle of pixel i is i + 0.5.
        like: the map; the points have its projection.
        attributes: of the points, by name, `(n,)` each.

    Raises:
        FileFault: `like` is no map.
    """
    grid = map_of(like)
    a, b, c, d, e, f = grid.transform  # x = a * column + b * row + c, y = d * column + e * row + f
    rows, columns = places[:, 0], places[:, 1]
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    shapes = np.empty(len(places), object)
    shapes[:] = list(shapely.to_wkb(shapely.points(x, y))) if len(places) else []
    fields: list[Any] = list(attributes.values())
    with replacing(path) as beside:
        raw.write(
            beside,
            shapes,
            fields,
            list(attributes),
            layer=path.stem,
            driver=POLYGON_DRIVERS[path.suffix],
            geometry_type="Point",
            crs=grid.crs,
            promote_to_multi=False,
        )
