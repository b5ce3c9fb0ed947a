"""Mean IoU of one image against scikit-learn, and the bootstrap interval against a plain loop over resamples."""

import math

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from atrous.tasks import bootstrap
from atrous.tasks.bootstrap import bootstrap_miou, image_miou


def counts_of_images(images=12, classes=3, seed=0):
    """Counts `(N, 3, K)` of random confusion matrices; class 2 is missing in most images."""
    rng = np.random.default_rng(seed)
    confusion = rng.integers(1, 200, (images, classes, classes))
    confusion[2:, 2] = 0
    confusion[2:, :, 2] = 0
    return np.stack([confusion.diagonal(axis1=1, axis2=2), confusion.sum(2), confusion.sum(1)], 1)


def interval_by_loop(counts, resamples=1000, seed=0):
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        correct, true, predicted = counts[rng.integers(len(counts), size=len(counts))].sum(0)
        union = true + predicted - correct
        values.append(np.mean([c / u for c, u in zip(correct, union, strict=True) if u] or [0]))
    return np.percentile(values, [2.5, 97.5])


@pytest.mark.parametrize("seed", range(5))
def test_miou_of_an_image_equals_scikit_learn_over_the_classes_of_its_truth(seed):
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, 3, 50), rng.integers(0, 4, 50)  # class 3 is only predicted
    masks = [(true == k, predicted == k) for k in range(4)]
    counts = np.array([[(t & p).sum(), t.sum(), p.sum()] for t, p in masks])
    expected = jaccard_score(true, predicted, average=None, labels=[0, 1, 2]).mean()
    assert image_miou(counts.T) == pytest.approx(expected)


def test_an_image_without_labels_has_no_miou():
    assert math.isnan(image_miou(np.array([[0, 0], [0, 0], [3, 4]])))


@pytest.mark.parametrize("seed", [0, 3])
def test_the_interval_equals_a_plain_loop(seed):
    counts = counts_of_images()
    np.testing.assert_allclose(bootstrap_miou(counts, 200, seed), interval_by_loop(counts, 200, seed), rtol=1e-12)


def test_by_default_there_are_1000_resamples_of_seed_0():
    np.testing.assert_allclose(bootstrap_miou(counts_of_images(5)), interval_by_loop(counts_of_images(5)), rtol=1e-12)


def test_two_images_are_enough():
    np.testing.assert_allclose(bootstrap_miou(counts_of_images(2)), interval_by_loop(counts_of_images(2)), rtol=1e-12)


def test_a_class_of_a_single_position_counts():
    assert image_miou(np.array([[8, 1], [10, 1], [8, 2]])) == pytest.approx((0.8 + 0.5) / 2)
    counts = np.array([[[1, 0], [1, 0], [1, 0]], [[0, 0], [0, 1], [1, 0]]])  # one position is right, one wrong
    np.testing.assert_allclose(bootstrap_miou(counts), interval_by_loop(counts), rtol=1e-12)
    assert bootstrap_miou(counts[[0, 0]]) == (1, 1)


def test_resamples_that_draw_only_void_have_miou_0():
    counts = counts_of_images(2)
    counts[0] = 0
    low, high = bootstrap_miou(counts)
    assert low == 0
    assert high == pytest.approx(interval_by_loop(counts)[1], rel=1e-12)


@pytest.mark.parametrize("limit", [30, 85, 5])  # 2 and 7 resamples at a time, and less than one image's
def test_the_memory_limit_does_not_change_the_interval(monkeypatch, limit):
    whole = bootstrap_miou(counts_of_images(), 100)
    monkeypatch.setattr(bootstrap, "_CHUNK", limit)
    assert bootstrap_miou(counts_of_images(), 100) == pytest.approx(whole, rel=1e-12)


def test_the_interval_narrows_with_more_images():
    low, high = bootstrap_miou(counts_of_images(8))
    low_many, high_many = bootstrap_miou(np.tile(counts_of_images(8), (20, 1, 1)))
    assert high_many - low_many < 0.5 * (high - low)


def test_equal_images_have_an_interval_of_no_width():
    low, high = bootstrap_miou(np.tile(counts_of_images(1), (5, 1, 1)))
    assert low == pytest.approx(high, rel=1e-12)


def test_one_image_has_no_interval():
    assert np.isnan(bootstrap_miou(counts_of_images(1))).all()
