"""From probabilities base by base to features: intervals of a channel at or above a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrous.data.source import full_key


@dataclass(frozen=True, order=True)
class ChannelInterval:
    """An interval of bases that have a channel.

    Attributes:
        start: its first base, counted from 0.
        end: the base after its last one.
        channel: which.
        score: mean probability over it.
        phase: bases before its first whole codon, where it is read in codons.
        notes: what else is known of it, by name.
    """

    start: int
    end: int
    channel: int
    score: float
    phase: int | None = None
    notes: tuple[tuple[str, str], ...] = ()


class FirstRows:
    """Passes the first rows of strips on to something that takes strips."""

    def __init__(self, taker: Any, rows: int) -> None:
        self._taker, self._rows = taker, rows

    def add(self, start: int, values: np.ndarray) -> None:
        """Pass the next strip `(K, n)` on."""
        self._taker.add(start, values[: self._rows])


class Strips:
    """A sink `(K, L)` of numbers that arrive in order; it passes each strip on and keeps nothing.

    Args:
        channels: K.
        length: L.
        also: what is given each strip, as `add(start, values)`.

    >>> sink = Strips(1, 6)
    >>> sink[:, :4] = np.ones((1, 4))
    >>> sink.at
    4
    """

    def __init__(self, channels: int, length: int, also: Sequence[Any] = ()) -> None:
        self.shape, self.dtype = (channels, length), np.dtype(np.float32)
        self.at = 0
        self._also = tuple(also)

    def __setitem__(self, key: Any, values: Any) -> None:
        """Take the next strip.

        Raises:
            ValueError: it is not the next one, or not of all channels.
        """
        channel, place = full_key(key, 2)
        start, stop, step = place.indices(self.shape[1])
        values = np.asarray(values)
        if channel != slice(None) or step != 1 or start != self.at or values.shape != (self.shape[0], stop - start):
            raise ValueError(f"strips must come in order: expected base {self.at}, got {key} of shape {values.shape}")
        for sink in self._also:
            sink.add(start, values)
        self._take(values)
        self.at = stop

    def _take(self, values: np.ndarray) -> None:
        """Look at the strip that begins at `at`."""

    def finish(self) -> list[ChannelInterval]:
        """Return the intervals that were found, by start; this class looks for none.

        Raises:
            ValueError: bases are missing.
        """
        if self.at != self.shape[1]:
            raise ValueError(f"{self.at} of {self.shape[1]} bases have arrived")
        return []


class ChannelIntervals(Strips):
    """A sink `(K, L)` of probabilities that arrive in order; of each strip only the intervals in it are kept.

    What is shorter than the channel's `shortest` is left out.

    >>> sink = ChannelIntervals(1, 6, 0.5)
    >>> sink[:, :4] = np.array([[0.1, 0.8, 0.6, 0.4]])
    >>> sink[:, 4:] = np.array([[0.9, 0.9]])
    >>> [(one.start, one.end, round(one.score, 2)) for one in sink.finish()]
    [(1, 3, 0.7), (4, 6, 0.9)]
    """

    def __init__(
        self, channels: int, length: int, threshold: float, also: Sequence[Any] = (), shortest: Sequence[int] = ()
    ) -> None:
        super().__init__(channels, length, also)
        self._threshold = threshold
        self._shortest = tuple(shortest) or (1,) * channels
        self._intervals: list[ChannelInterval] = []
        self._open: list[tuple[int, float] | None] = [None] * channels

    def _take(self, values: np.ndarray) -> None:
        for number, row in enumerate(values):
            self._scan(number, row)

    def finish(self) -> list[ChannelInterval]:
        """Return all intervals, by start.

        Raises:
            ValueError: bases are missing.
        """
        super().finish()
        for channel, opened in enumerate(self._open):
            if opened is not None:
                self._close(channel, self.at, 0.0)
        return sorted(self._intervals)

    def _scan(self, channel: int, row: np.ndarray) -> None:
        inside = np.concatenate([[self._open[channel] is not None], row >= self._threshold])
        sums = np.concatenate([[0.0], np.cumsum(row, dtype=np.float64)])
        for at in np.flatnonzero(inside[1:] != inside[:-1]):
            if self._open[channel] is None:
                self._open[channel] = self.at + int(at), -float(sums[at])
            else:
                self._close(channel, self.at + int(at), float(sums[at]))
        opened = self._open[channel]
        if opened is not None:
            self._open[channel] = opened[0], opened[1] + float(sums[-1])

    def _close(self, channel: int, end: int, total: float) -> None:
        opened = self._open[channel]
        assert opened is not None
        if (length := end - opened[0]) >= self._shortest[channel]:
            self._intervals.append(ChannelInterval(opened[0], end, channel, (opened[1] + total) / length))
        self._open[channel] = None
