"""Points on a map, in a GeoPackage or a GeoJSON file with the projection of the map."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from atrous.data.formats.polygons import shapely
from atrous.data.formats.polygons_write import map_of, write_shapes


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
    wkb = list(shapely.to_wkb(shapely.points(x, y))) if len(places) else []
    write_shapes(path, "Point", wkb, attributes, grid)
