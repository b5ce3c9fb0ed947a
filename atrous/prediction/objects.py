"""The objects of an input as files: a label image that numbers them, a table with a row for each, and a picture."""

from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.formats import check_like, open_labels, stem
from atrous.data.formats.polygons_write import write_polygons
from atrous.data.formats.writing import LabelSink
from atrous.data.object_files.found import FoundObjects
from atrous.data.source import Source
from atrous.files import remove
from atrous.objects.assemble import Objects
from atrous.objects.candidates import Candidates
from atrous.prediction.dense import FoundFiles, FoundPicture
from atrous.prediction.found import busiest_plane, outlined
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_exports import NAMELESS, ObjectSource, exports
from atrous.prediction.object_table import decode_input, table_of, write_table
from atrous.prediction.output import Companions, Output, part_path
from atrous.prediction.polygons import SUFFIXES, MapFile
from atrous.tasks.task import ObjectTask

ANNOTATIONS = (".edf", ".bdf", ".atr", ".hea")
"""Formats of annotations of signals; objects in recordings of these formats are numbered in a NumPy file."""
EIGHT_BIT = (".png", ".gif", ".bmp", ".webp")
"""Formats of labels that hold 255 numbers at most; objects in files of these formats are numbered in a TIFF."""


class ObjectFiles(FoundFiles):
    """A label image uint32 `(*S)` on the grid of the input's file, and a table of the objects beside it.

    Args:
        path: the label image; its suffix says the format.
        item: the input, which lends its geometry.
        task: what the dense maps mean.
    """

    def __init__(self, path: Path, item: Input, task: ObjectTask) -> None:
        super().__init__((path, path.with_name(f"{stem(path)}_objects.csv")), task, item.files)
        self._like, self._task = item.path, task
        self._objects: Objects | None = None
        self._written: LabelSink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the dense maps.

        Raises:
            UserError: the label image cannot keep the projection of the input.
        """
        check_like(self.paths[0], self._like)
        super().begin(opened, streamed)

    def end(self) -> None:
        """Decode the objects; the dense maps are kept until `finish`, so that a run killed before goes on with them."""
        super().end()
        opened, path = self.opened, self.paths[0]
        labels = open_labels(path, self._maps.shape[1:], on_disk=self._streamed, anew=True, dtype=np.uint32)
        self._objects, on_file = decode_input(self._maps, self._task, opened, labels.array)
        if opened.regridded:
            labels.discard()
            labels = LabelSink(path, on_file, None)
        self._written = labels

    def found(self) -> Candidates:
        """Return the objects with their classes and scores, in the order of their numbers, once they were decoded."""
        assert self._objects is not None
        return self._objects.candidates

    def numbers(self) -> Any:
        """Return the numbers of the objects `(*S)` on the grid of the input's file, once they were decoded."""
        assert self._written is not None
        return self._written.array

    def exported(self) -> FoundObjects:
        """Return the objects with their numbers as other programs need them, once they were decoded."""
        numbers, found = np.asarray(self.numbers()[...]), self.found()
        return FoundObjects(tuple(numbers.shape), found.classes, found.scores, numbers)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of the table, once the objects were decoded."""
        assert self._objects is not None
        images = [] if self.opened.stored is None else [self.opened.stored]
        return table_of(self._objects, self.numbers(), images, self._task.names)

    def drawn(self, image: Source, every: int) -> np.ndarray:
        """Draw outlines, each in a color of its own, over an image `(C, *S)`, every so many rows and columns."""
        numbers = self.numbers()
        part = (*busiest_plane(numbers), *(slice(None, None, every),) * 2)
        return outlined(np.asarray(image[(slice(None), *part)]), np.asarray(numbers[part]))

    def trace(self, path: Path, like: Path) -> None:
        """Write polygons with number, class and score in the projection of a map; one for each piece of an object."""
        found = self.found()
        attributes = {
            "number": np.arange(len(found) + 1, dtype=np.int32),
            "class": np.append(0, found.classes).astype(np.int32),
            "score": np.append(0, found.scores).astype(np.float64),
        }
        write_polygons(path, self.numbers(), like, attributes, {0})

    def finish(self) -> None:
        """Write the table and the label image."""
        assert self._written is not None
        write_table(self.paths[1], self.columns())
        super().discard()
        self._written.finish(like=self._like)
        self._written = None

    def discard(self) -> None:
        """Remove the dense maps and what was decoded."""
        super().discard()
        if self._written is not None:
            self._written = None
            remove(part_path(self.paths[0]))


def object_outputs(
    item: Input, target: Path, task: ObjectTask, companions: Companions, palette: Palette
) -> list[Output]:
    """Return the outputs of an input in which objects are found, the numbers and the table of the objects last.

    Args:
        item: the input.
        target: the label image, as the format of the input would name it.
        task: what the dense maps of the network mean.
        companions: what else is wanted.
        palette: a color per class; objects have a color each, whatever their class.

    Raises:
        UserError: something is wanted that objects do not have.
    """
    companions.leave_out("probabilities", "objects have scores, which stand in their table")
    companions.leave_out("dicom_seg", "it is for labels, not for objects")
    if target.suffix.lower() in EIGHT_BIT:  # they cannot hold the numbers of many objects
        target = target.with_name(f"{stem(target)}.tif")
    if target.suffix.lower() in ANNOTATIONS:  # they hold intervals of classes
        target = target.with_name(f"{stem(target)}.npy")
    objects = ObjectFiles(target, item, task)
    outputs: list[Output] = []
    if companions.overlay:
        path = target.with_name(f"{stem(target)}_overlay.png")
        outputs.append(FoundPicture(path, objects, objects.drawn, "objects"))
    if companions.polygons is not None:
        path = target.with_name(f"{stem(target)}{SUFFIXES[companions.polygons]}")
        outputs.append(MapFile(path, objects, item.path, objects.trace))
    source = ObjectSource(objects, objects.exported, objects.columns, task.names or NAMELESS)
    return [*outputs, *exports(item, target, source, companions.objects), objects]
