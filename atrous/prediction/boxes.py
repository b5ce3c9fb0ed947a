"""The boxes of an input: decoded on the grid of its file, as a table, and as they show themselves in a notebook."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.grid import boxes_on_file, corners_on_file
from atrous.data.source import Source
from atrous.objects.assemble import strips
from atrous.objects.boxes import LatticeBoxes, find_boxes
from atrous.objects.rotated import boxes_of
from atrous.prediction.found import SHOWN, table_html
from atrous.prediction.inputs import Opened
from atrous.prediction.object_table import AXES, ROWS, named_rows
from atrous.report.pictures import banded, boxed, outlined_boxes, png_bytes, resized, to_rgb
from atrous.tasks.box_overlap import CORNERS
from atrous.tasks.detection import DetectionTask


@dataclass(frozen=True)
class BoxPrediction:
    """The boxes of one input. A notebook shows them over the input, with the first rows of their table.

    Boxes are ordered by the position that proposed them, in row-major order.

    Attributes:
        boxes: `(n, 2 * ndim)` float64 in positions: where each starts along every axis, then where it stops. Around
            rotated boxes these are the smallest upright ones.
        classes: `(n,)` int64, class of each box.
        scores: `(n,)` float32, from 0 to 1.
        table: column name to values; lengths in units of the spacing, where the input has one.
        names: of the classes.
        palette: a color per class.
        image: opens the input again, so that the picture can show it.
        polygons: `(n, 4, 2)` float64 in positions, the corners of rotated boxes, one side after the other; None where
            boxes are upright.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    table: dict[str, np.ndarray]
    names: tuple[str, ...] = ()
    palette: Palette = field(default=(), repr=False)
    image: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)
    polygons: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def picture(self) -> np.ndarray:
        """Draw the boxes over the input, uint8 `(height, width, 3)`; of a volume over its slice with most boxes.

        Raises:
            ValueError: the input is not known.
        """
        if self.image is None:
            raise ValueError("the input of these boxes is not known, so they cannot be drawn over it")
        corners = self.boxes if self.polygons is None else self.polygons.reshape(-1, CORNERS)
        return drawn(self.image().image_on_file(), corners, self.classes, self.palette)

    def _repr_png_(self) -> bytes:
        return png_bytes(resized(self.picture(), SHOWN))

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode("ascii")
        return table_html(f"data:image/png;base64,{picture}", self.table, "boxes")


