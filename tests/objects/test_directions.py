"""Directions of rays: unit vectors, evenly spread, the same ones every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.directions import GOLDEN, MOST, RAYS, directions, fewest


@given(st.sampled_from([2, 3]), st.integers(4, MOST))
@settings(max_examples=30, deadline=None)
def test_they_have_length_one_and_no_preferred_side(ndim, rays):
    found = directions(rays, ndim)
    assert found.shape == (rays, ndim)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.abs(found.mean(axis=0)).max() < 1.5 / rays
    assert not found.flags.writeable


@pytest.mark.parametrize("rays", [32, 96, 200])
def test_rays_of_the_sphere_are_evenly_spread(rays):
    found = directions(rays, 3)
    near = np.sort(np.linalg.norm(found[:, None] - found, axis=-1), axis=1)[:, 1]
    # Each ray has 4 pi / rays of the sphere; neighbors in a hexagonal lattice of that density are so far apart:
    hexagonal = np.sqrt(4 * np.pi / rays * 2 / np.sqrt(3))
    assert near.min() > 0.75 * hexagonal
    assert near.max() < hexagonal
    assert np.allclose(found.T @ found / rays, np.eye(3) / 3, atol=0.01)  # second moments of the sphere


def test_the_formula_is_the_one_that_is_told():
    found = directions(96, 3)
    assert np.allclose(found[:, 0], 1 - (2 * np.arange(96) + 1) / 96)
    turns = np.unwrap(np.arctan2(found[:, 1], found[:, 2]))
    assert np.allclose(np.mod(np.diff(turns), 2 * np.pi), GOLDEN)
    assert pytest.approx(2 * np.pi * (1 - 2 / (1 + np.sqrt(5)))) == GOLDEN


def test_what_is_no_body_is_refused():
    for ndim, words in ((2, "a polygon has at least 3"), (3, "a polyhedron has at least 4")):
        directions(fewest(ndim), ndim)
        with pytest.raises(ValueError, match=words):
            directions(fewest(ndim) - 1, ndim)
    with pytest.raises(ValueError, match="two or three axes"):
        directions(9, 1)
    assert set(RAYS) == {2, 3}
