"""The dynamic program over intervals of a least length: what it finds is the best of all ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.interval_walk import IntervalWalk
from tests.objects.brute import cheapest


@st.composite
def problems(draw):
    classes, length = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    rows = st.lists(st.integers(0, 4), min_size=length, max_size=length)
    costs = draw(st.lists(rows, min_size=classes, max_size=classes))
    least = draw(st.lists(st.integers(1, 4), min_size=classes, max_size=classes))
    ends = [draw(st.none() | st.integers(0, classes - 1)) for _ in range(2)]
    return np.array(costs, np.int64), least, *ends, draw(st.integers(0, length))


@given(problems())
@settings(max_examples=300, deadline=None)
def test_no_way_is_cheaper(problem):
    costs, least, first, final, cut = problem
    walk = IntervalWalk(least, first)
    walk.step(costs[:, :cut])
    parts = [walk.release()]  # what is certain already
    walk.step(costs[:, cut:])
    found = np.concatenate([*parts, walk.finish(final)])
    assert tuple(found.tolist()) in cheapest(costs, least, first, final)[1]


def test_equal_ways_are_decided_alike_in_pieces_of_any_size():
    costs = np.random.default_rng(0).integers(0, 3, (3, 300))
    answers = set()
    for size in (1, 7, 300):
        walk, parts = IntervalWalk([2, 5, 9]), []
        for start in range(0, 300, size):
            walk.step(costs[:, start : start + size])
            parts.append(walk.release())
        answers.add(np.concatenate([*parts, walk.finish()]).tobytes())
    assert len(answers) == 1


def test_memory_does_not_grow_with_the_signal():
    rng = np.random.default_rng(0)
    walk = IntervalWalk([3, 10])
    for _ in range(20):
        walk.step(rng.integers(0, 1000, (2, 1000)))
        walk.release()
        assert walk.at - walk.told < 500
        assert len(walk._cost) <= 10
        interval, count = walk._last[0], 0
        while interval is not None:
            interval, count = interval.before, count + 1
        assert count < 100


@pytest.mark.parametrize("label", [0, 1])
def test_labels_up_to_a_sample_that_is_known(label):
    costs = np.array([[0] * 10, [1] * 10])
    walk = IntervalWalk([2, 3])
    walk.step(costs if label == 0 else costs[::-1])
    assert walk.leave(label, 8).tolist() == [label] * 8
    assert walk.told == 8
