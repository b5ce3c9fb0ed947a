"""Dots in images: single positions or blobs, of one class or several."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from atrous.data.images import FileImage
from atrous.data.targets.dots import Dots, dots_in
from atrous.data.targets.mask_files import MaskFile
from atrous.errors import UserError

SIZE = (40, 50)


def dots(tmp_path, array, values=(), name="dots.png", size=SIZE):
    Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / "image.png")
    Image.fromarray(array).save(tmp_path / name)
    image = tmp_path / "image.png"
    return Dots(tmp_path / name, FileImage(image), ((0, MaskFile(tmp_path / name, image)),), values)


@given(st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=30)
def test_blobs_are_points_at_their_centroids(ndim, seed):
    rng, shape = np.random.default_rng(seed), (24,) * ndim
    marked, want = np.zeros(shape, bool), []
    for start in range(1, 20, 6):
        corner = np.array([start, *rng.integers(0, 20, ndim - 1)])
        sides = rng.integers(2, 4, ndim)
        marked[tuple(slice(c, c + s) for c, s in zip(corner, sides, strict=True))] = True
        want.append(corner + sides / 2)
    found, _ = dots_in(marked)
    np.testing.assert_allclose(found, want)


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 49)), max_size=9, unique=True))
@settings(max_examples=30)
def test_single_positions_are_points_where_most_dots_are_single(places):
    marked = np.zeros(SIZE, bool)
    for place in [*places, (0, 0), (10, 30), (20, 2), (39, 49), (30, 20), (12, 12)]:
        marked[place] = True
    found, remark = dots_in(marked)
    if len(found) == 6 + len(set(places) - {(0, 0), (10, 30), (20, 2), (39, 49), (30, 20), (12, 12)}):
        assert remark == ""
        np.testing.assert_array_equal(found, np.argwhere(marked) + 0.5)


def test_dots_that_touch_are_two_where_dots_are_single():
    marked = np.zeros(SIZE, bool)
    marked[[3, 3, 20, 30], [7, 8, 20, 40]] = True
    assert dots_in(marked)[0].tolist() == [[3.5, 7.5], [3.5, 8.5], [20.5, 20.5], [30.5, 40.5]]


def test_a_blob_much_larger_than_the_others_is_told():
    marked = np.zeros(SIZE, bool)
    for start in (2, 12, 22):
        marked[start : start + 3, 5:8] = True
    marked[30:33, 5:11] = True
    found, remark = dots_in(marked)
    assert len(found) == 4
    assert remark.startswith("1 of 4 dots is much larger")


def test_red_dots_are_points(tmp_path):
    array = np.zeros((*SIZE, 3), np.uint8)
    array[5, 7] = array[20, 30] = (255, 0, 0)
    values = dots(tmp_path, array).read()
    assert values.places.tolist() == [[5.5, 7.5], [20.5, 30.5]]
    assert values.classes.tolist() == [0, 0]
    assert values.size == SIZE


def test_values_say_the_class(tmp_path):
    array = np.zeros(SIZE, np.uint8)
    array[5, 7], array[20, 30], array[22, 30] = 20, 10, 20
    target = dots(tmp_path, array, (10, 20))
    assert target.read().classes.tolist() == [0, 1, 1]
    assert target.scan(None).counts == {0: 1, 1: 2}
    with pytest.raises(UserError, match="value 20, which is that of no class"):
        dots(tmp_path, array, (10, 11)).read()


def test_colors_say_the_class(tmp_path):
    array = np.zeros((*SIZE, 3), np.uint8)
    array[5, 7], array[20, 30] = (255, 0, 0), (0, 255, 0)
    assert dots(tmp_path, array, (0x00FF00, 0xFF0000)).read().classes.tolist() == [0, 1]


def test_what_shows_no_dots_is_refused(tmp_path):
    with pytest.raises(UserError, match="30 x 50, its image 40 x 50"):
        dots(tmp_path, np.zeros((30, 50), np.uint8)).read()
    with pytest.raises(UserError, match="100% of it is not 0"):
        dots(tmp_path, np.full(SIZE, 255, np.uint8)).read()
    smeared = np.zeros(SIZE, np.uint8)
    smeared[8, 8] = 255
    with pytest.raises(UserError, match="JPEG"):
        dots(tmp_path, smeared, name="dots.jpg").read()
