"""Arrays that are read only where they are sliced, and arrays that are written only where they are assigned.

A `Source` has a shape and a type, and gives values when it is sliced; a `Sink` takes values by assignment to a slice.
numpy arrays, memmaps and zarr arrays are both. `LazySource` is the base class of the sources of this package. This file
has the sources that change which position is read: they move, drop, add or join axes. Those that change values are in
`atrous.data.views`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from atrous.source import Sink, Source, Store  # noqa: F401

Entry = int | slice
"""What a key says of one axis."""
Key = tuple[Entry, ...]
"""One entry for each axis of a source."""


class LazySource(ABC):
    """A source that computes or reads its values when it is sliced.

    A subclass implements `_read`, which gets one entry for each axis. Keys work as in numpy: whole numbers, slices of
    any step, negative numbers, `...`, and fewer entries than axes. Arrays, masks and `None` are refused.

    Attributes:
        shape: length of each axis.
        dtype: type of the values.
    """

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self.shape = tuple(int(length) for length in shape)
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return the values at a key, in the shape that numpy would give them.

        Raises:
            IndexError: the key does not fit the shape, or holds something that is neither a whole number nor a slice.
        """
        return self._read(normalized_key(key, self.shape))

    @abstractmethod
    def _read(self, key: Key) -> np.ndarray:
        """Return the values at a key that has one entry for each axis; whole numbers in it are not negative.

        An axis with a whole number is dropped from the result, as numpy does.
        """


class ChannelFirst(LazySource):
    """An array with its channels on any axis, or on none, as `(C, *S)`.

    Args:
        array: the stored array.
        axis: its channel axis; None if it has none, which gives C = 1.
        channels: number of channels to keep, all if None.

    >>> ChannelFirst(np.zeros((5, 6, 4)), axis=2, channels=3)[:, 1:3].shape
    (3, 2, 6)
    """

    def __init__(self, array: Source, axis: int | None, channels: int | None = None) -> None:
        count = 1 if axis is None else int(array.shape[axis])
        space = tuple(n for i, n in enumerate(array.shape) if i != axis)
        super().__init__((count if channels is None else min(count, channels), *space), array.dtype)
        self._array, self._axis = array, axis

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        if any(isinstance(entry, slice) and (entry.step or 1) < 0 for entry in place):
            return Turned(self, range(len(key)), ())[key]  # zarr reads forward alone
        if self._axis is None:
            return np.asarray(self._array[tuple(place)])[None][channel]
        before, after = place[: self._axis], place[self._axis :]
        first, stop, rest = span(channel, self.shape[0])
        if isinstance(rest, int):
            return np.asarray(self._array[(*before, first, *after)])
        if rest.step is not None and rest.step > 0:  # the array itself leaves channels out
            wanted, rest = slice(first, stop, rest.step), slice(None)
        else:
            wanted = slice(first, stop)
        values = np.asarray(self._array[(*before, wanted, *after)])
        axis = sum(isinstance(entry, slice) for entry in before)
        return np.moveaxis(values, axis, 0)[rest]


class Squeezed(LazySource):
    """An array without some of its axes: each axis that is left out is read at its first position.

    Args:
        array: the stored array.
        kept: the axes to keep, in ascending order.

    >>> Squeezed(np.zeros((1, 4, 1, 6)), kept=(1, 3)).shape
    (4, 6)
    """

    def __init__(self, array: Source, kept: Sequence[int]) -> None:
        super().__init__([array.shape[axis] for axis in kept], array.dtype)
        self._array, self._kept = array, tuple(kept)

    def _read(self, key: Key) -> np.ndarray:
        full: list[Entry] = [0] * len(self._array.shape)
        for axis, entry in zip(self._kept, key, strict=True):
            full[axis] = entry
        return np.asarray(self._array[tuple(full)])


class AsChannels(LazySource):
    """A volume (an image) of one channel `(1, D, *S)` as an image (a recording) of D channels, `(D, *S)`."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.shape[1:], source.dtype)
        self._source = source

    def _read(self, key: Key) -> np.ndarray:
        return np.asarray(self._source[(0, *key)])


class AsSlices(LazySource):
    """An image of D channels `(D, *S)` as a volume of one channel, `(1, D, *S)`."""

    def __init__(self, source: Source) -> None:
        super().__init__((1, *source.shape), source.dtype)
        self._source = source

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        return np.asarray(self._source[tuple(place)])[None][channel]


class Stacked(LazySource):
    """Several sources `(C_i, *S)` of one size as one source with all their channels, `(sum of C_i, *S)`.

    This is an image whose channels are in several files. A source is read only if one of its channels is asked for.

    Attributes:
        sources: the parts, in the order of their channels.

    Raises:
        ValueError: the sources differ in size.

    >>> Stacked([np.zeros((1, 4, 5)), np.ones((2, 4, 5))])[1:, 0, 0]
    array([1., 1.])
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        sizes = {tuple(source.shape[1:]) for source in sources}
        if len(sizes) != 1:
            raise ValueError(f"sources of different sizes {sorted(sizes)}")
        channels = sum(source.shape[0] for source in sources)
        super().__init__((channels, *next(iter(sizes))), np.result_type(*(source.dtype for source in sources)))
        self.sources = tuple(sources)

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        first, stop, rest = span(channel, self.shape[0])
        parts, start = [], 0  # `start` is the number of the first channel of a source
        for source in self.sources:
            low, high = max(first - start, 0), min(stop - start, source.shape[0])
            if low < high or (first == stop and not parts):  # of no channels at all, one empty part gives the shape
                parts.append(np.asarray(source[(slice(low, max(low, high)), *place)]))
            start += source.shape[0]
        return np.concatenate(parts).astype(self.dtype, copy=False)[rest]


