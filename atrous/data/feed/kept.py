"""Samples that are decoded when they are needed, ahead of time, and kept within limits of memory and disk."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from atrous.data.feed.decode import Parts

THREADS = 4
"""So many samples are read and decoded at the same time: most of the time of a read from a store is waiting."""


class DiskBudget:
    """Bytes on a disk that several stores may take together.

    >>> budget = DiskBudget(10)
    >>> budget.take(6), budget.take(6), budget.take(4)
    (True, False, True)
    """

    def __init__(self, size: int) -> None:
        self._left, self._lock = size, RLock()

    def take(self, size: int) -> bool:
        """Take so many bytes, if they are left; return whether they were."""
        with self._lock:
            fits = size <= self._left
            self._left -= size if fits else 0
            return fits


class SampleStore:
    """Decoded samples: in memory those that are needed soon, on disk as many as may lie there.

    What is decoded first is written to the disk until its budget is used up, and stays there: every later pass over the
    data finds it. (To replace the oldest would find nothing, since a pass ends with other samples than the next one
    begins with.) The other samples are decoded again whenever they are needed.

    Args:
        read: decodes a sample by its number; it is called by several threads.
        sizes: bytes that each sample takes, about; the true number counts once a sample is decoded.
        memory: bytes that samples in memory may take, those that are being decoded included. A sample that is asked
            for is decoded in any case.
        disk: bytes that samples on disk may take.
        scratch: folder for them.
        in_turn: where samples are asked for one after the other, how many are decoded ahead.

    Attributes:
        held: bytes that samples in memory take now.
        most: bytes that they took at most.
        decoded: how often a sample was decoded.
    """

    def __init__(
        self, read: Callable[[int], Parts], sizes: Sequence[int], *, memory: int, disk: DiskBudget, scratch: Path,
        in_turn: int = 0,
    ) -> None:  # fmt: skip
        self._read, self._sizes, self._memory, self._disk = read, list(sizes), memory, disk
        self._scratch, self._in_turn, self._lock = scratch, in_turn, RLock()
        self._tasks: OrderedDict[int, Future[Parts]] = OrderedDict()  # the least recently used first
        self._taken: dict[int, int] = {}
        self._on_disk: set[int] = set()
        self._rows: dict[int, Any] = {}  # targets that are no arrays, such as boxes: they are small
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decode")
        self.held = self.most = self.decoded = 0

    def __call__(self, index: int) -> Parts:
        """Return a sample, decoded.

        Raises:
            UserError: a file cannot be read.
        """
        with self._lock:
            task = self._tasks.get(index)
            if task is None:
                self._make_room(self._sizes[index], keep=())
                task = self._begin(index)
            self._tasks.move_to_end(index)
        if self._in_turn:
            self.ahead(range(index, min(index + 1 + self._in_turn, len(self._sizes))))
        try:
            return task.result()
        except BaseException:
            with self._lock:  # the next one who asks tries again
                if self._tasks.get(index) is task:
                    self._drop(index)
            raise

    def ahead(self, wanted: Sequence[int]) -> None:
        """Begin to decode samples that are needed soon, the first ones first, as far as memory allows.

        Samples that are not `wanted` make room for them.
        """
        keep = set(wanted)
        with self._lock:
            for index in wanted:
                if index not in self._tasks:
                    if not self._make_room(self._sizes[index], keep):
                        return
                    self._begin(index)

    def close(self) -> None:
        """Decode nothing more, and forget all."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for index in list(self._tasks):
                self._drop(index)

    def _begin(self, index: int) -> "Future[Parts]":
        self._count(index, self._sizes[index])
        self._tasks[index] = task = self._pool.submit(self._load, index)
        return task

    def _make_room(self, size: int, keep: Sequence[int] | set[int]) -> bool:
        """Drop samples until there is room; return whether there is."""
        for index in list(self._tasks):
            if self.held + size <= self._memory:
                return True
            if index not in keep and self._tasks[index].done():
                self._drop(index)
        return self.held + size <= self._memory

    def _drop(self, index: int) -> None:
        del self._tasks[index]
        self.held -= self._taken.pop(index)

    def _count(self, index: int, size: int) -> None:
        self.held += size - self._taken.get(index, 0)
        self._taken[index] = size
        self.most = max(self.most, self.held)

    def _load(self, index: int) -> Parts:
        parts = self._from_disk(index) if index in self._on_disk else self._kept(index, self._read(index))
        size = _bytes(parts)
        with self._lock:
            self._sizes[index] = size
            if index in self._taken:
                self._count(index, size)
        return parts

    def _kept(self, index: int, parts: Parts) -> Parts:
        """The sample, from the disk if it was written there."""
        with self._lock:
            self.decoded += 1
        if not self._disk.take(_bytes(parts)):
            return parts
        np.save(self._file(index, "image"), parts.image)
        if not isinstance(parts.values, np.ndarray):
            self._rows[index] = parts.values
        elif parts.values is not parts.image:
            np.save(self._file(index, "target"), parts.values)
        places = {str(key): value for key, value in parts.places.items()}
        np.savez(self._file(index, "places").with_suffix(".npz"), allow_pickle=False, **places)
        self._on_disk.add(index)
        return self._from_disk(index)

    def _from_disk(self, index: int) -> Parts:
        image = np.load(self._file(index, "image"), mmap_mode="r", allow_pickle=False)
        target, values = self._file(index, "target"), self._rows.get(index, image)
        if target.exists():
            values = np.load(target, mmap_mode="r", allow_pickle=False)
        with np.load(self._file(index, "places").with_suffix(".npz"), allow_pickle=False) as places:
            return Parts(image, values, {int(key): places[key] for key in places.files})

    def _file(self, index: int, part: str) -> Path:
        return self._scratch / f"{index}-{part}.npy"


def _bytes(parts: Parts) -> int:
    values = 0 if parts.values is parts.image else parts.values.nbytes
    return int(parts.image.nbytes + values + sum(places.nbytes for places in parts.places.values()))
