"""All ways to give samples classes, for tests of the cheapest one."""

import itertools

import numpy as np


def allowed(labels, least, first=None, final=None) -> bool:
    """Whether no interval is too short: the first and the last one may be, where they may go on beyond the samples."""
    edges = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
    for start, stop in itertools.pairwise(edges):
        label = labels[start]
        begun_before = start == 0 and first in (None, label)
        goes_on = stop == len(labels) and final in (None, label)
        if stop - start < least[label] and not begun_before and not goes_on:
            return False
    return True


def cheapest(costs: np.ndarray, least, first=None, final=None) -> tuple[int, list[tuple[int, ...]]]:
    """The least sum of costs `(K, n)` of all ways that are allowed, and which ways have it."""
    ways = list(itertools.product(range(len(costs)), repeat=costs.shape[1]))
    sums = {way: int(sum(costs[label, i] for i, label in enumerate(way))) for way in ways}
    sums = {way: cost for way, cost in sums.items() if allowed(way, least, first, final)}
    best = min(sums.values())
    return best, [way for way, cost in sums.items() if cost == best]
