"""The channels of a recording, each with its own sampling rate, as one source `(C, L)`."""

from collections.abc import Callable, Sequence

import numpy as np

from atrous.data.source import Key, LazySource

Reader = Callable[[int, int, int], np.ndarray]
"""Reads the samples of a channel from a start up to a stop: called with channel, start and stop."""


class Channels(LazySource):
    """The channels of a recording `(C, L)` float32, all at the sampling rate of the fastest one.

    A slower channel is interpolated linearly in time; after its last sample it keeps that value. All channels start at
    the same time: sample `i` of a channel is at the time `i / rate`.

    Args:
        counts: number of samples of each channel.
        rates: samples per second of each channel.
        read: reads samples from the file.

    Attributes:
        rate: samples per second of the fastest channel.

    Raises:
        ValueError: a channel has no samples.

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
        channels, samples = range(self.shape[0])[channel], range(self.shape[1])[place]
        numbers = [channels] if isinstance(channels, int) else list(channels)
        positions = np.array([samples] if isinstance(samples, int) else samples, dtype=np.int64)
        values = np.empty((len(numbers), len(positions)), np.float32)
        for row, number in zip(values, numbers, strict=True):
            row[:] = self._values(number, positions)
        return values[
            0 if isinstance(channels, int) else slice(None),
            0 if isinstance(samples, int) else slice(None),
        ]

    def _values(self, channel: int, positions: np.ndarray) -> np.ndarray:
        """Return a channel at samples of the fastest channel, interpolated where its own rate is lower."""
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
