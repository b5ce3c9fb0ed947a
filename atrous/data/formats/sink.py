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
from atrous.data.formats.npy import ERRORS as NPY_ERRORS
from atrous.data.formats.variant import is_group
from atrous.data.formats.zarr_array import ERRORS as ZARR_ERRORS

CHUNK = 1024


@dataclass(frozen=True)
class LabelSink:
    """Labels of one input on their way to a file.

    Attributes:
        path: the file.
        array: `(*S)` uint8, to be assigned box by box.
        part: where it lies until it is finished, None for an array in memory.
        begun: whether a run that was killed had begun it.
    """

    path: Path
    array: Any
    part: Path | None
    begun: bool = False

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

    def discard(self) -> None:
        """Leave nothing behind."""
        if self.part is not None:
            _remove(self.part)


def _remove(part: Path) -> None:
    shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


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
    read, errors = (_open_zarr, ZARR_ERRORS) if suffix == ".zarr" else (_open_npy, NPY_ERRORS)
    if part.exists():
        try:
            found = read(part)
        except errors:  # cut short: it is begun again
            found = None
        if found is not None and tuple(found.shape) == size:
            return LabelSink(path, found, part, begun=True)
        _remove(part)
    if suffix == ".zarr":
        chunks = tuple(min(CHUNK, n) for n in size)
        return LabelSink(path, zarr.create_array(part, shape=size, dtype="uint8", chunks=chunks), part)
    return LabelSink(path, np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=size), part)


def _open_zarr(part: Path) -> Any:
    found = zarr.open(part, mode="r+")
    return found if isinstance(found, zarr.Array) else None


def _open_npy(part: Path) -> Any:
    return np.load(part, mmap_mode="r+")
