"""The classes of an input as files: a table, a picture of where they were seen, and the map of evidence."""

from pathlib import Path

import numpy as np

from atrous.color import Palette
from atrous.data.formats import stem, write_probabilities
from atrous.data.source import Source
from atrous.prediction.classes import class_colors, class_table, decode_classes, painted, seen
from atrous.prediction.dense import FoundFiles, FoundPicture
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_table import write_table
from atrous.prediction.output import Companions, Output
from atrous.prediction.probabilities import SUFFIXES
from atrous.tasks.class_metrics import ClassAnswer
from atrous.tasks.classification import ClassificationTask


class ClassFile(FoundFiles):
    """A table of the classes of an input with their probabilities.

    Args:
        path: the table.
        item: the input.
        task: pools the evidence.
        palette: a color per class.
    """

    def __init__(self, path: Path, item: Input, task: ClassificationTask, palette: Palette) -> None:
        super().__init__((path,), task, item.files)
        self._task, self._colors = task, class_colors(palette, len(task.names))
        self._answer: ClassAnswer | None = None

    def end(self) -> None:
        """Pool the evidence; the maps are kept until `finish`, since others write them too."""
        super().end()
        self._answer = decode_classes(self._maps, self._task)

    def seen(self) -> np.ndarray:
        """Return where classes were seen, `(K, *S')`, once the evidence is there."""
        return seen(self._maps, self._task)

    def drawn(self, image: Source, every: int) -> np.ndarray:
        """Draw where classes were seen over an image `(C, *S)`, of which every so many rows and columns."""
        return painted(image, self.seen(), self._colors, every)

    def finish(self) -> None:
        """Write the table."""
        assert self._answer is not None
        columns = class_table(self._answer, self._task)
        self.discard()
        write_table(self.paths[0], columns)


class EvidenceFile(Output):
    """Where each class was seen, `(K, *S')` float32 from 0 to 1, on the network's grid.

    Args:
        path: `.zarr` or `.tif`.
        classes: the table, whose maps are written.
        task: names the classes.
    """

    def __init__(self, path: Path, classes: ClassFile, task: ClassificationTask) -> None:
        self.paths, self.drawn_from = (path,), classes
        self._classes, self._task = classes, task

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Nothing is needed of the input."""

    def finish(self) -> None:
        """Write the map."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        write_probabilities(self.paths[0], self._classes.seen(), self._task.names)

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def class_outputs(
    item: Input, target: Path, task: ClassificationTask, companions: Companions, palette: Palette
) -> list[Output]:
    """Return the outputs of an input with classes as a whole, their table last.

    Args:
        item: the input.
        target: the label file, as the format of the input would name it.
        task: pools the evidence.
        companions: what else is wanted; `probabilities` are the map of evidence.
        palette: a color per class.

    Raises:
        UserError: something is wanted that whole inputs do not have.
    """
    for name in ("dicom_seg", "polygons", "objects"):
        companions.leave_out(name, "it is for labels of positions or objects, not for classes of whole inputs")
    classes = ClassFile(target.with_name(f"{stem(target)}_classes.csv"), item, task, palette)
    outputs: list[Output] = []
    if companions.overlay:
        outputs.append(FoundPicture(target.with_name(f"{stem(target)}_overlay.png"), classes, classes.drawn, "classes"))
    if companions.probabilities is not None:
        path = target.with_name(f"{stem(target)}_evidence{SUFFIXES[companions.probabilities]}")
        outputs.append(EvidenceFile(path, classes, task))
    return [*outputs, classes]
