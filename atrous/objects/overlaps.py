"""Pairs of boxes that overlap, among millions of boxes whose sizes may differ by orders of magnitude."""

from collections.abc import Iterator
from itertools import product

import numpy as np

CELLS = 4
"""The boxes of one level are sorted into cells whose side is the largest box of the level divided by this."""
AT_ONCE = 500_000
"""Pairs that are looked at in one step."""


class TooMany(Exception):
    """More pairs overlap than were asked for."""


def overlapping_boxes(low: np.ndarray, high: np.ndarray, most: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of boxes that have a common interior, each pair once.

    A level holds the boxes whose longest side lies between two powers of two. The boxes of a level are sorted into
    cells by their low corners. A box then finds the boxes of its own and of every higher level that may overlap it in a
    few rows of cells. The work is that of the pairs, not of all combinations.

    Args:
        low: `(n, ndim)` low corners.
        high: `(n, ndim)` high corners.
        most: how many pairs may be returned.

    Returns:
        Two arrays `(m,)` of indices.

    Raises:
        TooMany: there are more pairs than `most`.

    >>> first, second = overlapping_boxes(np.array([[0.0], [1.0], [5.0]]), np.array([[2.0], [3.0], [6.0]]))
    >>> sorted(map(sorted, zip(first.tolist(), second.tolist())))
    [[0, 1]]
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    levels = _levels(low, high)
    firsts, seconds, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for level, members in levels.items():
        cells = _Cells(low[members], high[members])
        for smaller, queries in levels.items():
            if smaller > level:
                continue
            for query, member in cells.overlapping(low[queries], high[queries]):
                first, second = queries[query], members[member]
                once = slice(None) if smaller < level else first < second
                firsts.append(first[once])
                seconds.append(second[once])
                count += len(firsts[-1])
                if count > most:
                    raise TooMany
    return np.concatenate(firsts), np.concatenate(seconds)


def overlapping_between(
    low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of a box of one set and a box of another that have a common interior: two arrays of indices.

    See `overlapping_boxes`.
    """
    firsts, seconds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    levels, other_levels = _levels(low, high), _levels(other_low, other_high)
    cells = {level: _Cells(low[members], high[members]) for level, members in levels.items()}
    other_cells = {level: _Cells(other_low[members], other_high[members]) for level, members in other_levels.items()}
    for level, members in levels.items():
        for other_level, others in other_levels.items():
            if level >= other_level:
                found = ((m, q) for q, m in cells[level].overlapping(other_low[others], other_high[others]))
            else:
                found = other_cells[other_level].overlapping(low[members], high[members])
            for first, second in found:
                firsts.append(members[first])
                seconds.append(others[second])
    return np.concatenate(firsts), np.concatenate(seconds)


def _levels(low: np.ndarray, high: np.ndarray) -> dict[int, np.ndarray]:
    """The indices of the boxes of each level: the logarithm of the longest side, rounded up."""
    if not len(low):
        return {}
    levels = np.ceil(np.log2(np.maximum((high - low).max(axis=1), 1))).astype(int)
    return {int(level): np.flatnonzero(levels == level) for level in np.unique(levels)}


class _Cells:
    """Boxes sorted by the cell of their low corner, cells in row-major order.

    Only cells with a box are kept. Of each, the box around all of its boxes is known: where many boxes lie in one cell,
    a query is compared with that box first.

    Args:
        low: `(n, ndim)` low corners.
        high: `(n, ndim)` high corners.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = low, high
        self.longest = float((high - low).max())
        self.side = max(self.longest, 1.0) / CELLS
        cells = np.floor(low / self.side).astype(np.int64)
        self.start, self.size = cells.min(axis=0), cells.max(axis=0) - cells.min(axis=0) + 1
        keys = self._keys(cells - self.start)
        self.order = np.argsort(keys, kind="stable")
        first = np.flatnonzero(np.diff(keys[self.order], prepend=-1))
        self.keys, self.bounds = keys[self.order][first], np.append(first, len(keys))
        self.cell_low = np.minimum.reduceat(low[self.order], first)
        self.cell_high = np.maximum.reduceat(high[self.order], first)

    def _keys(self, cells: np.ndarray) -> np.ndarray:
        keys = cells[:, 0]
        for axis in range(1, cells.shape[1]):
            keys = keys * self.size[axis] + cells[:, axis]
        return keys

    def overlapping(self, low: np.ndarray, high: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield pairs of a query and a member that overlap, as two arrays of indices."""
        for query, cell in self._near(low, high):
            meet = _meet(low[query], high[query], self.cell_low[cell], self.cell_high[cell])
            near, cells = query[meet], cell[meet]
            for number, place in _expanded(self.bounds[cells], self.bounds[cells + 1]):
                one, member = near[number], self.order[place]
                meet = _meet(low[one], high[one], self.low[member], self.high[member])
                yield one[meet], member[meet]

    def _near(self, low: np.ndarray, high: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield pairs of a query and a cell whose boxes may overlap it, as two arrays of indices.

        A member overlaps a query only if its low corner lies between `low - longest` and `high`. In each row of cells
        along the last axis these cells are neighbors in the sorted order.
        """
        first = np.floor((low - self.longest) / self.side).astype(np.int64) - self.start
        last = np.floor(high / self.side).astype(np.int64) - self.start
        first, last = np.maximum(first, 0), np.minimum(last, self.size - 1)
        reachable = np.flatnonzero((first <= last).all(axis=1))
        first, last = first[reachable], last[reachable]
        if not len(reachable):
            return
        rows = [range(int(n)) for n in (last - first).max(axis=0)[:-1] + 1]
        for offset in product(*rows):
            begin = first.copy()
            begin[:, :-1] += np.array(offset, np.int64)
            inside = np.flatnonzero((begin[:, :-1] <= last[:, :-1]).all(axis=1))
            end = begin[inside].copy()
            end[:, -1] = last[inside, -1]
            start = np.searchsorted(self.keys, self._keys(begin[inside]), side="left")
            stop = np.searchsorted(self.keys, self._keys(end), side="right")
            for number, cell in _expanded(start, stop):
                yield reachable[inside[number]], cell


def _meet(low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray) -> np.ndarray:
    """Whether the boxes of each row have a common interior."""
    return np.logical_and((low < other_high).all(axis=1), (other_low < high).all(axis=1))


def _expanded(start: np.ndarray, stop: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the number of each range with each of its members `start` to `stop`, some millions at a time."""
    counts = stop - start
    totals = np.cumsum(counts)
    piece = 0
    while piece < len(counts):
        before = int(totals[piece - 1]) if piece else 0
        until = max(piece + 1, int(np.searchsorted(totals, before + AT_ONCE, side="right")))
        part = slice(piece, until)
        number = counts[part]
        repeated = np.repeat(np.arange(piece, until), number)
        within = np.arange(len(repeated)) - np.repeat(totals[part] - number - before, number)
        yield repeated, start[repeated] + within
        piece = until
