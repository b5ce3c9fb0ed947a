"""Pictures at other sizes, against torch and against the mean of blocks."""

import numpy as np
import pytest
import torch

from atrous.data.resized import Resized, axis_weights

RNG = np.random.default_rng(0)


def test_whole_factors_are_means_of_blocks():
    image = RNG.normal(size=(2, 12, 20)).astype(np.float32)
    expected = image.reshape(2, 4, 3, 4, 5).mean((2, 4))
    np.testing.assert_allclose(Resized(image, (4, 4))[...], expected, atol=1e-5)


def test_finer_grids_are_linear():
    image = RNG.normal(size=(2, 12, 20)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(image)[None], (30, 33), mode="bilinear")[0].numpy()
    np.testing.assert_allclose(Resized(image, (30, 33))[...], expected, atol=1e-5)


@pytest.mark.parametrize("size", [(5, 7), (11, 19), (12, 20), (40, 9), (1, 1)])
def test_windows_are_those_of_the_whole(size):
    image = RNG.integers(0, 255, (3, 12, 20)).astype(np.uint8)
    resized = Resized(image, size)
    whole = resized[...]
    assert whole.shape == (3, *size)
    assert whole.dtype == np.uint8
    every, odd = slice(None), slice(None, None, 2)
    for key in [1, (..., slice(1, 4)), (slice(0, 2), slice(1, None)), (0, 0), (..., slice(9, None, -2)), (every, odd),
                (1, odd, 0), (every, slice(2, 2)), (every, odd, slice(None, None, 3))]:  # fmt: skip
        np.testing.assert_array_equal(resized[key], whole[key])


@pytest.mark.parametrize(("size", "stored"), [(7, 19), (19, 7), (5, 5), (3, 1000)])
def test_every_part_of_the_input_counts_alike_when_the_grid_is_coarser(size, stored):
    weights, low, high = axis_weights(0, size, size, stored)
    assert (low, high) == (0, stored)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    if size <= stored:
        np.testing.assert_allclose(weights.sum(0), size / stored, rtol=1e-4)


def test_rows_that_are_left_out_are_never_all_read():
    class Counting:
        shape, dtype, most = (3, 100, 80), np.dtype(np.uint8), 0

        def __getitem__(self, key):
            values = np.zeros(self.shape, np.uint8)[key]
            self.most = max(self.most, values.shape[1])
            return values

    source = Counting()
    assert Resized(source, (50, 40))[:, ::7, ::7].shape == (3, 8, 6)
    assert source.most <= 3
