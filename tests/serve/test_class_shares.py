"""Labels and probabilities in bins: shares as counted directly, sets of classes, void, and what is not known."""

import numpy as np
import pytest

from atrous.serve.class_shares import bins_of, class_shares, looked_at

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("step", [1, 5, 32])
def test_shares_of_short_bins_are_exact(step):
    labels = RNG.integers(0, 4, 1003).astype(np.uint8)
    labels[labels == 3] = 255
    count = -(-(1003 - 10) // step)
    found, counted, known = looked_at(labels, None, 10, step, count)
    shares = class_shares(found, counted, 3, False)
    assert known.all()
    for number in range(count):
        part = labels[10 + number * step : 10 + (number + 1) * step]
        assert shares[:, number].tolist() == [int(np.ceil(100 * (part == k).mean())) for k in range(3)]


def test_sets_of_classes_overlap():
    found, counted, _ = looked_at(np.array([1, 3, 255, 0], np.uint8), None, 0, 4, 1)
    assert class_shares(found, counted, 2, True).tolist() == [[50], [25]]


def test_long_bins_are_sampled_over_their_whole_length():
    labels = (np.arange(10_000) // 2500).astype(np.uint8)
    found, counted, _ = looked_at(labels, None, 0, 10_000, 1)
    assert class_shares(found, counted, 4, False)[:, 0].tolist() == [25, 25, 25, 25]


def test_bins_with_unknown_labels_are_said():
    known = np.arange(100) < 45
    found, counted, whole = looked_at(np.ones(100, np.uint8), lambda positions: known[positions], 0, 10, 10)
    assert whole.tolist() == [True] * 4 + [False] * 6
    assert class_shares(found, counted, 2, False)[1].tolist() == [100] * 5 + [0] * 5


def test_means_leave_gaps_out():
    values = np.array([[1, 2, np.nan, 4, np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(bins_of(values, 2, 3), [[1.5, 4, np.nan]])
