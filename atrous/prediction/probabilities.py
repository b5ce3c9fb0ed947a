"""The probabilities of all classes as a file: zarr or TIFF."""

from pathlib import Path

import numpy as np

from atrous.data.formats import ProbabilitySink, open_probabilities, write_probabilities
from atrous.data.source import Sink
from atrous.data.void import voided
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output

SUFFIXES = {"zarr": ".zarr", "tiff": ".tif"}
"""Suffix of the file for each value of `--probabilities`."""


class ProbabilityFile(Output):
    """Probabilities `(K, *S)` float32 on the grid of the input's file, NaN where the file has no data.

    Those of a streamed input are written to disk as they come.

    Args:
        path: `.zarr` or `.tif`.
        like: the input file, which lends its geometry.
        classes: names, in label order.
    """

    values = "probabilities"
    factor: int = 1
    """By how much the grid of what is written is finer than that of the file."""

    def __init__(self, path: Path, like: Path, classes: tuple[str, ...]) -> None:
        self.paths = (path,)
        self._like: Path | None = like
        self._classes = classes
        self._opened: Opened | None = None
        self._written: ProbabilitySink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Open an array: on disk for a streamed input, else in memory."""
        path = self.paths[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._opened, self._written = opened, open_probabilities(path, self._shape(opened), on_disk=streamed)

    def _shape(self, opened: Opened) -> tuple[int, ...]:
        return (len(self._classes), *(int(n) for n in opened.source.shape[1:]))

    @property
    def sink(self) -> Sink | None:
        """Takes probabilities `(K, *S)` on the network's grid, in any order."""
        if self._opened is None or self._written is None:
            return None
        # On another grid the positions without data are marked after resampling, by `finish`.
        return voided(self._written.array, None if self._opened.regridded else self._opened.valid, np.nan)

    def finish(self) -> None:
        """Put the file in its place, resampled to the grid of the input's file."""
        assert self._opened is not None
        assert self._written is not None
        if not self._opened.regridded:
            self._written.finish(self._classes, like=self._like, factor=self.factor)
            return
        values = self._opened.maps_on_file(np.asarray(self._written.array[...]))
        write_probabilities(self.paths[0], values, self._classes, self._like)
        self.discard()

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._written is not None:
            self._written.discard()
