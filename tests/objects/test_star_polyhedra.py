"""Star-convex polyhedra, against balls and ellipsoids, half-spaces, Delaunay's tetrahedra and counted voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from atrous.objects.candidates import Candidates
from atrous.objects.cones import cones_of
from atrous.objects.rays import distances_at
from atrous.objects.star_polyhedra import StarPolyhedra

GRID = (40, 44, 48)
WHOLE = [slice(0, n) for n in GRID]
UNEQUAL = (2.0, 1.0, 0.8)


def stars(seed, count, rays=32, size=(4, 9), around=4):
    """Candidates whose surfaces go up and down, and whose centers lie around the middle of the grid."""
    rng = np.random.default_rng(seed)
    places = np.array(GRID) // 2 + rng.integers(-around, around + 1, (count, 3))
    lengths = rng.uniform(*size, (count, 1)) * rng.uniform(0.5, 1.3, (count, rays))
    flat = np.ravel_multi_index(tuple(places.T), GRID)
    return Candidates(flat, rng.random(count).astype(np.float32), np.zeros(count, int), lengths)


def drawn(shape, candidates, numbers=None, region=WHOLE):
    labels = np.zeros([part.stop - part.start for part in region], np.uint32)
    shape.draw(candidates, np.arange(1, len(candidates) + 1) if numbers is None else numbers, region, labels)
    return labels


def middles(shape):
    return (np.stack(np.indices(GRID), axis=-1).reshape(-1, 3) + 0.5) * shape.steps


def in_tetrahedra(shape, candidates, index):
    """The voxels in any tetrahedron, each compared with the four half-spaces of every tetrahedron."""
    points = middles(shape) - shape.centers(candidates)[index] * shape.steps
    found = np.zeros(len(points), bool)
    for corners in shape.cones.triangles:
        ends = candidates.values[index][corners, None] * shape.cones.directions[corners]
        factors = np.linalg.solve(ends.T, points.T)  # of the three edges that leave the center
        found |= (factors >= 0).all(axis=0) & (factors.sum(axis=0) <= 1)
    return found.reshape(GRID)


@pytest.mark.parametrize("steps", [(1.0, 1.0, 1.0), UNEQUAL])
def test_drawn_voxels_are_those_in_one_of_the_tetrahedra(steps):
    shape, some = StarPolyhedra(GRID, 32, steps), stars(0, 5)
    for index in range(len(some)):
        labels = drawn(shape, some.take([index]))
        assert labels.any()
        assert np.array_equal(labels > 0, in_tetrahedra(shape, some, index))


def test_convex_polyhedra_hold_the_points_of_their_delaunay_tetrahedra():
    shape, some = StarPolyhedra(GRID, 96), stars(1, 4, rays=96, around=9)
    round_ones = Candidates(
        some.positions, some.scores, some.classes, np.array([[3.7], [6.3], [8.1], [10.2]]) * np.ones(96)
    )
    points = np.random.default_rng(0).uniform(0, GRID, (20_000, 3))
    for index, corners in enumerate(shape.corners(round_ones)):
        offsets = points - shape.centers(round_ones)[index]
        inside = shape.contains(round_ones.values[[index]], np.zeros(len(points), int), offsets)
        tetrahedra = Delaunay(np.concatenate([corners, shape.centers(round_ones)[[index]]]))
        assert np.array_equal(inside, tetrahedra.find_simplex(points) >= 0)


@pytest.mark.parametrize(
    ("steps", "radii"), [((1.0, 1.0, 1.0), (14.3,) * 3), (UNEQUAL, (14.3,) * 3), (UNEQUAL, (15, 12, 10))]
)
def test_the_volume_of_an_ellipsoid_is_within_a_hundredth(steps, radii):
    """Distances to an analytic surface, stretched: for a ball exact, and what is drawn has it too."""
    shape, place = StarPolyhedra(GRID, 96, steps), np.array(GRID) // 2
    lengths = shape.stretch / np.sqrt(((shape.cones.directions / radii) ** 2).sum(axis=1))
    one = Candidates(np.array([np.ravel_multi_index(tuple(place), GRID)]), np.ones(1), np.zeros(1, int), lengths[None])
    truth = 4 / 3 * np.pi * np.prod(radii)
    assert shape.volumes(one)[0] == pytest.approx(truth, rel=1e-9 if len(set(radii)) == 1 else 0.01)
    labels = drawn(shape, one)
    assert labels.sum() * np.prod(steps) == pytest.approx(truth, rel=0.01)
    ellipsoid = (((middles(shape) - (place + 0.5) * steps) / radii) ** 2).sum(axis=1) <= 1
    both = labels.astype(bool).ravel()
    assert (both & ellipsoid).sum() / (both | ellipsoid).sum() > 0.94


@pytest.mark.parametrize(("steps", "radius"), [((1.0, 1.0, 1.0), 14.3), (UNEQUAL, 14.3), ((1.0, 1.0, 1.0), 6.2)])
def test_a_ball_is_rebuilt_from_its_voxels(steps, radius):
    shape, place = StarPolyhedra(GRID, 96, steps), np.array(GRID) // 2
    ball = ((((np.stack(np.indices(GRID), -1) - place) * steps) ** 2).sum(axis=-1) <= radius**2).astype(int)
    lengths = distances_at(ball, place[None], 96, steps) * shape.stretch
    one = Candidates(np.array([np.ravel_multi_index(tuple(place), GRID)]), np.ones(1), np.zeros(1, int), lengths)
    truth = 4 / 3 * np.pi * radius**3
    assert shape.volumes(one)[0] == pytest.approx(truth, rel=0.05)
    labels = drawn(shape, one)
    assert labels.sum() * np.prod(steps) == pytest.approx(truth, rel=0.05)
    assert ((labels > 0) & (ball > 0)).sum() / ((labels > 0) | (ball > 0)).sum() > 0.9


@pytest.mark.parametrize("steps", [(1.0, 1.0, 1.0), UNEQUAL])
def test_the_overlap_is_the_share_of_the_smaller_volume(steps):
    shape, one, other = StarPolyhedra(GRID, 96, steps), stars(2, 8, 96), stars(3, 8, 96)
    measured, volumes = shape.overlap(one, other), (shape.volumes(one), shape.volumes(other))
    rng = np.random.default_rng(0)
    for index in range(len(one)):
        pair = [some.take([index]) for some in (one, other)]
        low, high = (np.concatenate(ends) for ends in zip(*(shape.bounds(some) for some in pair), strict=True))
        points = rng.uniform(low.min(axis=0), high.max(axis=0), (60_000, 3))
        size = (high.max(axis=0) - low.min(axis=0)).prod() * np.prod(steps) / len(points)
        held = [
            shape.contains(some.values, np.zeros(len(points), int), (points - shape.centers(some)) * shape.steps)
            for some in pair
        ]
        assert [inside.sum() * size for inside in held] == pytest.approx([v[index] for v in volumes], rel=0.04)
        both = (held[0] & held[1]).sum() * size / min(volumes[0][index], volumes[1][index])
        assert measured[index] == pytest.approx(both, abs=0.03)
        labels = [drawn(shape, some) > 0 for some in pair]
        voxels = (labels[0] & labels[1]).sum() / min(part.sum() for part in labels)
        assert measured[index] == pytest.approx(voxels, abs=0.06)
    assert np.array_equal(measured, shape.overlap(other, one))


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8, 32]), st.tuples(*[st.floats(0.3, 3)] * 3))
@settings(max_examples=25, deadline=None)
def test_what_holds_for_all_polyhedra(seed, rays, steps):
    shape, one, other = StarPolyhedra(GRID, rays, steps), stars(seed, 6, rays), stars(seed + 1, 6, rays)
    low, high = shape.bounds(one)
    assert np.array_equal(low, shape.corners(one).min(axis=1))
    assert np.array_equal(high, shape.corners(one).max(axis=1))
    overlaps = shape.overlap(one, other)
    assert ((overlaps >= 0) & (overlaps <= 1 + 1e-12)).all()
    assert np.allclose(shape.overlap(one, one), 1)
    # Each pair alone has the bytes that it has among others, in either order.
    alone = [shape.overlap(other.take([i]), one.take([i]))[0] for i in range(6)]
    assert np.array(alone).tobytes() == overlaps.tobytes()
    larger = Candidates(one.positions, one.scores, one.classes, one.values * 1.5)
    assert np.allclose(shape.overlap(one, larger), 1)
    assert np.allclose(shape.volumes(larger), shape.volumes(one) * 1.5**3)
    labels = drawn(shape, one.take([0]))
    voxels = np.argwhere(labels) + 0.5
    assert (voxels >= low[0]).all()
    assert (voxels <= high[0]).all()
    assert not (labels[drawn(shape, larger.take([0])) == 0]).any()


def test_regions_of_any_size_draw_the_same(monkeypatch):
    shape, some = StarPolyhedra(GRID, 32, UNEQUAL), stars(5, 12, around=15)
    whole = drawn(shape, some)
    assert len(np.unique(whole)) > 6
    monkeypatch.setattr("atrous.objects.star_polyhedra.AT_ONCE", 50)
    assert np.array_equal(drawn(shape, some), whole)
    for low, high in (((0, 0, 0), (7, 44, 48)), ((10, 9, 8), (31, 30, 29)), ((20, 22, 24), (21, 23, 25))):
        region = [slice(a, b) for a, b in zip(low, high, strict=True)]
        assert np.array_equal(drawn(shape, some, region=region), whole[tuple(region)])


def test_later_ones_are_drawn_over_earlier_ones():
    shape, some = StarPolyhedra(GRID, 32), stars(6, 2, around=0)
    one, other = (drawn(shape, some.take([index])) > 0 for index in range(2))
    labels = drawn(shape, some, np.array([7, 9]))
    assert np.array_equal(labels == 9, other)
    assert np.array_equal(labels == 7, one & ~other)


def test_a_star_without_extent_overlaps_and_covers_nothing():
    shape, some = StarPolyhedra(GRID, 8), stars(4, 3, rays=8, around=0)
    flat = Candidates(some.positions, some.scores, some.classes, np.zeros((3, 8)))
    assert shape.overlap(some, flat).tolist() == shape.overlap(flat, some).tolist() == [0, 0, 0]
    assert not drawn(shape, flat).any()
    holes = Candidates(some.positions, some.scores, some.classes, some.values * (np.arange(8) > 2))
    for index in range(3):  # nothing lies in cones of which a ray has no length
        part, whole = (drawn(shape, stars.take([index])) > 0 for stars in (holes, some))
        assert 0 < part.sum() < whole.sum()
        assert not (part & ~whole).any()
        assert part.sum() == pytest.approx(shape.volumes(holes)[index], rel=0.3)


def test_far_ones_do_not_overlap():
    shape, rays = StarPolyhedra((9, 9, 90), 96), np.full((1, 96), 4.0)
    ends = [Candidates(np.array([index]), np.ones(1), np.zeros(1, int), rays) for index in (0, 9, 60)]
    assert shape.overlap(ends[0], ends[1]).tolist() == shape.overlap(ends[0], ends[2]).tolist() == [0]
    assert cones_of(96) is shape.cones


def test_three_rays_are_refused():
    with pytest.raises(ValueError, match="at least 4"):
        StarPolyhedra(GRID, 3)
