"""Suppression: of candidates that overlap, the one with the highest score stays, whatever the order of arrival.

Greedy suppression takes candidates in their order and keeps each one that no kept candidate overlaps. The order is
total (`Candidates.ranks`), so the result is one. It is computed in rounds: a candidate is kept as soon as no candidate
before it that touches it is undecided, and removes those that it overlaps. This gives the same result as one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atrous.objects.candidates import Candidates, Shape, joined
from atrous.objects.overlaps import TooMany, overlapping_between, overlapping_boxes

UNDECIDED, KEPT, REMOVED = 0, 1, -1
FIRST_PIECE, GROWTH = 1000, 4
"""Candidates are decided in pieces of their order: the first so many, then each piece so many times larger."""
MOST_PAIRS = 1_000_000
"""A piece with more overlapping pairs is divided: most of its candidates propose the same few objects."""
AT_ONCE = 100_000
"""Pairs whose values are gathered in one step: those of a polyhedron of 96 rays take 400 bytes."""
GATHERED = 200_000
"""The sweep decides when so many candidates have come since it last did."""


def decide(candidates: Candidates, shape: Shape, threshold: float, ready: np.ndarray, per_class: bool) -> np.ndarray:
    """Return `(n,)` int8: which candidates are kept, which removed, and which cannot be decided yet.

    Args:
        candidates: in any order.
        shape: says what they look like.
        threshold: overlap beyond which the candidate with the lower score is removed.
        ready: `(n,)` bool; candidates that no later candidate can touch. Only these are kept.
        per_class: whether candidates of different classes leave each other alone.
    """
    state = np.zeros(len(candidates), np.int8)
    if not ready.any():
        return state
    setting = _Setting(candidates, shape, threshold, per_class)
    order, start, size = np.argsort(setting.ranks), 0, FIRST_PIECE
    kept, waiting = np.zeros(0, np.int64), np.zeros(0, np.int64)
    # In pieces of the order that grow: candidates that an earlier winner removes are never compared with each other.
    while start < len(order):
        piece = order[start : start + size]
        piece = piece[state[piece] == UNDECIDED]
        winners, others = setting.touching(kept, piece)
        state[others[setting.beyond(winners, others)]] = REMOVED
        piece = piece[state[piece] == UNDECIDED]
        free = ready.copy()
        free[setting.touching(waiting, piece[ready[piece]])[1]] = False
        try:
            pairs = setting.touching_within(piece, MOST_PAIRS if size > FIRST_PIECE else np.inf)
        except TooMany:
            size = max(FIRST_PIECE, size // GROWTH)
            continue
        _decide_piece(setting, piece, pairs, free, state)
        kept = np.concatenate([kept, piece[state[piece] == KEPT]])
        waiting = np.concatenate([waiting, piece[state[piece] == UNDECIDED]])
        start, size = start + size, size * GROWTH
    return state


@dataclass
class _Setting:
    """Candidates with what is computed of them once."""

    candidates: Candidates
    shape: Shape
    threshold: float
    per_class: bool

    def __post_init__(self) -> None:
        self.low, self.high = self.shape.bounds(self.candidates)
        self.ranks = self.candidates.ranks()

    def touching(self, some: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of candidates of two sets of indices whose boxes overlap."""
        low, high = self.low, self.high
        first, second = overlapping_between(low[some], high[some], low[others], high[others])
        return self._comparable(some[first], others[second])

    def touching_within(self, some: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray]:
        """At most `most` pairs of one set of indices whose boxes overlap, the candidate with the higher score first."""
        first, second = overlapping_boxes(self.low[some], self.high[some], most)
        first, second = self._comparable(some[first], some[second])
        swapped = self.ranks[first] > self.ranks[second]
        return np.where(swapped, second, first), np.where(swapped, first, second)

    def beyond(self, winners: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether the two candidates of each pair overlap more than the threshold."""
        found = np.zeros(len(winners), bool)
        for start in range(0, len(winners), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            pairs = self.candidates.take(winners[part]), self.candidates.take(others[part])
            found[part] = self.shape.overlap(*pairs) > self.threshold
        return found

    def _comparable(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.per_class:
            return first, second
        alike = self.candidates.classes[first] == self.candidates.classes[second]
        return first[alike], second[alike]


def _decide_piece(
    setting: _Setting, piece: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], free: np.ndarray, state: np.ndarray
) -> None:
    """Decide the candidates of a piece that nothing outside of it removes, by rounds; changes `state`.

    Args:
        setting: the candidates.
        piece: indices of undecided candidates.
        pairs: those of the piece whose boxes overlap, the candidate with the higher score first.
        free: `(n,)` bool, candidates that may be kept.
        state: `(n,)` int8, of all candidates.
    """
    first, second = pairs
    while True:
        blocked = np.zeros(len(state), bool)
        blocked[second] = True
        kept = piece[(state[piece] == UNDECIDED) & ~blocked[piece] & free[piece]]
        if not len(kept):
            return
        state[kept] = KEPT
        touched = state[first] == KEPT
        others = second[touched]
        state[others[setting.beyond(first[touched], others)]] = REMOVED
        open_pairs = (state[first] == UNDECIDED) & (state[second] == UNDECIDED)
        first, second = first[open_pairs], second[open_pairs]


class Suppression:
    """Suppresses candidates while they come, strip by strip, and forgets those that are decided.

    Args:
        shape: what candidates look like.
        threshold: overlap beyond which the candidate with the lower score is removed.
        row_of: returns the row (first axis) of positions `(n,)`.
        reach: no candidate reaches further than so many rows from the row that proposed it. Memory is that of the
            candidates of about two reaches of rows.
        per_class: whether candidates of different classes leave each other alone.
    """

    def __init__(
        self,
        shape: Shape,
        threshold: float,
        row_of: Callable[[np.ndarray], np.ndarray],
        reach: float,
        per_class: bool = False,
    ) -> None:
        self._shape, self._threshold, self._row_of = shape, threshold, row_of
        self._reach, self._per_class = reach, per_class
        self._open: list[Candidates] = []
        self._kept: list[Candidates] = []
        self._new = 0

    def push(self, candidates: Candidates, arrived: int) -> None:
        """Add candidates.

        Args:
            candidates: any; those of earlier rows may come late only if `arrived` stays behind them.
            arrived: all candidates of the rows before this one have come.

        Raises:
            ValueError: a candidate reaches further than `reach`.
        """
        if len(candidates):
            low, high = self._shape.bounds(candidates)
            rows = self._row_of(candidates.positions)
            if (low[:, 0] < rows - self._reach).any() or (high[:, 0] > rows + 1 + self._reach).any():
                raise ValueError(f"a candidate reaches beyond {self._reach} rows")
            self._open.append(candidates)
            self._new += len(candidates)
        if self._new >= GATHERED:
            self._sweep(arrived - self._reach)

    def close(self) -> Candidates:
        """Return the candidates that are kept, in their order; no more will come."""
        self._sweep(np.inf)
        if not self._kept:
            return joined(self._open) if self._open else _none()
        kept = joined(self._kept)
        self._kept = [kept.take(np.argsort(kept.ranks()))]
        return self._kept[0]

    def _sweep(self, untouched: float) -> None:
        """Decide what can be decided: no later candidate touches rows before `untouched`."""
        self._new = 0
        if not self._open:
            return
        waiting = joined(self._open)
        ready = self._shape.bounds(waiting)[1][:, 0] <= untouched
        state = decide(waiting, self._shape, self._threshold, ready, self._per_class)
        self._kept.append(waiting.take(state == KEPT))
        self._open = [waiting.take(state == UNDECIDED)]


def _none() -> Candidates:
    return Candidates(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros((0, 0)))
