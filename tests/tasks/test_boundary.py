import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from atrous.tasks.boundary import band_width, boundary_band, boundary_counts

SHAPES = [(40,), (17, 23), (5, 30), (9, 10), (9, 8, 11)]


def blobs(shape, classes, seed, void=False):
    """A label map with smooth regions, some of it void."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(classes + void, *shape)), (0, *[1.5] * len(shape)))
    label = field.argmax(0).astype(np.uint8)
    label[label == classes] = 255
    return label


def inner_band(mask, d):
    """As the paper defines it: positions of the mask at most d (chessboard) from its complement or the border."""
    inside = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[(slice(1, -1),) * mask.ndim]
    return mask & (inside <= d)


def reference_counts(truth, prediction, classes, d):
    counts = np.zeros((2, classes), np.int64)
    for c in range(classes):
        g, p = inner_band(truth == c, d), inner_band(prediction == c, d)
        counts[:, c] = (g & p).sum(), (g | p).sum()
    return counts


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_counts_equal_the_definition_class_by_class(shape, d):
    truth, prediction = blobs(shape, 4, 0, void=True), blobs(shape, 4, 1, void=True)
    counts = boundary_counts(torch.from_numpy(truth), torch.from_numpy(prediction), 4, d)
    np.testing.assert_array_equal(counts.numpy(), reference_counts(truth, prediction, 4, d))
    assert counts.dtype == torch.int64


@st.composite
def pairs_of_maps(draw):
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    size = math.prod(shape)
    labels = st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 255]), min_size=size, max_size=size)
    return [np.array(draw(labels), np.uint8).reshape(shape) for _ in range(2)]


@settings(max_examples=60, deadline=None)
@given(pairs_of_maps(), st.integers(1, 3))
def test_counts_equal_the_definition_on_any_labels(maps, d):
    counts = boundary_counts(torch.from_numpy(maps[0]), torch.from_numpy(maps[1]), 3, d)
    np.testing.assert_array_equal(counts.numpy(), reference_counts(*maps, 3, d))


def test_band_is_the_mask_minus_d_single_erosions():
    """As in the authors' code: 3x3 erosion, d times, zero outside."""
    label = blobs((40, 50), 3, 5)
    d = band_width(label.shape)
    expected = np.zeros(label.shape, bool)
    for c in range(3):
        mask = label == c
        expected |= mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=d, border_value=0)
    np.testing.assert_array_equal(boundary_band(torch.from_numpy(label), d).numpy(), expected)


def test_width_is_two_percent_of_the_diagonal():
    assert band_width((360, 480)) == 12
    assert band_width((1024, 2048)) == 46
    assert band_width((10, 10)) == 1
    assert band_width((100, 100, 100)) == 3
    assert band_width((1000,)) == 20


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        boundary_counts(torch.zeros(3, 4, dtype=torch.uint8), torch.zeros(4, 3, dtype=torch.uint8), 2)
