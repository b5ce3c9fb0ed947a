"""Onsets and offsets of signals."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.labels import IGNORE
from atrous.tasks.events import EventScores, event_counts, matches

SIGNAL = np.array([0] * 5 + [1] * 4 + [0] * 6 + [2] * 3 + [0] * 5, np.uint8)


def most_pairs(a, b, tolerance):
    """Return the largest possible number of pairs, by trying all."""
    if not len(a):
        return 0
    rest = most_pairs(a[1:], b, tolerance)
    for j, place in enumerate(b):
        if abs(a[0] - place) <= tolerance:
            rest = max(rest, 1 + most_pairs(a[1:], b[:j] + b[j + 1 :], tolerance))
    return rest


@given(
    st.lists(st.integers(0, 30), max_size=5, unique=True).map(sorted),
    st.lists(st.integers(0, 30), max_size=5, unique=True).map(sorted),
    st.integers(0, 8),
)
def test_as_many_pairs_as_can_be(a, b, tolerance):
    found = matches(np.array(a, int), np.array(b, int), tolerance)
    assert len(found) == most_pairs(a, b, tolerance)
    assert all(abs(a[i] - b[j]) <= tolerance for i, j in found)
    assert all(i < k and j < m for (i, j), (k, m) in itertools.pairwise(found))


def test_a_perfect_prediction_finds_all():
    counts = event_counts(SIGNAL, SIGNAL, 3, 0)
    assert counts[:, :, 1].tolist() == counts[:, :, 2].tolist() == [[1, 1, 1], [1, 1, 1]]
    # class 0 has three intervals, of which the first has no onset and the last no offset
    assert counts[:, :, 0].tolist() == [[2, 2, 2], [2, 2, 2]]


def test_shifts_within_and_beyond_the_tolerance():
    shifted = np.roll(SIGNAL, 2)
    assert event_counts(SIGNAL, shifted, 3, 2)[:, 0, 1:].tolist() == [[1, 1], [1, 1]]
    assert event_counts(SIGNAL, shifted, 3, 1)[:, 0, 1:].tolist() == [[0, 0], [0, 0]]


def test_a_stray_interval_is_a_false_onset_and_offset():
    stray = SIGNAL.copy()
    stray[-2] = 1
    assert event_counts(SIGNAL, stray, 3, 1)[:, :, 1].tolist() == [[1, 1, 2], [1, 1, 2]]


def test_what_the_border_cuts_off_does_not_count():
    truth = np.array([1, 1, 1, 0, 0, 0, 1, 1], np.uint8)
    late = np.array([0, 1, 1, 0, 0, 0, 1, 1], np.uint8)
    counts = event_counts(truth, late, 2, 2)
    assert counts[0, :, 1].tolist() == [1, 1, 1]
    assert counts[1, :, 1].tolist() == [1, 1, 1]


def test_voids_are_like_borders():
    truth = np.array([0, 1, 1, IGNORE, IGNORE, 1, 1, 0], np.uint8)
    counts = event_counts(truth, np.where(truth == IGNORE, 0, truth), 2, 0)
    assert counts[0, :, 1].tolist() == [1, 1, 1]
    assert counts[1, :, 1].tolist() == [1, 1, 1]


def test_f1_of_counts():
    counts = np.array([[[3, 0, 0], [4, 1, 0], [6, 0, 0]], [[1, 0, 0], [1, 0, 0], [1, 1, 0]]])
    scores = EventScores(0.1, counts)
    np.testing.assert_allclose(scores.onset_f1, [6 / 10, 0, np.nan])
    np.testing.assert_allclose(scores.offset_f1, [1, 0, np.nan])


def test_a_predicted_event_at_a_cut_counts_only_if_it_matches_a_true_one():
    """The true interval of class 1 has an onset; the predicted one starts with the recording, so its onset is cut."""
    truth = np.array([0, 1, 1, 1, 0, 0, 0, 0], np.uint8)
    cut = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.uint8)
    assert event_counts(truth, cut, 2, 1)[0, :, 1].tolist() == [1, 1, 1]
    assert event_counts(truth, cut, 2, 0)[0, :, 1].tolist() == [0, 1, 0]
