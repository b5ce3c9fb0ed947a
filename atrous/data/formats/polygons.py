"""Polygons that label maps and slides: GeoPackage, GeoJSON and shapefiles, by pyogrio and shapely.

Polygons are read with their attributes, brought to the projection of an image, and burned onto its pixels: a pixel has
the value of a polygon if its center lies inside. Where polygons overlap, the later one in the file counts.

Files from elsewhere are not trusted: a file whose content is not of the format that its suffix says is refused before
GDAL sees it, since GDAL would open a file that names others (OGR's VRT) by its content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Errors, FileFault, Library, guarded, require_bytes, require_room
from atrous.data.formats.geotiff import quiet
from atrous.data.formats.header import Header
from atrous.data.formats.reading import read_header
from atrous.data.formats.table import suffix_of
from atrous.data.inside import require_inside

_MISSING = 'polygons need pyogrio and shapely: pip install "atrous[geo]"'
pyogrio: Any = Library("pyogrio", _MISSING)
raw: Any = Library("pyogrio.raw", _MISSING)
shapely: Any = Library("shapely", _MISSING)
features: Any = Library("rasterio.features", _MISSING)
warp: Any = Library("rasterio.warp", _MISSING)
rasterio: Any = Library("rasterio", _MISSING)
gdal_errors: Any = Library("rasterio._err", _MISSING)

POLYGON_SUFFIXES = (".gpkg", ".geojson", ".shp")
"""Suffixes of files of polygons."""
_NO_PLACE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_COPIES = 20
"""Bytes of memory for each byte of the file, while it is read."""
_SIDES = (".shx", ".dbf", ".prj", ".cpg")
"""Files that belong to a shapefile."""
_PARTS = 16
"""Edges that are longer than one in so many parts of a polygon's size get more corners before they are reprojected."""
_AREAS = (3, 6)
"""Numbers of shapely's types of geometry for polygons and multipolygons."""


@dataclass(frozen=True)
class Polygons:
    """The polygons of one file.

    Attributes:
        path: the file.
        shapes: `(n,)` polygons and multipolygons of shapely.
        attributes: values `(n,)` of each attribute by its name; None and NaN where there is no value.
        crs: projection of the coordinates, as `MapGrid.crs`; "" if the file does not say it.
    """

    path: Path
    shapes: np.ndarray
    attributes: dict[str, np.ndarray]
    crs: str


def read_polygons(path: Path) -> Polygons:
    """Read the polygons of a file.

    Raises:
        UserError: pyogrio is not installed; the file is missing, damaged, of another format, has several layers, or
            holds points or lines, or polygons that are not valid.
    """
    if not path.exists():
        raise FileFault(path, "no such file", "check the path")
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(4)
def _read(path: Path, _changed: int, size: int) -> Polygons:
    require_content(path)
    require_bytes(path, _COPIES * size, "reading its polygons")
    return guarded(path, suffix_of(path)[1:], _failures(), lambda: _parsed(path))


def _failures() -> Errors:
    """What the libraries raise of damaged files and of coordinates that no projection knows."""
    found = pyogrio.errors
    readers = (found.DataSourceError, found.DataLayerError, found.GeometryError, found.FieldError)
    # pyogrio 0.13 raises a NameError of a .prj file that is no text.
    return (*readers, NameError, shapely.errors.ShapelyError, rasterio.errors.RasterioError, gdal_errors.CPLE_BaseError)


def _parsed(path: Path) -> Polygons:
    layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    if len(layers) != 1:
        named = f" ({', '.join(layers[:4])})" if layers else ""
        what = f"it has {len(layers)} layers with geometry{named}"
        raise FileFault(path, what, "keep one layer of polygons in it")
    about, _, wkb, values = raw.read(path, layer=layers[0], force_2d=True, datetime_as_string=True)
    shapes = shapely.from_wkb(wkb)
    kept = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    shapes = shapes[kept]
    attributes = {str(name): column[kept] for name, column in zip(about["fields"], values, strict=True)}
    _require_areas(path, shapes)
    return Polygons(path, shapes, attributes, about["crs"] or "")


def _require_areas(path: Path, shapes: np.ndarray) -> None:
    kinds = shapely.get_type_id(shapes)
    other = ~np.isin(kinds, _AREAS)
    if other.any():
        first = int(np.argmax(other))
        what = f"feature {first + 1} is a {shapes[first].geom_type}, not a polygon"
        raise FileFault(path, what, "keep polygons alone (QGIS: buffer lines and points by their width)")
    wrong = ~shapely.is_valid(shapes)
    if wrong.any():
        first = int(np.argmax(wrong))
        why = shapely.is_valid_reason(shapes[first])
        what = f"{int(wrong.sum())} of its {len(shapes)} polygons are not valid (feature {first + 1}: {why})"
        raise FileFault(path, what, "correct them (QGIS: Fix geometries)")


def require_content(path: Path) -> None:
    """Raise unless the content of a file of polygons is of the format that its suffix says.

    Raises:
        FileFault: it is not, or a file of a shapefile is missing.
    """
    with path.open("rb") as file:
        head = file.read(100)
    suffix = suffix_of(path)
    if suffix == ".gpkg":
        fits = head.startswith(b"SQLite format 3\0") and head[68:72] in (b"GPKG", b"GP10", b"GP11")
    elif suffix == ".shp":
        fits = head.startswith(b"\x00\x00\x27\x0a")
    else:
        fits = head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    if not fits:
        raise FileFault(path, f"cannot be read, it is not a {suffix[1:]} file", "export it again")
    for side in _SIDES if suffix == ".shp" else ():
        beside = path.with_suffix(side)
        if beside.is_symlink():
            require_inside(path.parent, beside)
    if suffix == ".shp" and not path.with_suffix(".shx").exists():
        raise FileFault(path, "its .shx file is missing", "copy the .shx, .dbf and .prj files beside it")