class Selected(LazySource):
    """Some channels of a source `(C, *S)`, in another order.

    Args:
        source: the values.
        channels: which of its channels, in the wanted order.

    >>> Selected(np.arange(6).reshape(3, 2), (2, 0))[:, 1].tolist()
    [5, 1]
    """

    def __init__(self, source: Source, channels: Sequence[int]) -> None:
        super().__init__((len(channels), *source.shape[1:]), source.dtype)
        self._source, self._channels = source, tuple(channels)

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        wanted = self._channels[channel]
        if isinstance(wanted, int):
            return np.asarray(self._source[(wanted, *place)])
        first = min(wanted, default=0)
        values = np.asarray(self._source[(slice(first, max(wanted, default=0) + 1), *place)])
        return values[[number - first for number in wanted]]


class Turned(LazySource):
    """A source with its axes exchanged, then mirrored; only the positions that are sliced are read.

    Args:
        source: any source.
        order: axis of `source` that becomes each axis, as for `numpy.transpose`.
        mirrored: axes of the result that are reversed.

    >>> Turned(np.array([[1, 2, 3], [4, 5, 6]]), order=(1, 0), mirrored=(0,))[0]
    array([3, 6])
    """

    def __init__(self, source: Source, order: Sequence[int], mirrored: Sequence[int]) -> None:
        super().__init__([source.shape[axis] for axis in order], source.dtype)
        self._source, self._order, self._mirrored = source, tuple(order), frozenset(mirrored)

    def _read(self, key: Key) -> np.ndarray:
        wanted: list[Entry] = [slice(None)] * len(key)
        rest: list[Entry] = []
        for axis, (entry, length) in enumerate(zip(key, self.shape, strict=True)):
            stored = range(length)[::-1] if axis in self._mirrored else range(length)
            places = stored[entry]
            if isinstance(places, int):
                wanted[self._order[axis]], backward = slice(places, places + 1), 0
            elif not places:
                wanted[self._order[axis]], backward = slice(0, 0), slice(None)
            else:
                low, high, step = min(places), max(places), places.step
                wanted[self._order[axis]] = slice(low, high + 1, abs(step))
                backward = slice(None, None, -1) if step < 0 else slice(None)
            rest.append(backward)
        values = np.asarray(self._source[tuple(wanted)])
        return values.transpose(self._order)[tuple(rest)]


class AllValid(LazySource):
    """Several masks `(*S)` of bool, one for each file of a sample, as one mask: true where all of them are.

    Attributes:
        masks: as given.
    """

    def __init__(self, masks: Sequence[Source]) -> None:
        super().__init__(masks[0].shape, bool)
        self.masks = tuple(masks)

    def _read(self, key: Key) -> np.ndarray:
        return np.asarray(reduce(np.logical_and, [np.asarray(mask[key]) for mask in self.masks]))


def full_key(key: Any, axes: int) -> tuple[Any, ...]:
    """Return a key with one entry for each axis: `...` and missing entries become whole slices.

    >>> full_key((0, ...), 3)
    (0, slice(None, None, None), slice(None, None, None))

    Raises:
        IndexError: the key has more entries than there are axes.
    """
    entries = key if isinstance(key, tuple) else (key,)
    ellipsis = next((i for i, entry in enumerate(entries) if entry is Ellipsis), len(entries))
    left, right = entries[:ellipsis], entries[ellipsis + 1 :]
    if len(left) + len(right) > axes:
        raise IndexError(f"{len(left) + len(right)} indices for {axes} axes")
    return (*left, *[slice(None)] * (axes - len(left) - len(right)), *right)


def normalized_key(key: Any, shape: Sequence[int]) -> Key:
    """Return a full key (see `full_key`) in which whole numbers are counted from the start of their axis.

    >>> normalized_key((..., -1), (3, 4))
    (slice(None, None, None), 3)

    Raises:
        IndexError: an index is out of range, or is neither a whole number nor a slice.
    """
    entries: list[Entry] = []
    for axis, (entry, length) in enumerate(zip(full_key(key, len(shape)), shape, strict=True)):
        if isinstance(entry, slice):
            entries.append(entry)
        elif isinstance(entry, (int, np.integer)) and not isinstance(entry, bool):
            if not -length <= entry < length:
                raise IndexError(f"index {entry} is out of range on axis {axis}, which has {length} positions")
            entries.append(int(entry) % length)
        else:
            raise IndexError(f"a lazy source takes whole numbers and slices, not {type(entry).__name__}")
    return tuple(entries)


def span(entry: Any, length: int) -> tuple[int, int, Any]:
    """Return the contiguous interval that an index along one axis needs, and the index into that interval.

    Args:
        entry: a whole number or a slice.
        length: of the axis.

    Returns:
        The first position to read, the one after the last, and what is left to index once they are read.

    >>> span(slice(2, 9, 3), 20), span(-1, 20), span(slice(None, None, -1), 3)
    ((2, 9, slice(None, None, 3)), (19, 20, 0), (0, 3, slice(None, None, -1)))
    """
    positions = range(length)[entry]
    if isinstance(positions, int):
        return positions, positions + 1, 0
    if not positions:
        return 0, 0, slice(None)
    low, high = min(positions[0], positions[-1]), max(positions[0], positions[-1])
    stop = high + 1 if positions.step < 0 else min(positions.stop, length)
    return low, stop, slice(None, None, positions.step if positions.step != 1 else None)


def read_shape(key: Key, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of what a full key reads from an array of this shape.

    >>> read_shape((0, slice(1, 9, 2)), (3, 6))
    (3,)
    """
    return tuple(len(range(n)[entry]) for entry, n in zip(key, shape, strict=True) if isinstance(entry, slice))
