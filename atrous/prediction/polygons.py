"""The labels of a map as polygons, beside the label file."""

from pathlib import Path

from atrous.data.dataset import BACKGROUND_NAMES
from atrous.data.formats.polygons_write import map_of, write_polygons
from atrous.labels import IGNORE
from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
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
        write_polygons(path, self._labels.on_file_grid(), self._like, self._classes, {IGNORE, *background})

    def discard(self) -> None:
        """Nothing is written before `finish`."""
