"""Distances along rays, against a march in small steps and against circles and balls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.objects.directions import directions
from atrous.objects.rays import PHASES, distances_at, ray_distances, walked
from tests.objects.worlds import random_discs


def marched(numbers, places, rays, moved=0.0, step=0.05, steps=(1.0, 1.0)):
    """How far rays from the middles of places `(n, 2)` go until the number changes, `(n, rays)`, by small steps.

    Starts are moved by a part of a position along the axis that the ray is less parallel to.
    """
    vectors, height, width = directions(rays) / steps, *numbers.shape
    steep = np.abs(vectors[:, 0]) > np.abs(vectors[:, 1])
    away = np.stack([np.where(steep, 0, moved), np.where(steep, moved, 0)], axis=1)
    along = np.arange(0, np.hypot(height * steps[0], width * steps[1]) + 1, step)[:, None, None]
    result = []
    for place in places:
        row, column = np.moveaxis(np.floor(place + 0.5 + away + along * vectors), -1, 0).astype(int)
        inside = (row >= 0) & (column >= 0) & (row < height) & (column < width)
        seen = np.where(inside, numbers[row.clip(0, height - 1), column.clip(0, width - 1)], 0)
        result.append((seen != numbers[tuple(place)]).argmax(axis=0) * step)
    return np.array(result)


@pytest.mark.parametrize(("rays", "steps"), [(8, (1, 1)), (13, (1, 1)), (32, (1, 1)), (32, (2, 0.5)), (9, (0.6, 1.5))])
def test_distances_are_those_of_a_march_in_small_steps(rays, steps):
    numbers, _, _ = random_discs((60, 70), 12, (4, 13), gap=1)
    places = np.argwhere(numbers > 0)[::41]
    distances = ray_distances(numbers, rays, steps)
    assert (distances[:, numbers == 0] == 0).all()
    found = distances[:, *places.T].T
    off = np.abs(found - marched(numbers, places, rays, steps=steps))
    assert off.mean() < 0.2 * max(steps)
    # A ray may start up to half a phase beside the middle, and ends in the middle of a step.
    ways = np.stack([marched(numbers, places, rays, part / (2 * PHASES), steps=steps) for part in (-1, 0, 1)])
    half = 0.5 / np.abs(directions(rays) / steps).max(axis=1) + 0.06
    within = (found >= ways.min(axis=0) - half) & (found <= ways.max(axis=0) + half)
    assert within.mean() > 0.97  # others graze a corner of the outline, which the march sees and a step does not


def test_rays_from_the_middle_of_a_disc_are_its_radius():
    grid = np.stack(np.indices((61, 61)), axis=-1) - 30
    numbers = ((grid**2).sum(axis=-1) <= 20.5**2).astype(int)
    assert np.abs(ray_distances(numbers, 32)[:, 30, 30] - 20.5).max() < 1
    assert np.abs(ray_distances(numbers, 32)[:, 30, 30].mean() - 20.5) < 0.25


@given(arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2)))
@settings(max_examples=25, deadline=None)
def test_straight_and_diagonal_rays_count_positions(numbers):
    distances = ray_distances(numbers, 8)
    for ray, (down, right) in enumerate(np.rint(directions(8) * 1.2).astype(int)):
        for row, column in np.argwhere(numbers > 0):
            steps, own = 0, numbers[row, column]
            while True:
                y, x = row + (steps + 1) * down, column + (steps + 1) * right
                if not (0 <= y < numbers.shape[0] and 0 <= x < numbers.shape[1]) or numbers[y, x] != own:
                    break
                steps += 1
            assert distances[ray, row, column] == pytest.approx((steps + 0.5) * np.hypot(down, right), rel=1e-5)


def test_transposed_objects_have_the_rays_of_the_other_axis():
    numbers, _, _ = random_discs((40, 50), 6, (4, 9))
    one, other = ray_distances(numbers, 16), ray_distances(numbers.T, 16)
    order = (4 - np.arange(16)) % 16  # an angle a becomes 90 degrees - a
    keep = [ray for ray in range(16) if ray % 4 != 2]  # on diagonals the steps are rows in both
    assert np.allclose(one[keep], other[order].swapaxes(1, 2)[keep], atol=1e-4)


def test_large_numbers_stay_apart():
    numbers = np.array([[2**24 + 1, 2**24 + 2, 2**32 - 1, 2**32 - 2]], np.uint32)
    assert (ray_distances(numbers, 4)[0] == 0.5).all()


@pytest.mark.parametrize("steps", [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5)])
def test_rays_of_volumes_are_those_of_a_march_in_small_steps(steps):
    numbers, _, _ = random_discs((22, 40, 44), 12, (4, 9), gap=1)
    places = np.argwhere(numbers > 0)[::97]
    found, vectors, along = distances_at(numbers, places, 24, steps), directions(24, 3) / steps, np.arange(0, 60, 0.02)
    grid, off = np.array(numbers.shape), []
    for place, distances in zip(places, found, strict=True):
        seen = np.floor(place + 0.5 + along[:, None, None] * vectors).astype(int)
        own = ((seen >= 0) & (seen < grid)).all(-1)
        own[own] = numbers[tuple(seen[own].T)] == numbers[tuple(place)]
        off.append(distances - along[own.argmin(axis=0)])
    # A ray ends in the middle of a step along the axis to which it is most parallel.
    half = 0.5 / np.abs(vectors).max(axis=1) + 0.02
    assert (np.abs(off) <= half).mean() > 0.9  # others graze a corner, which the march sees and a step does not
    assert np.abs(np.mean(off)) < 0.1 * max(steps)


def test_rays_of_a_ball_are_its_radius():
    for steps in ((1.0, 1.0, 1.0), (2.0, 1.0, 0.8)):
        grid = np.stack(np.indices([int(27 / step) * 2 + 1 for step in steps]), axis=-1)
        middle = np.array(grid.shape[:3]) // 2
        numbers = ((((grid - middle) * steps) ** 2).sum(axis=-1) <= 20.5**2).astype(int)
        distances = distances_at(numbers, middle[None], 96, steps)[0]
        assert np.abs(distances - 20.5).max() < 1.2 * max(steps)
        assert abs(distances.mean() - 20.5) < 0.2


@given(arrays(np.int64, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 2)), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_rays_end_before_the_first_position_of_another_number(numbers, seed):
    places = np.argwhere(numbers > 0)
    vectors = np.random.default_rng(seed).normal(size=(6, 3))
    found = walked(numbers, places, vectors)
    for place, distances in zip(places, found, strict=True):
        for vector, distance in zip(vectors, distances, strict=True):
            longest, step = np.abs(vector).max(), 0
            while True:
                step += 1
                at = place + np.floor(step * (vector / longest) + 0.5).astype(int)
                if (at < 0).any() or (at >= numbers.shape).any() or numbers[tuple(at)] != numbers[tuple(place)]:
                    break
            assert distance == pytest.approx((step - 0.5) / longest, rel=1e-5)


def test_images_give_the_same_distances_at_places_and_everywhere():
    numbers, _, _ = random_discs((30, 34), 5, (4, 7))
    places = np.argwhere(numbers > 0)
    assert np.array_equal(
        distances_at(numbers, places, 16, (2.0, 1.0)).T, ray_distances(numbers, 16, (2.0, 1.0))[:, *places.T]
    )
