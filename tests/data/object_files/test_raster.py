"""Polygons on pixels, against the point-in-polygon test of matplotlib."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from atrous.data.formats import FileFault
from atrous.data.object_files.base import AnnotatedObject
from atrous.data.object_files.raster import area, fill, pixels_of
from atrous.data.object_files.runs import runs_of

SIZE = (17, 23)


def filled(rings, size=SIZE):
    window, mask = fill(rings, size)
    whole = np.zeros(size, bool)
    whole[window] = mask
    return whole


@given(st.integers(0, 10**6), st.integers(3, 9))
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_inside_if_its_center_is(seed, corners):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(1, 14, corners)
    ring = rng.uniform(-2, 20, 2) + radii[:, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    centers = np.stack(np.indices(SIZE), axis=-1).reshape(-1, 2) + 0.5
    want = _even_odd(ring, centers)
    np.testing.assert_array_equal(filled([ring]).reshape(-1), want)
    if len(angles) == 3:  # a triangle does not cross itself
        np.testing.assert_array_equal(Outline(ring).contains_points(centers), want)


def _even_odd(ring, points):
    inside = np.zeros(len(points), bool)
    for (y0, x0), (y1, x1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (points[:, 0] >= min(y0, y1)) & (points[:, 0] < max(y0, y1))
        if y0 != y1:
            inside ^= crosses & (points[:, 1] >= x0 + (points[:, 0] - y0) * (x1 - x0) / (y1 - y0))
    return inside


def test_rows_may_be_crossed_hundreds_of_times():
    size, columns = (9, 700), np.arange(700.0)
    comb = np.stack([np.where(columns % 2, -1.3, 8.1), columns], axis=1)
    centers = np.stack(np.indices(size), axis=-1).reshape(-1, 2) + 0.5
    np.testing.assert_array_equal(filled([comb], size).reshape(-1), _even_odd(comb, centers))


def test_a_large_outline_takes_few_bytes_for_each_pixel():
    side = 1200
    tracemalloc.start()
    fill([np.array([[0.0, 0.0], [0.0, side], [side, side], [side, 0.0]])], (side, side))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * side**2


def test_neighbors_share_no_pixel_and_leave_none():
    left = np.array([[0.0, 0.0], [0.0, 9.5], [17.0, 13.5], [17.0, 0.0]])
    right = np.array([[0.0, 9.5], [0.0, 23.0], [17.0, 23.0], [17.0, 13.5]])
    np.testing.assert_array_equal(filled([left]).astype(int) + filled([right]), 1)


def test_pieces_are_joined_and_a_bow_tie_is_even_odd():
    square = np.array([[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]])
    assert filled([square, square + 5]).sum() == 8
    assert filled([square, square]).sum() == 4
    assert filled([np.array([[0.0, 0.0], [10.0, 10.0], [0.0, 10.0], [10.0, 0.0]])]).sum() > 0


@pytest.mark.parametrize("far", [1e6, 1e9])
def test_polygons_far_out_are_cut(far):
    assert filled([np.array([[-far, -far], [-far, far], [far, far], [far, -far]])]).all()
    assert not filled([np.array([[far, far], [far, 2 * far], [2 * far, far]]) / 2 + 100]).any()


def test_masks_of_another_size_are_refused():
    one = AnnotatedObject("a", "annotation 7 (a)", runs=runs_of(np.ones((4, 5), bool)))
    with pytest.raises(FileFault, match=r"annotation 7 .a.: its mask is 4 x 5 pixels, the image 5 x 4"):
        pixels_of(one, (5, 4), Path("a.json"))
    window, mask = pixels_of(one, (4, 5), Path("a.json"))
    assert mask.all()
    assert area(one) == 20
    assert window == (slice(0, 4), slice(0, 5))
