"""J, F and flicker against their definitions, computed point by point."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.labels import IGNORE
from atrous.tasks.video import _mean, boundary_f, contour, flicker_counts, region_j, video_metrics

MASKS = arrays(bool, (9, 11))


def slow_f(truth, prediction, reach):
    """F1 of contour points that have one of the other within `reach`, point by point."""
    mine, other = np.argwhere(contour(truth)), np.argwhere(contour(prediction))
    if not len(mine) or not len(other):
        return float(len(mine) == len(other))
    apart = np.hypot(*(mine[:, None] - other[None]).transpose(2, 0, 1))
    recall, precision = (apart.min(1) <= reach).mean(), (apart.min(0) <= reach).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(MASKS, MASKS)
def test_f_is_found_contour_points(truth, prediction):
    ratio = 1.5 / math.hypot(9, 11)  # reaches two positions, rounded up
    assert boundary_f(truth, prediction, ratio) == pytest.approx(slow_f(truth, prediction, 2))
    assert boundary_f(truth, prediction) == pytest.approx(boundary_f(prediction, truth))


@given(MASKS)
def test_a_mask_agrees_with_itself(mask):
    assert region_j(mask, mask) == boundary_f(mask, mask) == 1


@given(MASKS)
def test_the_contour_is_that_of_the_authors(mask):
    """`seg2bmap` of the DAVIS toolkit, in its own terms: exclusive ors with the shifted mask, borders apart."""
    east, south, both = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    east[:, :-1], south[:-1], both[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    expected = (mask ^ east) | (mask ^ south) | (mask ^ both)
    expected[-1], expected[:, -1] = (mask ^ east)[-1], (mask ^ south)[:, -1]
    expected[-1, -1] = False
    np.testing.assert_array_equal(contour(mask), expected)


def test_the_tolerance_is_that_of_davis():
    truth = np.zeros((480, 854), bool)
    truth[100:300, 200:400] = True
    assert boundary_f(truth, np.roll(truth, 8, 1)) == 1  # 0.008 of a diagonal of 980 is 7.8
    assert boundary_f(truth, np.roll(truth, 9, 1)) < 1


def test_means_are_over_frames_and_a_missing_object_counts():
    truth = np.zeros((4, 20, 20), np.uint8)
    truth[:2, 5:10, 5:10] = 1
    prediction = truth.copy()
    prediction[0] = 0
    found = video_metrics(truth, prediction, 3)
    assert found.region[1] == found.boundary[1] == 0.75  # missed once, right once, rightly absent twice
    assert math.isnan(found.region[0])
    assert math.isnan(found.region[2])


def test_void_counts_nowhere():
    truth = np.zeros((3, 12, 12), np.uint8)
    truth[:, 3:6, 3:6] = 1
    truth[1] = IGNORE
    prediction = truth.copy()
    prediction[1] = 1
    found = video_metrics(truth, prediction, 2)
    assert (found.region[1], found.boundary[1], found.steady) == (1, 1, 0)


@given(
    arrays(np.uint8, (4, 5, 6), elements=st.sampled_from([0, 1, 255])),
    arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 1)),
)
def test_flicker_counts_changes_where_truth_stays(truth, prediction):
    steady = changed = 0
    for t, y, x in np.ndindex(3, 5, 6):
        if truth[t, y, x] == truth[t + 1, y, x] != IGNORE:
            steady += 1
            changed += int(prediction[t, y, x] != prediction[t + 1, y, x])
    assert flicker_counts(truth, prediction) == (steady, changed)


def test_a_mean_over_videos_leaves_out_unknown_ones():
    rows = [np.array([0.5, math.nan, math.nan]), np.array([0.7, 0.2, math.nan])]
    np.testing.assert_allclose(_mean(rows), [0.6, 0.2, math.nan])
