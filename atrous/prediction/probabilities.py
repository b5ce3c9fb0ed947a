"""The probabilities of all classes as a file: zarr or TIFF."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from atrous.data.formats.probabilities import write_probabilities
from atrous.data.formats.variant import is_group
from atrous.data.preprocess import restore
from atrous.data.void import make_void, voided
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output, part_path

SUFFIXES = {"zarr": ".zarr", "tiff": ".tif"}
"""Suffix of the file for each value of `--probabilities`."""
CHUNK = 512


class ProbabilityFile(Output):
    """Probabilities `(K, *S)` float32 on the grid of the input's file, NaN where the file has no data.

    Those of a streamed input are written to disk as they come.

    Args:
        path: `.zarr` or `.tif`.
        like: the input file, which lends its geometry.
        classes: names, in label order.
    """

    values = "probabilities"

    def __init__(self, path: Path, like: Path, classes: tuple[str, ...]) -> None:
        self.paths = (path,)
        self._like, self._classes = like, classes
        self._opened: Opened | None = None
        self._array: Any = None
        self._part: Path | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Open an array: on disk for a streamed input, else in memory."""
        path = self.paths[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(self._classes), *opened.source.shape[1:])
        self._opened, part = opened, part_path(path)
        if not streamed:
            self._array = np.empty(shape, np.float32)
            return
        self._part = part
        if path.suffix == ".zarr":
            shutil.rmtree(part, ignore_errors=True)  # left by an interrupted run
            chunks = (1, *(min(CHUNK, n) for n in shape[1:]))
            self._array = zarr.create_array(part, shape=shape, dtype="float32", chunks=chunks)
        else:
            self._array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)

    @property
    def sink(self) -> Any:
        """Takes probabilities `(K, *S)` on the network's grid, in any order."""
        if self._opened is None:
            return None
        # On another grid the positions without data are marked after resampling, by `finish`.
        return voided(self._array, None if self._opened.resampled else self._opened.valid, np.nan)

    def finish(self) -> None:
        """Put the file in its place, resampled to the grid of the input's file."""
        assert self._opened is not None
        path = self.paths[0]
        in_place = self._part is not None and path.suffix == ".zarr" and not is_group(self._like)
        if in_place and not self._opened.resampled and self._part is not None:
            self._array.attrs["classes"] = list(self._classes)
            os.replace(self._part, path)
            return
        values = self._array
        if self._opened.resampled:
            values = restore(torch.from_numpy(np.asarray(values[...])), self._opened.size).numpy()
            make_void(values, self._opened.valid, np.nan)
        write_probabilities(path, values, self._classes, self._like)
        self.discard()

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._part is not None and self._part.is_dir():
            shutil.rmtree(self._part)
        elif self._part is not None:
            self._part.unlink(missing_ok=True)
