"""Files of polygons, written by pyogrio."""

import numpy as np
import pyogrio.raw
import shapely


def write_shapes(path, shapes, crs="EPSG:32633", **attributes):
    """Shapes of shapely with their attributes; a list of text becomes text, of numbers a number."""
    wkb = np.empty(len(shapes), object)
    wkb[:] = [shapely.to_wkb(shape) for shape in shapes]
    columns = [
        np.array(column, object)
        if any(isinstance(value, str) or value is None for value in column)
        else np.array(column)
        for column in attributes.values()
    ]
    kinds = {shape.geom_type for shape in shapes}
    driver = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    pyogrio.raw.write(
        path, wkb, columns, list(attributes), driver=driver, crs=crs, promote_to_multi=False,
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
    )  # fmt: skip
    return path


def square(left, top, side):
    """A square with its upper left corner at `(left, top)`."""
    return shapely.box(left, top - side, left + side, top)
