"""The labels or the objects of a map as polygons, beside the label file."""

from pathlib import Path

import numpy as np

from atrous.data.dataset import BACKGROUND_NAMES
from atrous.data.formats.polygons_write import map_of, write_polygons
from atrous.labels import IGNORE
from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
from atrous.prediction.objects import ObjectFiles
from atrous.prediction.output import Output

SUFFIXES = {"gpkg": ".gpkg", "geojson": ".geojson"}
"""Suffix of the file for each value of `--polygons`."""


class PolygonFile(Output):
    """Polygons of the classes of a map, traced when all labels are there; none of the background and of void.

    Args:
        path: `.gpkg` or `.geojson`.
        labels: the label file that is traced.
        like: the map.
        classes: names, in label order.
    """

    def __init__(self, path: Path, labels: LabelFile, like: Path, classes: tuple[str, ...]) -> None:
        self.paths, self.drawn_from = (path,), labels
        self._labels, self._like, self._classes = labels, like, classes

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look whether the input is a map.

        Raises:
            UserError: it is none.
        """
        map_of(self._like)

    def finish(self) -> None:
        """Trace the labels."""
        path = self.paths[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        background = {0} if self._classes[0].lower() in BACKGROUND_NAMES else set()
        attributes = {
            "class": np.array(self._classes, object),
            "label": np.arange(len(self._classes), dtype=np.int32),
        }
        write_polygons(path, self._labels.on_file_grid(), self._like, attributes, {IGNORE, *background})

    def discard(self) -> None:
        """Nothing is written before `finish`."""


class ObjectPolygons(Output):
    """Polygons of the objects in a map, with their number, class and score; one for each piece of an object.

    Args:
        path: `.gpkg` or `.geojson`.
        objects: the files of the objects, which are traced.
        like: the map.
    """

    def __init__(self, path: Path, objects: ObjectFiles, like: Path) -> None:
        self.paths, self.drawn_from = (path,), objects
        self._objects, self._like = objects, like

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look whether the input is a map.

        Raises:
            UserError: it is none.
        """
        map_of(self._like)

    def finish(self) -> None:
        """Trace the numbers of the objects."""
        path, found = self.paths[0], self._objects.found()
        path.parent.mkdir(parents=True, exist_ok=True)
        attributes = {
            "number": np.arange(len(found) + 1, dtype=np.int32),
            "class": np.append(0, found.classes).astype(np.int32),
            "score": np.append(0, found.scores).astype(np.float64),
        }
        write_polygons(path, self._objects.numbers(), self._like, attributes, {0})

    def discard(self) -> None:
        """Nothing is written before `finish`."""
