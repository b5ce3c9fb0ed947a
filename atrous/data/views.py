"""Sources and sinks that change the values which pass through them: scaling, filling of gaps, void labels.

Each wraps another source or sink and works slice by slice, so that nothing is read or held whole.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atrous.data.source import AllValid, Key, LazySource, Sink, Source, Store, full_key, read_shape
from atrous.labels import IGNORE

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in gray (ITU-R BT.601)."""


class Scaled(LazySource):
    """A source `(C, *S)` whose intensities are scaled as they are sliced, float32.

    Args:
        source: values of the file.
        scaling: maps values `(C, ...)`, whatever part of the file they are (`atrous.data.preprocess.Scaling`).
    """

    def __init__(self, source: Source, scaling: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(source.shape, np.float32)
        self._source, self._scaling = source, scaling

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        return self._scaling(np.asarray(self._source[(slice(None), *place)]))[channel]


class GrayOrColor(LazySource):
    """A gray source `(1, *S)` of 8 bits as color `(3, *S)`, by repetition, or color as gray, by the luma weights.

    >>> GrayOrColor(np.uint8([[1, 2]]))[1:].tolist(), GrayOrColor(np.uint8([[255], [0], [0]]))[:].tolist()
    ([[1, 2], [1, 2]], [[76]])
    """

    def __init__(self, source: Source) -> None:
        super().__init__((3 if source.shape[0] == 1 else 1, *source.shape[1:]), np.uint8)
        self._source = source

    def _read(self, key: Key) -> np.ndarray:
        channel, *place = key
        values = np.asarray(self._source[(slice(None), *place)])
        if len(values) == 1:
            return np.repeat(values, 3, axis=0)[channel]
        return np.rint(np.tensordot(LUMA, values.astype(np.float32), axes=1)[None]).astype(np.uint8)[channel]


class Standardized(LazySource):
    """A source `(C, *S)` whose values become `(value - mean) / std` as they are sliced.

    The arithmetic is float32, also where the network computes in a shorter type, which would round the raw values.

    Args:
        source: values that a network reads.
        mean: `(C,)` float32.
        std: `(C,)` float32.
    """

    def __init__(self, source: Source, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__(source.shape, np.float32)
        self._source, self._mean, self._std = source, mean, std

    def _read(self, key: Key) -> np.ndarray:
        values = np.asarray(self._source[key]).astype(np.float32)
        return (values - _per_channel(self._mean, key)) / _per_channel(self._std, key)


class Gaps(LazySource):
    """A source `(C, *S)` in which values that mean "nothing was measured here" read as NaN, float32.

    Args:
        source: the values.
        nodata: the values with that meaning.

    >>> Gaps(np.array([[1, -9999, 3]]), (-9999,))[:].tolist()
    [[1.0, nan, 3.0]]
    """

    def __init__(self, source: Source, nodata: Sequence[float]) -> None:
        super().__init__(source.shape, np.float32)
        self._source, self._nodata = source, tuple(nodata)

    def _read(self, key: Key) -> np.ndarray:
        stored = np.asarray(self._source[key])
        values = stored.astype(np.float32)
        for value in self._nodata:  # in the file's own type: -3.4028235e38 is no float32 otherwise
            if stored.dtype.kind in "iu" and not _holds(stored.dtype, value):
                continue
            values = np.where(stored == np.asarray(value).astype(stored.dtype), np.float32(np.nan), values)
        return values


def _holds(dtype: np.dtype, value: float) -> bool:
    """Return whether an integer type has a value: -9999 would become 241 in uint8.

    >>> _holds(np.dtype("uint8"), -9999.0), _holds(np.dtype("uint8"), 255.0), _holds(np.dtype("int16"), 0.5)
    (False, True, False)
    """
    limits = np.iinfo(dtype)
    return float(value).is_integer() and limits.min <= value <= limits.max


class Filled(LazySource):
    """A source `(C, *S)` in which NaN and infinite values read as `fill`.

    Without it a network would spread a single NaN over its whole receptive field.

    Args:
        source: values that may not be finite.
        fill: one value for each channel, or one for all.

    Attributes:
        source: as given.
        met: whether a value that is not finite was read so far.
    """

    def __init__(self, source: Source, fill: Sequence[float]) -> None:
        super().__init__(source.shape, source.dtype)
        self.source, self.met = source, False
        self._fill = np.broadcast_to(np.asarray(fill, np.float32), self.shape[:1])

    def _read(self, key: Key) -> np.ndarray:
        values = np.asarray(self.source[key])
        finite = np.isfinite(values)
        if finite.all():
            return values
        self.met = True
        return np.where(finite, values, _per_channel(self._fill, key).astype(values.dtype))


class Finite(LazySource):
    """A mask `(*S)` of bool: true where every channel of a `Filled` source is finite in the file.

    The file is read a second time, and only after `Filled` has met a value that is not finite. That is enough for
    labels, which are written after their input was read.
    """

    def __init__(self, filled: Filled) -> None:
        super().__init__(filled.shape[1:], bool)
        self._filled = filled

    def _read(self, key: Key) -> np.ndarray:
        if not self._filled.met:
            return np.broadcast_to(np.True_, read_shape(key, self.shape))
        values = np.asarray(self._filled.source[(slice(None), *key)])
        return np.asarray(np.isfinite(values).all(0))

    def look(self) -> None:
        """Read the file from now on, whether or not a value that is not finite was met."""
        self._filled.met = True


def look_for_gaps(valid: Source | None) -> None:
    """Have a mask say where the values of a file are not finite though they were not read, or not by this process.

    Args:
        valid: of an input, as `atrous.prediction.inputs.prepared` makes it.
    """
    for mask in valid.masks if isinstance(valid, AllValid) else ():
        if isinstance(mask, Finite):
            mask.look()


class Guarded(LazySource):
    """The source of a file, whose damage may show only when it is sliced.

    Attributes that the wrapped source has beside shape and type can be used too: `frames` of a video, `rate` of a
    recording.

    Args:
        source: reads from the file.
        guard: calls a function and returns its result; turns the errors of the file's library into a `UserError`.
    """

    def __init__(self, source: Source, guard: Callable[[Callable[[], Any]], Any]) -> None:
        super().__init__(source.shape, source.dtype)
        self._source, self._guard = source, guard

    def _read(self, key: Key) -> np.ndarray:
        return self._guard(lambda: self._source[key])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not set yet, while an object is copied
            raise AttributeError(name)
        return getattr(self._source, name)


class Voided:
    """A sink of labels `(*S)`, or of bands `(K, *S)`, that writes `value` at positions without data.

    What was written can be read back. Other attributes are those of the wrapped sink: where a memmap or a zarr array
    lies on disk, and how it is chunked.

    Args:
        sink: where to write.
        valid: `(*S)` bool, false where the image has no data.
        value: what to write there.

    Attributes:
        sink: as given.
        shape: of the sink.
        dtype: of the sink.
    """

    def __init__(self, sink: Store, valid: Source, value: float = IGNORE) -> None:
        self.sink, self._valid, self._value = sink, valid, value
        self.shape, self.dtype = tuple(sink.shape), sink.dtype

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        full = full_key(key, len(self.shape))
        valid = np.asarray(self._valid[full[len(self.shape) - len(self._valid.shape) :]])
        self.sink[key] = np.where(valid, values, np.asarray(self._value, self.dtype))

    def __getitem__(self, key: Any) -> Any:
        return self.sink[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)


class LabelsAndProbabilities:
    """A sink `(1 + K, *S)` float32 that passes channel 0 to a sink of labels and the others to one of probabilities.

    Only whole positions are assigned: the key's entry for the channels must be a whole slice.

    Attributes:
        labels: sink of labels `(*S)` uint8.
        probabilities: sink of probabilities `(K, *S)`.
        shape: `(1 + K, *S)`.
        dtype: of the probabilities.
    """

    def __init__(self, labels: Sink, probabilities: Sink) -> None:
        self.labels, self.probabilities = labels, probabilities
        channels, *size = probabilities.shape
        self.shape, self.dtype = (1 + channels, *size), probabilities.dtype

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        place = full_key(key, len(self.shape))[1:]
        self.labels[place] = values[0].astype(np.uint8)
        self.probabilities[(slice(None), *place)] = values[1:]


def _per_channel(numbers: np.ndarray, key: Key) -> np.ndarray:
    """Return one number for each channel that `key` reads, shaped so that it broadcasts against what `key` reads."""
    chosen = np.asarray(numbers[key[0]])
    return chosen.reshape(-1, *[1] * sum(isinstance(entry, slice) for entry in key[1:])) if chosen.ndim else chosen
