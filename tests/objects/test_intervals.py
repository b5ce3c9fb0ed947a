"""Labels without intervals that are too short: the most probable ones, the same however the signal is cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.intervals import (
    IntervalDecoder,
    LeastLengths,
    Runs,
    certain_part,
    interval_costs,
    plain_labels,
)
from tests.objects.brute import allowed, cheapest

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.5)
MODES = ({}, {"gathered": 0}, {"gathered": 12}, {"live": True})


def decoded(probabilities, least, cuts=(), valid=None, **options):
    decoder, parts = IntervalDecoder(least, **options), []
    edges = [0, *sorted(cuts), probabilities.shape[1]]
    for start, stop in itertools.pairwise(edges):
        parts.append(decoder.add(probabilities[:, start:stop], None if valid is None else valid[start:stop]))
    return np.concatenate([*parts, decoder.finish()])


@st.composite
def signals(draw):
    classes, length = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    length = min(length, 7) if classes == 3 else length
    rows = st.lists(st.sampled_from(LEVELS), min_size=length, max_size=length)
    values = draw(st.lists(rows, min_size=classes, max_size=classes))
    least = draw(st.lists(st.integers(1, 4), min_size=classes, max_size=classes))
    return np.array(values, np.float32), least, draw(st.lists(st.integers(0, length), max_size=3))


@given(signals())
@settings(max_examples=200, deadline=None)
def test_no_other_labels_are_more_probable(signal):
    probabilities, least, cuts = signal
    ways = cheapest(interval_costs(probabilities), least)[1]
    answers = [decoded(probabilities, least, cuts, **mode) for mode in MODES]
    assert tuple(answers[0].tolist()) in ways
    for answer in answers[1:]:  # equal ways are decided alike
        np.testing.assert_array_equal(answer, answers[0])


def test_the_sum_of_logarithms_is_the_greatest_in_float64():
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(3), 7).T.astype(np.float32)
    found = decoded(probabilities, [2, 3, 1])
    logarithms = np.log(probabilities.astype(np.float64))
    sums = {}
    for way in np.ndindex(*(3,) * 7):
        if allowed(way, [2, 3, 1]):
            sums[way] = sum(logarithms[label, i] for i, label in enumerate(way))
    assert sums[tuple(found.tolist())] == pytest.approx(max(sums.values()), abs=1e-5)


@pytest.mark.parametrize("seed", range(25))
def test_the_answer_is_the_same_in_pieces_of_any_size(seed):
    rng = np.random.default_rng(seed)
    classes, length = int(rng.integers(2, 5)), int(rng.integers(50, 400))
    least = rng.integers(1, rng.integers(2, 9), classes).tolist()
    truth = np.repeat(rng.integers(0, classes, 200), rng.integers(1, 40, 200))[:length]
    values = rng.choice([0.05, 0.1, 0.1, 0.2, 0.3], (classes, length))  # many are equal
    values[truth, np.arange(length)] += rng.choice([0, 0.2, 0.5], length, p=[0.2, 0.3, 0.5])
    valid = None
    if seed % 2:
        valid = np.ones(length, bool)
        valid[rng.integers(0, length, 4)] = False
    walked = decoded(values, least, valid=valid, live=True)  # the dynamic program over all samples, and nothing else
    for mode in ({}, {"gathered": 0}, {"gathered": 100}, {"gathered": 600}):
        for cuts in ((), rng.integers(0, length, 6).tolist(), range(length)):
            np.testing.assert_array_equal(decoded(values, least, cuts, valid, **mode), walked)
    np.testing.assert_array_equal(decoded(values, least, range(length), valid, live=True), walked)


def test_plain_labels_stay_where_they_are_long_enough():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.tile([0, 1, 2], 50), rng.integers(5, 30, 150))
    probabilities = np.full((3, len(truth)), 0.3)
    probabilities[truth, np.arange(len(truth))] = 0.4
    np.testing.assert_array_equal(decoded(probabilities, [5, 5, 5]), truth)
    flicker = rng.dirichlet(np.ones(3), 100).T
    np.testing.assert_array_equal(decoded(flicker, [1, 1, 1]), plain_labels(flicker))


def test_a_fragment_goes_to_what_is_most_probable_around_it():
    labels = np.repeat([0, 2, 0, 2, 0], [40, 24, 2, 3, 40])  # as a QRS complex that breaks
    probabilities = np.full((3, len(labels)), 0.05)
    probabilities[labels, np.arange(len(labels))] = 0.9
    probabilities[:, 64:66] = [[0.55], [0.05], [0.4]]
    runs = Runs(decoded(probabilities, [3, 10, 14]))
    assert list(zip(runs.label.tolist(), (runs.end - runs.start).tolist(), strict=True)) == [(0, 40), (2, 29), (0, 40)]


def test_borders_and_gaps_may_cut_an_interval():
    probabilities = np.full((2, 20), 0.1)
    labels = np.repeat([1, 0, 1, 0, 1], [2, 6, 1, 9, 2])
    probabilities[labels, np.arange(20)] = 0.9
    assert decoded(probabilities, [4, 4]).tolist() == [1, 1] + [0] * 16 + [1, 1]
    valid = np.ones(20, bool)
    valid[9] = False  # the sample after the short interval
    assert decoded(probabilities, [4, 4], valid=valid).tolist() == labels.tolist()


def test_what_is_certain_in_a_piece_is_so_in_the_whole():
    rng = np.random.default_rng(5)
    truth = np.repeat(rng.integers(0, 3, 60), rng.integers(3, 40, 60))
    values = rng.random((3, len(truth)))
    values[truth, np.arange(len(truth))] += 0.7
    least, whole = [3, 6, 9], decoded(values, [3, 6, 9])
    certain = 0
    for start in range(0, len(truth) - 200, 37):
        piece = values[:, start : start + 200]
        low, high = certain_part(piece, None, LeastLengths(least))
        np.testing.assert_array_equal(decoded(piece, least)[low:high], whole[start + low : start + high])
        certain += max(0, high - low)
    assert certain > 500
    assert certain_part(rng.random((3, 20)), None, LeastLengths([9, 9, 9])) == (20, 0)
    cut = np.ones(20, bool)
    cut[7] = False
    assert certain_part(rng.random((3, 20)), cut, LeastLengths([9, 9, 9])) == (7, 8)


def test_long_signals_take_little_memory():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 4, 20_000), rng.integers(20, 80, 20_000))[:600_000]
    values = (0.3 * rng.random((4, len(truth)))).astype(np.float32)
    values[truth, np.arange(len(truth))] += 0.5
    values[0, rng.integers(0, len(truth), 500)] += 1
    decoder, count = IntervalDecoder([3, 10, 14, 17]), 0
    for start in range(0, len(truth), 10_000):
        count += len(decoder.add(values[:, start : start + 10_000]))
        assert decoder.waiting < 5_000
    assert count + len(decoder.finish()) == len(truth)


def test_wrong_values_are_refused():
    decoder = IntervalDecoder([2, 2])
    with pytest.raises(ValueError, match="give 2 rows"):
        decoder.add(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="not finite"):
        decoder.add(np.array([[0.1, np.nan], [0.9, 0.1]]))
