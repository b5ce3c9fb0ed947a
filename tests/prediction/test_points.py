"""Points on the grid of the file, their tables and their picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.formats.orient import Turn
from atrous.errors import UserError
from atrous.prediction.inputs import Opened
from atrous.prediction.points import count_table, decode_points, drawn, placed, point_table
from atrous.tasks.counting import CountingTask
from atrous.tasks.points import PointAnswer


def answer(places, classes=None):
    places = np.array(places, float)
    classes = np.zeros(len(places), int) if classes is None else np.array(classes)
    return PointAnswer(places, classes, np.full(len(places), 0.5, np.float32), np.array([3.25, 0.5]))


@given(st.permutations(range(3)), st.sets(st.integers(0, 2)), st.integers(0, 99))
@settings(max_examples=40)
def test_a_turned_point_lies_where_its_voxel_lies(order, mirrored, seed):
    rng, turn = np.random.default_rng(seed), Turn(tuple(order), tuple(sorted(mirrored)))
    stored = np.zeros((4, 6, 9))
    place = tuple(int(rng.integers(0, n)) for n in stored.shape)
    stored[place] = 1
    turned = turn(stored)
    seen = np.argwhere(turned)[0] + 0.5
    found = placed(answer([seen]), turned.shape, turned.shape, turn)
    assert found.places.tolist() == [[p + 0.5 for p in place]]


def test_points_of_a_coarser_grid_are_scaled():
    found = placed(answer([[1.0, 4.0]]), (10, 10), (20, 5), None)
    assert found.places.tolist() == [[2.0, 2.0]]
    assert found.counts.tolist() == [3.25, 0.5]


def test_nothing_is_counted_where_a_resampled_input_has_no_data():
    maps, valid = np.zeros((2, 4, 4), np.float32), np.ones((8, 8), bool)
    maps[0], maps[1, 1, [0, 3]], valid[:, :4] = 0.5, 0.9, False
    found = decode_points(maps, CountingTask(ndim=2), Opened(np.zeros((1, 4, 4)), (8, 8), valid=valid))
    assert found.places.tolist() == [[3, 7]]
    assert found.counts.tolist() == [4]


def test_tables_have_pixels_and_units():
    found = answer([[1.0, 4.0], [2.0, 6.0]], [1, 0])
    table = point_table(found, ("a", "b"), (0.5, 2.0))
    assert list(table) == ["number", "class", "name", "score", "y", "x", "physical_y", "physical_x"]
    assert (table["class"].tolist(), table["name"].tolist()) == ([1, 0], ["b", "a"])
    assert (table["x"].tolist(), table["physical_x"].tolist()) == ([4, 6], [8, 12])
    counts = count_table(found, ("a", "b"))
    assert (counts["count"].tolist(), counts["points"].tolist()) == ([3.25, 0.5], [1, 1])


def test_dots_are_drawn_where_points_are():
    image = np.zeros((1, 30, 40), np.uint8)
    picture = drawn(image, np.array([[10.5, 20.5]]), np.array([0]))
    marked = np.argwhere(picture.any(-1))
    assert marked.mean(0).tolist() == [10, 20]
    volume = np.zeros((1, 5, 30, 40), np.uint8)
    points = np.array([[3.5, 10.5, 20.5], [3.2, 20.5, 8.5], [0.5, 5.5, 5.5]])
    picture = drawn(volume, points, np.zeros(3, int))
    assert picture[10, 20].any()
    assert not picture[5, 5].any()
    with pytest.raises(UserError, match="signals are not drawn"):
        drawn(np.zeros((1, 30), np.uint8), np.zeros((0, 1)), np.zeros(0, int))
