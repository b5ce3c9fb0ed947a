"""Points: the density of a crop is that part of the density of the whole image, whose sum is the number of points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.targets.places import Places
from atrous.data.targets.points import Points
from atrous.data.view import View
from atrous.tasks.points import bumps

SIZES = [(120,), (60, 72), (40, 44, 48)]


def density(values, view, crop, sigma):
    cut = Points.batch([Points.cut(values, view, crop)])
    return bumps(cut, (1, *crop), 2, sigma, mass=True)[0].numpy()


def drawn(size, count, seed):
    rng = np.random.default_rng(seed)
    return Places(size, rng.uniform(0, 1, (count, len(size))) * np.array(size), rng.integers(0, 2, count))


def straight(low, high):
    low, high = np.array(low), np.array(high)
    return View(0, (low + high) / 2, np.eye(len(low))), tuple(int(side) for side in high - low)


@given(st.sampled_from(SIZES), st.integers(0, 30), st.integers(0, 99))
@settings(max_examples=25)
def test_the_density_of_a_whole_image_sums_to_the_number_of_points(size, count, seed):
    values = drawn(size, count, seed)
    found = density(values, *straight([0] * len(size), size), sigma=1.1)
    want = [float((values.classes == k).sum()) for k in range(2)]
    # Gaussians end at 3.5 deviations, so a mirror misses up to this part of a point at a border.
    np.testing.assert_allclose(found.reshape(2, -1).sum(1), want, atol=2e-3 * max(1, count))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("at", [0.0, 0.3, 0.5])
def test_the_density_of_a_crop_is_a_part_of_that_of_the_whole(size, at):
    values = drawn(size, 40, 1)
    whole = density(values, *straight([0] * len(size), size), sigma=0.5)
    low = [int(at * side) for side in size]
    high = [corner + side // 2 for corner, side in zip(low, size, strict=True)]
    part = density(values, *straight(low, high), sigma=0.5)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    np.testing.assert_allclose(part, whole[:, *window], atol=1e-4)


def test_points_far_from_the_crop_are_left_out():
    values = Places((100,), np.array([[20.0], [49.0], [80.0]]), np.array([0, 0, 1]))
    cut = Points.cut(values, *straight([50], [66]))
    torch.testing.assert_close(cut, torch.tensor([[-1.0, -1.0, 0.0]]))


def test_a_crop_that_reaches_beyond_the_image_has_points_in_the_image_only():
    values = drawn((60, 72), 40, 1)
    whole = density(values, *straight([0, 0], [60, 72]), sigma=1.5)
    wider = density(values, *straight([-16, -16], [84, 96]), sigma=1.5)
    np.testing.assert_allclose(wider[:, 16:76, 16:88], whole, atol=2e-3 * whole.max())
    # Beyond the border lies the end of the Gaussians of points in the image, and nothing else.
    outside = wider.sum() - wider[:, 16:76, 16:88].sum()
    plain = Places(values.size, values.places, values.classes)
    rows = np.column_stack([np.zeros(40), plain.places + 16, plain.classes]).astype(np.float32)
    ends = bumps(torch.from_numpy(rows), (1, 100, 112), 2, 1.5, mass=True)[0].numpy()
    assert outside == pytest.approx(ends.sum() - ends[:, 16:76, 16:88].sum(), abs=1e-3)


def test_heat_is_that_of_the_points_alone():
    values = drawn((60, 72), 30, 2)
    cut = Points.batch([Points.cut(values, *straight([0, 0], [60, 72]))])
    rows = np.column_stack([np.zeros(30), values.places, values.classes]).astype(np.float32)
    want = bumps(torch.from_numpy(rows), (1, 60, 72), 2, 2.0, mass=False)
    torch.testing.assert_close(bumps(cut, (1, 60, 72), 2, 2.0, mass=False), want, atol=1e-5, rtol=1e-5)
