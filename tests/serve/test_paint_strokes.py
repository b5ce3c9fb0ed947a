"""What a stroke covers, against the formulas of a disc, a capsule and a polygon."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.serve.paint_strokes import MOST_POINTS, Stroke, area_around, covered

SIZE = (60, 80)


def whole(stroke, size=SIZE):
    box, inside = covered(stroke, size)
    found = np.zeros(size, bool)
    found[box] = inside
    return found


def distance_to_line(points, size=SIZE):
    """The distance of the middle of every pixel to a line through points, by many points on it."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    t = np.linspace(0, 1, 401)[:, None]
    line = np.concatenate([a + t * (b - a) for a, b in pairwise(points)])
    return np.sqrt(((rows[..., None] - line[:, 0]) ** 2 + (columns[..., None] - line[:, 1]) ** 2).min(-1))


@pytest.mark.parametrize("radius", [0.2, 1.0, 4.7])
def test_a_brush_covers_what_is_near_its_line(radius):
    points = np.array([[5.2, 7.9], [40.0, 60.3], [41.0, 20.0]])
    found = whole(Stroke("brush", points.tolist(), radius))
    distance = distance_to_line(points)
    edge = max(radius, 0.5**0.5)
    assert found[distance < edge - 0.01].all()
    assert not found[distance > edge + 0.01].any()


def test_the_thinnest_line_has_no_gap():
    found = whole(Stroke("brush", [(2.1, 3.3), (50.7, 71.9)], 0.0))
    from scipy.ndimage import label

    assert label(found, np.ones((3, 3)))[1] == 1
    assert whole(Stroke("brush", [(9.99, 4.01)], 0.0)).sum() >= 1


def test_a_brush_is_cut_at_the_border_and_far_outside_covers_nothing():
    found = whole(Stroke("brush", [(-1.0, -1.0), (3.0, 3.0)], 2.0))
    assert found[0, 0]
    assert not whole(Stroke("brush", [(-500.0, 20.0)], 5.0)).any()
    assert not whole(Stroke("brush", [(20.0, 1e9)], 5.0)).any()


def test_the_way_between_points_far_outside_takes_no_memory():
    far = 1e7
    tracemalloc.start()
    try:
        found = whole(Stroke("brush", [(30.5, -far), (30.5, far), (far, far), (far, 40.5), (-far, 40.5)], 2.0))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    np.testing.assert_array_equal(found, (abs(rows - 30.5) <= 2) | (abs(columns - 40.5) <= 2))


def test_a_polygon_covers_the_pixels_whose_middle_is_inside():
    found = whole(Stroke("polygon", [(10, 10), (10, 50), (40, 10)]))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = (rows > 10) & (columns > 10) & ((rows - 10) / 30 + (columns - 10) / 40 < 1)
    assert (found != inside).sum() <= 4  # middles on an edge


def test_a_box_covers_every_pixel_that_it_touches():
    found = whole(Stroke("box", [(9.5, 20.2), (3.2, 10.0)]))
    want = np.zeros(SIZE, bool)
    want[3:10, 10:21] = True
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("stroke", "said"),
    [
        (Stroke("polygon", [(0, 0), (1, 1)]), "has 3 to"),
        (Stroke("brush", []), "has 1 to"),
        (Stroke("brush", [(0, 0)] * (MOST_POINTS + 1)), "has 1 to"),
    ],
)
def test_a_wrong_number_of_points_is_refused(stroke, said):
    with pytest.raises(UserError, match=said):
        covered(stroke, SIZE)


def test_a_stroke_across_a_gigapixel_is_refused_before_memory_is_taken():
    with pytest.raises(UserError, match="zoom in"):
        covered(Stroke("brush", [(0, 0), (90_000, 90_000)], 2.0), (100_000, 100_000))


def test_a_fill_stays_inside_its_outline():
    labels = np.full((9, 9), 255, np.uint8)
    labels[2:7, 2:7] = 1
    labels[3:6, 3:6] = 255
    inner = area_around(labels, (4, 4), (False,) * 4)
    assert inner.sum() == 9
    with pytest.raises(UserError, match="not closed in view"):
        area_around(labels, (0, 0), (True, True, True, False))
    assert area_around(labels, (0, 0), (True,) * 4).sum() == 81 - 25
