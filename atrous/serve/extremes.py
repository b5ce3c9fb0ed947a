"""The smallest and largest values of a recording at every zoom: bounded work for each request, however long it is.

A curve on the screen has a few thousand bins. Where a bin is short, its samples are read from the file. For longer bins
the smallest and the largest value of every 16, 256, 4096 and 65536 samples are kept on disk. What is not there yet is
computed when it is first looked at, `WORK` values in one request at most, so that a long recording fills in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.source import Source
from atrous.serve.levels import stored

BASE = 16
"""So many samples, or values of the level before, become one."""
LEVELS = 4
"""Levels that are kept on disk."""
PIECE = BASE**LEVELS
"""Samples that are reduced to all levels at once."""
FEWEST = 4
"""Values of a level that a bin is made of, at least."""
WORK = 2**23
"""Values of the file that are read for one request, about."""


@dataclass(frozen=True)
class Extents:
    """What a curve is drawn from.

    Attributes:
        low: the smallest value in each bin, `(C, n)` float32; NaN where there is none.
        high: the largest ones.
        known: bool `(n,)`; where not, the bin is computed in a later request.
    """

    low: np.ndarray
    high: np.ndarray
    known: np.ndarray


def fitting_step(length: int, bins: int) -> int:
    """Return how many samples a bin has, so that an interval has `bins` of them at most.

    Long bins are whole numbers of the values that are kept on disk.

    >>> fitting_step(100, 200), fitting_step(1000, 200), fitting_step(1_000_000, 1000)
    (1, 5, 1008)
    """
    step = max(1, -(-length // bins))
    unit = _unit(step)
    return -(-step // unit) * unit


def _unit(step: int) -> int:
    """Samples of a value of the coarsest level that bins of `step` samples can be made of; 1: of the file."""
    unit = 1
    while unit < PIECE and unit * BASE * FEWEST <= step:
        unit *= BASE
    return unit


class CurveLevels:
    """The extremes of a recording. Not to be used by several threads at the same time.

    Args:
        source: `(C, L)`, read as it is sliced.
        folder: gives the folder in which levels are kept on disk, when they are first needed.

    >>> rising = np.arange(1000, dtype=np.float32)[None]
    >>> found = CurveLevels(rising, Path).read([0], 500, 100, 3)
    >>> found.low.tolist(), found.high.tolist()
    ([[500.0, 600.0, 700.0]], [[599.0, 699.0, 799.0]])
    """

    def __init__(self, source: Source, folder: Callable[[], Path]) -> None:
        self._source, self._folder = source, folder
        self._channels, self._length = (int(n) for n in source.shape)
        self._kept: list[np.ndarray] = []
        self._done = np.zeros(0, bool)

    def read(self, channels: Sequence[int], start: int, step: int, count: int) -> Extents:
        """Return the extremes of `count` bins.

        Args:
            channels: numbers of the channels.
            start: first sample, a multiple of `step`.
            step: samples of a bin, from `fitting_step`.
            count: number of bins, of which the last may reach beyond the end.

        Raises:
            UserError: the file is damaged.
        """
        unit = _unit(step)
        if unit == 1 or self._channels * self._length <= WORK:
            values = self._values(channels, start, min(start + step * count, self._length))
            low, high = (_reduced(values, step, count, least) for least in (True, False))
            return Extents(low, high, np.ones(count, bool))
        self._compute(start, min(start + step * count, self._length))
        first, last = start // unit, min(-(-(start + step * count) // unit), -(-self._length // unit))
        known = self._done[np.arange(first, last) * unit // PIECE]
        level = self._kept[_power(unit) - 1]
        parts = [np.where(known, np.asarray(level[side, :, first:last])[list(channels)], np.nan) for side in (0, 1)]
        low, high = (_reduced(part, step // unit, count, not side) for side, part in enumerate(parts))
        whole = _reduced(known[None].astype(np.float32), step // unit, count, True)[0] == 1
        low[:, ~whole] = high[:, ~whole] = np.nan
        return Extents(low, high, whole)

    def _values(self, channels: Sequence[int], start: int, stop: int) -> np.ndarray:
        low, high = min(channels), max(channels) + 1
        values = np.asarray(self._source[low:high, start:stop], dtype=np.float32)
        return values[[channel - low for channel in channels]]

    def _compute(self, start: int, stop: int) -> None:
        """Compute pieces that a request needs and that are not there yet, as many as one request may."""
        if not self._kept:
            self._open()
        first, last = start // PIECE, -(-stop // PIECE)
        missing = first + np.flatnonzero(~self._done[first:last])
        for piece in missing[: max(1, WORK // (self._channels * PIECE))].tolist():
            at_once = max(1, WORK // PIECE)
            for channel in range(0, self._channels, at_once):
                self._reduce(piece, slice(channel, min(channel + at_once, self._channels)))
            self._done[piece] = True

    def _reduce(self, piece: int, channels: slice) -> None:
        begin = piece * PIECE
        end = min(begin + PIECE, self._length)
        low = high = np.asarray(self._source[channels, begin:end], dtype=np.float32)
        for number, level in enumerate(self._kept):
            count = -(-low.shape[1] // BASE)
            low, high = _reduced(low, BASE, count, True), _reduced(high, BASE, count, False)
            place = begin // BASE ** (number + 1)
            level[0, channels, place : place + count] = low
            level[1, channels, place : place + count] = high

    def _open(self) -> None:
        folder = self._folder()
        for number in range(1, LEVELS + 1):
            shape = (2, self._channels, -(-self._length // BASE**number))
            self._kept.append(stored(folder / f"extremes{number}.npy", shape, np.float32))
        self._done = stored(folder / "extremes-done.npy", (-(-self._length // PIECE),), bool)


def _power(unit: int) -> int:
    """Return the exponent of a power of `BASE`."""
    power = 0
    while unit > 1:
        unit, power = unit // BASE, power + 1
    return power


def _reduced(values: np.ndarray, step: int, count: int, least: bool) -> np.ndarray:
    """Return the least or the largest of every `step` values `(C, n)`, `(C, count)`; NaN stands for no value."""
    padded = np.full((len(values), step * count), np.nan, np.float32)
    padded[:, : values.shape[1]] = values[:, : step * count]
    return (np.fmin if least else np.fmax).reduce(padded.reshape(len(values), count, step), axis=2)
