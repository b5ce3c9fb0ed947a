"""Signals at another rate: filtered, the same in windows as whole."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from atrous.data.grid import resample
from atrous.data.preprocess import Preparation, prepare
from atrous.data.resampled import Resampled, resampled
from atrous.prediction.inputs import prepared

SIGNAL = np.random.default_rng(0).normal(size=(3, 997)).astype(np.float32)


@given(
    st.integers(100, 1500), st.lists(st.integers(-1600, 1600), min_size=2, max_size=2), st.sampled_from([1, 2, 7, -3])
)
@settings(deadline=None, max_examples=30)
def test_windows_hold_the_very_numbers_of_the_whole(length, ends, step):
    source = Resampled(SIGNAL, length)
    whole = source[...]
    window = slice(*ends, step)
    np.testing.assert_array_equal(source[:, window], whole[:, window])
    np.testing.assert_array_equal(source[1, window], whole[1, window])
    np.testing.assert_array_equal(source[:, length // 2], whole[:, length // 2])


def test_blocks_of_a_long_signal_fit_together():
    long = np.random.default_rng(1).normal(size=(1, 200_000)).astype(np.float32)
    source = Resampled(long, 150_000)
    np.testing.assert_array_equal(source[:, 65_000:66_000], source[...][:, 65_000:66_000])


def test_waves_that_the_new_rate_cannot_hold_are_filtered_out():
    rate, new = 400, 100
    seconds = np.arange(20 * rate) / rate
    fast, slow = np.sin(2 * np.pi * 90 * seconds), np.sin(2 * np.pi * 10 * seconds)
    found = Resampled(np.stack([fast, slow]), 20 * new)[:, 100:-100]
    assert np.abs(found[0]).max() < 0.01  # linear interpolation gives waves of 10 Hz and nearly full height
    assert np.abs(resample(fast[None], (20 * new,))[0, 100:-100]).max() > 0.5
    times = (np.arange(20 * new)[100:-100] + 0.5) * rate / new - 0.5
    np.testing.assert_allclose(found[1], np.sin(2 * np.pi * 10 * times / rate), atol=0.01)


def test_the_filter_is_that_of_scipy():
    """An odd factor puts each new sample on a stored one, as `resample_poly` does after the first."""
    found = Resampled(SIGNAL[:, :996], 332)[:, 20:-20]
    known = resample_poly(SIGNAL[:, 1:996].astype(np.float64), 1, 3, axis=1)[:, 20:312]
    np.testing.assert_allclose(found, known, atol=2e-3)


@pytest.mark.parametrize("length", [997, 998, 1500, 3001])
def test_a_higher_rate_is_linear_as_before(length):
    """Torch computes the places in single precision."""
    np.testing.assert_allclose(Resampled(SIGNAL, length)[...], resample(SIGNAL, (length,)), atol=1e-3)


IMAGE = np.random.default_rng(2).normal(size=(2, 31, 40)).astype(np.float32)


@pytest.mark.parametrize("shape", [(15, 20), (7, 9), (20, 26), (1, 1), (31, 5)])
def test_images_that_get_much_coarser_are_filtered_as_torch_does(shape):
    wanted = F.interpolate(torch.from_numpy(IMAGE)[None], shape, mode="bilinear", antialias=True)[0].numpy()
    np.testing.assert_allclose(np.asarray(resampled(IMAGE, shape)), wanted, atol=1e-5)
    volume = np.stack([IMAGE] * 4, 1)  # the same in every slice
    np.testing.assert_allclose(np.asarray(resampled(volume, (4, *shape)))[:, 2], wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(31, 40), (25, 30), (60, 90)])
def test_images_that_get_finer_or_little_coarser_are_linear_as_before(shape):
    np.testing.assert_array_equal(np.asarray(resampled(IMAGE, shape)), resample(IMAGE, shape))


def test_slices_that_a_coarser_grid_cannot_hold_are_filtered_out():
    slices = np.arange(120)
    fine = np.cos(2 * np.pi * 0.3 * slices)[:, None, None] * np.ones((1, 6, 6))  # 0.9 waves in a new slice
    edge = np.where(slices < 60, -1024.0, 2000.0)[:, None, None] * np.ones((1, 6, 6))
    found = np.asarray(resampled(np.stack([fine, edge]), (40, 6, 6)))
    assert np.abs(found[0, 2:-2]).max() < 0.02
    assert np.abs(resample(fine[None], (40, 6, 6))[0, 2:-2]).max() > 0.5
    assert -1024 <= found[1].min() < found[1].max() <= 2000  # never beyond the values of an edge


@pytest.mark.parametrize("spacing", [(1.0, 0.5, 2.0), (0.4, 0.4, 0.4)])
def test_volumes_are_resampled_alike_in_training_and_prediction(spacing):
    volume = np.random.default_rng(3).normal(size=(1, 12, 20, 16)).astype(np.float32)
    preparation = Preparation(spacing=(1.0, 1.0, 1.0))
    trained = prepare(volume, preparation, spacing)
    np.testing.assert_array_equal(np.asarray(prepared(volume, preparation, spacing).source[...]), trained)


@pytest.mark.parametrize("spacing", [0.004, 0.03])
def test_training_and_prediction_resample_alike(spacing):
    preparation = Preparation(spacing=(0.01,))
    trained = prepare(SIGNAL, preparation, (spacing,))
    predicted = prepared(SIGNAL, preparation, (spacing,)).source
    assert predicted.shape == trained.shape == (3, round(997 * spacing / 0.01))
    np.testing.assert_array_equal(predicted[:, 5:50], trained[:, 5:50])
