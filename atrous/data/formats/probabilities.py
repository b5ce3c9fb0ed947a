"""Probabilities of every class as a file: zarr or TIFF, `(K, *S)` float32, compressed."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
import zarr


def write_probabilities(path: Path, probabilities: np.ndarray, classes: Sequence[str]) -> None:
    """Write `(K, *S)` float32 to `path` (`.zarr` or `.tif`), beside first, then renamed.

    The class names are the array's attribute `classes` in zarr, and the labels of the planes in TIFF.
    """
    beside = path.with_name(path.name + ".part")
    if path.suffix == ".zarr":
        shutil.rmtree(beside, ignore_errors=True)  # what a killed run left
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
    os.replace(beside, path)
