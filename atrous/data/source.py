"""Views of arrays that are sliced where they lie: channel first, or several files as the channels of one image."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class ChannelFirst:
    """An array with its channels on any axis, or on none, as `(C, *S)`; what is not sliced is not read.

    Attributes:
        shape: `(C, *S)`.
        dtype: of the array.

    >>> ChannelFirst(np.zeros((5, 6, 4)), axis=2, channels=3)[:, 1:3].shape
    (3, 2, 6)
    """

    def __init__(self, array: Any, axis: int | None, channels: int | None = None) -> None:
        self._array, self._axis = array, axis
        space = tuple(n for i, n in enumerate(array.shape) if i != axis)
        count = 1 if axis is None else array.shape[axis]
        self.shape = (count if channels is None else min(count, channels), *space)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices and whole numbers, as numpy would give them."""
        channel, *place = full_key(key, len(self.shape))
        if self._axis is None:
            return np.asarray(self._array[tuple(place)])[None][channel]
        chosen = range(self.shape[0])[channel]
        if isinstance(chosen, int):
            return np.asarray(self._array[(*place[: self._axis], chosen, *place[self._axis :])])
        step = chosen.step if chosen.step > 0 else 1
        wanted = slice(min(chosen, default=0), max(chosen, default=-1) + 1, step)
        values = np.asarray(self._array[(*place[: self._axis], wanted, *place[self._axis :])])
        at = sum(isinstance(k, slice) for k in place[: self._axis])
        values = np.moveaxis(values, at, 0)
        return values[::-1] if chosen.step < 0 else values


class Stacked:
    """Sources `(C_i, *S)` of one size as one source `(sum of C_i, *S)`: the channels of a case in several files."""

    def __init__(self, sources: Sequence[Any]) -> None:
        sizes = {tuple(source.shape[1:]) for source in sources}
        if len(sizes) != 1:
            raise ValueError(f"sources of different sizes {sorted(sizes)}")
        self.sources = tuple(sources)
        self.shape = (sum(source.shape[0] for source in sources), *next(iter(sizes)))
        self.dtype = np.result_type(*(source.dtype for source in sources))

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices and whole numbers, as numpy would give them."""
        channel, *place = full_key(key, len(self.shape))
        parts = [np.asarray(source[(slice(None), *place)]) for source in self.sources]
        return np.concatenate(parts).astype(self.dtype, copy=False)[channel]


def full_key(key: Any, axes: int) -> tuple[Any, ...]:
    """A key with one entry per axis: an ellipsis and axes left out become whole slices.

    >>> full_key((0, ...), 3)
    (0, slice(None, None, None), slice(None, None, None))
    """
    given = key if isinstance(key, tuple) else (key,)
    at = next((i for i, entry in enumerate(given) if entry is Ellipsis), len(given))
    left, right = given[:at], given[at + 1 :]
    return (*left, *[slice(None)] * (axes - len(left) - len(right)), *right)