def drawn(
    image: Source,
    boxes: np.ndarray,
    classes: np.ndarray,
    palette: Palette,
    *,
    every: int = 1,
    plane: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Return a picture `(H, W, 3)` uint8 of boxes over an image.

    A signal is drawn as curves over bands in the colors of the classes.

    Args:
        image: `(C, *S)`.
        boxes: `(n, 2 * ndim)`, or the corners `(n, 8)` of rotated boxes.
        classes: `(n,)`.
        palette: a color per class.
        every: of images and volumes, every so many rows and columns are drawn.
        plane: index of the slice of a volume that is drawn; None for the one that most boxes meet.
    """
    ndim = len(image.shape) - 1
    if ndim == 1:
        bands = intervals(image.shape[1], boxes, classes + 1)
        return banded(np.asarray(image[...]), bands, ((255, 255, 255), *palette))
    colors = [palette[int(k)] for k in classes]
    step = (slice(None, None, every),) * 2
    if boxes.shape[1] == CORNERS:
        return outlined_boxes(to_rgb(np.asarray(image[(slice(None), *step)])), boxes.reshape(-1, 4, 2) / every, colors)
    plane = busiest_slice(image.shape[1:], boxes) if plane is None else plane
    shown = _meets(boxes, plane)
    picture = to_rgb(np.asarray(image[(slice(None), *plane, *step)]))
    flat = boxes[shown][:, [ndim - 2, ndim - 1, 2 * ndim - 2, 2 * ndim - 1]] / every
    return boxed(picture, flat, [color for color, here in zip(colors, shown, strict=True) if here])


def busiest_slice(size: Sequence[int], boxes: np.ndarray) -> tuple[int, ...]:
    """Return the index of the slice of a volume of this size `S` that most boxes meet; nothing for an image."""
    if len(size) < 3:
        return ()
    counts = np.zeros(size[0] + 1, int)
    np.add.at(counts, np.floor(boxes[:, 0]).astype(int).clip(0, size[0]), 1)
    np.add.at(counts, np.ceil(boxes[:, 3]).astype(int).clip(0, size[0]), -1)
    return (int(np.cumsum(counts)[:-1].argmax()),)


def _meets(boxes: np.ndarray, plane: tuple[int, ...]) -> np.ndarray:
    """Which boxes `(n, 2 * ndim)` meet a slice of a volume; all boxes of an image."""
    if not plane:
        return np.ones(len(boxes), bool)
    return (np.floor(boxes[:, 0]) <= plane[0]) & (plane[0] < np.ceil(boxes[:, 3]))


def intervals(length: int, boxes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return labels `(length,)` uint8: the value of the last box at each position, 0 where there is none."""
    labels = np.zeros(length, np.uint8)
    for (start, stop), value in zip(np.rint(boxes).astype(int), values, strict=True):
        labels[max(start, 0) : max(stop, start + 1)] = value
    return labels


def decode_boxes(maps: Any, decoder: LatticeBoxes, opened: Opened) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode the dense maps of an input into boxes on the grid of its file.

    Args:
        maps: `(K, *S)` on the grid that the network works on.
        decoder: what they mean.
        opened: the input. A box whose middle has no data is left out.

    Returns:
        Corners `(n, 2 * ndim)` (of rotated boxes `(n, 8)`) in positions of the file, classes `(n,)` and scores `(n,)`.
    """
    found = find_boxes(maps, decoder, rows=ROWS)
    corners = decoder.corners(found)
    to_file = corners_on_file if corners.shape[1] == CORNERS else boxes_on_file
    corners = to_file(corners, maps.shape[1:], opened.size)
    if opened.valid is not None:
        kept = _with_data(corners, opened.valid)
        corners, found = corners[kept], found.take(kept)
    return to_file(corners, opened.size, opened.size, opened.turn), found.classes, found.scores


def _with_data(corners: np.ndarray, valid: Source) -> np.ndarray:
    """Indices of the boxes whose middle lies where a mask `(*S)` is true; the mask is read strip by strip."""
    size = np.array(valid.shape)
    middles = corners.reshape(-1, corners.shape[1] // len(size), len(size)).mean(axis=1)
    middle = np.clip(middles.astype(int), 0, size - 1)
    kept = np.zeros(len(corners), bool)
    for region in strips(valid.shape, ROWS):
        here = np.flatnonzero((middle[:, 0] >= region[0].start) & (middle[:, 0] < region[0].stop))
        if len(here):
            places = middle[here] - np.array([part.start for part in region])
            kept[here] = np.asarray(valid[region])[tuple(places.T)]
    return np.flatnonzero(kept)


def box_table(
    boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray, names: Sequence[str], spacing: Sequence[float] | None
) -> dict[str, np.ndarray]:
    """Return the columns of the table that is written: number, class, name, score, and where each box starts and stops.

    Args:
        boxes: `(n, 2 * ndim)` in positions, or the corners `(n, 8)` of rotated boxes, which have other columns
            (`rotated_columns`).
        classes: `(n,)`.
        scores: `(n,)`.
        names: of the classes.
        spacing: distance of positions along each axis, the unit of the table; 1 if None.

    >>> table = box_table(np.array([[2.0, 5.0]]), np.array([1]), np.array([0.5]), ("a", "b"), (0.1,))
    >>> table["name"].tolist(), table["stop_x"].tolist()
    (['b'], [0.5])
    """
    if boxes.shape[1] == CORNERS:
        return named_rows(classes, scores, names) | rotated_columns(boxes, spacing)
    ndim = boxes.shape[1] // 2
    lengths = boxes * np.tile(np.asarray(spacing or (1.0,) * ndim), 2)
    columns = {
        f"{end}_{AXES[ndim][axis]}": lengths[:, place * ndim + axis]
        for place, end in enumerate(("start", "stop"))
        for axis in range(ndim)
    }
    return named_rows(classes, scores, names) | columns


def rotated_columns(corners: np.ndarray, spacing: Sequence[float] | None) -> dict[str, np.ndarray]:
    """Return where rotated boxes lie, as columns: their center, the longer side (width), the other one, and the angle.

    The angle is that of the longer side, from 0 to 180 degrees, from the x axis clockwise as images are shown.

    Args:
        corners: `(n, 8)` in positions.
        spacing: distance of positions along each axis, the unit of the table; 1 if None.

    >>> columns = rotated_columns(np.array([[1.0, 1, 1, 3, 7, 3, 7, 1]]), None)
    >>> {name: float(values[0]) for name, values in columns.items()}
    {'center_y': 4.0, 'center_x': 2.0, 'width': 6.0, 'height': 2.0, 'angle': 90.0}
    """
    y, x, width, height, angle = boxes_of(corners * np.tile(spacing or (1.0, 1.0), 4)).T
    return {"center_y": y, "center_x": x, "width": width, "height": height, "angle": np.degrees(angle)}


def hulls_of(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the upright boxes `(n, 2 * ndim)` of corners, and the corners `(n, 4, 2)` of rotated boxes, else None.

    >>> hulls_of(np.array([[0.0, 1, 1, 2, 2, 1, 1, 0]]))[0].tolist()
    [[0.0, 0.0, 2.0, 2.0]]
    """
    if corners.shape[1] != CORNERS:
        return corners, None
    rings = corners.reshape(-1, 4, 2)
    return np.concatenate([rings.min(axis=1), rings.max(axis=1)], axis=1), rings


def predict_boxes(
    maps: Any, task: DetectionTask, opened: Opened, opener: Callable[[], Opened], palette: Palette
) -> BoxPrediction:
    """Return the boxes of an input whose dense maps `(K, *S)` are known."""
    corners, classes, scores = decode_boxes(maps, task.decoder, opened)
    table = box_table(corners, classes, scores, task.classes, opened.spacing)
    boxes, polygons = hulls_of(corners)
    return BoxPrediction(boxes, classes, scores, table, task.classes, palette, opener, polygons)
