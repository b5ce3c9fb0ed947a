"""What is read and written by slices: the types of arrays that need not lie in memory."""

import mmap
from typing import Any, Protocol

import numpy as np


class Source(Protocol):
    """Anything that is read by slicing: a numpy array, a memmap, a zarr or h5py array, a `LazySource`.

    An image is a source `(C, *S)`: C channels, and one to three spatial axes.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Sink(Protocol):
    """Anything that is written by assignment to slices: a numpy array, a memmap, a zarr array, a wrapper of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        ...

    def __setitem__(self, key: Any, values: Any, /) -> None: ...


class Store(Source, Sink, Protocol):
    """Anything that can be read and written by slices, such as a memmap or a zarr array."""


def release(array: Any) -> None:
    """Let the system take back the memory of a mapped file's pages, as after a strip; the content stays.

    Other arrays are left alone, and so is a mapped file where the system does not offer it.

    >>> release(np.zeros(3))
    """
    if isinstance(array, np.memmap) and array.mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
        mapped = getattr(array, "_mmap", None)
        if mapped is not None:
            # Changed pages stay with the file: the mapping is shared. Of a private one they would be lost.
            mapped.madvise(mmap.MADV_DONTNEED)
