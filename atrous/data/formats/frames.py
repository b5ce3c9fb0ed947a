"""A folder with one image file per frame, time first: `(C, T, H, W)`; masks `(T, H, W)`."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from atrous.data.formats.base import Errors, FileFault, Format, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.raster import RasterFormat
from atrous.data.source import Key, LazySource

_RASTER = RasterFormat()
_Result = TypeVar("_Result")


class Clip(LazySource):
    """A video as a source `(C, T, H, W)`; only the frames that are sliced are decoded, and none is kept."""

    @abstractmethod
    def frames(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the frames with these numbers, each `(C, H, W)`, one after the other."""

    def _read(self, key: Key) -> np.ndarray:
        channel, time, *place = key
        wanted = range(self.shape[1])[time]
        if isinstance(wanted, int):
            return next(self.frames([wanted]))[(channel, *place)]
        values = np.empty((self.shape[0], len(wanted), *self.shape[2:]), self.dtype)
        for i, frame in enumerate(self.frames(wanted)):
            values[:, i] = frame
        return values[(channel, slice(None), *place)]


class FramesFormat(Format):
    """Folders with an image file for each frame."""

    name = "a folder of frames"
    kind = "video"
    folder = True

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError)

    def header(self, path: Path) -> Header:
        """Return the header of the first frame, with the number of frames as the first spatial axis."""
        files = _files(path)
        first = _frame(files[0], _RASTER.header)
        return replace(first, shape=(first.channels, len(files), *first.size))

    def image(self, path: Path) -> np.ndarray:
        """Return all frames, `(C, T, H, W)`."""
        header = self.header(path)
        require_room(path, header.shape, header.dtype, copies=1)
        return self.source(path)[...]

    def source(self, path: Path) -> "Frames":
        """Return the frames as a source that decodes a frame when it is sliced."""
        header = self.header(path)
        require_room(path, (header.channels, *header.size[1:]), header.dtype, "a frame")
        return Frames(_files(path), header)

    def values(self, path: Path) -> np.ndarray:
        """Return the numbers that mask files store, `(T, H, W)`; `(3, T, H, W)` if they store colors."""
        return stack_values(_files(path))


def frame_files(folder: Path) -> tuple[Path, ...]:
    """Return the image files directly in a folder, in the order of the numbers in their names.

    `f2.png` comes before `f10.png`. Hidden files are left out.
    """
    return tuple(sorted(filter(is_frame, folder.iterdir()), key=frame_order))


def is_frame(path: Path) -> bool:
    """Return whether a file in a folder of frames is one of them, by its name."""
    return path.suffix.lower() in _RASTER.suffixes and not path.name.startswith(".")


def frame_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return the key by which the frames of a folder are sorted.

    >>> frame_order(Path("f2.png")) < frame_order(Path("f10.png"))
    True
    """
    return _natural(path.stem), path.name


def frame_number(path: Path) -> int | None:
    """Return the last whole number in the name of a frame, None if there is none.

    >>> frame_number(Path("shot2_00017.jpg")), frame_number(Path("first.png"))
    (17, None)
    """
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def in_color(frame: np.ndarray, first: Sequence[int]) -> np.ndarray:
    """Return a frame `(C, H, W)`; a gray one in color if the first frame, of the shape `first`, is in color.

    Programs save a frame without colors, such as a black one, as a gray picture.

    >>> in_color(np.zeros((1, 4, 6)), (3, 4, 6)).shape
    (3, 4, 6)
    """
    is_gray = len(frame) == 1 < first[0] and frame.shape[1:] == tuple(first[1:])
    return np.repeat(frame, first[0], axis=0) if is_gray else frame


def stack_values(files: Sequence[Path]) -> np.ndarray:
    """Read mask files into one array, `(T, H, W)`, or `(3, T, H, W)` if they store colors.

    Raises:
        FileFault: a file cannot be read, or its size differs from that of the first.
    """
    stacked: np.ndarray | None = None
    for i, path in enumerate(files):
        values = _frame(path, _RASTER.values)
        if stacked is None:
            require_room(path.parent, (len(files), *values.shape), values.dtype, "all its frames", copies=1)
            stacked = np.empty((*values.shape[:-2], len(files), *values.shape[-2:]), values.dtype)
        place = stacked[..., i, :, :]
        if values.shape != place.shape:
            raise _unlike(path, values.shape, files[0], place.shape, "masks of a video")
        place[...] = values
    assert stacked is not None
    return stacked


class Frames(Clip):
    """The frames of a folder as a source. Gray frames among those in color are read as colors.

    Attributes:
        files: one for each frame, in order.
    """

    def __init__(self, files: Sequence[Path], header: Header) -> None:
        self.files = tuple(files)
        super().__init__((header.channels, len(self.files), *header.size[1:]), header.dtype)

    def frames(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """See `Clip.frames`."""
        expected = (self.shape[0], *self.shape[2:])
        for number in wanted:
            path = self.files[number]
            frame = in_color(_frame(path, _RASTER.image), expected)
            if frame.shape != expected:
                raise _unlike(path, frame.shape, self.files[0], expected, "frames of a clip")
            if frame.dtype != self.dtype:
                what = f"its values are {frame.dtype}, those of {self.files[0].name} {self.dtype}"
                raise FileFault(path, what, "save the frames of a clip with one number of bits")
            yield frame


def _unlike(path: Path, shape: Sequence[int], first: Path, expected: Sequence[int], of: str) -> FileFault:
    """Return how the shape of a frame `(..., H, W)` differs from that of the first.

    >>> print(_unlike(Path("1.png"), (3, 24, 32), Path("0.png"), (3, 48, 64), "frames"))
    1.png: it is 24 x 32, 0.png 48 x 64: keep the frames at one size
    >>> print(_unlike(Path("1.png"), (3, 24, 32), Path("0.png"), (1, 24, 32), "frames"))
    1.png: it is in color, 0.png is gray: save all frames in color, or all in gray
    """
    if tuple(shape[-2:]) != tuple(expected[-2:]):
        what = "it is {} x {}, {} {} x {}".format(*shape[-2:], first.name, *expected[-2:])
        return FileFault(path, what, f"keep the {of} at one size")
    kinds = ["in color" if len(of) == 3 and of[0] == 3 else "gray" for of in (shape, expected)]
    return FileFault(path, f"it is {kinds[0]}, {first.name} is {kinds[1]}", f"save all {of} in color, or all in gray")


def _files(folder: Path) -> tuple[Path, ...]:
    files = frame_files(folder)
    if not files:
        raise FileFault(folder, "a folder without frames", f"put {' '.join(_RASTER.suffixes[:2])} files directly in it")
    return files


def _frame(path: Path, read: Callable[[Path], _Result]) -> _Result:
    """Read one frame; what is wrong with it is message of its file, not of the folder."""
    try:
        return read(path)
    except _RASTER.errors as error:
        message = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise FileFault(path, f"this frame cannot be read ({message})", "copy it again or remove it") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key with which the numbers in names compare as numbers."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
