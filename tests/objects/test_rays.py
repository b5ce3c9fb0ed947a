"""Distances along rays, against a march in small steps and against circles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.objects.rays import PHASES, directions, ray_distances, star_iou
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


def test_discs_are_stars_and_rings_are_not():
    grid = np.stack(np.indices((81, 81)), axis=-1) - 40
    distance = np.sqrt((grid**2).sum(axis=-1))
    assert star_iou(distance < 30) > 0.95
    assert star_iou((distance < 30) & (distance > 22)) < 0.5
    assert star_iou(np.repeat(np.repeat(distance < 30, 5, axis=0), 5, axis=1)) > 0.95
    assert star_iou(np.ones((1, 1), bool)) > 0.99
