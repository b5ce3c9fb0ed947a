"""The points that a network finds in one input: decoded on its grid, and placed on the grid of the file."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from atrous.color import Palette, default_palette
from atrous.data.formats.orient import Turn
from atrous.data.formats.points_write import write_map_points
from atrous.data.grid import points_on_file
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.objects.assemble import strips
from atrous.prediction.found import SHOWN, table_html
from atrous.prediction.inputs import Opened
from atrous.prediction.intervals import known_on_grid
from atrous.prediction.object_table import AXES, ROWS, named_rows
from atrous.report.pictures import png_bytes, resized, to_rgb
from atrous.tasks.points import PointAnswer, PointTask

DOT = 3
"""Pixels from the middle of a drawn dot to its border."""


@dataclass(frozen=True)
class PointPrediction:
    """The points of one input. A notebook shows them over the image, their number, and the first rows of their table.

    Attributes:
        points: `(n, ndim)` float64 in positions of the file; the middle of position i is i + 0.5.
        classes: `(n,)` int64, places in `names`.
        scores: `(n,)` float32, from 0 to 1.
        counts: `(K,)` float64, how many points of each class there are: of counting the sum of the density.
        names: of the classes.
        table: column name to values, a row for each point.
        probabilities: `(K', *S)` float32 on the network's grid, where they were asked for: of counting the density of
            each class in points per position, then the heat of each; of key points the heat.
        image: opens the input again, so that the picture can show it.
    """

    points: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    counts: np.ndarray
    names: tuple[str, ...]
    table: dict[str, np.ndarray]
    probabilities: np.ndarray | None = field(default=None, repr=False, compare=False)
    image: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def count(self) -> float:
        """How many points there are, of all classes together: of counting the sum of the density."""
        return float(self.counts.sum())

    def picture(self) -> np.ndarray:
        """Draw the points over the input, as uint8 `(height, width, 3)`; of a volume those near its fullest slice.

        Raises:
            UserError: the input is a signal.
        """
        if self.image is None:
            raise UserError("the prediction was made without its image, so there is no picture")
        return resized(drawn(self.image().image_on_file(), self.points, self.classes), SHOWN)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.picture())

    def _repr_html_(self) -> str:
        picture = ""
        if self.points.shape[1] > 1 and self.image is not None:
            picture = f"data:image/png;base64,{base64.b64encode(self._repr_png_()).decode('ascii')}"
        return table_html(picture, self.table, "points", f"count {self.count:.1f}; ")


def decode_points(maps: Any, task: PointTask, opened: Opened, name: str = "the input") -> PointAnswer:
    """Decode the dense maps of an input into points on the grid of its file.

    Args:
        maps: `(K, *S)` on the grid that the network works on; positions without data are changed to 0.
        task: what the maps mean.
        opened: the input.
        name: of the input, for messages.

    Raises:
        UserError: the network's output is not finite.
    """
    known = known_on_grid(opened, tuple(maps.shape[1:]))
    if known is not None:
        for region in strips(maps.shape[1:], ROWS):
            part = np.array(maps[(slice(None), *region)])
            part[:, ~np.asarray(known[region])] = 0
            maps[(slice(None), *region)] = part
    try:
        answer = task.answer(maps, rows=ROWS)
    except ValueError as error:
        raise UserError(f"{name}: {error}: look at the values of this input, or train at a lower rate") from None
    return placed(answer, tuple(maps.shape[1:]), opened.size, opened.turn)


def placed(answer: PointAnswer, grid: Sequence[int], size: Sequence[int], turn: Turn | None) -> PointAnswer:
    """Return an answer whose points lie on the grid of the file.

    Args:
        answer: points on the grid that the network works on.
        grid: its size.
        size: size of the file, turned.
        turn: how the file was turned into the orientation of the training data; None if it was not.
    """
    places = points_on_file(answer.places, grid, size, turn)
    return PointAnswer(places, answer.classes, answer.scores, answer.counts)


def point_table(answer: PointAnswer, names: Sequence[str], spacing: Sequence[float] | None) -> dict[str, np.ndarray]:
    """Return the columns of the table that is written, one value for each point.

    Coordinates are in positions of the file; where it says their distance, also in its units (`physical_x`).
    """
    axes = AXES[answer.places.shape[1]]
    columns = named_rows(answer.classes, answer.scores, names)
    columns |= {name: answer.places[:, axis] for axis, name in enumerate(axes)}
    if spacing is not None:
        columns |= {f"physical_{name}": answer.places[:, axis] * spacing[axis] for axis, name in enumerate(axes)}
    return columns


def count_table(answer: PointAnswer, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the columns of the table of counts: a row for each class, with the count and the number of points."""
    points = np.bincount(answer.classes, minlength=len(names))
    named = {"class": np.arange(len(names)), "name": np.array(names, object)}
    return {**named, "count": answer.counts, "points": points}


def drawn(image: Source, points: np.ndarray, classes: np.ndarray, step: int = 1) -> np.ndarray:
    """Draw points as dots over an image, as uint8 `(height, width, 3)`; of a volume those near its fullest slice.

    Args:
        image: `(C, *S)`.
        points: `(n, ndim)` in positions.
        classes: `(n,)`; each class has a color.
        step: every so many pixels are drawn.

    Raises:
        UserError: the image is a signal.
    """
    ndim = len(image.shape) - 1
    if ndim == 1:
        raise UserError("points of signals are not drawn: use the table")
    plane: tuple[int, ...] = ()
    if ndim == 3:
        slices = np.clip(points[:, 0].astype(int), 0, image.shape[1] - 1)
        fullest = int(np.bincount(slices, minlength=image.shape[1]).argmax())
        near = np.abs(slices - fullest) <= 1
        plane, points, classes = (fullest,), points[near][:, 1:], classes[near]
    every = (slice(None, None, step),) * 2
    picture = Image.fromarray(to_rgb(np.asarray(image[(slice(None), *plane, *every)])))
    colors = default_palette(max(2, int(classes.max(initial=0)) + 1), background=False)
    pen = ImageDraw.Draw(picture)
    for (y, x), k in zip((points / step).tolist(), classes.tolist(), strict=True):
        box = (x - 0.5 - DOT, y - 0.5 - DOT, x - 0.5 + DOT, y - 0.5 + DOT)
        pen.ellipse(box, fill=tuple(colors[k]), outline=(255, 255, 255))
    return np.asarray(picture)


def predict_points(
    maps: Any, task: PointTask, opened: Opened, opener: Callable[[], Opened], palette: Palette
) -> PointPrediction:
    """Return the points of an input whose dense maps `(K, *S)` are known."""
    answer = decode_points(maps, task, opened)
    return PointPrediction(
        answer.places, answer.classes, answer.scores, answer.counts, task.names,
        point_table(answer, task.names, opened.spacing), maps, opener,
    )  # fmt: skip


def write_points(path: Path, answer: PointAnswer, names: Sequence[str], like: Path) -> None:
    """Write points on a map as a file of points in its projection (`formats.points_write`)."""
    columns = named_rows(answer.classes, answer.scores, names)
    kinds = {"number": np.int32, "class": np.int32, "name": object, "score": np.float64}
    attributes = {name: values.astype(kinds[name]) for name, values in columns.items()}
    write_map_points(path, answer.places, like, attributes)
