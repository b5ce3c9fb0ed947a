"""The cheapest way to cut a signal into intervals that are long enough: the exact dynamic program, sample by sample.

Each sample costs something for each class. Of all ways to give every sample a class so that no interval (a longest run
of equal classes) of class c is shorter than `least[c]` samples, the one with the least sum of costs is found. This is
the Viterbi algorithm of a hidden semi-Markov model whose durations have a lower limit (Rabiner 1989, "A tutorial on
hidden Markov models and selected applications in speech recognition", Proc. IEEE 77 (2), section IV D; Murphy 2002,
"Hidden semi-Markov models (HSMMs)"). With A[c][t] the sum of the costs of class c over the first t samples and E[c][t]
the least cost of these samples if they end with an interval of class c that is long enough:

    F[c][t] = min over s <= t - least[c] of (min over b != c of E[b][s]) - A[c][s]   (the last interval begins at s)
    E[c][t] = F[c][t] + A[c][t]

Costs are whole numbers, so that sums are exact. Of equal sums the interval that begins earlier is taken, then the lower
class. That is decided at each sample from what came before it, so the answer does not depend on how the signal is cut
into pieces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PIECE = 1 << 13
"""Samples after which what is no longer needed is forgotten."""


@dataclass(eq=False, slots=True)
class ClassInterval:
    """An interval of a way to cut the signal.

    Attributes:
        start: its first sample.
        label: its class.
        before: the interval before it; None for the first one, and where all before it is known.
    """

    start: int
    label: int
    before: "ClassInterval | None"


class IntervalWalk:
    """The dynamic program over a stretch of samples, whose costs arrive in pieces of any size.

    Memory is that of the intervals that are not decided, and of the last samples, as many as the longest least length.

    Args:
        least: samples of the shortest interval, for each of K classes, at least 1.
        first: class of an interval that has begun before the stretch and is long enough already; None where the signal
            begins: its first interval may be shorter, as it may have begun before.

    Attributes:
        at: samples that have come.
        told: samples whose labels were returned.

    >>> walk = IntervalWalk([2, 2])
    >>> walk.step(np.array([[0, 0, 0, 5, 0, 0], [9, 9, 9, 0, 9, 9]]))  # one sample of class 1 is too short
    >>> walk.finish().tolist()
    [0, 0, 0, 0, 0, 0]
    """

    def __init__(self, least: Sequence[int], first: int | None = None) -> None:
        self._least, self._longest = tuple(least), max(least)
        self.at = self.told = 0
        self._base = 0  # the sample to which the first entries of the following lists belong
        count, begins = len(self._least), first is None
        self._sums: list[list[int]] = [[0] for _ in range(count)]  # A
        # the interval that E[c] ends with; F[c] is its cost up to its start, less A[c] there
        self._last: list[ClassInterval | None] = [
            ClassInterval(0, label, None) if first in (None, label) else None for label in range(count)
        ]
        self._offset: list[float] = [0 if interval is not None else math.inf for interval in self._last]
        # the two least E of each sample: cost, then the interval that it ends with
        self._cost = [math.inf if begins else 0.0]
        self._best: list[ClassInterval | None] = [None if first is None else self._last[first]]
        self._next_cost = [math.inf]
        self._next: list[ClassInterval | None] = [None]
        self._rows = [(label, need, self._sums[label]) for label, need in enumerate(self._least)]

    def step(self, costs: np.ndarray) -> None:
        """Take the costs `(K, n)` of the next samples, int64, none negative."""
        for sums, row in zip(self._sums, np.cumsum(costs, axis=1).tolist(), strict=True):
            before = sums[-1]
            sums.extend([before + value for value in row])
        first = self.at - self._base + 1
        for place in range(first, first + costs.shape[1]):
            self._one(place)
        self.at += costs.shape[1]

    def _one(self, place: int) -> None:
        """Find E after one more sample."""
        best, costs, second, next_costs = self._best, self._cost, self._next, self._next_cost
        least = next_least = math.inf
        ends = next_ends = None
        last, offset = self._last, self._offset
        for label, need, sums in self._rows:
            if (begun := place - need) >= 0:
                before, cost = best[begun], costs[begun]
                if before is not None and before.label == label:
                    before, cost = second[begun], next_costs[begun]
                if (cost := cost - sums[begun]) < offset[label]:
                    offset[label], last[label] = cost, ClassInterval(self._base + begun, label, before)
            if (cost := offset[label] + sums[place]) < least:
                next_least, next_ends, least, ends = least, ends, cost, last[label]
            elif cost < next_least:
                next_least, next_ends = cost, last[label]
        costs.append(least)
        best.append(ends)
        next_costs.append(next_least)
        second.append(next_ends)

    def release(self) -> np.ndarray:
        """Return the labels `(n,)` uint8 that no later sample can change, those that were not returned before.

        These are the samples on which all ways agree that may still become the best one.
        """
        low = max(self._base, self.at - self._longest + 1)  # an interval that may come to be long enough begins here
        self._forget(low)
        heads = {id(one): one for one in (*self._last, *self._best, *self._next) if one is not None}
        waiting = sorted(heads.values(), key=_start)
        apart = low
        while len(waiting) > 1:
            latest = waiting.pop()
            apart = min(apart, latest.start)
            if latest.before is None:
                return np.zeros(0, np.uint8)  # where they begin they differ already
            if id(latest.before) not in heads:
                heads[id(latest.before)] = latest.before
                waiting.append(latest.before)
                waiting.sort(key=_start)
        common = waiting[0]
        labels = self._labels(common, max(apart, self.told))
        common.before = None
        return labels

    def _forget(self, low: int) -> None:
        """Drop what belongs to samples before `low`."""
        drop, self._base = low - self._base, low
        for values in (*self._sums, self._cost, self._best, self._next_cost, self._next):
            del values[:drop]

    def leave(self, label: int, stop: int) -> np.ndarray:
        """Return the labels up to `stop` that were not returned before; the best way has class `label` there.

        Args:
            label: a class whose interval is long enough at `stop`, and goes on beyond it.
            stop: at most `at`.
        """
        last = self._last[label]
        assert last is not None
        return self._labels(last, stop)

    def finish(self, final: int | None = None) -> np.ndarray:
        """Return the labels that were not returned before, with all samples there.

        Args:
            final: the class that the next sample has, in an interval that is long enough without these samples; None
                where the signal ends: its last interval may be shorter, as it may go on.
        """
        end, found, least_cost = self.at - self._base, None, math.inf
        for label, need in enumerate(self._least):
            if final not in (None, label):
                continue
            sums, total = self._sums[label], self._sums[label][end]
            if (cost := self._offset[label] + total) < least_cost:
                least_cost, found = cost, self._last[label]
            for begun in range(max(0, end - need + 1), end + (final is not None)):
                before, cost = self._best[begun], self._cost[begun]
                if before is not None and before.label == label:
                    before, cost = self._next[begun], self._next_cost[begun]
                if cost - sums[begun] + total < least_cost:
                    least_cost, found = cost - sums[begun] + total, ClassInterval(self._base + begun, label, before)
        assert found is not None
        return self._labels(found, self.at)

    def _labels(self, last: ClassInterval, stop: int) -> np.ndarray:
        """Labels from `told` up to `stop` of the way that ends with an interval; they count as returned then."""
        labels, end = np.empty(max(0, stop - self.told), np.uint8), stop
        one: ClassInterval | None = last
        while one is not None and end > self.told:
            labels[max(0, one.start - self.told) : max(0, end - self.told)] = one.label
            end, one = min(end, one.start), one.before
        self.told = max(self.told, stop)
        return labels


def _start(interval: ClassInterval) -> int:
    return interval.start
