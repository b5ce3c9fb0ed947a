"""Sets of classes: the threshold of the formula, and the coverage that it promises, by simulation."""

import numpy as np
import pytest
import torch

from atrous.tasks.conformal import LEVELS, MissCurve, level_counts, set_sizes


def curve_of(image):
    return np.cumsum(level_counts(torch.from_numpy(image))) / len(image)


def test_the_curve_counts_what_is_less_probable():
    image = np.random.default_rng(0).beta(2, 1, 3000).astype(np.float32)
    image[:5] = 0, 1, LEVELS[700], np.nextafter(LEVELS[700], 0), 1e-9
    want = (image[None] < LEVELS[:, None]).mean(1)
    np.testing.assert_allclose(curve_of(image), want, atol=1e-12)
    assert (LEVELS[0], LEVELS[-1]) == (0, 1)


def test_the_threshold_is_the_largest_that_the_bound_allows():
    rng = np.random.default_rng(1)
    curves = [curve_of(rng.beta(4, 1, 500).astype(np.float32)) for _ in range(30)]
    mean = np.mean(curves, axis=0)
    found = MissCurve("image", 30, mean.tolist()).threshold(0.9)
    place = int(np.flatnonzero(np.float32(found) == LEVELS)[0])
    assert (30 * mean[place] + 1) / 31 <= 0.1 < (30 * mean[place + 1] + 1) / 31
    assert MissCurve("image", 8, mean.tolist()).threshold(0.9) is None
    assert MissCurve("image", 8, mean.tolist()).threshold(0.8) is not None


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_new_images_are_covered_as_was_promised(coverage):
    """Images differ much from each other, and pixels of one image are alike: 250 times, 40 calibrate and 1 is new."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(250):
        images = [rng.beta(rng.uniform(0.8, 6), 1, 60).astype(np.float32) for _ in range(41)]
        curves = np.stack([curve_of(image) for image in images[:40]])
        threshold = MissCurve("image", 40, curves.mean(0).tolist()).threshold(coverage)
        covered.append(float((images[40] >= np.float32(threshold)).mean()))
    error = np.std(covered) / np.sqrt(len(covered))
    assert coverage - 3 * error <= np.mean(covered) <= coverage + 2 / 41 + 3 * error
    assert error < 0.02


def test_a_set_holds_what_reaches_the_threshold():
    p = np.float32([[0.7, 0.5, 0.4, np.nan], [0.2, 0.5, 0.35, np.nan], [0.1, 0, 0.25, np.nan]])
    np.testing.assert_array_equal(set_sizes(p, 0.25), [1, 2, 3, np.nan])
    np.testing.assert_array_equal(set_sizes(p, 0.9)[:3], 0)
    level = float(LEVELS[900])
    assert set_sizes(np.array([[LEVELS[900]], [0]], np.float32), level).tolist() == [1]