def burn(polygons: Polygons, values: Sequence[int], image: Path, header: Header, *, alone: bool, ground: int) -> Any:
    """Return the values of polygons at the pixels of an image, `(H, W)` int32, and `ground` outside of them.

    Args:
        polygons: the polygons.
        values: of each polygon.
        image: the file of the image, for messages and, of slides, for the size of its finest level.
        header: of the image, or of the level of a slide that is labeled.
        alone: whether the polygons are those of this image alone: one of them at least must then lie on it.
        ground: the value outside of all polygons.

    Raises:
        FileFault: the projection of the polygons or of the image is not known, or none of them lies on the image.
    """
    size = header.size
    if len(size) != 2:
        raise FileFault(polygons.path, f"polygons label images, but {image.name} has {len(size)} axes", "give a mask")
    require_room(polygons.path, size, np.int32, "burning its polygons")
    return guarded(
        polygons.path,
        suffix_of(polygons.path)[1:],
        _failures(),
        lambda: _burned(polygons, values, image, header, alone, ground),
    )


def _burned(polygons: Polygons, values: Sequence[int], image: Path, header: Header, alone: bool, ground: int) -> Any:
    size, (transform, wanted) = header.size, _projection(polygons, image, header)
    extent = _extent(transform, size)
    frame = extent if wanted is None else tuple(warp.transform_bounds(wanted, polygons.crs, *extent))
    near = np.flatnonzero(shapely.intersects(polygons.shapes, shapely.box(*frame)))  # others may be beyond a projection
    shapes = polygons.shapes[near]
    if wanted is not None and len(near):
        shapes = reprojected(shapes, polygons.crs, wanted)
    touches = shapely.intersects(shapes, shapely.box(*extent))
    chosen = [(shape, int(values[n])) for shape, n in zip(shapes[touches], near[touches].tolist(), strict=True)]
    if chosen:
        with quiet():
            return features.rasterize(chosen, out_shape=size, fill=ground, transform=transform, dtype="int32")
    if alone:
        raise FileFault(polygons.path, _apart(polygons.shapes, image, frame), "check its projection")
    return np.full(size, ground, np.int32)


def _projection(polygons: Polygons, image: Path, header: Header) -> tuple[Any, str | None]:
    """The transform from pixels to coordinates, and the projection to which polygons are brought; None for their own.

    Raises:
        FileFault: the projection of the polygons or of the image is not known.
    """
    grid, suffix = header.map, suffix_of(polygons.path)
    if grid is None:
        # GeoJSON always claims to be in degrees; that of a picture without a place is in pixels, as QuPath writes it.
        if polygons.crs and suffix != ".geojson":
            what = f"its polygons are in {polygons.crs[:40]}, but {image.name} says no place on Earth"
            raise FileFault(polygons.path, what, "give the georeferenced image")
        return _pixels(image, header), None
    if grid.transform == _NO_PLACE:
        what = f"{image.name} has no transform from pixels to its projection"
        raise FileFault(polygons.path, what, "warp the image first (gdalwarp)")
    if bool(grid.crs) != bool(polygons.crs):
        unknown = polygons.path.name if grid.crs else image.name
        raise FileFault(polygons.path, f"{unknown} does not say its projection", _assign(unknown))
    return rasterio.Affine(*grid.transform), None if grid.crs == polygons.crs else grid.crs


def _assign(name: str) -> str:
    if name.endswith(".shp"):
        return "copy its .prj file beside it"
    return "assign it (QGIS: Assign projection; maps: gdal_edit.py -a_srs EPSG:NUMBER)"


def _pixels(image: Path, header: Header) -> Any:
    """From pixels of a level of a slide to those of its finest level; of other images, no change."""
    whole = read_header(image).size
    return rasterio.Affine.scale(whole[1] / header.size[1], whole[0] / header.size[0])


def reprojected(shapes: np.ndarray, given: str, wanted: str) -> np.ndarray:
    """Return polygons in another projection; long edges are divided first, since they may become curves.

    Args:
        shapes: `(n,)` geometries of shapely.
        given: the projection of their coordinates.
        wanted: the projection of the result.
    """
    left, bottom, right, top = shapely.bounds(shapes).T
    divided = shapely.segmentize(shapes, np.maximum(np.hypot(right - left, top - bottom), 1e-12) / _PARTS)

    def moved(places: np.ndarray) -> np.ndarray:
        return np.stack(warp.transform(given, wanted, places[:, 0], places[:, 1]), 1)

    return shapely.transform(divided, moved)


def _extent(transform: Any, size: Sequence[int]) -> tuple[float, float, float, float]:
    """West, south, east and north border of an image, turned ones included."""
    a, b, c, d, e, f = transform[:6]
    corners = [(column, row) for column in (0, size[1]) for row in (0, size[0])]
    x = [a * column + b * row + c for column, row in corners]
    y = [d * column + e * row + f for column, row in corners]
    return min(x), min(y), max(x), max(y)


def _apart(shapes: np.ndarray, image: Path, extent: Sequence[float]) -> str:
    """Where the polygons are, and where the image is, in the coordinates of the polygons."""
    if not len(shapes):
        return "it holds no polygons"
    west, south, east, north = (f"{value:.7g}" for value in extent)
    bounds = [f"{value:.7g}" for value in shapely.total_bounds(shapes)]
    theirs = f"x {bounds[0]} to {bounds[2]}, y {bounds[1]} to {bounds[3]}"
    ours = f"x {west} to {east}, y {south} to {north}"
    return f"none of its {len(shapes)} polygons lies on {image.name} (they at {theirs}; the image at {ours})"
