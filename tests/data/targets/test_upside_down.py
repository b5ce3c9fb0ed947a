"""Objects that look the same upside down, and those that do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.data.targets.upside_down import GRID, alike_upside_down, mirror_sums


def pictures(draw, count=40, size=(48, 48), seed=0):
    """Sums of images with one object each, which `draw` makes from a generator, on a noisy ground."""
    rng = np.random.default_rng(seed)
    boxes = np.array([[4.0, 4.0, 4.0 + size[0], 4.0 + size[1]]])
    images = []
    for _ in range(count):
        image = rng.normal(100, 10, (3, size[0] + 8, size[1] + 8))
        image[:, 4 : 4 + size[0], 4 : 4 + size[1]] += draw(rng, size)
        images.append(mirror_sums(image, boxes, np.array([0])))
    return images


def cell(rng, size):
    """An ellipse that is darker in the middle, at a small random offset."""
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    shift = rng.normal(0, 0.1, 2)
    away = np.hypot(y + shift[0], x + shift[1])
    return np.where(away < 0.9, -50 * (1 - away / 2), 0)


def car(rng, size):
    """A bright window above, dark wheels below."""
    y = np.linspace(0, 1, size[0])[:, None] + np.zeros(size[1])
    return np.where(y < 0.4, rng.uniform(10, 40), np.where(y > 0.8, -40, 0))


def test_cells_look_the_same_upside_down():
    assert alike_upside_down(pictures(cell))


def test_a_light_gradient_of_the_microscope_does_not_make_cells_differ():
    def lit(rng, size):
        return cell(rng, size) + np.linspace(0, 5, size[0])[:, None]

    assert alike_upside_down(pictures(lit))


@pytest.mark.parametrize(("draw", "size"), [(car, (48, 48)), (cell, (96, 40))])
def test_cars_and_what_stands_upright_do_not(draw, size):
    assert not alike_upside_down(pictures(draw, size=size))


def test_one_class_that_differs_is_enough():
    mixed = [{0: a[0], 1: b[0]} for a, b in zip(pictures(cell), pictures(car), strict=True)]
    assert not alike_upside_down(mixed)


def test_few_boxes_say_nothing():
    assert not alike_upside_down(pictures(cell, count=5))
    assert not alike_upside_down([])


def test_small_boxes_ignored_ones_and_volumes_are_left_out():
    boxes = np.array([[0.0, 0, 4, 30], [0, 0, 30, 30]])
    assert mirror_sums(np.zeros((1, 40, 40)), boxes, np.array([0, -1])) == {}
    assert mirror_sums(np.zeros((1, 40, 40, 40)), np.zeros((1, 6)), np.array([0])) == {}


@given(arrays(np.float64, (2, 24, 20), elements=st.floats(-1e3, 1e3)), st.integers(2, 5))
def test_the_difference_is_that_of_block_means_and_its_mirror_image(image, count):
    sums = mirror_sums(image, np.array([[0.0, 0, 24, 16]] * count), np.zeros(count, int))[0]
    means = image[:, :, :16].reshape(2, GRID, 3, GRID, 2).mean(axis=(2, 4))
    expected = means - means[:, ::-1]
    assert np.allclose(sums.difference, count * expected, atol=1e-6)
    assert sums.energy == pytest.approx(count * (expected**2).sum(), rel=1e-9, abs=1e-9)
    assert 0 <= sums.share <= 1 + 1e-9


def test_values_that_are_not_finite_count_for_nothing():
    image = np.random.default_rng(0).normal(size=(1, 32, 32))
    image[0, 3, 3] = np.nan
    assert np.isfinite(mirror_sums(image, np.array([[0.0, 0, 32, 32]]), np.array([0]))[0].energy)
