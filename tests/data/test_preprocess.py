"""What is done to intensities and grids before the network."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.data.formats.orient import Turn
from atrous.data.grid import boxes_on_file, resample, resample_label, restore
from atrous.data.preprocess import Preparation, prepare, scaled, scaling_of, working_shape

RNG = np.random.default_rng(0)
MR = Preparation(("zscore",))


@pytest.mark.parametrize("shape", [(2, 300), (2, 30, 20), (2, 9, 8, 7)])
def test_zscore_is_that_of_the_case_per_channel(shape):
    image = RNG.normal(500, 90, shape).astype(np.float32) * np.array([1, 1000]).reshape(-1, *[1] * (len(shape) - 1))
    axes = tuple(range(1, len(shape)))
    found = prepare(image, MR, None)
    expected = (image - image.mean(axes, keepdims=True)) / image.std(axes, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.dtype == np.float32


@given(arrays(np.float32, (1, 40), elements=st.floats(-100, 100, width=32)), st.floats(0.01, 1e4))
def test_zscore_does_not_know_the_scale_and_twice_is_once(image, factor):
    if image.std() < 0.1:
        return
    once = prepare(image, MR, None)
    np.testing.assert_allclose(prepare(image * np.float32(factor) + 3, MR, None), once, atol=0.02)
    np.testing.assert_allclose(prepare(once, MR, None), once, atol=1e-4)


def test_a_blank_case_is_zero_and_not_nan():
    assert prepare(np.full((1, 5, 5), 7.0, np.float32), MR, None).tolist() == np.zeros((1, 5, 5)).tolist()


def test_channels_have_their_own_ways():
    image = np.stack([np.linspace(-2000, 2000, 50), np.linspace(0, 10, 50), np.linspace(0, 1, 50)]).astype(np.float32)
    how = Preparation(("clip", "zscore", "keep"), low=(-1000, 0, 0), high=(300, 0, 0))
    found = prepare(image, how, None)
    np.testing.assert_allclose(found[0], image[0].clip(-1000, 300))
    assert found[1].mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(found[2], image[2])


@pytest.mark.parametrize("how", [MR, Preparation(("clip",), (-1.0, 0.0), (1.0, 2.0)), Preparation()])
def test_a_source_scaled_slab_by_slab_is_the_image_prepared(how, monkeypatch):
    monkeypatch.setattr("atrous.data.preprocess.SLAB", 40)
    image = RNG.normal(3, 2, (2, 11, 5, 4)).astype(np.float32)
    source, whole = scaled(image, how), prepare(image, how, None)
    assert source.shape == image.shape
    for key in [..., (slice(None), slice(3, 6)), (1, 2), (slice(0, 1), slice(None, None, 2))]:
        np.testing.assert_allclose(source[key], whole[key], atol=1e-5)


def test_nothing_to_do_leaves_the_array_itself():
    image = RNG.integers(0, 9, (1, 4, 4)).astype(np.uint8)
    assert prepare(image, Preparation(), (1.0, 1.0)) is image
    assert scaling_of(image, Preparation()) is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.floats(0.2, 5))
def test_a_grid_and_back_has_the_size_of_the_file(size, target):
    how = Preparation(spacing=(target,) * len(size))
    shape = working_shape(size, (1.0,) * len(size), how)
    assert all(abs(n * target - m) <= target / 2 + 1e-6 or n == 1 for n, m in zip(shape, size, strict=True))
    assert restore(torch.zeros(2, *shape), size).shape == (2, *size)


def test_resampling_keeps_positions_in_the_world():
    ramp = np.arange(20, dtype=np.float32)[None] + 0.5
    half = resample(ramp, (10,))[0]
    np.testing.assert_allclose(half, np.arange(10) * 2 + 1)
    back = restore(torch.from_numpy(half)[None], (20,))[0].numpy()
    np.testing.assert_allclose(back[1:-1], ramp[0, 1:-1])


def test_labels_take_the_nearest():
    label = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
    np.testing.assert_array_equal(resample_label(label, (4, 8)), label.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(resample_label(label.repeat(3, 0).repeat(3, 1), (2, 4)), label)
    assert resample_label(label, (2, 4)) is label


def test_an_unknown_spacing_keeps_the_grid():
    assert working_shape((5, 6), None, Preparation(spacing=(2.0, 2.0))) == (5, 6)
    assert working_shape((5, 6), (1.0, 4.0), Preparation(spacing=(2.0, 2.0))) == (2, 12)


@given(st.permutations([0, 1, 2]), st.sets(st.integers(0, 2)), st.integers(1, 3))
def test_boxes_turn_back_with_their_voxels(order, mirrored, factor):
    turn, grid = Turn(tuple(order), tuple(sorted(mirrored))), (6, 7, 8)
    size = tuple(factor * n for n in grid)
    box = np.array([[1, 2, 3, 4, 7, 5]])
    mask = np.zeros(size, bool)
    mask[tuple(slice(factor * a, factor * b) for a, b in zip(box[0, :3], box[0, 3:], strict=True))] = True
    places = np.argwhere(turn.back(mask))
    found = boxes_on_file(box.astype(float), grid, size, turn)
    np.testing.assert_allclose(found[0], [*places.min(axis=0), *(places.max(axis=0) + 1)])
