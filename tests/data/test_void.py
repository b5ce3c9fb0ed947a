"""Positions without data become void in labels and bands, as they are written or afterwards."""

import numpy as np
import pytest

from atrous.data.void import make_void, voided

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(2100, 5), (2, 2100, 5)])
def test_positions_without_data_get_the_value_in_every_band(shape):
    valid, values = RNG.random((2100, 5)) > 0.3, RNG.random(shape).astype(np.float32)
    expected = np.where(valid, values, np.float32(np.nan))
    written, changed = np.zeros(shape, np.float32), values.copy()
    voided(written, valid, np.nan)[...] = values
    make_void(changed, valid, np.nan)
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(changed, expected)


def test_without_a_mask_nothing_changes():
    values = RNG.random((4, 5))
    before = values.copy()
    assert voided(values, None) is values
    make_void(values, None)
    np.testing.assert_array_equal(values, before)
