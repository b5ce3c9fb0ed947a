"""Onsets and offsets of signals."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.labels import IGNORE
from atrous.tasks.events import event_counts, matches
from atrous.tasks.metrics import SegmentationMetrics

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


def test_metrics_count_seconds_over_all_recordings():
    metrics = SegmentationMetrics(["na", "p", "t"], tolerance=0.15)
    hot = torch.eye(3)[torch.from_numpy(np.roll(SIGNAL, 1)).long()].T
    for name in ("a", "b"):
        metrics.update(name, hot, torch.from_numpy(SIGNAL), (0.1,))
    scores = metrics.result(1.0)
    assert scores.events is not None
    assert scores.events.counts[0, :, 1].tolist() == [2, 2, 2]
    found = scores.to_dict()
    assert found["onset_f1"]["p"] == found["offset_f1"]["t"] == 1.0
    assert found["events"]["p"]["onset"] == {"found": 2, "true": 2, "predicted": 2}
    assert "onset F1" in scores.text()
    assert "matched one to one" in scores.conventions


def test_volumes_get_surfaces_and_cases_their_own_dice():
    metrics = SegmentationMetrics(["background", "organ"], tolerance=1.0)
    for name, size in (("small", 2), ("large", 6)):
        truth = np.zeros((8, 8, 8), np.uint8)
        truth[:size, :size, :size] = 1
        guess = truth.copy()
        guess[size - 1] = 0
        metrics.update(
            name, torch.eye(2)[torch.from_numpy(guess).long()].movedim(-1, 0), torch.from_numpy(truth), (1,) * 3
        )
    scores = metrics.result(1.0)
    assert scores.case_dice is not None
    assert np.isclose(scores.case_dice[1], (2 * 4 / 12 + 2 * 180 / 396) / 2)
    assert scores.surface is not None
    assert scores.surface.hd95[1] == 1.0
    assert scores.to_dict()["hd95"] == {"background": None, "organ": 1.0}
    assert {"surface", "HD95"} <= set(scores.text().splitlines()[0].split())
