"""One picture of any size at every level of a pyramid, tile by tile, in bounded memory.

Level 0 is the picture itself. A pixel of level k is the mean of about 2**k x 2**k pixels of it. Where the file has
coarser copies of itself (slides), the nearest finer one is reduced. Else levels up to `DIRECT` are computed from the
picture; a tile reads 2048 x 2048 pixels at most. For coarser ones the level `DIRECT` is kept on disk, and is computed
tile by tile where it is needed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from atrous.data.resized import Resized
from atrous.data.source import Source
from atrous.errors import UserError

TILE = 256
"""Height and width of a tile, in pixels of its level."""
DIRECT = 3
"""The coarsest level that is computed from the picture itself."""
PIECE = 2**23
"""Values of the picture that are averaged at once."""


class NoTile(UserError):
    """There is no such level or tile."""


def level_sizes(size: Sequence[int]) -> list[tuple[int, int]]:
    """Return height and width of every level, finest first; the last one fits into a tile.

    >>> level_sizes((1000, 300))
    [(1000, 300), (500, 150), (250, 75)]
    """
    sizes = [(int(size[0]), int(size[1]))]
    while max(sizes[-1]) > TILE:
        factor = 2 ** len(sizes)
        sizes.append((-(-sizes[0][0] // factor), -(-sizes[0][1] // factor)))
    return sizes


def tile_box(size: tuple[int, int], row: int, column: int) -> tuple[slice, slice]:
    """Return which rows and columns of a level of this size a tile has.

    Raises:
        NoTile: it lies outside.

    >>> tile_box((300, 100), 1, 0)
    (slice(256, 300, None), slice(0, 100, None))
    """
    top, left = row * TILE, column * TILE
    if not (0 <= top < size[0] and 0 <= left < size[1]):
        raise NoTile(f"tile {row}, {column}: the level has {size[0]} x {size[1]} pixels")
    return slice(top, min(top + TILE, size[0])), slice(left, min(left + TILE, size[1]))


class Levels:
    """A picture `(C, H, W)` at every level. Not to be used by several threads at the same time.

    Args:
        picture: read as it is sliced.
        coarser: copies of it at lower resolution, finest first.
        folder: gives the folder in which a level is kept on disk, when that is first needed.

    Attributes:
        sizes: height and width of every level.
        share: the part of the picture that was read for the level on disk; 1 if no tile needs it.

    >>> ramp = np.arange(600, dtype=np.float32).reshape(1, 1, 600).repeat(2, 1)
    >>> Levels(ramp).tile(2, 0, 0)[0, 0, :2].tolist()
    [1.5, 5.5]
    """

    def __init__(
        self, picture: Source, coarser: Sequence[Source] = (), folder: Callable[[], Path] | None = None
    ) -> None:
        self.sizes = level_sizes(picture.shape[1:])
        self._pictures = [(1.0, picture), *((picture.shape[2] / copy.shape[2], copy) for copy in coarser)]
        self._folder, self._kept = folder, None
        self._done: np.ndarray | None = None

    @property
    def share(self) -> float:
        """See the class."""
        return 1.0 if self._done is None else float(np.mean(self._done))

    def tile(self, level: int, row: int, column: int) -> np.ndarray:
        """Return the values `(C, h, w)` of a tile in the type of the picture.

        Raises:
            NoTile: there is none.
            UserError: the file is damaged.
        """
        if not 0 <= level < len(self.sizes):
            raise NoTile(f"level {level}: there are {len(self.sizes)}")
        box = tile_box(self.sizes[level], row, column)
        if level == 0:
            return np.asarray(self._pictures[0][1][(slice(None), *box)])
        fitting = [number for number, (factor, _) in enumerate(self._pictures) if factor <= 2**level * 1.01]
        picture = max(fitting, key=lambda number: self._pictures[number][0])
        if picture or level <= DIRECT or self._folder is None:
            return averaged(self._pictures[picture][1], self.sizes[level], box)
        return averaged(self._reduced(level, box), self.sizes[level], box)

    def _reduced(self, level: int, box: tuple[slice, slice]) -> np.ndarray:
        """Return the level `DIRECT`, complete where a tile of a coarser level needs it."""
        size = self.sizes[DIRECT]
        kept, done = self._on_disk(size)
        factor = 2 ** (level - DIRECT)
        rows, columns = (
            range(part.start * factor // TILE, min(count, -(-part.stop * factor // TILE)))
            for part, count in zip(box, done.shape, strict=True)
        )
        for row in rows:
            for column in columns:
                if not done[row, column]:
                    place = tile_box(size, row, column)
                    kept[(slice(None), *place)] = averaged(self._pictures[0][1], size, place)
                    done[row, column] = True
        return kept

    def _on_disk(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        if self._kept is None or self._done is None:
            assert self._folder is not None
            picture, folder = self._pictures[0][1], self._folder()
            self._kept = stored(folder / "reduced.npy", (int(picture.shape[0]), *size), picture.dtype)
            self._done = stored(folder / "done.npy", (-(-size[0] // TILE), -(-size[1] // TILE)), bool)
        return self._kept, self._done


def averaged(picture: Source, size: tuple[int, int], box: tuple[slice, slice]) -> np.ndarray:
    """Return a part of a picture `(C, H, W)` at a smaller size, each pixel the mean of the area that it covers.

    Some rows are computed at a time, so that memory is bounded.
    """
    resized, (rows, columns) = Resized(picture, size), box
    ratio = (picture.shape[1] / size[0]) * (picture.shape[2] / size[1])
    at_once = max(1, int(PIECE / (picture.shape[0] * (columns.stop - columns.start) * max(ratio, 1.0))))
    starts = range(rows.start, rows.stop, at_once)
    return np.concatenate([resized[:, row : min(row + at_once, rows.stop), columns] for row in starts], axis=1)


def stored(path: Path, shape: tuple[int, ...], dtype: object) -> np.ndarray:
    """Return an array on disk, opened or made; a new one holds zeros, and takes no room where nothing is written."""
    found = reopened(path, shape, dtype)
    wanted = np.dtype(dtype)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return np.lib.format.open_memmap(path, mode="w+", dtype=wanted, shape=shape) if found is None else found


def reopened(path: Path, shape: tuple[int, ...], dtype: object) -> np.ndarray | None:
    """Return an array that lies on disk; None if it is of another shape or type, cut short, or not there."""
    if not path.exists():
        return None
    try:
        array = np.lib.format.open_memmap(path, mode="r+")
    except (OSError, ValueError):  # a killed process left a part of it
        return None
    wanted = np.dtype(dtype)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return array if array.shape == shape and array.dtype == wanted else None
