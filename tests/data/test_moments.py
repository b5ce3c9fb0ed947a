import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atrous.data import moments as module
from atrous.data.moments import merge, moments


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_moments_agree_with_numpy_in_float64(dtype, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 1000)
    image = (np.random.default_rng(0).random((3, 71, 53)) * 200 + 30000 * (dtype != "uint8")).astype(dtype)
    found, rows = moments(image), image.reshape(3, -1).astype(np.float64)
    np.testing.assert_allclose(found.mean, rows.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.std, rows.std(axis=1), rtol=1e-9)
    np.testing.assert_array_equal(found.least, rows.min(axis=1))
    np.testing.assert_array_equal(found.most, rows.max(axis=1))
    assert found.bad == 0


def test_values_that_are_not_finite_are_counted_and_left_out():
    image = np.array([[[1, np.nan, 3], [np.inf, 5, 7]], [[np.nan] * 3] * 2], dtype=np.float32)
    found = moments(image)
    assert found.bad == 8
    assert (found.mean[0], found.least[0], found.most[0], found.count[1]) == (4.0, 1.0, 7.0, 0.0)


@settings(deadline=None)
@given(hnp.arrays(np.float64, (2, 30), elements=st.floats(-1e4, 1e4)), st.integers(1, 29))
def test_merging_parts_gives_the_whole(rows, cut):
    whole, parts = moments(rows), merge(moments(rows[:, :cut]), moments(rows[:, cut:]))
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(parts.deviation, whole.deviation, rtol=1e-7, atol=1e-5)
