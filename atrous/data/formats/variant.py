"""Which module reads a file, where its suffix alone does not say it.

A TIFF may be a map, a zarr folder a microscope's picture.
"""

import functools
import importlib.util
import json
from pathlib import Path

_MAP_TAGS = (33550, 33922, 34264, 34735, 42113)
"""ModelPixelScale, ModelTiepoint, ModelTransformation and GeoKeyDirectory of GeoTIFF; GDAL's nodata."""


def variant(path: Path, module: str) -> str:
    """The module for this file, given that of its suffix."""
    if module == "tiff" and has_rasterio() and is_map(path):
        return "geotiff"
    if module == "zarr_array" and is_group(path):
        return "ngff"
    return module


def is_group(path: Path) -> bool:
    """Whether a zarr folder is a group, as OME-Zarr's are, and not one array."""
    if (path / ".zgroup").is_file():
        return True
    try:
        return json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("node_type") == "group"
    except (OSError, ValueError, AttributeError):
        return False


def has_rasterio() -> bool:
    """Whether rasterio is installed."""
    return importlib.util.find_spec("rasterio") is not None


def is_map(path: Path) -> bool:
    """Whether a TIFF has a georeference, or a nodata value as GDAL writes it; False for what is no TIFF at all."""
    if not path.is_file():
        return False
    status = path.stat()
    return _has_tags(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(4096)
def _has_tags(path: Path, _changed: int, _size: int) -> bool:
    import tifffile

    from atrous.data.formats import tiff

    try:
        with tifffile.TiffFile(path) as file:
            tags = file.pages.first.tags
            return any(code in tags for code in _MAP_TAGS)
    except tiff.ERRORS:
        return False
