"""What a live training sees of a painted data set: painted images whole, of large ones the windows around strokes.

Some pieces of what was painted are held out: the curves of validation and the temperature of the probabilities come
from them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.description import Description
from atrous.data.formats import Header, open_level, open_source, read_header, read_pyramid, stem, suffix_of
from atrous.data.images import FileImage, SampleImage
from atrous.data.inside import is_hidden
from atrous.data.layouts.base import Layout
from atrous.data.layouts.memory import LabelArray
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels
from atrous.data.views import Gaps
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve.paint_masks import PaintMask, Region, open_mask

WHOLE = 2**22
"""Positions of an image up to which a training sees it whole."""
SIDE = {2: 768, 3: 96}
"""Positions along each axis of the parts of larger images in which there is something painted."""
MARGIN = {2: 128, 3: 16}
"""Positions around such a part that are seen too."""
MOST = 64
"""Windows of one image; of more, some that are evenly spread."""
HELD_OUT = 6
"""Of about so many pieces one is held out."""
LEAST_PIECES = 4
"""Nothing is held out of a class that has fewer pieces."""


@dataclass(frozen=True)
class WindowImage(SampleImage):
    """A part of an image file.

    Attributes:
        file: the image.
        window: rows and columns, or slices of a volume.
    """

    file: FileImage
    window: Region

    @property
    def path(self) -> Path:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The file."""
        return self.file.path

    def header(self) -> Header:
        """See `SampleImage.header`."""
        return _sized(self.file.header(), self.window)

    def load(self) -> np.ndarray:
        """See `SampleImage.load`."""
        return self.file.with_channels(self.stored())

    def stored(self) -> np.ndarray:
        """See `SampleImage.stored`."""
        values = _read(self.file.path, tuple((part.start, part.stop) for part in self.window))
        return Gaps(values, self.file.nodata)[...] if self.file.nodata else values

    def with_channels(self, stored: np.ndarray) -> np.ndarray:
        """See `SampleImage.with_channels`."""
        return self.file.with_channels(stored)

    def stored_names(self) -> tuple[str, ...]:
        """See `SampleImage.stored_names`."""
        return self.file.stored_names()

    def valid(self) -> Any | None:
        """See `SampleImage.valid`."""
        valid = self.file.valid()
        return None if valid is None else np.asarray(valid[self.window])


def _sized(header: Header, window: Region) -> Header:
    return replace(header, shape=(header.channels, *(part.stop - part.start for part in window)))


