"""The coarser grid equals Pillow's antialiased bicubic one, whose kernel is the same, away from the borders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from atrous.data.downscale import cubic, downscaled


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_inside_equals_pillow(factor):
    values = np.random.default_rng(0).uniform(0, 255, (48, 60)).astype(np.float32)
    found = downscaled(values[None], factor)[0]
    wanted = Image.fromarray(values).resize((60 // factor, 48 // factor), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(found[3:-3, 3:-3], np.asarray(wanted)[3:-3, 3:-3], atol=1e-3)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_whole_numbers_are_rounded_and_cut_off_after_each_axis(factor):
    """Pillow does so with 8 bits, columns first: of the exchanged axes it is rows first, as `imresize`."""
    values = np.kron(np.random.default_rng(2).integers(0, 2, (12, 15)), np.full((8, 4), 255)).astype(np.uint8)
    found = downscaled(values[None], factor, 255)[0][3:-3, 3:-3]
    turned = Image.fromarray(values.T.copy()).resize((96 // factor, 60 // factor), Image.Resampling.BICUBIC)
    wanted = np.asarray(turned).T[3:-3, 3:-3].astype(np.float32)
    plain = downscaled(values[None], factor)[0][3:-3, 3:-3]
    assert plain.min() < -1  # else nothing had to be cut off
    assert plain.max() > 256
    assert np.abs(found - wanted).max() <= 1  # Pillow's weights have 22 bits, so halves may fall the other way
    assert (found == wanted).mean() > 0.995
    assert (found != np.clip(np.rint(plain), 0, 255)).any()  # once at the end would be another image


def test_whole_numbers_of_16_bits_reach_their_own_limit():
    values = np.repeat([0, 65535], 8)[None].astype(np.uint16)
    found = downscaled(values, 2, 65535)
    assert (found.min(), found.max()) == (0, 65535)
    np.testing.assert_array_equal(found, np.rint(found))


def test_borders_are_mirrored():
    """What lies beyond the border is the image mirrored, as if it stood there."""
    values = np.random.default_rng(1).uniform(0, 1, (1, 24)).astype(np.float32)
    around = np.pad(values, ((0, 0), (24, 24)), mode="symmetric")
    np.testing.assert_allclose(downscaled(values, 3), downscaled(around, 3)[:, 8:16], atol=1e-6)


@given(st.integers(1, 3), st.integers(2, 5), st.floats(-100, 100), st.integers(1, 17))
def test_a_constant_stays_and_sizes_are_rounded_up(ndim, factor, value, length):
    found = downscaled(np.full((2, *[length] * ndim), value, np.float32), factor)
    assert found.shape == (2, *[-(-length // factor)] * ndim)
    np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5)


def test_the_kernel_is_that_of_keys():
    """It is 1 at 0, 0 at whole positions, and its translates add up to 1."""
    assert cubic(np.array([0.0, 1.0, 2.0, -1.0, 3.0])).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    shifts = np.linspace(0, 1, 7)[:, None] - np.arange(-3, 4)
    np.testing.assert_allclose(cubic(shifts).sum(axis=1), 1, atol=1e-12)
