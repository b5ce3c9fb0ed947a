"""The labels of one input on disk, and at which of its positions they are known so far."""

import threading
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.source import normalized_key
from atrous.serve.levels import NoTile, level_sizes, reopened, stored, tile_box

UNKNOWN = 254
"""Stands in tiles for positions whose label is not known yet. 255 is void."""
BLOCK = {1: 4096, 2: 128, 3: 16}
"""Positions along each axis of the blocks that are known or not, for 1 to 3 spatial axes."""

Region = tuple[slice, ...]
"""One slice with numbers for each spatial axis."""


class LabelStore:
    """Labels `(*S)` uint8, filled region by region or row by row. One thread writes, several may read.

    Each open store takes two of the open files that a process may have; the next request opens a closed one.

    Args:
        folder: where they lie; what an earlier process has left there is still known.
        size: of the input, `(*S)`.

    Attributes:
        version: grows with every write.
    """

    def __init__(self, folder: Path, size: Sequence[int]) -> None:
        self.folder, self.size, self.version = folder, tuple(size), 0
        self._arrays: tuple[np.ndarray, np.ndarray] | None = None
        self._opening = threading.Lock()
        self._block = BLOCK[len(self.size)]
        if reopened(folder / "labels.npy", self.size, np.uint8) is None:
            for left in folder.iterdir():  # what says that labels are known holds for labels that are there
                left.unlink()
        self._opened()

    @property
    def labels(self) -> np.ndarray:
        """The memory-mapped labels."""
        return self._opened()[0]

    @property
    def _known(self) -> np.ndarray:
        """Which blocks are known."""
        return self._opened()[1]

    @property
    def is_open(self) -> bool:
        """Whether the arrays are open."""
        return self._arrays is not None

    def close(self) -> None:
        """Close the arrays until they are needed again; what was written stays."""
        with self._opening:
            self._arrays = None

    def _opened(self) -> tuple[np.ndarray, np.ndarray]:
        with self._opening:
            if self._arrays is None:
                self.folder.mkdir(parents=True, exist_ok=True)  # another process may have removed it from the cache
                blocks = tuple(-(-length // self._block) for length in self.size)
                labels = stored(self.folder / "labels.npy", self.size, np.uint8)
                self._arrays = labels, stored(self.folder / "known.npy", blocks, bool)
            return self._arrays

    @property
    def share(self) -> float:
        """The part of the blocks whose labels are known."""
        return float(np.mean(self._known))

    @property
    def complete(self) -> bool:
        """Whether all labels are known."""
        return bool(self._known.all())

    def write(self, region: Region, labels: np.ndarray) -> None:
        """Keep the labels of a region; the blocks that lie in it whole are known from then on."""
        self.labels[region] = labels
        self.mark(self.inside(region))

    def inside(self, region: Region) -> Region:
        """Return which blocks lie in a region whole."""
        blocks = []
        for part, length in zip(region, self.size, strict=True):
            last = part.stop // self._block if part.stop < length else -(-length // self._block)
            blocks.append(slice(-(-part.start // self._block), last))
        return tuple(blocks)

    def mark(self, blocks: Region) -> None:
        """Note that the labels of some blocks are known."""
        self._known[blocks] = True
        self.version += 1

    def finish(self) -> None:
        """Note that all labels are known, and write them to disk."""
        self.mark((slice(None),) * len(self.size))
        for array in (self.labels, self._known):
            if isinstance(array, np.memmap):
                array.flush()

    def known_at(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions along one axis have a known label, in the shape of `positions`."""
        return self._known[positions // self._block]

    def missing(self, region: Region) -> Region | None:
        """Return the smallest box of whole blocks that holds all that is unknown in a region; None if nothing is."""
        blocks = tuple(slice(part.start // self._block, -(-part.stop // self._block)) for part in region)
        unknown = np.argwhere(~self._known[blocks])
        if not len(unknown):
            return None
        first, last = unknown.min(0), unknown.max(0) + 1
        box = []
        for part, low, high, length in zip(blocks, first, last, self.size, strict=True):
            start, stop = (part.start + int(edge) for edge in (low, high))
            box.append(slice(start * self._block, min(stop * self._block, length)))
        return tuple(box)

    def nearest(self, box: Region, most: int, view: Region) -> Region:
        """Return what is unknown in a part of a box of about `most` positions: of its parts the nearest to a view.

        Each axis is cut into equal parts, at most half longer than a cube of `most` positions. A box that is barely
        larger stays whole: every part is computed with its halo, so that a narrow rest would cost as much again.

        Args:
            box: whole blocks, some of them unknown, from `missing`.
            most: positions.
            view: of whose middle the part is near.
        """
        side = max(1.0, most ** (1 / len(box)) / self._block)  # in blocks
        grid = []
        for part in box:
            blocks = -(-(part.stop - part.start) // self._block)
            step = -(-blocks // max(1, round(blocks / side))) * self._block
            grid.append([slice(at, min(at + step, part.stop)) for at in range(part.start, part.stop, step)])
        middle = [(part.start + part.stop) / 2 for part in view]
        cells = list(product(*grid))
        cells.sort(key=lambda cell: sum(((p.start + p.stop) / 2 - m) ** 2 for p, m in zip(cell, middle, strict=True)))
        return next(missing for cell in cells if (missing := self.missing(cell)) is not None)

    def tile(self, cut: tuple[int, int], level: int, row: int, column: int) -> tuple[np.ndarray, bool]:
        """Return the labels `(h, w)` of a tile, `UNKNOWN` where they are not known, and whether all are known.

        A pixel of level k has the label in the middle of the 2**k x 2**k positions that it covers.

        Args:
            cut: the axis and the index of the plane; of images both are 0.
            level: of the pyramid.
            row: of the tile.
            column: of the tile.

        Raises:
            NoTile: there is none.
        """
        places, shape = tile_places(self.size, cut, level, row, column)
        labels = np.asarray(self.labels[np.ix_(*places)]).reshape(shape)
        known = self._known[np.ix_(*(place // self._block for place in places))].reshape(shape)
        return np.where(known, labels, np.uint8(UNKNOWN)), bool(known.all())


def tile_places(
    size: Sequence[int], cut: tuple[int, int], level: int, row: int, column: int
) -> tuple[list[np.ndarray], list[int]]:
    """Return which positions along each axis of labels the pixels of a tile show, and height and width of the tile.

    Args:
        size: of the labels, two or three axes.
        cut: as `LabelStore.tile` takes it, and so are the others.
        level: of the pyramid.
        row: of the tile.
        column: of the tile.

    Raises:
        NoTile: there is none.

    >>> tile_places((4, 6), (0, 0), 0, 0, 0)[1]
    [4, 6]
    """
    if len(size) == 1:
        raise NoTile("tiles are of images and volumes: ask for the shares of the classes of a signal")
    planes = (1,) if len(size) == 2 else size
    if not (0 <= cut[0] < len(planes) and 0 <= cut[1] < planes[cut[0]]):
        raise NoTile(f"axis {cut[0]}, index {cut[1]}: the labels have {' x '.join(map(str, size))}")
    axes = [axis for axis in range(len(size)) if len(size) == 2 or axis != cut[0]]
    plane = [size[axis] for axis in axes]
    sizes = level_sizes(plane)
    if not 0 <= level < len(sizes):
        raise NoTile(f"level {level}: there are {len(sizes)}")
    places = [np.array([cut[1]])] * len(size)
    for axis, part, length in zip(axes, tile_box(sizes[level], row, column), plane, strict=True):
        middle = np.arange(part.start, part.stop) * 2**level + 2**level // 2
        places[axis] = np.minimum(middle, length - 1)
    return places, [len(places[axis]) for axis in axes]


class FillSink:
    """A sink `(*S)` that passes labels to a store as they come, and notes which blocks are full.

    Parts that follow one another along an axis are taken together, so that strips may be thinner than blocks. Other
    attributes are those of the array on disk, so that an interrupted stream into it can resume.

    Attributes:
        shape: `(*S)`.
        dtype: uint8.
    """

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self.shape, self.dtype = store.size, np.dtype(np.uint8)
        self._parts: list[Region] = []

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        self._store.labels[key] = values
        places = [range(length)[part] for part, length in zip(normalized_key(key, self.shape), self.shape, strict=True)]
        part = tuple(slice(place.start, place.stop) for place in places if isinstance(place, range))
        self._store.mark(self._store.inside(self._joined(part)))

    def _joined(self, part: Region) -> Region:
        """Return a part together with the earlier one that it goes on from, if there is one."""
        for number, other in enumerate(self._parts):
            apart = [axis for axis, (a, b) in enumerate(zip(other, part, strict=True)) if a != b]
            if len(apart) == 1 and other[apart[0]].stop == part[apart[0]].start:
                both = list(other)
                both[apart[0]] = slice(other[apart[0]].start, part[apart[0]].stop)
                self._parts[number] = tuple(both)
                return self._parts[number]
        self._parts.append(part)
        return part

    def __getitem__(self, key: Any) -> Any:
        return self._store.labels[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.labels, name)
