"""The labels of a DICOM series as a DICOM segmentation that refers to it."""

from pathlib import Path

import numpy as np

from atrous.data.formats.dicom_seg import write_segmentation
from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
from atrous.prediction.output import Output


class SegmentationFile(Output):
    """A DICOM SEG file, written when all labels are there.

    Args:
        path: the file.
        labels: the label file whose labels it holds.
        series: the folder of slices.
        classes: names, in label order.
    """

    def __init__(self, path: Path, labels: LabelFile, series: Path, classes: tuple[str, ...]) -> None:
        self.paths, self.drawn_from = (path,), labels
        self._labels, self._series, self._classes = labels, series, classes

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Nothing is opened before `finish`."""

    def finish(self) -> None:
        """Write the file."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        write_segmentation(self.paths[0], np.asarray(self._labels.on_file_grid()[...]), self._series, self._classes)

    def discard(self) -> None:
        """Nothing is written before `finish`."""
