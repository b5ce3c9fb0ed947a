"""Star-convex polygons, against the polygons of matplotlib."""

import numpy as np
import pytest
from matplotlib.path import Path

from atrous.objects.candidates import Candidates
from atrous.objects.star_polygons import StarPolygons, polygon_spans

WIDTH = 80


def stars(seed, count, rays=16, size=(4, 14)):
    rng = np.random.default_rng(seed)
    places = rng.integers(25, 55, (count, 2)) @ np.array([WIDTH, 1])
    lengths = rng.uniform(*size, (count, 1)) * rng.uniform(0.6, 1.4, (count, rays))
    return Candidates(places, rng.random(count).astype(np.float32), np.zeros(count, int), lengths)


@pytest.mark.parametrize(("steps", "count"), [((1.0, 1.0), 30), ((1.25, 0.8), 8)])
def test_the_overlap_is_the_share_of_the_smaller_area(steps, count):
    shape, one, other = StarPolygons(WIDTH, 16, steps), stars(0, count), stars(1, count)
    step = 0.1
    grid = np.stack(np.meshgrid(*[np.arange(0, WIDTH, step)] * 2, indexing="ij"), -1).reshape(-1, 2)
    measured, areas = shape.overlap(one, other), (shape.areas(one), shape.areas(other))
    for index in range(count):
        covered = [Path(shape.corners(some)[index]).contains_points(grid) for some in (one, other)]
        sizes = [some.sum() * step**2 for some in covered]
        assert sizes == pytest.approx([area[index] for area in areas], rel=0.01)
        assert measured[index] == pytest.approx((covered[0] & covered[1]).sum() * step**2 / min(sizes), abs=0.05)
    assert np.array_equal(measured, shape.overlap(other, one))


def test_bounds_hold_the_polygon():
    shape, some = StarPolygons(WIDTH, 16), stars(2, 10)
    low, high = shape.bounds(some)
    assert np.array_equal(low, shape.corners(some).min(axis=1))
    assert np.array_equal(high, shape.corners(some).max(axis=1))


@pytest.mark.parametrize("rows", [range(80), range(30, 41), range(70, 80)])
def test_spans_are_the_pixels_whose_middles_lie_inside(rows):
    shape, some = StarPolygons(WIDTH, 16), stars(3, 20, size=(4, 40))
    middles = np.stack(np.indices((80, WIDTH)), axis=-1).reshape(-1, 2) + 0.5
    seen = {index: parts for index, *parts in shape.spans(some, rows)}
    for index, corners in enumerate(shape.corners(some)):
        truth = Path(corners).contains_points(middles).reshape(80, WIDTH)
        truth[: rows.start] = truth[rows.stop :] = False
        painted = np.zeros_like(truth)
        for row, first, stop in zip(*seen.get(index, ([], [], [])), strict=True):
            painted[row, first:stop] = True
        assert np.array_equal(painted, truth)


def test_a_polygon_that_is_not_convex_has_several_runs_in_a_row():
    corners = np.array([[0.0, 0], [4, 0], [4, 9], [0, 9], [3, 4.5]])  # a notch from above
    rows, first, stop = polygon_spans(corners, range(4), 9)
    assert rows.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert first[rows == 3].tolist() == [0]
    assert stop[rows == 3].tolist() == [9]


def test_a_polygon_outside_of_the_rows_covers_nothing():
    assert [len(part) for part in polygon_spans(np.array([[0.0, 0], [4, 0], [4, 9]]), range(10, 20), 9)] == [0, 0, 0]


def test_a_star_without_extent_overlaps_nothing():
    shape, some = StarPolygons(WIDTH, 8), stars(4, 3, rays=8)
    flat = Candidates(some.positions, some.scores, some.classes, np.zeros((3, 8)))
    assert shape.overlap(some, flat).tolist() == [0, 0, 0]


def test_two_rays_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        StarPolygons(9, 2)
