"""A chunked array that is read in whole chunks, of which the last ones are kept."""

from collections import OrderedDict
from itertools import product
from threading import Lock
from typing import Any

import numpy as np

from atrous.data.source import Key, LazySource, span

KEPT = 2**28
"""Bytes of chunks that are kept at most."""


class KeptChunks(LazySource):
    """A source that reads whole chunks and keeps the last ones, so that strips thinner than a chunk read it once.

    Chunks that are missing are read in one request for the box around them, so that a store can fetch them together.

    Args:
        array: with `chunks`, one length per axis, such as a zarr array.
        most: bytes that are kept.

    >>> import zarr
    >>> KeptChunks(zarr.array(np.arange(12).reshape(3, 4), chunks=(2, 3)))[1:, 2].tolist()
    [6, 10]
    """

    def __init__(self, array: Any, most: int = KEPT) -> None:
        super().__init__(array.shape, array.dtype)
        self._array, self._most, self._lock = array, most, Lock()
        self._chunks = tuple(int(n) for n in array.chunks)
        self._kept: OrderedDict[tuple[int, ...], np.ndarray] = OrderedDict()

    def _read(self, key: Key) -> np.ndarray:
        spans = [span(entry, n) for entry, n in zip(key, self.shape, strict=True)]
        touched = [range(lo // c, -(-hi // c)) for (lo, hi, _), c in zip(spans, self._chunks, strict=True)]
        out = np.empty([hi - lo for lo, hi, _ in spans], self.dtype)
        with self._lock:
            found = self._found(list(product(*touched)))
        for place, chunk in found.items():
            inside, outside = [], []
            for i, c, n, (lo, hi, _) in zip(place, self._chunks, chunk.shape, spans, strict=True):
                first, stop = max(lo, i * c), min(hi, i * c + n)
                inside.append(slice(first - i * c, stop - i * c))
                outside.append(slice(first - lo, stop - lo))
            out[tuple(outside)] = chunk[tuple(inside)]
        return out[tuple(rest for _, _, rest in spans)]

    def _found(self, wanted: list[tuple[int, ...]]) -> dict[tuple[int, ...], np.ndarray]:
        """Return chunks by their places, and keep them while there is room."""
        missing = [place for place in wanted if place not in self._kept]
        if missing:
            low = [min(places) for places in zip(*missing, strict=True)]
            high = [max(places) + 1 for places in zip(*missing, strict=True)]
            bounds = zip(low, high, self._chunks, self.shape, strict=True)
            box = np.asarray(self._array[tuple(slice(a * c, min(b * c, n)) for a, b, c, n in bounds)])
            for place in missing:
                start = [(i - a) * c for i, a, c in zip(place, low, self._chunks, strict=True)]
                part = tuple(slice(first, first + c) for first, c in zip(start, self._chunks, strict=True))
                self._kept[place] = box[part].copy()
        for place in wanted:
            self._kept.move_to_end(place)
        found = {place: self._kept[place] for place in wanted}
        held = sum(chunk.nbytes for chunk in self._kept.values())
        while held > self._most:
            held -= self._kept.popitem(last=False)[1].nbytes
        return found
