"""Cones of rays: they fill space, and the one of a point is found from any start."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.cones import Cones, cones_of
from atrous.objects.directions import MOST


@pytest.mark.parametrize("rays", [4, 5, 8, 32, 96, MOST])
def test_the_triangles_close_the_sphere(rays):
    cones = Cones(rays)
    assert cones.triangles.shape == (2 * rays - 4, 3)
    edges = np.sort(np.concatenate([cones.triangles[:, pair] for pair in ([0, 1], [1, 2], [0, 2])]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    # Their solid angles (Van Oosterom, Strackee 1983) are that of the sphere together.
    a, b, c = (cones.directions[corner] for corner in cones.triangles.T)
    cosines = 1 + (a * b).sum(1) + (b * c).sum(1) + (a * c).sum(1)
    assert 2 * np.arctan2(cones.sizes, cosines).sum() == pytest.approx(4 * np.pi)
    assert cones.stretch**3 * cones.sizes.sum() / 6 == pytest.approx(4 * np.pi / 3)
    middles = (a + b + c) / 3
    assert 0 < cones.depth <= np.linalg.norm(middles, axis=1).min() + 1e-12


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 6, 32, 96, MOST]), st.floats(1e-6, 1e6))
@settings(max_examples=60, deadline=None)
def test_each_point_lies_in_its_cone(seed, rays, far):
    cones, points = cones_of(rays), np.random.default_rng(seed).normal(size=(50, 3)) * far
    found, factors = cones.find(points)
    again = np.einsum("nk,nkd->nd", factors, cones.directions[cones.triangles[found]])
    assert (factors >= 0).all()
    assert np.allclose(again, points, rtol=0, atol=1e-7 * far)


def test_it_is_the_only_cone_that_holds_the_point():
    cones, points = cones_of(96), np.random.default_rng(0).normal(size=(400, 3))
    found, _ = cones.find(points)
    inverse = np.linalg.inv(cones.directions[cones.triangles].swapaxes(1, 2))
    held = (np.einsum("tij,nj->nti", inverse, points) >= 0).all(axis=2)
    assert (held.sum(axis=1) == 1).all()
    assert np.array_equal(held.argmax(axis=1), found)


def test_points_on_rays_and_axes_have_a_cone():
    cones = cones_of(96)
    axes = [sign * np.array(order) for order in set(permutations((1.0, 0.0, 0.0))) for sign in (1, -1)]
    points = np.concatenate([cones.directions, axes, np.zeros((1, 3))])
    found, factors = cones.find(points)
    again = np.einsum("nk,nkd->nd", factors, cones.directions[cones.triangles[found]])
    assert np.allclose(again, points, atol=1e-8)
    assert (factors[-1] == 0).all()


def test_what_is_found_does_not_depend_on_the_other_points():
    cones, points = cones_of(96), np.random.default_rng(0).normal(size=(1000, 3))
    whole = cones.find(points)
    for part in (slice(0, 1), slice(3, 40), slice(999, 1000)):
        alone = cones.find(points[part])
        assert [a.tobytes() for a in alone] == [b[part].tobytes() for b in whole]
