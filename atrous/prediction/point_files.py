"""The points of an input as files: tables, a picture, points on a map, and the density."""

import math
from pathlib import Path

import numpy as np

from atrous.color import Palette
from atrous.data.formats import ProbabilitySink, open_probabilities, stem, write_probabilities
from atrous.data.object_files.found import FoundObjects
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.objects.assemble import strips
from atrous.prediction.dense import FoundFiles, FoundPicture
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_exports import ObjectSource, exports
from atrous.prediction.object_table import ROWS, write_table
from atrous.prediction.output import Companions, Output
from atrous.prediction.points import count_table, decode_points, drawn, point_table, write_points
from atrous.prediction.polygons import SUFFIXES, MapFile
from atrous.prediction.probabilities import SUFFIXES as MAP_SUFFIXES
from atrous.tasks.points import PointAnswer, PointTask


class PointFiles(FoundFiles):
    """A table of the points, and one of their counts where these are learned.

    Args:
        path: the table of the points; that of the counts lies beside it.
        item: the input.
        task: what the dense maps mean.
    """

    def __init__(self, path: Path, item: Input, task: PointTask) -> None:
        counts = (path.with_name(f"{path.stem.removesuffix('_points')}_counts.csv"),) if task.dense else ()
        super().__init__((path, *counts), task, item.files)
        self._item, self._task = item, task
        self._answer: PointAnswer | None = None

    def end(self) -> None:
        """Decode the points; the dense maps are kept until `finish`, since others write them too."""
        super().end()
        self._answer = decode_points(self._maps, self._task, self.opened, str(self._item.path))

    def answer(self) -> PointAnswer:
        """Return the points on the grid of the input's file, once they were decoded."""
        assert self._answer is not None
        return self._answer

    def exported(self) -> FoundObjects:
        """Return the points as other programs need them, once they were decoded."""
        answer, parts = self.answer(), len(self._task.names) if getattr(self._task, "single", False) else 0
        return FoundObjects(self.opened.size, answer.classes, answer.scores, points=answer.places, parts=parts)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of the table, once the points were decoded."""
        return point_table(self.answer(), self._task.names, self.opened.spacing)

    def maps(self) -> Source:
        """Return the dense maps `(K, *S)`, once they are all there; 0 where the input has no data."""
        return self._maps

    def drawn(self, image: Source, every: int) -> np.ndarray:
        """Draw the points over an image `(C, *S)`, of which every so many rows and columns."""
        return drawn(image, self.answer().places, self.answer().classes, every)

    def write_map(self, path: Path, like: Path) -> None:
        """Write the points with their number, class and score in the projection of a map."""
        write_points(path, self.answer(), self._task.names, like)

    def finish(self) -> None:
        """Write the tables."""
        answer, names = self.answer(), self._task.names
        if self._task.dense:
            write_table(self.paths[1], count_table(answer, names))
        columns = self.columns()
        self.discard()
        write_table(self.paths[0], columns)


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


def point_outputs(item: Input, target: Path, task: PointTask, companions: Companions, palette: Palette) -> list[Output]:
    """Return the outputs of an input in which points are found, their table last.

    Args:
        item: the input.
        target: the label file, as the format of the input would name it.
        task: what the dense maps of the network mean.
        companions: what else is wanted; `probabilities` are the densities, of key points the heat.
        palette: a color per class.

    Raises:
        UserError: something is wanted that points do not have.
    """
    companions.leave_out("dicom_seg", "it is for labels, not for points")
    if "imagej" in companions.objects and task.ndim != 2:
        raise UserError("--objects imagej: points of volumes and signals are no ROIs: leave it out")
    points = PointFiles(target.with_name(f"{stem(target)}_points.csv"), item, task)
    source = ObjectSource(points, points.exported, points.columns, task.names)
    outputs: list[Output] = exports(item, target, source, companions.objects)
    if companions.overlay:
        outputs.append(FoundPicture(target.with_name(f"{stem(target)}_overlay.png"), points, points.drawn, "points"))
    if companions.polygons is not None:
        path = target.with_name(f"{stem(target)}_points{SUFFIXES[companions.polygons]}")
        outputs.append(MapFile(path, points, item.path, points.write_map))
    if companions.probabilities is not None:
        name = "density" if task.dense else "heat"
        path = target.with_name(f"{stem(target)}_{name}{MAP_SUFFIXES[companions.probabilities]}")
        outputs.append(DensityFile(path, points, item.path, task))
    return [*outputs, points]
