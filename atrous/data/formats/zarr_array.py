"""Zarr arrays (versions 2 and 3) in a folder whose name ends in .zarr."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import array_header, array_image, channel_axis, squeeze_channel
from atrous.data.formats.base import Errors, FileGeometry, Format, LabelDetails, Library, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.ngff import OmeZarrFormat
from atrous.data.formats.zarr_codecs import open_zarr, require_plain
from atrous.data.source import ChannelFirst, Source, Store
from atrous.files import replacing

zarr: Any = Library("zarr")
CHUNK = 512
"""Longest side of a chunk that is written."""


class ZarrFormat(Format):
    """Folders with one array. Labels of an OME-Zarr image are written as OME-Zarr, all others as one array."""

    name = "zarr"
    suffixes = (".zarr",)
    folder = True
    label_suffixes = (".zarr",)
    probability_suffixes = (".zarr",)
    always_on_disk = True

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError)

    def header(self, path: Path) -> Header:
        """See `Format.header`."""
        return array_header(_opened(path))

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`; `channel_axis` says which axis is the channel."""
        return array_image(_whole(path))

    def source(self, path: Path) -> ChannelFirst:
        """Return the array as a source `(C, *S)`; only the chunks that are sliced are decoded."""
        array = _opened(path)
        return ChannelFirst(array, channel_axis(array.shape))

    def values(self, path: Path) -> np.ndarray:
        """See `Format.values`."""
        return squeeze_channel(_whole(path))

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".zarr"

    def write_labels(self, path: Path, labels: Source, details: LabelDetails) -> None:
        """See `Format.write_labels`."""
        like = details.labeled_file("ome-zarr")
        with replacing(path) as beside:
            if like is not None and _has_space_of(like, len(labels.shape)):
                from atrous.data.formats import ngff_write

                ngff_write.write(beside, labels, like=like, names=details.names or (), palette=details.palette)
            else:
                _write_array(beside, labels)

    def write_probabilities(
        self, path: Path, values: Source, classes: Sequence[str], geometry: FileGeometry | None
    ) -> None:
        """See `Format.write_probabilities`; the attribute `classes` of an array has the names of the classes."""
        like = geometry.path if geometry is not None and geometry.kind == "ome-zarr" else None
        with replacing(path) as beside:
            if like is not None and _has_space_of(like, len(values.shape) - 1):
                from atrous.data.formats import ngff_write

                factor = 1 if geometry is None else geometry.factor
                ngff_write.write(beside, values, like=like, names=classes, factor=factor)
            else:
                _write_array(beside, values, lead=1).attrs["classes"] = list(classes)

    def create_store(self, path: Path, shape: Sequence[int], dtype: Any, chunks: Sequence[int]) -> Store:
        """See `Format.create_store`."""
        return zarr.create_array(path, shape=tuple(shape), dtype=dtype, chunks=tuple(chunks))

    def open_store(self, path: Path) -> Store | None:
        """See `Format.open_store`."""
        try:
            opened = zarr.open(path, mode="r+")
        except self.errors:
            return None
        return opened if isinstance(opened, zarr.Array) else None

    def is_whole(self, path: Path) -> bool:
        """See `Format.is_whole`. A folder that was removed comes back with the next chunk, but without its metadata."""
        return (path / "zarr.json").exists() or (path / ".zarray").exists()

    def is_finished(self, geometry: FileGeometry | None) -> bool:
        """See `Format.is_finished`."""
        return geometry is None or geometry.kind != "ome-zarr"


def _write_array(path: Path, values: Source, lead: int = 0) -> Any:
    """Write values as an array; chunks are one long along the first `lead` axes."""
    shape = tuple(values.shape)
    chunks = tuple(1 if axis < lead else min(CHUNK, n) for axis, n in enumerate(shape))
    array = zarr.create_array(path, shape=shape, dtype=values.dtype, chunks=chunks)
    for outer in np.ndindex(shape[:lead]):
        for row in range(0, shape[lead], CHUNK):
            key = (*outer, slice(row, row + CHUNK))
            array[key] = np.asarray(values[key])
    return array


def _has_space_of(like: Path, ndim: int) -> bool:
    """Return whether an OME-Zarr image has `ndim` spatial axes; not if a network read its channels as slices."""
    return len(OmeZarrFormat().header(like).size) == ndim


def _whole(path: Path) -> np.ndarray:
    """Return all values of an array, as it is stored."""
    array = _opened(path)
    require_room(path, array.shape, array.dtype)
    return np.asarray(array[...])


def _opened(path: Path) -> Any:
    return checked_array(path, open_zarr(path))


def checked_array(path: Path, opened: Any) -> Any:
    """Return what was opened of a zarr folder if it is an array of numbers that is safe to read; it is named `path`.

    Raises:
        ValueError: it is a group, or holds no numbers.
        FileFault: see `require_plain`.
    """
    if not isinstance(opened, zarr.Array):
        raise ValueError("it is a group, not one array")
    require_plain(path, opened)
    if opened.dtype.kind not in "buif":
        raise ValueError(f"its type is {opened.dtype}, not a number")
    return opened
