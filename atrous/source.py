"""What is read and written by slices: the types of arrays that need not lie in memory."""

from typing import Any, Protocol


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
