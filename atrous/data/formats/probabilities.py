"""Probabilities of every class as a file: zarr or TIFF, `(K, *S)` float32, compressed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
import zarr

from atrous.data.formats.grids import grid_kind, write_tiff, write_zarr
from atrous.data.formats.variant import is_group
from atrous.files import replacing


def write_probabilities(
    path: Path, probabilities: np.ndarray, classes: Sequence[str], like: Path | None = None
) -> None:
    """Write `(K, *S)` float32 to `path` (`.zarr` or `.tif`), beside first, then renamed.

    The class names are the array's attribute `classes` in zarr, and the labels of the planes in TIFF. A TIFF for a map
    `like` is a GeoTIFF with one band a class, NaN being nodata; what is written for a microscope's picture keeps its
    axes and scale.
    """
    if like is not None and grid_kind(path, like):
        write_tiff(path, probabilities, like=like, names=classes, nodata=np.nan, bands=True)
        return
    if like is not None and path.suffix == ".zarr" and is_group(like):
        write_zarr(path, probabilities, like=like, names=classes, bands=True)
        return
    with replacing(path) as beside:
        if path.suffix == ".zarr":
            chunks = (1, *(min(512, n) for n in probabilities.shape[1:]))
            array = zarr.create_array(beside, shape=probabilities.shape, dtype="float32", chunks=chunks)
            array[...] = probabilities
            array.attrs["classes"] = list(classes)
        else:
            tifffile.imwrite(
                beside,
                probabilities,
                photometric="minisblack",
                compression="zlib",
                predictor=True,
                metadata={"axes": "C" + "ZYX"[1 - probabilities.ndim :], "Labels": list(classes)},
            )
