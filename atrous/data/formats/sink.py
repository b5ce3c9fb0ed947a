"""Label files that are written box by box: in memory, or where they lie when the format allows, and renamed at the end.

What a killed run has written stays in the unfinished file beside the target, for the next run to go on with.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from atrous.data.formats import Palette, suffix_of, write_label
from atrous.data.formats.grids import write_tiff, write_zarr
from atrous.data.formats.variant import is_group

CHUNK = 1024


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

    def finish(
        self,
        *,
        like: Path | None = None,
        classes: Sequence[str] | None = None,
        palette: Palette | None = None,
        void: int | None = None,
    ) -> None:
        """Put the file in its place; as in `write_label`, but `palette` is for maps and OME-Zarr alone."""
        suffix = suffix_of(self.path)
        palette = palette if suffix in (".tif", ".tiff", ".zarr") else None
        if self.part is None:
            write_label(self.path, self.array, palette, like=like, classes=classes, void=void)
            return
        if suffix in (".tif", ".tiff"):
            write_tiff(self.path, self.array, like=like, names=classes or (), palette=palette, nodata=void)
            self.part.unlink()
            return
        if suffix == ".zarr" and like is not None and is_group(like):
            write_zarr(self.path, self.array, like=like, names=classes or (), palette=palette)
            shutil.rmtree(self.part)
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
