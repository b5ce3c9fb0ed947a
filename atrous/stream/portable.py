"""Sources and sinks that other processes open themselves: what is sent is where they lie, never what they hold."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.source import Sink, Source
from atrous.errors import UserError
from atrous.files import settle
from atrous.stream.sole import zarr_path

SENT = 2**28
"""Bytes of an array in memory that are sent to the workers at most."""


@dataclass(frozen=True)
class MappedFile:
    """A mapped file, as another process on the same file system opens it."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int
    order: Any

    @classmethod
    def of(cls, array: np.memmap) -> "MappedFile":
        """Return where a mapped array lies.

        Raises:
            UserError: it is a part of a mapped file, or has no file.
        """
        order = "C" if array.flags.c_contiguous else "F"
        whole = type(array.base) is not np.memmap and (array.flags.c_contiguous or array.flags.f_contiguous)
        if array.filename is None or not whole:
            raise UserError("a part of a mapped file cannot be opened by workers: give all of the mapped array")
        return cls(Path(array.filename).absolute(), array.dtype, array.shape, array.offset, order)

    def open(self, mode: Any) -> np.memmap:
        """Map the file."""
        return np.memmap(self.path, self.dtype, mode, self.offset, self.shape, self.order)


def portable_source(source: Source) -> Any:
    """Return what is sent to workers in place of a source; `opened_source` opens it there.

    Raises:
        UserError: the source lies in the memory of this process, and is too large to be sent.
    """
    if isinstance(source, np.memmap):
        return MappedFile.of(source)
    held = getattr(source, "nbytes", 0) if not hasattr(source, "store") else 0
    if held > SENT:
        raise UserError(
            f"the source is an array of {held / 1e9:.3g} GB in memory, which is not sent to workers: "
            "write it to a zarr array or map a .npy file, so that each worker reads its own part"
        )
    return source


def opened_source(sent: Any) -> Source:
    """Open a source where it was sent to."""
    return sent.open("r") if isinstance(sent, MappedFile) else sent


def write_chunks(sink: Any, ndim: int) -> tuple[int, ...] | None:
    """Return the sides along the spatial axes of what must be written by one process: shards, else chunks; or None."""
    chunks = getattr(sink, "shards", None) or getattr(sink, "chunks", None)
    return None if not chunks or len(chunks) != len(sink.shape) else tuple(int(n) for n in chunks[-ndim:])


def shared_sink(sink: Sink) -> Any:
    """Return what is sent to workers so that they write into the sink; None for a sink in this process's memory."""
    if isinstance(sink, np.memmap):
        return MappedFile.of(sink)
    store = getattr(sink, "store", None)
    return None if store is None or "Memory" in type(store).__name__ else sink


class PartSink:
    """A part of a sink, as a sink of its own; chunks and shards are those of the whole.

    Args:
        sink: of the whole output `(*S)` or `(K, *S)`.
        region: the part, a slice per spatial axis.

    >>> whole = np.zeros((2, 6))
    >>> PartSink(whole, (slice(2, 5),))[:, 0:2] = 7
    >>> whole[0].tolist()
    [0.0, 0.0, 7.0, 7.0, 0.0, 0.0]
    """

    def __init__(self, sink: Any, region: Sequence[slice]) -> None:
        self._sink, self._region = sink, tuple(region)
        self._lead = len(sink.shape) - len(self._region)
        self.shape = (*sink.shape[: self._lead], *(part.stop - part.start for part in self._region))
        self.dtype = sink.dtype
        self.chunks, self.shards = getattr(sink, "chunks", None), getattr(sink, "shards", None)

    def __setitem__(self, key: tuple[slice, ...], values: np.ndarray) -> None:
        """Assign values; the key has a slice per axis."""
        parts = zip(key[self._lead :], self._region, strict=True)
        moved = (slice(place.start + part.start, place.stop + part.start) for place, part in parts)
        self._sink[(*key[: self._lead], *moved)] = values

    def settle(self) -> None:
        """Return when what was written lies on the disk; object stores answer only then anyway."""
        if hasattr(self._sink, "flush"):
            self._sink.flush()
        folder = zarr_path(self._sink)
        if folder is None:
            return
        sides: Any = self.shards or self.chunks
        spans = [*(slice(0, n) for n in self._sink.shape[: self._lead]), *self._region]
        counts = [range(part.start // side, -(-part.stop // side)) for part, side in zip(spans, sides, strict=True)]
        for place in np.ndindex(*(len(count) for count in counts)):
            chunk = tuple(count[i] for count, i in zip(counts, place, strict=True))
            file = folder / self._sink.metadata.encode_chunk_key(chunk)
            if os.path.exists(file):  # chunks that hold nothing but the fill value are not stored
                settle(file)
