"""The boxes of an input as files: a table with a row for each, and a picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.color import Palette
from atrous.data.formats import stem
from atrous.data.formats.npy import create_memmap
from atrous.data.object_files.write import FoundObjects
from atrous.errors import UserError
from atrous.files import remove, replacing
from atrous.prediction.boxes import box_table, decode_boxes, drawn
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_exports import ObjectSource, exports
from atrous.prediction.object_table import write_table
from atrous.prediction.output import Output
from atrous.tasks.detection import DetectionTask

LARGEST = 2**24
"""Positions that are drawn at most; of a larger input, every second (third, ...) position along each axis is drawn."""


class BoxTable(Output):
    """A table of the boxes in an input, on the grid of its file, as CSV.

    The dense maps of the whole input are gathered first, on disk if the input is streamed. Then boxes are decoded, so
    that they are the same whatever the strips were.

    Args:
        path: the table.
        task: what the dense maps mean.
    """

    values = "probabilities"

    def __init__(self, path: Path, task: DetectionTask) -> None:
        self.paths, self._task = (path,), task
        self._opened: Opened | None = None
        self._maps: Any = None
        self._found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the dense maps."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        shape = (self._task.out_channels, *(int(n) for n in opened.source.shape[1:]))
        self._opened = opened
        remove(self._scratch)
        self._maps = create_memmap(self._scratch, shape, np.float32) if streamed else np.empty(shape, np.float32)

    @property
    def sink(self) -> Any:
        """Takes the dense maps `(K, *S)`, in any order."""
        return self._maps

    def end(self) -> None:
        """Decode the boxes."""
        assert self._opened is not None
        self._found = decode_boxes(self._maps, self._task.decoder, self._opened)
        self._maps = None
        remove(self._scratch)

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return corners, classes and scores on the grid of the input's file, once they were decoded."""
        assert self._found is not None
        return self._found

    def exported(self) -> FoundObjects:
        """Return the boxes as other programs need them, once they were decoded."""
        assert self._opened is not None
        corners, classes, scores = self.found()
        return FoundObjects(self._opened.size, classes, scores, boxes=corners)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of the table, once the boxes were decoded."""
        assert self._opened is not None
        return box_table(*self.found(), self._task.classes, self._opened.spacing)

    def finish(self) -> None:
        """Write the table."""
        write_table(self.paths[0], self.columns())

    def discard(self) -> None:
        """Remove the dense maps."""
        self._maps = None
        remove(self._scratch)

    @property
    def _scratch(self) -> Path:
        return self.paths[0].with_name(f".{self.paths[0].name}.maps.npy")


class BoxOverlay(Output):
    """A PNG of boxes over the image; of a volume, over the slice that most boxes meet.

    Args:
        path: the file.
        boxes: the table of the boxes, from which it is drawn.
        palette: a color per class.
    """

    def __init__(self, path: Path, boxes: BoxTable, palette: Palette) -> None:
        self.paths, self.drawn_from = (path,), boxes
        self._boxes, self._palette = boxes, palette
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Check that the input is an image or a volume.

        Raises:
            UserError: it is a signal.
        """
        if len(opened.size) == 1:
            raise UserError(f"{self.paths[0]}: boxes of signals are not drawn: leave --overlay out")
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        image = self._opened.image_on_file()
        every = max(1, math.ceil(math.sqrt(math.prod(image.shape[-2:]) / LARGEST)))
        boxes, classes, _ = self._boxes.found()
        picture = drawn(image, boxes, classes, self._palette, every=every)
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def box_outputs(
    item: Input,
    target: Path,
    task: DetectionTask,
    overlay: bool,
    polygons: str | None,
    exported: Sequence[str],
    palette: Palette,
) -> list[Output]:
    """Return the outputs of an input in which boxes are found, their table last.

    Args:
        item: the input.
        target: the label image of the input, as other tasks would name it.
        task: what the dense maps of the network mean.
        overlay: whether a picture is wanted.
        polygons: the format of polygons, which boxes do not have; None for none.
        exported: formats of other programs in which the boxes are written too ("coco", "imagej", "parquet").
        palette: a color per class.

    Raises:
        UserError: polygons are wanted, or ROIs of a volume.
    """
    if polygons is not None:
        raise UserError("--polygons: boxes stand in their table, in positions or units of the spacing: leave it out")
    table = BoxTable(target.with_name(f"{stem(target)}_boxes.csv"), task)
    if "imagej" in exported and task.ndim != 2:
        raise UserError("--objects imagej: boxes of volumes and signals are no ROIs: leave it out")
    source = ObjectSource(table, table.exported, table.columns, task.classes)
    outputs: list[Output] = exports(item, target, source, exported)
    if overlay:
        outputs.append(BoxOverlay(target.with_name(f"{stem(target)}_overlay.png"), table, palette))
    return [*outputs, table]
