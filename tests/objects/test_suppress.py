"""Suppression in rounds, pieces and sweeps, against one candidate after the other, and against torchvision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from atrous.objects import suppress
from atrous.objects.boxes import BoxShape
from atrous.objects.candidates import Candidates, corner_bounds, joined
from atrous.objects.suppress import KEPT, UNDECIDED, Suppression, decide

WIDTH = 60


def candidates(seed, count, levels=5, classes=2, side=9):
    """Boxes around random positions of a 60 x 60 grid, with few different scores, so that there are ties."""
    rng = np.random.default_rng(seed)
    places = rng.choice(WIDTH * WIDTH, count, replace=False)
    middles = np.stack(np.divmod(places, WIDTH), axis=1) + 0.5
    values = np.concatenate([middles - rng.uniform(1, side, (count, 2)), middles + rng.uniform(1, side, (count, 2))], 1)
    scores = (rng.integers(0, levels, count) / levels).astype(np.float32)
    return Candidates(places.astype(np.int64), scores, rng.integers(0, classes, count), values)


def one_by_one(boxes, threshold, per_class):
    """Greedy suppression as it is defined."""
    shape, kept = BoxShape(), []
    for index in np.argsort(boxes.ranks()):
        one = boxes.take(np.array([index]))
        beaten = False
        for winner in kept:
            alike = not per_class or boxes.classes[winner] == boxes.classes[index]
            beaten |= bool(alike and shape.overlap(boxes.take(np.array([winner])), one)[0] > threshold)
        if not beaten:
            kept.append(index)
    return set(kept)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(0, 70), st.floats(0, 0.9), st.booleans(), st.integers(1, 9), st.integers(0, 40)
)
def test_rounds_and_pieces_keep_what_one_by_one_keeps(seed, count, threshold, per_class, piece, pairs):
    boxes = candidates(seed, count)
    before = suppress.FIRST_PIECE, suppress.GROWTH, suppress.MOST_PAIRS, suppress.AT_ONCE
    suppress.FIRST_PIECE, suppress.GROWTH, suppress.MOST_PAIRS, suppress.AT_ONCE = piece, 2, pairs, pairs + 1
    try:
        state = decide(boxes, BoxShape(), threshold, np.ones(count, bool), per_class)
    finally:
        suppress.FIRST_PIECE, suppress.GROWTH, suppress.MOST_PAIRS, suppress.AT_ONCE = before
    assert not (state == UNDECIDED).any()
    assert set(np.flatnonzero(state == KEPT)) == one_by_one(boxes, threshold, per_class)


def test_many_candidates_of_one_object_are_not_all_compared_with_each_other(monkeypatch):
    rng, count = np.random.default_rng(0), 20_000
    middles = rng.uniform(20, 40, (count, 2))
    values = np.concatenate([middles - 300, middles + 300], axis=1)
    scores = rng.random(count).astype(np.float32)
    one = Candidates(np.arange(count), scores, np.zeros(count, np.int64), values)
    compared = []
    overlap = BoxShape.overlap
    monkeypatch.setattr(
        BoxShape,
        "overlap",
        lambda self, winners, others: compared.append(len(others)) or overlap(self, winners, others),
    )
    state = decide(one, BoxShape(), 0.5, np.ones(count, bool), False)
    assert np.flatnonzero(state == KEPT).tolist() == [int(np.argmax(scores))]
    assert sum(compared) < 2 * count


def test_boxes_are_suppressed_as_torchvision_does():
    boxes = candidates(0, 800, levels=10**6, classes=1)
    state = decide(boxes, BoxShape(), 0.3, np.ones(800, bool), False)
    order = nms(torch.from_numpy(boxes.values), torch.from_numpy(boxes.scores.astype(np.float64)), 0.3)
    assert set(np.flatnonzero(state == KEPT)) == set(order.tolist())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 60), st.booleans())
def test_a_sweep_keeps_what_the_whole_keeps(seed, rows, gathered, per_class):
    boxes = candidates(seed, 150)
    whole = Suppression(BoxShape(), 0.2, lambda positions: positions // WIDTH, 9, per_class)
    whole.push(boxes, 0)
    before = suppress.GATHERED
    suppress.GATHERED = gathered
    try:
        sweep = Suppression(BoxShape(), 0.2, lambda positions: positions // WIDTH, 9, per_class)
        for start in range(0, WIDTH, rows):
            row = boxes.positions // WIDTH
            sweep.push(boxes.take((row >= start) & (row < start + rows)), start + rows)
        kept = sweep.close()
    finally:
        suppress.GATHERED = before
    truth = whole.close()
    assert np.array_equal(kept.positions, truth.positions)
    assert np.array_equal(kept.values, truth.values)


def test_many_candidates_of_one_object_cost_few_comparisons(monkeypatch):
    """All pairs of 40,000 boxes would be 800 million."""
    pairs = []
    overlap = BoxShape.overlap

    def counted(self, winners, others):
        pairs.append(len(winners))
        return overlap(self, winners, others)

    monkeypatch.setattr(BoxShape, "overlap", counted)
    rng = np.random.default_rng(0)
    places = np.arange(40_000)
    values = np.tile([0.0, 0, 500, 500], (40_000, 1)) + rng.uniform(-1, 1, (40_000, 4))
    one = Candidates(places, rng.random(40_000).astype(np.float32), np.zeros(40_000, int), values)
    assert (decide(one, BoxShape(), 0.5, np.ones(40_000, bool), False) == KEPT).sum() == 1
    assert sum(pairs) == 40_000 - 1


def test_the_order_is_by_score_then_position_then_class():
    rows = Candidates(
        np.array([5, 2, 2, 9]), np.array([1, 1, 1, 2], np.float32), np.array([0, 1, 0, 0]), np.zeros((4, 0))
    )
    assert rows.ranks().tolist() == [3, 2, 1, 0]
    assert joined([rows, rows]).ranks().tolist()[:4] == [6, 4, 2, 0]


@pytest.mark.parametrize("closed", [False, True])
def test_without_candidates_nothing_is_kept(closed):
    suppression = Suppression(BoxShape(), 0.2, lambda positions: positions, 1)
    if closed:
        suppression.push(candidates(0, 0), 3)
    assert len(suppression.close()) == 0


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_boxes_around_corners_do_not_depend_on_how_many_are_computed_at_once(at_once):
    values = np.random.default_rng(0).normal(size=(7, 12)).astype(np.float32)
    some = Candidates(np.arange(7), np.ones(7, np.float32), np.zeros(7, np.int64), values)
    low, high = corner_bounds(some, lambda part: part.values.reshape(-1, 4, 3), 3, at_once)
    np.testing.assert_array_equal(low, values.reshape(7, 4, 3).min(axis=1))
    np.testing.assert_array_equal(high, values.reshape(7, 4, 3).max(axis=1))
    assert corner_bounds(some.take([]), lambda part: part.values, 3, at_once)[0].shape == (0, 3)
