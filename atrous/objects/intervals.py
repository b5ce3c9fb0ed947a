"""Labels of a signal in which no interval is shorter than its class allows, exact at any size of a piece.

Of all ways to give each sample a class so that no interval of class c is shorter than `least[c]` samples, the one with
the greatest sum of the logarithms of its probabilities is taken (`interval_walk.py`). An interval at the beginning or
the end of the signal, or beside samples without data, may be shorter: it may go on where nobody looked.

The plain labels (the most probable class of each sample) have the greatest sum of all, so where they are long enough
they are the answer. Only around intervals that are too short is there anything to compute, because long intervals are
beyond doubt. Let the plain labels have class c from u to v, and M be the greatest least length of the other classes. If
v - u >= least[c] + 2 (M - 1), every best way has class c from u + M - 1 to v - M + 1, the core. For take a way that has
not. Cut the interval that it has at u where it ends, but not before it is long enough, at u + M - 1 at the latest;
likewise that at v - 1, at v - M + 1 at the earliest; and give everything between class c. These are least[c] samples or
more, so the new way is allowed, and its sum is greater, because no class is more probable than c between u and v. So
what lies between two cores is decided by itself.

Costs are the logarithms of the ratio to the greatest probability in steps of 2^-20, at least one step for every class
that is not the plain label. So no other way is as good as the plain labels where these are allowed, sums are exact, and
the answer does not depend on how the signal is divided.
"""

from collections.abc import Sequence

import numpy as np

from atrous.objects.interval_walk import PIECE, IntervalWalk

STEPS = 1 << 20
"""Steps of the logarithm that costs count."""
TINY = 2.0**-149
"""The least positive float32, which a probability of 0 counts as."""
GATHERED = 1 << 20
"""Probabilities that wait for a core at most; a longer stretch without one is walked through sample by sample."""


def interval_costs(probabilities: np.ndarray) -> np.ndarray:
    """Return what each class costs at each sample, int64 `(K, n)`, of probabilities `(K, n)`.

    >>> interval_costs(np.array([[0.5, 0.4], [0.25, 0.4]])).tolist()
    [[0, 0], [726817, 1]]
    """
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    costs = np.maximum(np.rint((logarithms.max(axis=0) - logarithms) * STEPS), 1).astype(np.int64)
    np.put_along_axis(costs, probabilities.argmax(axis=0)[None], 0, axis=0)
    return costs


class LeastLengths:
    """The least lengths of the intervals of each class, and what follows from them.

    Args:
        least: samples of the shortest interval of each class, at least 1.

    Attributes:
        least: as given, `(K,)` int64.
        margin: M - 1 for each class: samples of a long interval on either side that are not its core.
        long: samples from which an interval of plain labels has a core.

    >>> LeastLengths([3, 10]).long.tolist()
    [21, 14]
    """

    def __init__(self, least: Sequence[int]) -> None:
        self.least = np.array(least, np.int64)
        others = [max((one for k, one in enumerate(least) if k != c), default=1) for c in range(len(least))]
        self.margin = np.array(others, np.int64) - 1
        self.long = self.least + 2 * self.margin


class Runs:
    """Longest runs of equal labels `(n,)`, n > 0.

    Attributes:
        start: first sample of each.
        end: the sample after its last one.
        label: its class.
    """

    def __init__(self, labels: np.ndarray) -> None:
        edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        self.start = np.concatenate([[0], edges])
        self.end = np.concatenate([edges, [len(labels)]])
        self.label = labels[self.start].astype(np.int64)


def certain_part(probabilities: np.ndarray, valid: np.ndarray | None, lengths: LeastLengths) -> tuple[int, int]:
    """Return from where to where the labels of a piece of a signal do not depend on what comes before and after it.

    That is from the first core or sample without data up to the last one; `(n, 0)` where there is none.

    Args:
        probabilities: of the piece, `(K, n)`.
        valid: `(n,)` bool, false at samples without data; None for none of these.
        lengths: least lengths of intervals.

    >>> likely = np.repeat([0.9, 0.1, 0.9], [9, 5, 9])
    >>> certain_part(np.stack([likely, 1 - likely]), None, LeastLengths([2, 3]))
    (2, 21)
    """
    labels = plain_labels(probabilities).astype(np.int64)
    if valid is not None:
        labels[~valid] = len(probabilities)
    runs = Runs(labels)
    margin, long = (np.append(values, 0)[runs.label] for values in (lengths.margin, lengths.long))
    found = np.flatnonzero(runs.end - runs.start >= long)
    if not len(found):
        return len(labels), 0
    return int((runs.start + margin)[found[0]]), int((runs.end - margin)[found[-1]])


