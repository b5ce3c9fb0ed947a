import numpy as np
import pytest

from atrous.tasks import bootstrap
from atrous.tasks.bootstrap import bootstrap_miou


def margins(images=12, classes=3, seed=0):
    """Of random confusion matrices; class 2 is missing in most images."""
    rng = np.random.default_rng(seed)
    confusion = rng.integers(1, 200, (images, classes, classes))
    confusion[2:, 2] = 0
    confusion[2:, :, 2] = 0
    return np.stack([confusion.diagonal(axis1=1, axis2=2), confusion.sum(2), confusion.sum(1)], 1)


def reference(margins, resamples, seed):
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        right, truth, predicted = margins[rng.integers(len(margins), size=len(margins))].sum(0)
        union = truth + predicted - right
        values.append(np.mean([r / u for r, u in zip(right, union, strict=True) if u]))
    return np.percentile(values, [2.5, 97.5])


@pytest.mark.parametrize("seed", [0, 3])
def test_interval_equals_a_plain_loop(seed):
    np.testing.assert_allclose(bootstrap_miou(margins(), 200, seed), reference(margins(), 200, seed), rtol=1e-12)


def test_memory_bound_does_not_change_the_interval(monkeypatch):
    whole = bootstrap_miou(margins(), 100)
    monkeypatch.setattr(bootstrap, "_CHUNK", 30)
    assert bootstrap_miou(margins(), 100) == pytest.approx(whole, rel=1e-12)


def test_interval_narrows_with_more_images():
    low, high = bootstrap_miou(margins(8))
    low_many, high_many = bootstrap_miou(np.tile(margins(8), (20, 1, 1)))
    assert high_many - low_many < 0.5 * (high - low)


def test_equal_images_have_an_interval_of_no_width():
    low, high = bootstrap_miou(np.tile(margins(1), (5, 1, 1)))
    assert low == pytest.approx(high, rel=1e-12)


def test_one_image_has_no_interval():
    assert np.isnan(bootstrap_miou(margins(1))).all()
