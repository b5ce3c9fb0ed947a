"""Candidates: what a network proposes as objects, as rows of numbers and never as pictures."""

from collections.abc import Sequence
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


class Shape(Protocol):
    """What candidates look like."""

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Return the low and the high corner of the box around each candidate, both `(n, ndim)` float64."""
        ...

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """Return how much each of `others` overlaps the winner of the same row, `(n,)` from 0 to 1."""
        ...