class IntervalDecoder:
    """Gives the labels of a signal whose probabilities arrive in pieces of any size.

    Memory is that of the samples between two cores, of `gathered` probabilities at most, and of undecided intervals.

    Args:
        least: samples of the shortest interval of each of K classes, at least 1.
        live: whether labels are returned as soon as they are certain; every sample is walked through then.
        gathered: probabilities that wait at most before their samples are walked through, if not `live`.

    >>> decoder = IntervalDecoder([2, 2])
    >>> first = np.repeat([0.9, 0.2, 0.9], [9, 1, 9])
    >>> parts = [decoder.add(np.stack([part, 1 - part])) for part in np.split(first, [7, 11])] + [decoder.finish()]
    >>> np.concatenate(parts).tolist() == [0] * 19
    True
    """

    def __init__(self, least: Sequence[int], *, live: bool = False, gathered: int = GATHERED) -> None:
        self._lengths, self._live, self._gathered = LeastLengths(least), live, gathered
        self._begin()

    def _begin(self, first: int | None = None, held: np.ndarray | None = None) -> None:
        """Begin where the class `first` is beyond doubt, or where the signal begins, with the samples from there on."""
        count = len(self._lengths.least)
        self._first, self._walk = first, None
        self._held = np.zeros((count, 0), np.float32) if held is None else held  # while walking: the last samples
        self._run = (-1, 0)  # while walking: class and length of the plain labels at the end

    @property
    def waiting(self) -> int:
        """How many samples have come whose labels were not returned."""
        return self._held.shape[1] if self._walk is None else self._walk.at - self._walk.told

    def add(self, probabilities: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Take the next samples, and return the labels that are certain now, `(m,)` uint8, in order.

        Args:
            probabilities: `(K, n)`.
            valid: `(n,)` bool, false at samples without data, which get their plain labels; None for none of these.

        Raises:
            ValueError: the shape does not fit, or a probability is not finite.
        """
        count = len(self._lengths.least)
        if probabilities.ndim != 2 or len(probabilities) != count:
            raise ValueError(f"probabilities are {probabilities.shape}: give {count} rows")
        if not np.isfinite(probabilities).all():
            raise ValueError("the network's output is not finite (nan or infinite)")
        if valid is None or not probabilities.shape[1]:
            return np.concatenate(self._take(probabilities))
        found = []
        runs = Runs(valid)
        for start, end, known in zip(runs.start, runs.end, runs.label, strict=True):
            part = probabilities[:, start:end]
            found += self._take(part) if known else [self.finish(), plain_labels(part)]
        return np.concatenate(found)

    def finish(self) -> np.ndarray:
        """Return the labels of all samples that wait; what comes after them is another signal."""
        if self._walk is not None:
            labels = self._walk.finish()
        else:
            labels = self._decided(final=True) if self._held.shape[1] else np.zeros(0, np.uint8)
        self._begin()
        return labels

    def _take(self, part: np.ndarray) -> list[np.ndarray]:
        """Labels that are certain with the next samples, all of which have data."""
        found = [np.zeros(0, np.uint8)]
        while part.shape[1]:
            if self._walk is not None:
                labels, part = self._walked(part)
                found.append(labels)
                continue
            self._held, part = np.concatenate([self._held, part], axis=1), part[:, :0]
            if not self._live:
                found.append(self._decided())
            if self._live or self._held.size > self._gathered:
                part = self._held
                self._walk, self._held = IntervalWalk(self._lengths.least.tolist(), self._first), part[:, :0]
        return found

    def _decided(self, *, final: bool = False) -> np.ndarray:
        """Labels of the samples that wait up to the last core, or of all; those after it go on waiting."""
        lengths, held = self._lengths, self._held
        labels = plain_labels(held)
        runs = Runs(labels)
        size, margin = runs.end - runs.start, lengths.margin[runs.label]
        long = np.flatnonzero(size >= lengths.long[runs.label])
        short = size < lengths.least[runs.label]
        short[0] = short[-1] = False  # they may have begun before, or go on
        # between two cores: from the end of the one to the start of the other
        starts = [0, *(runs.end - margin)[long].tolist()]
        ends = [*(runs.start + margin)[long].tolist(), *([held.shape[1]] if final else [])]
        classes = [self._first, *runs.label[long].tolist(), None]
        edges = [-1, *long.tolist(), len(size)]
        for number, (start, end) in enumerate(zip(starts, ends, strict=False)):
            if short[edges[number] + 1 : edges[number + 1]].any():
                walk = IntervalWalk(lengths.least.tolist(), classes[number])
                for place in range(start, end, PIECE):
                    walk.step(interval_costs(held[:, place : min(place + PIECE, end)]))
                labels[start:end] = walk.finish(classes[number + 1])
        if final:
            return labels
        self._first, self._held = classes[len(long)], held[:, starts[-1] :].copy()
        return labels[: starts[-1]]

    def _walked(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Walk through a part up to the first core in it; return the labels that are certain, and the rest."""
        assert self._walk is not None
        part, rest = part[:, :PIECE], part[:, PIECE:]
        runs = Runs(plain_labels(part))
        size = runs.end - runs.start
        before = self._run[1] if runs.label[0] == self._run[0] else 0
        size[0] += before
        long = np.flatnonzero(size >= self._lengths.long[runs.label])
        if self._live or not len(long):
            self._walk.step(interval_costs(part))
            self._run = int(runs.label[-1]), int(size[-1])
            self._held = self._latest(part, int(self._lengths.margin.max()))
            return self._walk.release(), rest
        label = int(runs.label[long[0]])
        stop = int(runs.end[long[0]] - size[long[0]] + self._lengths.long[label])
        self._walk.step(interval_costs(part[:, :stop]))
        margin = int(self._lengths.margin[label])
        labels = self._walk.leave(label, self._walk.at - margin)
        self._begin(label, self._latest(part[:, :stop], margin))
        return labels, np.concatenate([part[:, stop:], rest], axis=1)

    def _latest(self, part: np.ndarray, count: int) -> np.ndarray:
        """The last `count` samples up to the end of a part, which follows the samples that are kept."""
        seen = np.concatenate([self._held, part], axis=1)
        return seen[:, max(0, seen.shape[1] - count) :]


def plain_labels(probabilities: np.ndarray) -> np.ndarray:
    """Return the most probable class at each sample, `(n,)` uint8, of probabilities `(K, n)`; of equal ones the first.

    >>> plain_labels(np.array([[0.1, 0.5], [0.9, 0.5]])).tolist()
    [1, 0]
    """
    return probabilities.argmax(axis=0).astype(np.uint8)
