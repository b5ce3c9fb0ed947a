"""One image whose objects are corrected: a label image of their numbers, on the disk after every change."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from atrous.errors import UserError
from atrous.files import replacing
from atrous.serve.edited_images import EditedImage
from atrous.serve.history import Region
from atrous.serve.levels import NoTile, level_sizes, tile_box
from atrous.serve.object_edits import EDITS, Point, number_at

LARGEST = 2**24
"""Pixels of an image whose objects are corrected at most: its numbers are written whole after every change."""
MOST_PNG = 2**16 - 1
"""The largest number that a PNG holds."""


class ObjectImage(EditedImage):
    """The numbers of the objects of an image, for several threads at the same time.

    Args:
        path: of the label image, PNG or TIFF, which may not be there yet.
        size: of the image, `(H, W)`.
        begin: called once before the first change, to put the image beside its numbers.

    Attributes:
        count: number of objects.

    Raises:
        UserError: the label image has another size, or cannot be read.
    """

    def __init__(self, path: Path, size: Sequence[int], begin: Callable[[], None]) -> None:
        super().__init__(np.uint32, begin)
        self.path, self.size = path, (int(size[0]), int(size[1]))
        self._numbers = _read(path, self.size) if path.exists() else np.zeros(self.size, np.uint32)
        self.count = _count(self._numbers)

    @property
    def saved(self) -> bool:
        """Whether the label image is on the disk."""
        return self.path.exists()

    def edit(self, kind: str, points: Sequence[Point]) -> None:
        """Merge, split, delete or outline objects (`EDITS`); the result lies on the disk when the function returns.

        Raises:
            UserError: there is nothing to change so, or the disk does not take it.
        """
        with self._lock:
            box, after = EDITS[kind](self._numbers, points)
            self._take(box, after.astype(np.uint32))

    def take(self, numbers: np.ndarray) -> None:
        """Take over all numbers `(H, W)`, such as those that a network has found.

        Raises:
            UserError: they have another size, or the disk does not take them.
        """
        if numbers.shape != self.size:
            what = f"objects of an image of {numbers.shape}"
            raise UserError(f"{self.path.name}: {what}, but this one has {self.size}: use atrous predict")
        with self._lock:
            self._take((slice(0, self.size[0]), slice(0, self.size[1])), np.asarray(numbers, np.uint32))

    def number(self, place: Point) -> tuple[int, int]:
        """Return the number of the object at a place and its area in pixels; 0 and 0 for none."""
        with self._lock:
            number = number_at(self._numbers, place)
            return number, int(np.count_nonzero(self._numbers == number)) if number else 0

    def tile(self, level: int, row: int, column: int) -> np.ndarray:
        """Return the numbers `(h, w)` of a tile. Level k has the number of one pixel of 2**k x 2**k.

        Raises:
            NoTile: there is none.
        """
        sizes = level_sizes(self.size)
        if not 0 <= level < len(sizes):
            raise NoTile(f"level {level}: there are {len(sizes)}")
        box, side = tile_box(sizes[level], row, column), 2**level
        rows, columns = (
            np.minimum(np.arange(part.start, part.stop) * side + side // 2, length - 1)
            for part, length in zip(box, self.size, strict=True)
        )
        with self._lock:
            return self._numbers[np.ix_(rows, columns)]

    def _take(self, box: Region, after: np.ndarray) -> None:
        before = self._numbers[box].copy()
        if not (self.saved and np.array_equal(before, after)):
            self._change(box, before, after)

    def _write(self, region: Region, before: np.ndarray, after: np.ndarray) -> None:
        changed = self._numbers.copy()
        changed[region] = after
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as beside:
                _store(beside, changed, self.path.suffix.lower())
        except OSError as error:
            what = f"cannot be written ({error.strerror or error}): make room, or allow it"
            raise UserError(f"{self.path}: {what}") from error
        self._numbers, self.count = changed, _count(changed)


def _count(numbers: np.ndarray) -> int:
    """The number of objects."""
    values = np.unique(numbers)
    return int(np.count_nonzero(values))


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    from atrous.data.formats import read_values

    numbers = read_values(path)
    if numbers.shape != size or numbers.dtype.kind != "u" or numbers.max(initial=0) >= 2**31:
        raise UserError(f"{path}: is no image of object numbers of {size[0]} x {size[1]} pixels: move it away")
    return np.array(numbers, np.uint32)


def _store(path: Path, numbers: np.ndarray, suffix: str) -> None:
    if suffix == ".png":
        from PIL import Image

        if numbers.max(initial=0) > MOST_PNG:
            raise UserError(f"{path.name}: a PNG holds numbers up to {MOST_PNG}: save the masks as TIFF")
        Image.fromarray(numbers.astype(np.uint16)).save(path, "PNG", compress_level=1)
        return
    import tifffile

    tifffile.imwrite(path, numbers, compression="zlib")
