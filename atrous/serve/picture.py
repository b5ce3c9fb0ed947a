"""One opened file as planes that are shown: its facts, its values, and its tiles at every level."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from atrous.data.channel_files import on_first_grid
from atrous.data.formats import Header, open_level, open_source, read_header, read_pyramid
from atrous.data.resized import Resized
from atrous.data.source import Entry, Key, LazySource, Source, Stacked
from atrous.errors import UserError
from atrous.serve.cache import CacheFolder
from atrous.serve.display import Shown, default_shown
from atrous.serve.found import ServedFile
from atrous.serve.levels import TILE, Levels

LOOKED_AT = 128
"""Side of each of the 3 x 3 squares of a plane from which the first windows of its channels follow."""
PLANES = 32
"""So many planes of a volume keep their levels in memory."""


@dataclass(frozen=True)
class Plane:
    """Which plane of an image is shown.

    Attributes:
        axis: of the spatial axes, the one that the plane is cut across; of images always 0.
        index: where it is cut; of images always 0.
    """

    axis: int = 0
    index: int = 0


class PlaneOf(LazySource):
    """A plane `(C, H, W)` of a volume or a video `(C, *S)`, read as it is sliced."""

    def __init__(self, source: Source, plane: Plane) -> None:
        kept = [length for axis, length in enumerate(source.shape[1:]) if axis != plane.axis]
        super().__init__((source.shape[0], *kept), source.dtype)
        self._source, self._plane = source, plane

    def _read(self, key: Key) -> np.ndarray:
        full: list[Entry] = list(key)
        full.insert(1 + self._plane.axis, self._plane.index)
        return np.asarray(self._source[tuple(full)])


class OpenedPicture:
    """A file that is open for display. Its methods may be called by several threads: one reads at a time.

    Args:
        file: which.
        cache: where levels are kept that are computed once.

    Raises:
        UserError: the file cannot be read, or is neither an image nor a volume.
    """

    def __init__(self, file: ServedFile, cache: CacheFolder) -> None:
        file.require_inside()
        self.file, self._cache = file, cache
        self._lock = threading.Lock()
        self._levels: OrderedDict[Plane, Levels] = OrderedDict()
        paths = file.item.files
        self._copies = read_pyramid(paths[0]) if len(paths) == 1 else ()
        self.header: Header = self._copies[0] if self._copies else read_header(paths[0])
        if len(self.header.size) not in (2, 3):
            raise UserError(f"{paths[0]}: has {len(self.header.size)} spatial axes: images and volumes are shown")

    @cached_property
    def source(self) -> Source:
        """All values `(C, *S)`, read as they are sliced."""
        paths = self.file.item.files
        if self._copies:
            return open_level(paths[0], 0)
        first = open_source(paths[0])
        if len(paths) == 1:
            return first
        sources = [first, *(open_source(path) for path in paths[1:])]
        return Stacked(on_first_grid(sources, [self.header, *map(read_header, paths[1:])], paths))

    @property
    def nbytes(self) -> int:
        """Bytes of values that are held in memory because the format cannot be read in parts."""
        source = self.__dict__.get("source")
        return source.nbytes if isinstance(source, np.ndarray) and not isinstance(source, np.memmap) else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of channels and size, `(C, *S)`."""
        more = len(self.file.item.files) - 1
        return (self.header.channels + more, *self.header.size) if more else self.header.shape

    @cached_property
    def identity(self) -> str:
        """Letters and digits that change when a file does."""
        return self.file.identity

    def check(self, plane: Plane) -> None:
        """Raise `UserError` if there is no such plane."""
        size = self.shape[1:]
        most = (1,) if len(size) == 2 else size
        if not (plane.axis in self.axes and 0 <= plane.index < most[plane.axis]):
            raise UserError(f"axis {plane.axis}, index {plane.index}: this image has {' x '.join(map(str, size))}")

    @property
    def axes(self) -> range:
        """The axes across which planes are shown: of images and of the frames of a video the first one alone."""
        moving = self.header.kind == "video" or (self.header.axes or "").startswith("T")
        return range(1 if len(self.shape) == 3 or moving else 3)

    def grid(self, plane: Plane) -> tuple[int, int]:
        """Return how many rows and columns a plane has."""
        kept = [n for axis, n in enumerate(self.shape[1:]) if len(self.shape) == 3 or axis != plane.axis]
        return kept[0], kept[1]

    def size(self, plane: Plane) -> tuple[int, int]:
        """Return height and width of a plane on the screen: of a volume, in pixels as high as wide."""
        rows, columns = self.grid(plane)
        spacing = self.spacing(plane)
        if len(self.shape) == 3 or spacing is None or self.axes == range(1) or min(spacing) <= 0:
            return rows, columns
        finest = min(spacing)
        return max(1, round(rows * spacing[0] / finest)), max(1, round(columns * spacing[1] / finest))

    def spacing(self, plane: Plane) -> tuple[float, float] | None:
        """Return the distance of neighboring rows and columns of a plane; None where the file does not say it."""
        spacing = self.header.spacing
        if spacing is None or len(spacing) != len(self.shape) - 1:
            return None
        kept = [abs(n) for axis, n in enumerate(spacing) if len(self.shape) == 3 or axis != plane.axis]
        return kept[0], kept[1]

    def tile(self, plane: Plane, level: int, row: int, column: int) -> np.ndarray:
        """Return the values `(C, h, w)` of a tile; see `Levels.tile`."""
        with self._lock:
            return self._levels_of(plane).tile(level, row, column)

    def share(self, plane: Plane) -> float:
        """Return which part of a plane was read for its coarse levels so far; see `Levels.share`."""
        levels = self._levels.get(plane)
        return 1.0 if levels is None else levels.share

    def value(self, position: tuple[int, ...]) -> list[float]:
        """Return the value of every channel at a position `(*S)`.

        Raises:
            UserError: it lies outside.
        """
        size = self.shape[1:]
        if len(position) != len(size) or not all(0 <= n < most for n, most in zip(position, size, strict=True)):
            raise UserError(f"position {', '.join(map(str, position))}: this image has {' x '.join(map(str, size))}")
        box = tuple(slice(n, n + 1) for n in position)
        with self._lock:
            return np.asarray(self.source[(slice(None), *box)]).reshape(-1).astype(float).tolist()

    @cached_property
    def shown(self) -> tuple[Shown, ...]:
        """How its channels are shown at first."""
        plane = Plane(0, 0 if len(self.shape) == 3 else self.shape[1] // 2)
        with self._lock:
            picture = self._picture(plane)
            corners = [
                [max(0, (2 * part + 1) * length // 6 - LOOKED_AT // 2) for part in range(3)]
                for length in picture.shape[1:]
            ]
            squares = [
                np.asarray(picture[:, top : top + LOOKED_AT, left : left + LOOKED_AT]).reshape(picture.shape[0], -1)
                for top in corners[0]
                for left in corners[1]
            ]
        return default_shown(np.concatenate(squares, axis=1), self.header.kind)

    def _picture(self, plane: Plane) -> Source:
        if len(self.shape) == 3:
            return self.source
        picture = PlaneOf(self.source, plane)
        return picture if self.size(plane) == self.grid(plane) else Resized(picture, self.size(plane))

    def _levels_of(self, plane: Plane) -> Levels:
        if plane not in self._levels:
            path = self.file.item.path
            copies = [open_level(path, number) for number in range(1, len(self._copies))]
            self._levels[plane] = Levels(self._picture(plane), copies, self._folder(plane))
            if len(self._levels) > PLANES:
                self._levels.popitem(last=False)
        self._levels.move_to_end(plane)
        return self._levels[plane]

    def _folder(self, plane: Plane) -> Callable[[], Path]:
        key = f"{self.identity[:40]}levels{TILE}axis{plane.axis}index{plane.index}"
        return lambda: self._cache.entry(key)
