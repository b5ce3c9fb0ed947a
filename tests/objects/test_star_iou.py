"""How well star-convex shapes represent objects: discs and balls well, rings and shells not."""

import numpy as np
import pytest

from atrous.objects.star_iou import LONGEST, star_iou


def away(shape, steps=None):
    """Distance of each position from the middle of a grid."""
    steps = steps or (1.0,) * len(shape)
    grid = np.stack(np.indices(shape), axis=-1) - (np.array(shape) // 2)
    return np.sqrt(((grid * steps) ** 2).sum(axis=-1))


def test_discs_are_stars_and_rings_are_not():
    distance = away((81, 81))
    assert star_iou(distance < 30) > 0.95
    assert star_iou((distance < 30) & (distance > 22)) < 0.5
    assert star_iou(np.repeat(np.repeat(distance < 30, 5, axis=0), 5, axis=1)) > 0.95
    assert star_iou(np.ones((1, 1), bool)) > 0.99


def test_balls_are_stars_and_shells_are_not():
    distance = away((43, 43, 43))
    assert star_iou(distance < 20) > 0.93
    assert star_iou((distance < 20) & (distance > 14)) < 0.5
    assert star_iou(np.ones((1, 1, 1), bool)) > 0.99
    assert star_iou(distance < 20, rays=256) > star_iou(distance < 20, rays=32)


def test_flat_balls_are_stars_in_the_unit_of_the_steps():
    steps = (5.0, 1.0, 1.0)
    flat = away((9, 43, 43), steps) < 20
    assert star_iou(flat, steps=steps) > star_iou(flat) + 0.02
    assert star_iou(flat, steps=steps) == star_iou(flat, steps=steps, rays=96) > 0.85


def test_long_objects_are_thinned():
    long = np.zeros((8, 8, 2 * LONGEST), bool)
    long[2:6, 2:6] = True
    assert 0 < star_iou(long) < 0.8


@pytest.mark.parametrize("shape", [(40,), (4, 4, 4, 4)])
def test_other_grids_have_no_rays(shape):
    with pytest.raises((KeyError, ValueError)):
        star_iou(np.ones(shape, bool))
