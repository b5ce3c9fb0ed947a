"""The points of an input as files: tables, a picture, points on a map, and the density."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.data.formats import ProbabilitySink, open_probabilities, stem, write_probabilities
from atrous.data.formats.npy import create_memmap
from atrous.data.formats.polygons_write import map_of
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.files import remove, replacing
from atrous.objects.assemble import strips
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_overlay import LARGEST
from atrous.prediction.object_table import write_table
from atrous.prediction.output import Output
from atrous.prediction.points import ROWS, count_table, decode_points, drawn, point_table, write_points
from atrous.prediction.polygons import SUFFIXES
from atrous.prediction.probabilities import SUFFIXES as MAP_SUFFIXES
from atrous.tasks.points import PointAnswer, PointTask


class PointFiles(Output):
    """A table of the points, and one of their counts where these are learned.

    The dense maps of the whole input are gathered first, on disk if the input is streamed; then the points are decoded,
    which gives the same points and the same counts whatever the strips were.

    Args:
        path: the table of the points; that of the counts lies beside it.
        item: the input.
        task: what the dense maps mean.
    """

    values = "probabilities"

    def __init__(self, path: Path, item: Input, task: PointTask) -> None:
        counts = (path.with_name(f"{path.stem.removesuffix('_points')}_counts.csv"),) if task.dense else ()
        self.paths = (path, *counts)
        self._item, self._task = item, task
        self._opened: Opened | None = None
        self._maps: Any = None
        self._streamed = False
        self._answer: PointAnswer | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the dense maps."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        shape = (self._task.out_channels, *(int(n) for n in opened.source.shape[1:]))
        self._opened, self._streamed = opened, streamed
        remove(self._scratch)
        self._maps = create_memmap(self._scratch, shape, np.float32) if streamed else np.empty(shape, np.float32)

    @property
    def sink(self) -> Any:
        """Takes the dense maps `(K, *S)`, in any order."""
        return self._maps

    def end(self) -> None:
        """Decode the points."""
        assert self._opened is not None
        self._answer = decode_points(self._maps, self._task, self._opened, str(self._item.path))

    def answer(self) -> PointAnswer:
        """Return the points on the grid of the input's file, once they were decoded."""
        assert self._answer is not None
        return self._answer

    def maps(self) -> Source:
        """Return the dense maps `(K, *S)`, once they are all there; 0 where the input has no data."""
        return self._maps

    def finish(self) -> None:
        """Write the tables."""
        assert self._opened is not None
        answer, names = self.answer(), self._task.names
        if self._task.dense:
            write_table(self.paths[1], count_table(answer, names))
        write_table(self.paths[0], point_table(answer, names, self._opened.spacing))
        self._maps = None
        remove(self._scratch)

    def discard(self) -> None:
        """Remove the dense maps and what was decoded."""
        self._maps = None
        remove(self._scratch)

    @property
    def _scratch(self) -> Path:
        return self.paths[0].with_name(f".{self.paths[0].name}.maps.npy")


class PointOverlay(Output):
    """A PNG of the points over the image; of a volume, over its slice with most points.

    Args:
        path: the file.
        points: the files of the points, from which it is drawn.
    """

    def __init__(self, path: Path, points: PointFiles) -> None:
        self.paths, self.drawn_from = (path,), points
        self._points = points
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Check that the input is an image or a volume.

        Raises:
            UserError: it is a signal.
        """
        if len(opened.size) == 1:
            raise UserError(f"{self.paths[0]}: points of signals are not drawn: leave --overlay out")
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        answer, image = self._points.answer(), self._opened.image_on_file()
        step = max(1, math.ceil(math.sqrt(math.prod(image.shape[-2:]) / LARGEST)))
        picture = drawn(image, answer.places, answer.classes, step)
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""


class MapPoints(Output):
    """The points of a map as points in its projection, with their number, class and score.

    Args:
        path: `.gpkg` or `.geojson`.
        points: the files of the points.
        like: the map.
        names: of the classes.
    """

    def __init__(self, path: Path, points: PointFiles, like: Path, names: tuple[str, ...]) -> None:
        self.paths, self.drawn_from = (path,), points
        self._points, self._like, self._names = points, like, names

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look whether the input is a map.

        Raises:
            UserError: it is none.
        """
        map_of(self._like)

    def finish(self) -> None:
        """Write the points."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        write_points(self.paths[0], self._points.answer(), self._names, self._like)

    def discard(self) -> None:
        """Nothing is written before `finish`."""


class DensityFile(Output):
    """The density of each class (of key points: the heat), `(K, *S)` float32 on the grid of the input's file.

    Where that grid is another than the network's, densities are divided by the positions that one of the network's
    becomes, so that their sums stay about the counts.

    Args:
        path: `.zarr` or `.tif`.
        points: the files of the points, whose maps are written.
        like: the input file, which lends its geometry.
        task: says how many of the maps are written.
    """

    def __init__(self, path: Path, points: PointFiles, like: Path, task: PointTask) -> None:
        self.paths, self.drawn_from = (path,), points
        self._points, self._like, self._task = points, like, task
        self._opened: Opened | None = None
        self._streamed = False
        self._written: ProbabilitySink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Keep what is needed to write the maps."""
        self._opened, self._streamed = opened, streamed

    def finish(self) -> None:
        """Copy the maps strip by strip, or resample them."""
        assert self._opened is not None
        path, maps, names = self.paths[0], self._points.maps(), self._task.names
        path.parent.mkdir(parents=True, exist_ok=True)
        grid, count = tuple(maps.shape[1:]), len(names)
        if self._opened.regridded:
            factor = math.prod(grid) / math.prod(self._opened.size) if self._task.dense else 1.0
            values = self._opened.maps_on_file(np.asarray(maps[:count])) * np.float32(factor)
            write_probabilities(path, values, names, self._like)
            return
        self._written = open_probabilities(path, (count, *grid), on_disk=self._streamed)
        for region in strips(grid, ROWS):
            self._written.array[(slice(None), *region)] = maps[(slice(0, count), *region)]
        self._written.finish(names, like=self._like)
        self._written = None

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._written is not None:
            self._written.discard()
            self._written = None


def point_outputs(
    item: Input, target: Path, task: PointTask, overlay: bool, polygons: str | None, maps: str | None
) -> list[Output]:
    """Return the outputs of an input in which points are found, their table last.

    Args:
        item: the input.
        target: the label file, as the format of the input would name it.
        task: what the dense maps of the network mean.
        overlay: whether a picture of the points is wanted.
        polygons: "gpkg" or "geojson" for the points of a map in its projection; None for none.
        maps: "zarr" or "tiff" for the densities (of key points: the heat); None for none.
    """
    points = PointFiles(target.with_name(f"{stem(target)}_points.csv"), item, task)
    outputs: list[Output] = []
    if overlay:
        outputs.append(PointOverlay(target.with_name(f"{stem(target)}_overlay.png"), points))
    if polygons is not None:
        path = target.with_name(f"{stem(target)}_points{SUFFIXES[polygons]}")
        outputs.append(MapPoints(path, points, item.path, task.names))
    if maps is not None:
        name = "density" if task.dense else "heat"
        path = target.with_name(f"{stem(target)}_{name}{MAP_SUFFIXES[maps]}")
        outputs.append(DensityFile(path, points, item.path, task))
    return [*outputs, points]
