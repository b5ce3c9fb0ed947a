"""Surface distances, against brute force and MONAI."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.tasks.surface import SurfaceScores, surface_distances, surface_metrics

RNG = np.random.default_rng(0)


def blob(shape, center, radius):
    places = np.indices(shape).reshape(len(shape), -1).T - np.array(center)
    return (np.linalg.norm(places, axis=1) <= radius).reshape(shape)


def brute(a, b, spacing):
    """Compute all distances between surface voxels, one by one."""

    def surface(mask):
        padded = np.pad(mask, 1)
        inner = padded.copy()
        for axis in range(mask.ndim):
            inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
        return np.argwhere(padded & ~inner) * np.array(spacing)

    pa, pb = surface(a), surface(b)
    apart = np.linalg.norm(pa[:, None] - pb[None], axis=2)
    return apart.min(1), apart.min(0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(9, 8), (7, 6, 8)]))
def test_distances_are_those_of_brute_force(seed, shape):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, *shape)) < 0.4
    if not a.any() or not b.any():
        return
    spacing = tuple(rng.uniform(0.5, 3, len(shape)))
    for found, expected in zip(surface_distances(a, b, spacing), brute(a, b, spacing), strict=True):
        np.testing.assert_allclose(np.sort(found), np.sort(expected))


def test_a_shift_is_its_distance_in_the_unit_of_the_spacing():
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[5:15, 5:15, 5:15] = 1
    shifted = np.roll(truth, 2, axis=0)
    metrics_of_case = surface_metrics(truth, shifted, 2, (2.5, 1.0, 1.0), tolerance=1.0)
    assert metrics_of_case[1, 1] == 5.0
    assert 0 < metrics_of_case[0, 1] < 1
    assert surface_metrics(truth, shifted, 2, (2.5, 1.0, 1.0), tolerance=5.0)[0, 1] == 1.0


def test_classes_that_are_missing():
    truth, prediction = np.zeros((2, 6, 6, 6), np.uint8)
    truth[2:4, 2:4, 2:4], prediction[1:3, 1:3, 1:3] = 1, 2
    metrics_of_case = surface_metrics(truth, prediction, 4, (1.0, 1.0, 1.0), 1.0)
    assert np.isnan(metrics_of_case[:, 0]).all()
    assert metrics_of_case[0, 1:3].tolist() == [0.0, 0.0]
    assert np.isnan(metrics_of_case[1]).all()
    assert np.isnan(metrics_of_case[0, 3])


def test_means_are_over_cases_class_by_class():
    cases = [np.array([[np.nan, 0.2, 0.6], [np.nan, 1.0, 5.0]]), np.array([[np.nan, 0.4, 0.9], [np.nan, 3.0, np.nan]])]
    cases.append(np.array([[np.nan, 0.9, np.nan], [np.nan, 8.0, np.nan]]))
    scores = SurfaceScores.of(2.0, cases)
    assert scores.tolerance == 2.0
    np.testing.assert_allclose(scores.dice, [np.nan, 0.5, 0.75])
    np.testing.assert_allclose(scores.hd95, [np.nan, 4.0, 5.0])


def test_there_are_two_values_per_class():
    assert surface_metrics(np.zeros((3, 3), int), np.zeros((3, 3), int), 4, (1.0, 1.0), 1.0).shape == (2, 4)


def test_means_leave_out_cases_without_a_value():
    scores = SurfaceScores.of(
        1.0, [np.array([[np.nan, 0.5], [np.nan, 4.0]]), np.array([[np.nan, 1.0], [np.nan, np.nan]])]
    )
    assert scores.dice[1] == 0.75
    assert scores.hd95[1] == 4.0
    assert np.isnan(scores.dice[0])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 1.2)])
@pytest.mark.filterwarnings("ignore:monai")
def test_monai_says_the_same(spacing):
    metrics = pytest.importorskip("monai.metrics")
    import torch

    truth = (blob((24, 26, 22), (11, 12, 10), 7) + blob((24, 26, 22), (15, 18, 14), 4).astype(int)).clip(0, 1)
    prediction = blob((24, 26, 22), (12, 11, 10), 8).astype(int)
    ours = surface_metrics(truth, prediction, 2, spacing, 1.5)
    hot = [torch.nn.functional.one_hot(torch.from_numpy(m), 2).movedim(-1, 0)[None] for m in (prediction, truth)]
    hd95 = metrics.compute_hausdorff_distance(*hot, percentile=95, spacing=spacing)
    dice = metrics.compute_surface_dice(*hot, [1.5], spacing=spacing)
    assert ours[1, 1] == pytest.approx(float(hd95[0, 0]), rel=1e-5)
    assert ours[0, 1] == pytest.approx(float(dice[0, 0]), rel=1e-5)
