"""Positions where an image has no data: void in labels, in predictions and in every figure."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from atrous.data.source import full_key
from atrous.labels import IGNORE

ROWS = 1024


class Voided:
    """A sink of labels `(*S)`, or of bands `(K, *S)`, in which positions without data get a value of their own.

    Attributes:
        shape: of the sink.
        dtype: of the sink.
    """

    def __init__(self, sink: Any, valid: Any, value: float = IGNORE) -> None:
        self.sink, self._valid, self._value = sink, valid, value
        self.shape, self.dtype = tuple(sink.shape), sink.dtype

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        full = full_key(key, len(self.shape))
        valid = np.asarray(self._valid[full[len(self.shape) - len(self._valid.shape) :]])
        self.sink[key] = np.where(valid, values, np.asarray(self._value, self.dtype))

    def __getitem__(self, key: Any) -> Any:
        return self.sink[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)  # where a memmap or a zarr array lies, how it is chunked


class Filled:
    """A source `(C, *S)` whose values that are no finite numbers read as `fill`, one value per channel.

    A network spreads a single NaN over its whole receptive field.

    Attributes:
        met: whether such values were met so far.
    """

    def __init__(self, source: Any, fill: Sequence[float]) -> None:
        self.source, self.met = source, False
        self._fill = np.broadcast_to(np.asarray(fill, np.float32), source.shape[:1])
        self.shape, self.dtype = tuple(source.shape), np.dtype(source.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices."""
        values, key = np.asarray(self.source[key]), full_key(key, len(self.shape))
        finite = np.isfinite(values)
        if finite.all():
            return values
        self.met = True
        fill = self._fill[key[0]].reshape(-1, *[1] * (len(self.shape) - 1))
        return np.where(finite, values, fill.astype(values.dtype))


class Finite:
    """Where every channel of a filled source is a finite number, `(*S)` bool.

    Read again from the source, and only once such a value was met: what is written was read before.
    """

    def __init__(self, filled: Filled) -> None:
        self._filled = filled
        self.shape, self.dtype = filled.shape[1:], np.dtype(bool)

    def __getitem__(self, key: Any) -> np.ndarray:
        if not self._filled.met:
            return np.ones((), bool)
        values = np.asarray(self._filled.source[(slice(None), *full_key(key, len(self.shape)))])
        return np.asarray(np.isfinite(values).all(0))


class AllValid:
    """Several masks `(*S)`, one per file of a case, as one: valid where all are."""

    def __init__(self, masks: Sequence[Any]) -> None:
        self._masks = masks
        self.shape, self.dtype = tuple(masks[0].shape), np.dtype(bool)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(reduce(np.logical_and, [np.asarray(mask[key]) for mask in self._masks]))


def voided(sink: Any, valid: Any | None, value: float = IGNORE) -> Any:
    """The sink, its positions without data set to `value` as they are written; itself where there are none.

    >>> labels = np.zeros(3, np.uint8)
    >>> voided(labels, np.array([True, False, True]))[...] = np.ones(3, np.uint8)
    >>> labels.tolist()
    [1, 255, 1]
    """
    return sink if valid is None else Voided(sink, valid, value)


def make_void(array: Any, valid: Any | None, value: float = IGNORE) -> None:
    """Set the positions of an array `(*S)` or `(K, *S)` that have no data, some rows at a time."""
    if valid is None:
        return
    lead = (slice(None),) * (len(array.shape) - len(valid.shape))
    for row in range(0, valid.shape[0], ROWS):
        rows = (*lead, slice(row, row + ROWS))
        array[rows] = np.where(np.asarray(valid[slice(row, row + ROWS)]), array[rows], np.asarray(value, array.dtype))
