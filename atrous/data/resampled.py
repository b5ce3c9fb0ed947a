"""Signals at another sampling rate, computed for what is sliced alone: the same numbers whole and in windows.

A signal that is sampled down is low-pass filtered first, or waves above half of the new rate would appear as slower
ones (aliasing). The filter is that of `scipy.signal.resample_poly`: a sinc under a Kaiser window (beta 5) of ten zero
crossings on either side. A signal that is sampled up is interpolated linearly.
"""

from collections.abc import Sequence

import numpy as np

from atrous.data.source import Key, LazySource, Source

CROSSINGS = 10
"""Zero crossings of the sinc on either side."""
BETA = 5.0
"""Of the Kaiser window."""
_BLOCK = 1 << 16
"""Positions that are computed together."""


class Resampled(LazySource):
    """A signal `(C, L)` on a grid of another length over the same time, `(C, M)` float32.

    Beyond its ends the signal keeps its first and its last value.

    Args:
        source: the signal.
        length: M.

    >>> Resampled(np.array([[0.0, 1.0]]), 4)[0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """

    def __init__(self, source: Source, length: int) -> None:
        super().__init__((source.shape[0], length), np.float32)
        self._source, self._stored = source, int(source.shape[1])
        self._step = self._stored / length

    def _read(self, key: Key) -> np.ndarray:
        channel, place = key
        samples = range(self.shape[1])[place]
        wanted = np.array([samples] if isinstance(samples, int) else samples, dtype=np.int64)
        blocks = [self._values(wanted[start : start + _BLOCK]) for start in range(0, len(wanted), _BLOCK)]
        values = np.concatenate(blocks, axis=1) if blocks else np.empty((self.shape[0], 0), np.float32)
        return (values[:, 0] if isinstance(samples, int) else values)[channel]

    def _values(self, wanted: np.ndarray) -> np.ndarray:
        """Return all channels at some positions `(C, n)`; each is a sum over the same taps wherever it is asked for."""
        places = (wanted + 0.5) * self._step - 0.5
        reach = int(np.ceil(CROSSINGS * self._step)) if self._step > 1 else 1
        first = np.floor(places).astype(np.int64) - reach + 1
        low, high = (int(np.clip(edge, 0, self._stored - 1)) for edge in (first.min(), first.max() + 2 * reach - 1))
        stored = np.asarray(self._source[:, low : high + 1], np.float64)
        total, weights = np.zeros((self.shape[0], len(wanted))), np.zeros(len(wanted))
        for tap in range(2 * reach):  # one tap after the other: the order of the sum never depends on the window
            weight = self._weight(first + tap - places)
            total += weight * stored[:, np.clip(first + tap, 0, self._stored - 1) - low]
            weights += weight
        return (total / weights).astype(np.float32)

    def _weight(self, apart: np.ndarray) -> np.ndarray:
        """Return the filter at distances in stored samples."""
        if self._step <= 1:
            return np.maximum(0.0, 1.0 - np.abs(apart))
        inside = np.maximum(0.0, 1.0 - (apart / (CROSSINGS * self._step)) ** 2)
        return np.sinc(apart / self._step) * np.where(inside > 0, np.i0(BETA * np.sqrt(inside)), 0.0)


def resampled(source: Source, shape: Sequence[int]) -> Source:
    """Return an image `(C, *S)` on a grid of another size: signals as they are sliced, others at once.

    Both are filtered where they get much coarser, and linear elsewhere.
    """
    if len(shape) == 1:
        return Resampled(source, shape[0])
    from atrous.data.grid import shrink  # the data doctor must not wait for torch

    return shrink(np.asarray(source[...]), shape)
