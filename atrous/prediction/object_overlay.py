"""A picture of objects over the image: the outline of each in a color of its own."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from atrous.color import Palette
from atrous.data.formats import stem
from atrous.errors import UserError
from atrous.files import replacing
from atrous.prediction.box_files import box_outputs
from atrous.prediction.found import busiest_plane, outlined
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_exports import ObjectSource, exports
from atrous.prediction.objects import ObjectFiles
from atrous.prediction.output import Output
from atrous.prediction.polygons import SUFFIXES, ObjectPolygons
from atrous.tasks.detection import DetectionTask
from atrous.tasks.task import ObjectTask

LARGEST = 2**24
"""Positions that are drawn at most; of a larger input, every second (third, ...) position along each axis is drawn."""


ANNOTATIONS = (".edf", ".bdf", ".atr", ".hea")
"""Formats of annotations of signals; objects in recordings of these formats are numbered in a NumPy file."""
EIGHT_BIT = (".png", ".gif", ".bmp", ".webp")
"""Formats of labels that hold 255 numbers at most; objects in files of these formats are numbered in a TIFF."""


class ObjectOverlay(Output):
    """A PNG of the outlines of objects over the image; of a volume, of its slice with most objects.

    Args:
        path: the file.
        objects: the files of the objects, from which it is drawn.
    """

    def __init__(self, path: Path, objects: ObjectFiles) -> None:
        self.paths, self.drawn_from = (path,), objects
        self._objects = objects
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Check that the input is an image or a volume.

        Raises:
            UserError: it is a signal.
        """
        if len(opened.size) == 1:
            raise UserError(f"{self.paths[0]}: objects of signals are not drawn: leave --overlay out")
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        numbers, image = self._objects.numbers(), self._opened.image_on_file()
        plane = busiest_plane(numbers)
        size = numbers.shape[-2:]
        step = max(1, math.ceil(math.sqrt(math.prod(size) / LARGEST)))
        every = (slice(None, None, step),) * 2
        picture = outlined(np.asarray(image[(slice(None), *plane, *every)]), np.asarray(numbers[(*plane, *every)]))
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def object_outputs(
    item: Input,
    target: Path,
    task: ObjectTask,
    overlay: bool,
    polygons: str | None,
    exported: Sequence[str] = (),
    palette: Palette = (),
) -> list[Output]:
    """Return the outputs of an input in which objects are found, the numbers and the table of the objects last.

    Args:
        item: the input.
        target: the label image, as the format of the input would name it.
        task: what the dense maps of the network mean.
        overlay: whether a picture of the outlines is wanted.
        polygons: "gpkg" or "geojson" for the polygons of the objects in a map; None for none.
        exported: formats of other programs in which the objects are written too ("coco", "imagej", "parquet").
        palette: a color per class, for boxes.
    """
    if isinstance(task, DetectionTask):
        return box_outputs(item, target, task, overlay, polygons, exported, palette)
    if target.suffix.lower() in EIGHT_BIT:  # they cannot hold the numbers of many objects
        target = target.with_name(f"{stem(target)}.tif")
    if target.suffix.lower() in ANNOTATIONS:  # they hold intervals of classes
        target = target.with_name(f"{stem(target)}.npy")
    objects = ObjectFiles(target, item, task)
    outputs: list[Output] = []
    if overlay:
        outputs.append(ObjectOverlay(target.with_name(f"{stem(target)}_overlay.png"), objects))
    if polygons is not None:
        outputs.append(ObjectPolygons(target.with_name(f"{stem(target)}{SUFFIXES[polygons]}"), objects, item.path))
    source = ObjectSource(objects, objects.exported, objects.columns)
    return [*outputs, *exports(item, target, source, exported), objects]
