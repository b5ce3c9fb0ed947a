"""One image that is painted on: strokes change its mask, and are undone and redone."""

from collections.abc import Callable, Sequence

import numpy as np

from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve.edited_images import EditedImage
from atrous.serve.paint_masks import PaintMask, Region
from atrous.serve.paint_strokes import MOST_COVERED, Box, Stroke, area_around, covered


class PaintedImage(EditedImage):
    """The mask of an image and the last strokes, for several threads at the same time.

    Args:
        mask: on disk.
        begin: called once before the first change, to put the image beside its mask.
        counts: positions of each label, where they are known; else the mask is read for them.

    Attributes:
        counts: positions of each label, `(256,)`.
    """

    def __init__(self, mask: PaintMask, begin: Callable[[], None], counts: np.ndarray | None = None) -> None:
        super().__init__(np.uint8, begin)
        self._mask, self.counts = mask, mask.counts() if counts is None else counts

    @property
    def size(self) -> tuple[int, ...]:
        """Of the image, `(*S)`."""
        return self._mask.size

    def paint(self, cut: tuple[int, int], stroke: Stroke, label: int, view: Box | None = None) -> bool:
        """Give the positions of a stroke a label; they lie on the disk when the function returns.

        Args:
            cut: the axis and the index of the plane; of images both are 0.
            stroke: in pixels of the plane.
            label: of a class, or `IGNORE` to erase.
            view: rows and columns beyond which a fill does not go.

        Returns:
            Whether anything has changed.

        Raises:
            UserError: there is no such plane, the stroke is wrong or too large, or the disk does not take it.
        """
        axes = self._mask.plane_axes(*cut)
        plane = self.size[axes[0]], self.size[axes[1]]
        with self._lock:
            box, inside = self._filled(cut, stroke, view) if stroke.kind == "fill" else covered(stroke, plane)
            if not inside.any():
                return False
            region = self._region(cut, box)
            before = self._mask.read(region)
            after = before.copy()
            after[inside.reshape(before.shape)] = label
            if np.array_equal(before, after):
                return False
            self._change(region, before, after)
            return True

    def tile(self, cut: tuple[int, int], level: int, row: int, column: int) -> np.ndarray:
        """Return the labels of a tile; see `PaintMask.tile`."""
        with self._lock:
            return self._mask.tile(cut, level, row, column)

    def labels(self, cut: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
        """Return the labels `(h, w)` of a part of a plane."""
        with self._lock:
            found = self._mask.read(self._region(cut, (rows, columns)))
        return found.reshape(rows.stop - rows.start, columns.stop - columns.start)

    def _write(self, region: Region, before: np.ndarray, after: np.ndarray) -> None:
        self._mask.write(region, after)
        change = np.bincount(after.reshape(-1), minlength=256) - np.bincount(before.reshape(-1), minlength=256)
        counts = self.counts + change
        counts[IGNORE] = 0
        self.counts = counts

    def _filled(self, cut: tuple[int, int], stroke: Stroke, view: Box | None) -> tuple[Box, np.ndarray]:
        """The window in which a fill stays, and the pixels of the area around its point."""
        axes = self._mask.plane_axes(*cut)
        plane = self.size[axes[0]], self.size[axes[1]]
        if len(stroke.points) != 1:
            raise UserError(f"a fill has one point, not {len(stroke.points)}")
        row, column = (int(np.floor(value)) for value in stroke.points[0])
        rows, columns = view or (slice(0, plane[0]), slice(0, plane[1]))
        box = _cut(rows, plane[0]), _cut(columns, plane[1])
        count = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
        if count > MOST_COVERED:
            raise UserError(f"a view of {count:,} pixels: zoom in to fill ({MOST_COVERED:,} at most)")
        if not (box[0].start <= row < box[0].stop and box[1].start <= column < box[1].stop):
            raise UserError(f"row {row}, column {column}: lies outside of what is in view")
        labels = self._mask.read(self._region(cut, box)).reshape(box[0].stop - box[0].start, -1)
        closed = box[0].start == 0, box[0].stop == plane[0], box[1].start == 0, box[1].stop == plane[1]
        return box, area_around(labels, (row - box[0].start, column - box[1].start), closed)

    def _region(self, cut: tuple[int, int], box: Sequence[slice]) -> Region:
        parts = list(box)
        if len(self.size) == 3:
            parts.insert(cut[0], slice(cut[1], cut[1] + 1))
        return tuple(parts)


def _cut(part: slice, length: int) -> slice:
    start = min(max(0, part.start), length)
    return slice(start, min(max(start, part.stop), length))
