"""Pairs of boxes that overlap, against looking at all combinations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects import overlaps
from atrous.objects.overlaps import TooMany, overlapping_between, overlapping_boxes


def boxes(rng, count, ndim, spread):
    low = np.floor(rng.uniform(-100, 100, (count, ndim)) * 4) / 4
    sides = np.floor(2.0 ** rng.uniform(-1, spread, (count, ndim)) * 4) / 4
    return low, low + sides


def meet(low, high, other_low, other_high):
    common = (low[:, None] < other_high[None]) & (other_low[None] < high[:, None])
    return common.all(axis=2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 80), st.floats(0, 8))
def test_every_pair_is_found_once(seed, ndim, count, spread):
    rng = np.random.default_rng(seed)
    low, high = boxes(rng, count, ndim, spread)
    first, second = overlapping_boxes(low, high)
    found = {(min(a, b), max(a, b)) for a, b in zip(first.tolist(), second.tolist(), strict=True)}
    truth = {(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(meet(low, high, low, high), 1)), strict=True)}
    assert found == truth
    assert len(first) == len(truth)
    other_low, other_high = boxes(rng, count // 2, ndim, spread / 2)
    first, second = overlapping_between(low, high, other_low, other_high)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    expected = {(int(a), int(b)) for a, b in zip(*np.nonzero(meet(low, high, other_low, other_high)), strict=True)}
    assert set(pairs) == expected
    assert len(pairs) == len(expected)


@pytest.mark.parametrize("at_once", [1, 7])
def test_small_steps_find_the_same_pairs(monkeypatch, at_once):
    low, high = boxes(np.random.default_rng(0), 60, 2, 6)
    whole = overlapping_boxes(low, high)
    monkeypatch.setattr(overlaps, "AT_ONCE", at_once)
    steps = overlapping_boxes(low, high)
    assert np.array_equal(whole[0], steps[0])
    assert np.array_equal(whole[1], steps[1])


def test_more_pairs_than_asked_for_are_refused():
    low = np.zeros((10, 2))
    assert len(overlapping_boxes(low, low + 1, 45)[0]) == 45
    with pytest.raises(TooMany):
        overlapping_boxes(low, low + 1, 44)


def test_many_large_boxes_in_one_place_are_not_compared_with_every_small_one(monkeypatch):
    rng = np.random.default_rng(0)
    large = rng.uniform(0, 2, (500, 2))
    small = rng.uniform(1100, 1900, (500, 2))  # beyond the large boxes, but within reach of their longest side
    compared = []
    meet = overlaps._meet
    monkeypatch.setattr(overlaps, "_meet", lambda *boxes: compared.append(len(boxes[0])) or meet(*boxes))
    first, _ = overlapping_between(large, large + 1000, small, small + 3)
    assert not len(first)
    assert sum(compared) <= 2000
