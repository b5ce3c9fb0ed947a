"""The boxes of an input as files: a table with a row for each, and a picture."""

from pathlib import Path

import numpy as np

from atrous.color import Palette
from atrous.data.formats import stem
from atrous.data.object_files.found import FoundObjects
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.prediction.boxes import box_table, decode_boxes, drawn, hulls_of
from atrous.prediction.dense import FoundFiles, FoundPicture
from atrous.prediction.inputs import Input
from atrous.prediction.object_exports import ObjectSource, exports
from atrous.prediction.object_table import write_table
from atrous.prediction.output import Companions, Output
from atrous.tasks.detection import DetectionTask


class BoxTable(FoundFiles):
    """A table of the boxes in an input, on the grid of its file, as CSV.

    Args:
        path: the table.
        item: the input.
        task: what the dense maps mean.
        palette: a color per class.
    """

    def __init__(self, path: Path, item: Input, task: DetectionTask, palette: Palette) -> None:
        super().__init__((path,), task, item.files)
        self._task, self._palette = task, palette
        self._found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def end(self) -> None:
        """Decode the boxes; the dense maps are kept until `finish`, so that a run killed before goes on with them."""
        super().end()
        self._found = decode_boxes(self._maps, self._task.decoder, self.opened)

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return corners, classes and scores on the grid of the input's file, once they were decoded."""
        assert self._found is not None
        return self._found

    def exported(self) -> FoundObjects:
        """Return the boxes as other programs need them, once they were decoded."""
        corners, classes, scores = self.found()
        boxes, polygons = hulls_of(corners)
        return FoundObjects(self.opened.size, classes, scores, boxes=boxes, polygons=polygons)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of the table, once the boxes were decoded."""
        return box_table(*self.found(), self._task.classes, self.opened.spacing)

    def drawn(self, image: Source, every: int) -> np.ndarray:
        """Draw the boxes over an image `(C, *S)`, of which every so many rows and columns."""
        boxes, classes, _ = self.found()
        return drawn(image, boxes, classes, self._palette, every=every)

    def finish(self) -> None:
        """Write the table."""
        columns = self.columns()
        self.discard()
        write_table(self.paths[0], columns)


def box_outputs(
    item: Input, target: Path, task: DetectionTask, companions: Companions, palette: Palette
) -> list[Output]:
    """Return the outputs of an input in which boxes are found, their table last.

    Args:
        item: the input.
        target: the label image of the input, as other tasks would name it.
        task: what the dense maps of the network mean.
        companions: what else is wanted.
        palette: a color per class.

    Raises:
        UserError: something is wanted that boxes do not have, such as polygons, or ROIs of a volume.
    """
    companions.leave_out("probabilities", "boxes have scores, which stand in their table")
    companions.leave_out("dicom_seg", "it is for labels, not for boxes")
    companions.leave_out("polygons", "boxes stand in their table, in positions or units of the spacing")
    if "imagej" in companions.objects and task.ndim != 2:
        raise UserError("--objects imagej: boxes of volumes and signals are no ROIs: leave it out")
    table = BoxTable(target.with_name(f"{stem(target)}_boxes.csv"), item, task, palette)
    source = ObjectSource(table, table.exported, table.columns, task.classes, boxes=True)
    outputs: list[Output] = exports(item, target, source, companions.objects)
    if companions.overlay:
        outputs.append(FoundPicture(target.with_name(f"{stem(target)}_overlay.png"), table, table.drawn, "boxes"))
    return [*outputs, table]
