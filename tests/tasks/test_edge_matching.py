"""The matching of edge pixels against a search through all matchings, and where it stops."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.tasks import edge_matching
from atrous.tasks.edge_matching import TooManyPairs, match_edges


def best_matching(found, truth, distance):
    """The largest number of pairs, and the least sum of distances in hundredths among matchings that have so many."""
    apart = np.sqrt(((found[:, None] - truth[None]) ** 2).sum(-1))
    best = (0, 0)
    for size in range(1, min(len(found), len(truth)) + 1):
        for rows in combinations(range(len(found)), size):
            for columns in permutations(range(len(truth)), size):
                lengths = apart[list(rows), list(columns)]
                if (lengths <= distance).all():
                    best = max(best, (size, -int(np.rint(100 * lengths).sum())))
    return best[0], -best[1]


def edges(places, shape=(5, 5)):
    values = np.zeros(shape, bool)
    values.reshape(-1)[list(places)] = True
    return values


@given(
    st.sets(st.integers(0, 24), max_size=5), st.sets(st.integers(0, 24), max_size=5), st.floats(0.0, 4.5),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=100)
def test_the_matching_is_the_best_one(found_places, truth_places, distance, apart):
    found, truth = edges(found_places), edges(truth_places)
    with pytest.MonkeyPatch.context() as patch:
        if apart:  # every group of pixels in a call of its own
            patch.setattr(edge_matching, "_ROWS", 1)
        first, second = match_edges(found, truth, distance)
    count, least = best_matching(np.argwhere(found), np.argwhere(truth), distance)
    assert len(first) == len(second) == len(set(first.tolist())) == len(set(second.tolist())) == count
    lengths = np.sqrt(((np.argwhere(found)[first] - np.argwhere(truth)[second]) ** 2).sum(-1))
    assert np.rint(100 * lengths).sum() == least


def test_the_distance_counts_up_to_its_value():
    found, truth = edges([0], (9, 9)), np.zeros((9, 9), bool)
    truth[3, 4] = True  # 5 pixels from the corner
    assert len(match_edges(found, truth, 5.0)[0]) == 1
    assert len(match_edges(found, truth, 4.99)[0]) == 0


def test_borders_do_not_join():
    """The end of a row is no neighbor of the start of the next one."""
    found, truth = edges([4]), edges([5])
    assert len(match_edges(found, truth, 3.0)[0]) == 0


def test_two_do_not_share_one():
    found, truth = edges([0, 1, 2], (1, 9)), edges([1], (1, 9))
    first, second = match_edges(found, truth, 2.0)
    assert (first.tolist(), second.tolist()) == ([1], [0])  # the nearest


def test_a_large_map_of_lines_is_matched_whole():
    found = np.zeros((200, 300), bool)
    found[::10] = True
    first, second = match_edges(found, np.roll(found, 2, axis=0), 2.5)
    assert len(first) == found.sum()
    np.testing.assert_array_equal(first, second)


def test_too_many_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(edge_matching, "_MOST_PAIRS", 100)
    with pytest.raises(TooManyPairs, match=r"400 edge pixels have too many partners within 3.0 pixels"):
        match_edges(np.ones((20, 20), bool), np.ones((20, 20), bool), 3.0)
