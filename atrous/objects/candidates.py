"""Candidates: what a network proposes as objects, as rows of numbers and never as pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """Proposed objects. Each belongs to the position that proposed it.

    Candidates are ordered by score, the highest first; equal scores by position, then by class. This order does not
    depend on the order in which they are found, so that suppression has one result.

    Attributes:
        positions: `(n,)` int64, row-major indices of the positions in the whole grid.
        scores: `(n,)` float32.
        classes: `(n,)` int64.
        values: `(n, m)` floats; what a `Shape` needs, such as corners or the lengths of rays.
    """

    positions: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    values: np.ndarray

    @cached_property
    def computed(self) -> dict[str, Any]:
        """What was computed of these candidates and is needed again for every strip."""
        return {}

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, chosen: Any) -> Self:
        """Return the candidates at some indices or where a mask is true."""
        return type(self)(self.positions[chosen], self.scores[chosen], self.classes[chosen], self.values[chosen])

    def ranks(self) -> np.ndarray:
        """Return the place of each candidate in the order, `(n,)` int64, 0 for the first.

        >>> both = Candidates(np.array([7, 3]), np.ones(2, np.float32), np.zeros(2, int), np.zeros((2, 1)))
        >>> both.ranks().tolist()
        [1, 0]
        """
        order = np.lexsort((self.classes, self.positions, -self.scores))
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Return all candidates of several parts, of which there is at least one."""
    return Candidates(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def corner_bounds(
    candidates: Candidates, corners: Callable[[Candidates], np.ndarray], ndim: int, at_once: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the low and the high corner of the box around each candidate, both `(n, ndim)` float64.

    Args:
        candidates: the candidates.
        corners: gives the corners `(m, k, ndim)` of m of them.
        ndim: number of axes.
        at_once: candidates whose corners are computed in one step, which bounds the memory.

    >>> one = Candidates(np.array([0]), np.ones(1), np.zeros(1, int), np.array([[2.0, 1.0], [0.0, 5.0]])[None])
    >>> corner_bounds(one, lambda some: some.values, 2, 100)
    (array([[0., 1.]]), array([[2., 5.]]))
    """
    low, high = np.empty((2, len(candidates), ndim))
    for start in range(0, len(candidates), at_once):
        part = slice(start, start + at_once)
        found = corners(candidates.take(part))
        low[part], high[part] = found.min(axis=1), found.max(axis=1)
    return low, high


class Shape(Protocol):
    """What candidates look like."""

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Return the low and the high corner of the box around each candidate, both `(n, ndim)` float64."""
        ...

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """Return how much each of `others` overlaps the winner of the same row, `(n,)` from 0 to 1."""
        ...
