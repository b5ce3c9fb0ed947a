"""Measurements of objects, against numpy on the positions of each."""

import numpy as np
import pytest

from atrous.objects.table import ObjectSums, measurements

SHAPES = [(60,), (30, 24), (9, 14, 12)]


def painted_world(shape):
    rng = np.random.default_rng(0)
    painted = np.where(rng.random(shape) < 0.6, rng.integers(1, 6, shape), 0).astype(np.uint32)
    anchors = np.stack([rng.integers(0, n, 7) for n in shape], axis=1)
    return painted, anchors


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_parts_measure_what_numpy_measures(shape):
    painted, anchors = painted_world(shape)
    parts = [ObjectSums.none(anchors), ObjectSums.none(anchors)]
    for number, start in enumerate(range(0, shape[0], 4)):
        region = (slice(start, min(start + 4, shape[0])), *(slice(0, n) for n in shape[1:]))
        parts[number % 2].add(painted[region], region, shape)
    parts[0].join(parts[1])
    spacing = np.array([2.0, 0.5, 0.25][: len(shape)])
    columns = measurements(parts[0], tuple(spacing))
    for index in range(5):
        places = np.argwhere(painted == index + 1)
        middle = (places + 0.5) * spacing
        assert columns["size"][index] == pytest.approx(len(places) * spacing.prod())
        covariance = np.atleast_2d(np.cov(middle.T, bias=True)) + np.diag(spacing**2 / 12)
        radii = np.sqrt(np.sort(np.linalg.eigvalsh(covariance))[::-1] * (len(shape) + 2))
        for axis in range(len(shape)):
            assert columns[f"centroid_{axis}"][index] == pytest.approx(middle[:, axis].mean())
            assert columns[f"start_{axis}"][index] == places[:, axis].min() * spacing[axis]
            assert columns[f"stop_{axis}"][index] == (places[:, axis].max() + 1) * spacing[axis]
            assert columns[f"axis_{axis}"][index] == pytest.approx(2 * radii[axis])
    assert np.isnan([columns[name][5:] for name in columns]).all()
    firsts = [np.flatnonzero(painted.ravel() == index + 1)[0] for index in range(5)]
    assert parts[0].numbers().tolist() == [*(np.argsort(np.argsort(firsts)) + 1).tolist(), 0, 0]


def test_a_disc_has_axes_as_long_as_its_diameter():
    grid = np.indices((101, 101)) - 50
    painted = ((grid**2).sum(axis=0) <= 40**2).astype(np.uint32)
    sums = ObjectSums.none(np.array([[50, 50]]))
    sums.add(painted, (slice(0, 101), slice(0, 101)), (101, 101))
    columns = measurements(sums, (0.1, 0.1))
    assert columns["axis_0"] == pytest.approx(8.0, rel=0.02)
    assert columns["axis_1"] == pytest.approx(8.0, rel=0.02)
    assert columns["size"] == pytest.approx(np.pi * 16, rel=0.02)
