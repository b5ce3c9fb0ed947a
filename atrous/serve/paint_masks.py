"""The mask of a painted image on disk: void where nothing was painted, safe after every stroke.

A mask of an image is a gray PNG as long as that is written in a moment; larger masks, and those of volumes, are Zarr
arrays, of which a stroke writes the chunks that it touches. Both are ordinary masks. Every file is written beside its
place and then renamed, so that a killed process leaves whole masks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.files import replacing
from atrous.labels import IGNORE
from atrous.serve.levels import NoTile, level_sizes, tile_box

PICTURE = 2**22
"""Pixels of an image up to which its mask is a PNG; to write that takes some hundredths of a second."""
CHUNK = {2: 512, 3: 64}
"""Positions of a chunk of a Zarr array along each axis."""

Region = tuple[slice, ...]
"""One slice with both ends for each spatial axis."""


class PaintMask(ABC):
    """Labels `(*S)` uint8 of one image, `IGNORE` where nothing was painted. Nothing is on disk before the first write.

    Args:
        path: of the mask.
        size: `(*S)`.
    """

    def __init__(self, path: Path, size: Sequence[int]) -> None:
        self.path, self.size = path, tuple(int(length) for length in size)

    @abstractmethod
    def read(self, region: Region) -> np.ndarray:
        """Return the labels of a region."""

    @abstractmethod
    def write(self, region: Region, labels: np.ndarray) -> None:
        """Change the labels of a region; they lie on the disk when the function returns.

        Raises:
            UserError: the disk does not take them.
        """

    @abstractmethod
    def pieces(self, region: Region) -> Iterator[tuple[Region, np.ndarray]]:
        """Yield parts of a region with their labels, which together hold all that was painted in it."""

    def counts(self) -> np.ndarray:
        """Return how many positions have each label, `(256,)`; void is not counted."""
        counts = np.zeros(IGNORE + 1, np.int64)
        for _, labels in self.pieces(tuple(slice(0, length) for length in self.size)):
            counts += np.bincount(labels.reshape(-1), minlength=IGNORE + 1)
        counts[IGNORE] = 0
        return counts

    def tile(self, cut: tuple[int, int], level: int, row: int, column: int) -> np.ndarray:
        """Return the labels `(h, w)` of a tile of a plane.

        A pixel of level k has the least label that was painted in the 2**k x 2**k positions that it covers, so that
        thin strokes are seen from afar.

        Args:
            cut: the axis and the index of the plane; of images both are 0.
            level: of the pyramid.
            row: of the tile.
            column: of the tile.

        Raises:
            NoTile: there is none.
        """
        axes = self.plane_axes(*cut)
        sizes = level_sizes([self.size[axis] for axis in axes])
        if not 0 <= level < len(sizes):
            raise NoTile(f"level {level}: there are {len(sizes)}")
        box, side = tile_box(sizes[level], row, column), 2**level
        region = [slice(cut[1], cut[1] + 1)] * len(self.size)
        for axis, part in zip(axes, box, strict=True):
            region[axis] = slice(part.start * side, min(part.stop * side, self.size[axis]))
        tile = np.full([part.stop - part.start for part in box], IGNORE, np.uint8)
        for place, labels in self.pieces(tuple(region)):
            plane = labels.reshape([labels.shape[axis] for axis in axes])
            corner = [place[axis].start for axis in axes]
            for axis in (0, 1):
                positions = np.arange(corner[axis], corner[axis] + plane.shape[axis])
                first = np.flatnonzero((positions % side == 0) | (positions == corner[axis]))
                plane = np.minimum.reduceat(plane, first, axis=axis)
            top, left = (corner[axis] // side - box[axis].start for axis in (0, 1))
            part = tile[top : top + plane.shape[0], left : left + plane.shape[1]]
            np.minimum(part, plane, out=part)
        return tile

    def plane_axes(self, axis: int, index: int) -> tuple[int, int]:
        """Return the two axes of a plane.

        Raises:
            NoTile: there is no such plane.
        """
        counts = (1,) if len(self.size) == 2 else self.size
        if not (0 <= axis < len(counts) and 0 <= index < counts[axis]):
            raise NoTile(f"axis {axis}, index {index}: this image has {' x '.join(map(str, self.size))}")
        kept = [number for number in range(len(self.size)) if len(self.size) == 2 or number != axis]
        return kept[0], kept[1]


class PictureMask(PaintMask):
    """A mask in a gray PNG, held in memory and written whole."""

    def __init__(self, path: Path, size: Sequence[int]) -> None:
        super().__init__(path, size)
        self._labels = _picture(path, self.size) if path.exists() else np.full(self.size, IGNORE, np.uint8)

    def read(self, region: Region) -> np.ndarray:
        """See `PaintMask.read`."""
        return self._labels[region].copy()

    def write(self, region: Region, labels: np.ndarray) -> None:
        """See `PaintMask.write`."""
        from PIL import Image

        changed = self._labels.copy()
        changed[region] = labels
        _on_disk(self.path, lambda beside: Image.fromarray(changed).save(beside, "PNG", compress_level=1))
        self._labels = changed

    def pieces(self, region: Region) -> Iterator[tuple[Region, np.ndarray]]:
        """See `PaintMask.pieces`."""
        yield region, self._labels[region]


class ChunkedMask(PaintMask):
    """A mask in a Zarr array, of which only the chunks exist that were painted in.

    That of a volume has a first axis of length one, that of channels: without it, short axes would pass for channels.
    """

    def __init__(self, path: Path, size: Sequence[int]) -> None:
        super().__init__(path, size)
        self._side = CHUNK[len(self.size)]
        self._lead = (1,) * (len(self.size) - 2)
        self._array: Any = None
        if path.exists():
            self._open()

    def _open(self) -> None:
        import zarr

        try:
            array: Any = zarr.open_array(str(self.path), mode="r+")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path}: cannot be read as a Zarr array: restore it, or move it away") from error
        shape, chunks = self._stored
        if tuple(array.shape) != shape or array.dtype != np.uint8 or tuple(array.chunks) != chunks:
            raise UserError(f"{self.path}: is not a mask that was painted on this image: move it away")
        self._array = array

    @property
    def _stored(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape of the array and of its chunks."""
        return (*self._lead, *self.size), (*self._lead, *(self._side,) * len(self.size))

    def read(self, region: Region) -> np.ndarray:
        """See `PaintMask.read`."""
        shape = [part.stop - part.start for part in region]
        return np.full(shape, IGNORE, np.uint8) if self._array is None else self._values(region)

    def _values(self, region: Region) -> np.ndarray:
        return np.asarray(self._array[(*(0,) * len(self._lead), *region)])

    def write(self, region: Region, labels: np.ndarray) -> None:
        """See `PaintMask.write`; a chunk is written beside its place and then renamed by zarr."""
        if self._array is None:
            _on_disk(self.path, self._create)
            self._open()
        array: Any = self._array
        try:
            array[(*(0,) * len(self._lead), *region)] = labels
        except OSError as error:
            raise _refused(self.path, error) from error

    def _create(self, beside: Path) -> None:
        import zarr

        shape, chunks = self._stored
        zarr.create_array(str(beside), shape=shape, chunks=chunks, dtype="uint8", fill_value=IGNORE)

    def pieces(self, region: Region) -> Iterator[tuple[Region, np.ndarray]]:
        """See `PaintMask.pieces`: the chunks that exist."""
        if self._array is None:
            return
        ranges = (range(part.start // self._side, -(-part.stop // self._side)) for part in region)
        for chunk in product(*ranges):
            if not self.path.joinpath("c", *"0" * len(self._lead), *map(str, chunk)).exists():
                continue
            place = tuple(
                slice(max(part.start, number * self._side), min(part.stop, (number + 1) * self._side))
                for part, number in zip(region, chunk, strict=True)
            )
            yield place, self._values(place)


def mask_name(name: str, size: Sequence[int]) -> str:
    """Return the file name of the mask of an image.

    >>> mask_name("a", (300, 400)), mask_name("a", (30000, 40000)), mask_name("a", (9, 9, 9))
    ('a.png', 'a.zarr', 'a.zarr')
    """
    return f"{name}.png" if len(size) == 2 and np.prod(size, dtype=np.int64) <= PICTURE else f"{name}.zarr"


def open_mask(folder: Path, name: str, size: Sequence[int]) -> PaintMask:
    """Open the mask of an image, or get ready to write it.

    Args:
        folder: of the masks.
        name: of the image, without suffix.
        size: of the image, `(*S)`.

    Raises:
        UserError: there is a file of this name that is no mask of such an image.
    """
    path = folder / mask_name(name, size)
    return PictureMask(path, size) if path.suffix == ".png" else ChunkedMask(path, size)


def _picture(path: Path, size: tuple[int, ...]) -> np.ndarray:
    from atrous.data.formats import read_values

    labels = read_values(path)
    if labels.shape != size or labels.dtype != np.uint8:
        raise UserError(f"{path}: is not a mask that was painted on this image: move it away")
    return np.array(labels)


def _on_disk(path: Path, write: Any) -> None:
    """Write a file or folder beside its place, then rename it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            write(beside)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written ({error.strerror or error}): make room, or allow it")
