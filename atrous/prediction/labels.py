"""The label file of an image, a volume or a signal."""

from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.formats import LabelSink, check_like, open_labels
from atrous.data.formats.writing import SourceNote, part_path
from atrous.data.void import Voided
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.intervals import CutLabels
from atrous.prediction.output import Output
from atrous.stream.resume import record_path


class LabelFile(Output):
    """Class numbers `(*S)` uint8 on the grid of the input's file, 255 where the file has no data.

    Labels that exist are never replaced: someone may have corrected them. Those of a streamed input are written to disk
    as they come, if the format allows it (`.npy`, zarr, TIFF). An interrupted run leaves them under a hidden name, and
    the next run resumes from there.

    Args:
        path: the file; its suffix says the format.
        like: the input file, which lends its geometry.
        classes: names, in label order.
        palette: a color per class.
        files: all files of the input, where these are several: labels that were begun of other ones are not continued.
    """

    values = "labels"

    def __init__(
        self, path: Path, like: Path, classes: tuple[str, ...], palette: Palette, files: tuple[Path, ...] = ()
    ) -> None:
        self.paths = (path,)
        self._like, self._classes, self._palette = like, classes, palette
        self._source = SourceNote(part_path(path), files or (like,))
        self._opened: Opened | None = None
        self._written: LabelSink | None = None
        self._streamed = False
        self._on_file_grid: np.ndarray | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Open the file, or resume the one that an interrupted run left.

        Raises:
            UserError: the labels cannot keep the projection of the input.
        """
        path = self.paths[0]
        check_like(path, self._like)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = tuple(opened.source.shape[1:])
        self._opened, self._streamed = opened, streamed
        on_disk = streamed and not opened.regridded
        # What another input, or an earlier version, has begun is not continued.
        self._written = open_labels(path, size, on_disk=on_disk, anew=not self._source.holds())
        if not self._written.begun:
            self._remove_record()  # it belongs to a file that is no longer there
            if self.resumes:
                self._source.write()

    @property
    def sink(self) -> Any:
        """Takes labels `(*S)` on the network's grid, in any order."""
        if self._written is None or self._opened is None:
            return None
        array = self._written.array
        if len(array.shape) == 1:
            array = CutLabels(array, self._opened)
        if self._opened.valid is None or self._opened.regridded:
            # On another grid the positions without data are marked after resampling, by `on_file_grid`.
            return array
        return Voided(array, self._opened.valid)

    @property
    def resumes(self) -> bool:
        """Whether the labels are written to disk as they come."""
        return self._streamed and self._written is not None and self._written.part is not None

    def on_file_grid(self) -> Any:
        """Return all labels `(*S)` on the grid of the input's file, once they have been assigned to the sink."""
        assert self._written is not None
        assert self._opened is not None
        if not self._opened.regridded:
            return self._written.array
        if self._on_file_grid is None:
            self._on_file_grid = self._opened.labels_on_file(np.asarray(self._written.array[...]))
        return self._on_file_grid

    def finish(self) -> None:
        """Put the file in its place."""
        assert self._written is not None
        assert self._opened is not None
        written = self._written
        self._remove_record()
        if self._opened.regridded:
            written = LabelSink(self.paths[0], self.on_file_grid(), None)
            self._written.discard()
        void = None if self._opened.valid is None else IGNORE
        written.finish(like=self._like, classes=self._classes, palette=self._palette, void=void)
        self._source.remove()
        self._written = None

    def discard(self) -> None:
        """Remove the unfinished file and the record of how far it had come."""
        if self._written is not None:
            self._remove_record()
            self._written.discard()
            self._source.remove()
            self._written = None

    def _remove_record(self) -> None:
        if self._written is not None and self._written.part is not None:
            record_path(self._written.array).unlink(missing_ok=True)


def label_path(item: Input, out: Path) -> Path:
    """Return where the labels of an input go in the output folder.

    Raises:
        UserError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file: give a folder with -o")
    return out / item.relative
