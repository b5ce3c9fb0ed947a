"""Chunked arrays (zarr, h5py): read and write whole chunks along the streamed axis, however thin the strips are.

Without this, a chunk would be decompressed for every strip that touches it, and a chunk of the sink compressed, read
and compressed again.
"""

from typing import Any

import numpy as np

from atrous.data.source import Key, LazySource, Source, span

LARGEST = 2**28  # bytes of a slab (all chunks at one place of the streamed axis) that may be held in memory


def chunk_rows(array: Any, dim: int, *, written: bool = False, part: float = 1.0) -> int:
    """Return the rows per chunk along a dimension; 1 when the array has no chunks or a slab of them is too large.

    An array that is `written` and has shards is written in whole shards: several chunks that are stored in one file.
    `part` is the part of each row that is read.
    """
    chunks = (getattr(array, "shards", None) if written else None) or getattr(array, "chunks", None)
    if not chunks or len(chunks) != len(array.shape):
        return 1
    slab = int(np.prod(array.shape, dtype=np.int64)) // array.shape[dim] * chunks[dim] * np.dtype(array.dtype).itemsize
    return int(chunks[dim]) if slab * part <= LARGEST else 1


class ChunkedSource(LazySource):
    """A source that is read in slabs of whole chunks along `dim`. The last slab is kept for the next strip.

    `part` is the part of each row that is read.
    """

    def __init__(self, source: Source, dim: int, part: float = 1.0):
        super().__init__(source.shape, source.dtype)
        self.source, self.dim, self.rows = source, dim, chunk_rows(source, dim, part=part)
        self.kept: dict[Any, np.ndarray] = {}

    def _read(self, key: Key) -> np.ndarray:
        lo, hi, rest = span(key[self.dim], self.shape[self.dim])
        if lo == hi:
            return np.asarray(self.source[key])
        others = str((*key[: self.dim], *key[self.dim + 1 :]))
        lead = (slice(None),) * sum(isinstance(part, slice) for part in key[: self.dim])
        parts, kept = [], {}
        for slab in range(lo // self.rows, -(-hi // self.rows)):
            start, stop = slab * self.rows, min((slab + 1) * self.rows, self.shape[self.dim])
            rows = self.kept.get((slab, others))
            if rows is None:
                rows = np.asarray(self.source[(*key[: self.dim], slice(start, stop), *key[self.dim + 1 :])])
            kept = {(slab, others): rows}
            parts.append(rows[(*lead, slice(max(lo, start) - start, min(hi, stop) - start))])
        self.kept = kept
        return (parts[0] if len(parts) == 1 else np.concatenate(parts, len(lead)))[(*lead, rest)]


class ChunkedSink:
    """A sink that is written in whole chunks, or shards, along `dim`. The rows of an unfinished one wait."""

    def __init__(self, sink: Any, dim: int):
        self.sink, self.dim, self.rows = sink, dim, chunk_rows(sink, dim, written=True)
        self.shape, self.dtype = tuple(sink.shape), sink.dtype
        self.parts: list[np.ndarray] = []
        self.key: tuple[slice, ...] = ()
        self.start = self.end = 0

    def __setitem__(self, key: tuple[slice, ...], values: np.ndarray) -> None:
        others = key[: self.dim] + key[self.dim + 1 :]
        if self.parts and (others != self.key or key[self.dim].start != self.end):
            self.flush()
        if not self.parts:
            self.key, self.start = others, key[self.dim].start
        self.parts.append(values)
        self.end = key[self.dim].stop
        if self.end // self.rows > self.start // self.rows or self.end == self.shape[self.dim]:
            whole = self.end if self.end == self.shape[self.dim] else self.end // self.rows * self.rows
            joined = np.concatenate(self.parts, self.dim)
            front = (slice(None),) * self.dim
            self._write(joined[(*front, slice(0, whole - self.start))], whole)
            rest = joined[(*front, slice(whole - self.start, None))]
            self.parts, self.start = ([rest.copy()] if whole < self.end else []), whole

    def _write(self, values: np.ndarray, stop: int) -> None:
        self.sink[(*self.key[: self.dim], slice(self.start, stop), *self.key[self.dim :])] = values

    def flush(self) -> None:
        """Write the rows that wait, and flush the sink itself."""
        if self.parts:
            self._write(np.concatenate(self.parts, self.dim), self.end)
            self.parts = []
        if hasattr(self.sink, "flush"):
            self.sink.flush()
