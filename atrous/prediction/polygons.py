"""What was found in a map, in its projection: the labels or the objects as polygons, or points."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from atrous.data.dataset import BACKGROUND_NAMES
from atrous.data.formats.polygons_write import map_of, write_polygons
from atrous.labels import IGNORE
from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
from atrous.prediction.output import Output

SUFFIXES = {"gpkg": ".gpkg", "geojson": ".geojson"}
"""Suffix of the file for each value of `--polygons`."""


class MapFile(Output):
    """Polygons or points of a map, written when all that they show is there.

    Args:
        path: `.gpkg` or `.geojson`.
        source: the output that they are taken from.
        like: the map.
        write: writes them, given the path and the map.
    """

    def __init__(self, path: Path, source: Output, like: Path, write: Callable[[Path, Path], None]) -> None:
        self.paths, self.drawn_from = (path,), source
        self._like, self._write = like, write

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look whether the input is a map.

        Raises:
            UserError: it is none.
        """
        map_of(self._like)

    def finish(self) -> None:
        """Write the file."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        self._write(self.paths[0], self._like)

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def label_polygons(labels: LabelFile, classes: tuple[str, ...]) -> Callable[[Path, Path], None]:
    """Return what writes polygons of the classes of a map; none of the background and of void.

    Args:
        labels: the label file that is traced.
        classes: names, in label order.
    """

    def write(path: Path, like: Path) -> None:
        background = {0} if classes[0].lower() in BACKGROUND_NAMES else set()
        attributes = {"class": np.array(classes, object), "label": np.arange(len(classes), dtype=np.int32)}
        write_polygons(path, labels.on_file_grid(), like, attributes, {IGNORE, *background})

    return write
