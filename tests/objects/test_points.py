"""Points from dense maps: peaks between positions, exact sums, the same whatever the strips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.points import DENSEST, UNIT, PointPeaks, find_points, total

SHAPES = [(300,), (60, 70), (20, 24, 26)]


def heat_of(shape, points, spread=1.5):
    """The greatest Gaussian at every position, computed from all points."""
    grid = np.stack(np.indices(shape), axis=-1) + 0.5
    heat = np.zeros(shape)
    for point in points:
        heat = np.maximum(heat, np.exp(-((grid - point) ** 2).sum(axis=-1) / (2 * spread**2)))
    return heat.astype(np.float32)


def apart(shape, count, least, seed=0):
    rng, points = np.random.default_rng(seed), []
    for _ in range(200 * count):
        point = np.array([rng.uniform(2, n - 2) for n in shape])
        if all(np.linalg.norm(point - other) > least for other in points):
            points.append(point)
    return np.array(points[:count])


@pytest.mark.parametrize("shape", SHAPES)
def test_points_are_found_between_positions(shape):
    truth = apart(shape, 12, 9.0)
    found = find_points(heat_of(shape, truth)[None], PointPeaks(apart=3.0))
    assert len(found) == len(truth)
    order, wanted = (np.lexsort(rows.T) for rows in (found.values, truth))
    np.testing.assert_allclose(found.values[order], truth[wanted], atol=0.02)


def test_points_are_as_far_apart_as_the_steps_say():
    """Two slices further or six columns further is the same distance; strips change nothing."""
    maps = np.zeros((1, 30, 5, 40), np.float32)
    maps[0, 10, 2, [5, 11]] = 0.9, 0.8
    maps[0, [20, 22], 2, 30] = 0.9, 0.8
    steps = (3.0**0.5, 3.0**-0.25, 3.0**-0.25)
    decoders = [PointPeaks(apart=apart, steps=steps) for apart in (3.0, 4.5, 4.7)]
    columns, slices = 6 * steps[2], 2 * steps[0]
    assert slices < columns < 4.7
    for decoder in decoders:
        want = 2 + (decoder.apart < slices) + (decoder.apart < columns)
        found = [find_points(maps, decoder, rows=rows) for rows in (1, 7, 30)]
        assert [len(one) for one in found] == [want] * 3
        assert len({one.values.tobytes() for one in found}) == 1
    equal = find_points(maps, PointPeaks(apart=6.5, steps=(1.0, 1.0, 1.0)))
    assert equal.values.tobytes() == find_points(maps, PointPeaks(apart=6.5)).values.tobytes()


@given(st.data())
@settings(max_examples=30)
def test_points_and_sums_do_not_depend_on_the_strips(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    shape = data.draw(st.sampled_from([(400_000,), (300, 400), (40, 60, 70)]))
    maps = rng.random((3, *shape)).astype(np.float32)
    rows = data.draw(st.integers(1, shape[0]))
    decoder = PointPeaks(classes=2, first=1, threshold=0.9995, apart=data.draw(st.floats(1, 30)))
    one, other = find_points(maps, decoder, rows=shape[0]), find_points(maps, decoder, rows=rows)
    for name in ("positions", "scores", "classes", "values"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert total(maps, 1, rows=rows).tobytes() == total(maps, 1, rows=shape[0]).tobytes()


def test_of_close_points_of_a_class_the_weaker_is_removed():
    maps = np.zeros((2, 1, 30), np.float32)
    maps[0, 0, [5, 8, 20]] = 0.9, 0.8, 0.6
    maps[1, 0, 9] = 0.5
    found = find_points(maps, PointPeaks(classes=2, apart=4.0))
    assert found.classes.tolist() == [0, 1, 0]
    assert found.values[:, 1].round().tolist() == [6, 10, 20]


def test_of_single_points_the_best_of_each_class_is_kept():
    maps = np.zeros((2, 20, 20), np.float32)
    maps[0, 3, 4], maps[0, 15, 9], maps[1, 2, 2] = 0.5, 0.7, 0.4
    found = find_points(maps, PointPeaks(classes=2, single=True))
    assert found.classes.tolist() == [1, 0]
    assert found.values.tolist() == [[2.5, 2.5], [15.5, 9.5]]


def test_nothing_is_found_where_there_is_no_heat():
    found = find_points(np.zeros((1, 8, 9), np.float32), PointPeaks())
    assert found.values.shape == (0, 2)


def test_the_sum_is_that_of_whole_numbers():
    rng = np.random.default_rng(0)
    maps = (rng.random((2, 500, 300)) * 0.01).astype(np.float32)
    want = [sum(round(float(v) * UNIT) for v in row.ravel()) / UNIT for row in maps]
    assert total(maps, 2, rows=7).tolist() == want
    full = np.full((1, 300_000), DENSEST, np.float32)
    assert total(full, 1).tolist() == [DENSEST * 300_000.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0 * DENSEST])
def test_a_density_that_is_not_finite_is_refused(value):
    maps = np.zeros((1, 9, 9), np.float32)
    maps[0, 4, 4] = value
    with pytest.raises(ValueError, match="not finite"):
        total(maps, 1)


def test_heat_that_is_no_number_is_no_point():
    maps = np.zeros((1, 9, 9), np.float32)
    maps[0, 4, 4], maps[0, 7, 7] = 0.8, np.nan
    assert find_points(maps, PointPeaks()).values.tolist() == [[4.5, 4.5]]


def test_points_are_not_painted():
    with pytest.raises(TypeError, match="not painted"):
        PointPeaks().paint(np.zeros((1, 3)), [slice(0, 3)], find_points(np.zeros((1, 3), np.float32), PointPeaks()))