@lru_cache(maxsize=32)
def _read(path: Path, window: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Values of a window, which are asked for again whenever the strokes are read again."""
    source = open_level(path, 0) if read_pyramid(path) else open_source(path)
    return np.asarray(source[(slice(None), *(slice(*part) for part in window))])


def painted_layout(root: Path, description: Description) -> Layout:
    """Return the layout of a painted data set as a live training sees it, with `train` and `val`.

    `val` has the pieces that are held out; where there are none, it is `train`.

    Args:
        root: the folder.
        description: its dataset.toml.

    Raises:
        UserError: nothing is painted, or a file cannot be read.
    """
    train, val = [], []
    for path, mask in painted_files(root):
        image = FileImage(path, (), description.channels, description.pages, nodata=description.nodata)
        for number, (window, inner) in enumerate(_windows(mask)):
            labels = _labels(mask, window, inner)
            learned, held_out = hold_out(labels, f"{path.name} {number}")
            whole = tuple(part.stop - part.start for part in window) == mask.size
            seen = image if whole else WindowImage(image, window)
            for samples, values, what in ((train, learned, ""), (val, held_out, ", held out")):
                if (values != IGNORE).any():
                    name = f"{stem(path)} {number}{what}"
                    samples.append(Sample(name, seen, Labels(LabelArray(name, values), seen)))
    if not train:
        raise UserError(f"{root}: nothing is painted yet")
    splits = {"train": tuple(train), "val": tuple(val or train)}
    return Layout("painted images", splits, "pieces of strokes are held out" if val else "nothing is held out")


def painted_files(root: Path) -> Iterator[tuple[Path, PaintMask]]:
    """Yield the images of a painted data set that have a mask, by name, with their masks.

    Raises:
        UserError: a file cannot be read.
    """
    folder = root / "images"
    names = {stem(path): path for path in folder.iterdir() if not is_hidden(path.name)} if folder.is_dir() else {}
    masks = sorted((root / "masks").iterdir()) if (root / "masks").is_dir() else []
    for path in masks:
        if suffix_of(path) in (".png", ".zarr") and not is_hidden(path.name) and stem(path) in names:
            yield names[stem(path)], open_mask(path.parent, stem(path), read_header(path).size)


def _labels(mask: PaintMask, window: Region, inner: Region) -> np.ndarray:
    """The labels of a window, void in its margin: what was painted there belongs to another window."""
    labels = np.full([part.stop - part.start for part in window], IGNORE, np.uint8)
    place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, window, strict=True))
    labels[place] = mask.read(inner)
    return labels


def _windows(mask: PaintMask) -> list[tuple[Region, Region]]:
    """The parts of an image that are seen, each with its part without margin.

    They are all of a small image, else the parts in which something is painted.
    """
    size = mask.size
    if np.prod(size, dtype=np.int64) <= WHOLE:
        whole = tuple(slice(0, length) for length in size)
        return [(whole, whole)]
    side, margin = SIDE[len(size)], MARGIN[len(size)]
    found: set[tuple[int, ...]] = set()
    for place, labels in mask.pieces(tuple(slice(0, length) for length in size)):
        marked = np.argwhere(labels != IGNORE)
        if len(marked):
            corners = (marked + [part.start for part in place]) // side
            found |= set(map(tuple, np.unique(corners, axis=0).tolist()))
    chosen = sorted(found)
    if len(chosen) > MOST:
        chosen = [chosen[int(number)] for number in np.linspace(0, len(chosen) - 1, MOST).round()]
    return [(_part(corner, size, side, margin), _part(corner, size, side, 0)) for corner in chosen]


def _part(corner: tuple[int, ...], size: tuple[int, ...], side: int, margin: int) -> Region:
    return tuple(
        slice(max(0, number * side - margin), min(length, (number + 1) * side + margin))
        for number, length in zip(corner, size, strict=True)
    )


def hold_out(labels: np.ndarray, seed: str) -> tuple[np.ndarray, np.ndarray]:
    """Divide labels `(*S)` into those that are learned and those that are held out, void where the others are.

    A piece is what hangs together of one class. Its first position decides, so that further strokes change little.

    >>> labels = np.full((40, 9), IGNORE, np.uint8)
    >>> labels[::4] = 0
    >>> learned, held_out = hold_out(labels, "a")
    >>> bool(((learned == 0) ^ (held_out == 0))[::4].all())
    True
    """
    from scipy.ndimage import find_objects, label

    learned, held_out = labels.copy(), np.full_like(labels, IGNORE)
    for value in np.unique(labels):
        if value == IGNORE:
            continue
        labeled: Any = label(labels == value, np.ones((3,) * labels.ndim))
        pieces, count = labeled
        if count < LEAST_PIECES:
            continue
        firsts = _firsts(pieces, count)
        chosen = [number for number in range(1, count + 1) if _drawn(f"{seed} {value} {firsts[number - 1]}")]
        for number in chosen[: count // 3]:
            box = find_objects(pieces, number)[number - 1]
            inside = pieces[box] == number
            held_out[box][inside] = value
            learned[box][inside] = IGNORE
    return learned, held_out


def _firsts(pieces: np.ndarray, count: int) -> list[int]:
    """The place of the first position of each piece."""
    values, firsts = np.unique(pieces, return_index=True)
    return firsts[values > 0].tolist()[:count]


def _drawn(text: str) -> bool:
    return hashlib.blake2b(text.encode(), digest_size=4).digest()[0] % HELD_OUT == 0
