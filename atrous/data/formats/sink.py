"""Label files that are written box by box: in memory, or where they lie when the format allows, and renamed at the end.

What a killed run has written stays in the unfinished file beside the target, for the next run to go on with.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from atrous.data.formats import suffix_of, write_label

CHUNK = 1024
TILE = 512


@dataclass(frozen=True)
class LabelSink:
    """Labels of one input on their way to a file.

    Attributes:
        path: the file.
        array: `(*S)` uint8, to be assigned box by box.
        part: where it lies until it is finished, None for an array in memory.
    """

    path: Path
    array: Any
    part: Path | None

    def finish(self, *, like: Path | None = None, classes: Sequence[str] | None = None) -> None:
        """Put the file in its place; `like` and `classes` as in `write_label`."""
        if self.part is None:
            write_label(self.path, self.array, like=like, classes=classes)
            return
        if suffix_of(self.path) in (".tif", ".tiff"):
            beside = self.part.with_suffix(".tiles")
            write_tiles(beside, self.array)
            os.replace(beside, self.path)
            self.part.unlink()
            return
        if hasattr(self.array, "flush"):
            self.array.flush()
        os.replace(self.part, self.path)


def open_labels(path: Path, size: Sequence[int], *, on_disk: bool) -> LabelSink:
    """A sink for labels `(*S)` of this size.

    Args:
        path: `.zarr`, `.npy` and TIFF are written where they lie, all other formats through memory.
        size: of the labels.
        on_disk: False holds them in memory in any case.
    """
    suffix, size = suffix_of(path), tuple(int(n) for n in size)
    if suffix not in (".zarr", ".npy", ".tif", ".tiff") or (not on_disk and suffix != ".zarr"):
        return LabelSink(path, np.empty(size, np.uint8), None)
    part = path.with_name(f".{path.name}.part")
    if suffix == ".zarr":
        return LabelSink(path, _zarr(part, size), part)
    return LabelSink(path, _memmap(part, size), part)


def write_tiles(path: Path, labels: np.ndarray) -> None:
    """Labels `(*S)` as a tiled, deflated TIFF (BigTIFF beyond 2 GB), of which one tile is held at a time."""
    with tifffile.TiffWriter(path, bigtiff=labels.nbytes > 2**31) as writer:
        writer.write(
            _tiles(labels),
            shape=labels.shape,
            dtype=labels.dtype,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            metadata=None,
        )


def _tiles(labels: np.ndarray) -> Iterator[np.ndarray]:
    for plane in np.ndindex(labels.shape[:-2]):
        for top in range(0, labels.shape[-2], TILE):
            for left in range(0, labels.shape[-1], TILE):
                found = labels[(*plane, slice(top, top + TILE), slice(left, left + TILE))]
                tile = np.zeros((TILE, TILE), labels.dtype)
                tile[: found.shape[0], : found.shape[1]] = found
                yield tile


def _zarr(part: Path, size: tuple[int, ...]) -> Any:
    if part.exists():
        found = zarr.open(part, mode="r+")
        if isinstance(found, zarr.Array) and found.shape == size:
            return found
        shutil.rmtree(part)
    return zarr.create_array(part, shape=size, dtype="uint8", chunks=tuple(min(CHUNK, n) for n in size))


def _memmap(part: Path, size: tuple[int, ...]) -> Any:
    if part.exists():
        found = np.load(part, mmap_mode="r+")
        if found.shape == size:
            return found
    return np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=size)
