"""Channels of a recording, each at a rate of its own, as one source `(C, L)` that is sliced where it lies."""

from collections.abc import Callable, Sequence

import numpy as np

from atrous.data.source import Key, LazySource

Reader = Callable[[int, int, int], np.ndarray]


class Channels(LazySource):
    """Channels of one recording at the rate of the fastest.

    A slower channel is interpolated linearly in time, and held beyond its last sample. Samples of all channels begin
    together: sample `i` of a channel stands at `i / rate`.

    Attributes:
        shape: `(C, L)`, `L` samples of the fastest channel.
        dtype: float32.
        rate: of the fastest channel, samples per second.

    >>> stored = [np.arange(8.0), np.array([0.0, 4.0])]
    >>> Channels([8, 2], [100.0, 25.0], lambda c, start, stop: stored[c][start:stop])[1].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0]
    """

    def __init__(self, counts: Sequence[int], rates: Sequence[float], read: Reader) -> None:
        if not counts or min(counts) < 1:
            raise ValueError("it has no samples")
        fastest = int(np.argmax(rates))
        self._counts, self._rates, self._stored = tuple(counts), tuple(rates), read
        self.rate = float(rates[fastest])
        super().__init__((len(counts), int(counts[fastest])), np.float32)

    def _read(self, key: Key) -> np.ndarray:
        channel, place = key
        chosen, at = range(self.shape[0])[channel], range(self.shape[1])[place]
        channels = [chosen] if isinstance(chosen, int) else list(chosen)
        positions = np.array([at] if isinstance(at, int) else at, dtype=np.int64)
        values = np.empty((len(channels), len(positions)), np.float32)
        for row, number in zip(values, channels, strict=True):
            row[:] = self._values(number, positions)
        return values[0 if isinstance(chosen, int) else slice(None), 0 if isinstance(at, int) else slice(None)]

    def _values(self, channel: int, positions: np.ndarray) -> np.ndarray:
        if not len(positions):
            return np.empty(0)
        last = self._counts[channel] - 1
        low, high = int(positions.min()), int(positions.max())
        if self._rates[channel] == self.rate and last >= high:
            return self._stored(channel, low, high + 1)[positions - low]
        places = np.minimum(positions * (self._rates[channel] / self.rate), last)
        first = int(places.min())
        stop = min(int(np.ceil(places.max())), last) + 1
        return np.interp(places, np.arange(first, stop), self._stored(channel, first, stop))
