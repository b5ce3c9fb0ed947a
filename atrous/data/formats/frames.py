"""A folder with one image file per frame, time first: `(C, T, H, W)`; masks `(T, H, W)`."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from atrous.data.formats import raster
from atrous.data.formats.clip import Clip
from atrous.data.formats.failure import FileFault
from atrous.data.formats.header import Header

SUFFIXES = raster.SUFFIXES
"""Suffixes of the files that are frames."""
ERRORS = (OSError, ValueError)
"""What a folder without frames raises."""
_Result = TypeVar("_Result")


def frame_files(folder: Path) -> tuple[Path, ...]:
    """Image files directly in a folder, in the order of the numbers in their names (`f2.png` before `f10.png`)."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return tuple(sorted(files, key=lambda path: (_natural(path.stem), path.name)))


def frame_number(path: Path) -> int | None:
    """The last whole number in a frame's name, None where there is none.

    >>> frame_number(Path("shot2_00017.jpg")), frame_number(Path("first.png"))
    (17, None)
    """
    found = re.findall(r"\d+", path.stem)
    return int(found[-1]) if found else None


def read_header(path: Path) -> Header:
    """Header of the first frame, with the number of frames as the first axis."""
    files = _files(path)
    first = _guarded(files[0], raster.read_header)
    return replace(first, shape=(first.channels, len(files), *first.size))


def read_image(path: Path) -> np.ndarray:
    """All frames, `(C, T, H, W)`."""
    return Frames(path)[...]


def open_source(path: Path) -> "Frames":
    """The frames, each decoded when it is sliced."""
    return Frames(path)


def read_values(path: Path) -> np.ndarray:
    """The numbers that the frames store: `(T, H, W)`, or `(3, T, H, W)` where they store colors."""
    return stack_values(_files(path))


def stack_values(files: Sequence[Path]) -> np.ndarray:
    """The numbers in these mask files as one array, `(T, H, W)` or `(3, T, H, W)`.

    Raises:
        FileFault: a file cannot be read, or differs in size from the first.
    """
    found: np.ndarray | None = None
    for at, path in enumerate(files):
        values = _guarded(path, raster.read_values)
        if found is None:
            found = np.empty((*values.shape[:-2], len(files), *values.shape[-2:]), values.dtype)
        place = found[..., at, :, :]
        if values.shape != place.shape:
            raise FileFault(
                path, f"its shape is {values.shape}, that of {files[0].name} {place.shape}", "make it equal"
            )
        place[...] = values
    assert found is not None
    return found


class Frames(Clip):
    """A folder of frames as something to slice.

    Attributes:
        files: of the frames, in order.
    """

    def __init__(self, path: Path) -> None:
        self.files = _files(path)
        header = read_header(path)
        super().__init__((header.channels, len(self.files), *header.size[1:]), header.dtype)

    def frames(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """See `Clip.frames`."""
        expected = (self.shape[0], *self.shape[2:])
        for index in wanted:
            frame = _guarded(self.files[index], raster.read_image)
            if frame.shape != expected:
                what = f"its shape is {frame.shape}, that of {self.files[0].name} {expected}"
                raise FileFault(self.files[index], what, "keep the frames of a clip at one size")
            yield frame


def _files(folder: Path) -> tuple[Path, ...]:
    files = frame_files(folder)
    if not files:
        raise FileFault(folder, "a folder without frames", f"put {' '.join(SUFFIXES[:2])} files directly in it")
    return files


def _guarded(path: Path, read: Callable[[Path], _Result]) -> _Result:
    try:
        return read(path)
    except raster.ERRORS as error:
        said = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise FileFault(path, f"this frame cannot be read ({said})", "copy it again or remove it") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers compare as numbers."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
