"""What a network should say of points: densities whose sum is their number, and heat."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.steps import unit_steps
from atrous.tasks.points import SILENT, bumps, heat_loss, point_options

SHAPES = [(90,), (40, 50), (20, 22, 24)]


def drawn(shape, crops, count, seed=0, classes=2, border=0):
    rng = np.random.default_rng(seed)
    columns = [
        rng.integers(0, crops, count),
        *(rng.uniform(border, n - border, count) for n in shape),
        rng.integers(0, classes, count),
    ]
    return torch.from_numpy(np.column_stack(columns).astype(np.float32))


@given(st.sampled_from(SHAPES), st.integers(0, 30), st.floats(0.5, 2.4), st.integers(0, 99))
@settings(max_examples=25)
def test_the_sum_of_a_density_is_the_number_of_points(shape, count, sigma, seed):
    points = drawn(shape, 3, count, seed, border=9.5)
    density = bumps(points, (3, *shape), 2, sigma, mass=True)
    want = np.zeros((3, 2))
    for row in points.numpy():
        want[int(row[0]), int(row[-1])] += 1
    np.testing.assert_allclose(density.flatten(2).sum(-1).numpy(), want, atol=1e-4)
    assert float(density.min()) >= 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("aspect", [(), (3.0, 1.0, 1.0)], ids=["cubes", "flat"])
def test_maps_are_gaussians_around_the_points(shape, aspect):
    steps = unit_steps(aspect[: len(shape)] if len(shape) > 1 else (), len(shape))
    points, sigma, wide = drawn(shape, 2, 9), 1.7, 12
    heat = bumps(points, (2, *shape), 2, sigma, mass=False, steps=steps).numpy()
    density = bumps(points, (2, *shape), 2, sigma, mass=True, steps=steps).numpy()
    grid = np.stack(np.indices([n + 2 * wide for n in shape]), axis=-1) + 0.5 - wide
    inner = (slice(wide, -wide),) * len(shape)
    best, sums = np.zeros_like(heat), np.zeros_like(density)
    for row in points.numpy().astype(float):
        value = np.exp(-(((grid - row[1:-1]) * steps) ** 2).sum(axis=-1) / (2 * sigma**2))
        at = int(row[0]), int(row[-1])
        best[at] = np.maximum(best[at], value[inner])
        sums[at] += value[inner] / value.sum()
    np.testing.assert_allclose(heat, best, atol=3e-3)
    np.testing.assert_allclose(density, sums, atol=3e-3 * sums.max())


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_steps_give_the_same_bytes_as_none(shape):
    points, steps = drawn(shape, 2, 9), unit_steps((2.0,) * len(shape), len(shape))
    points = torch.cat([points[:, :-1], points[:, 1:-1] + 0.25, points[:, -1:]], dim=1)  # with points in a mirror
    for mass in (False, True):
        one, other = (bumps(points, (2, *shape), 2, 1.7, mass=mass, **more) for more in ({}, {"steps": steps}))
        assert one.numpy().tobytes() == other.numpy().tobytes()


def test_heat_has_the_least_loss_where_it_is_right():
    heat = bumps(drawn((40, 50), 1, 7), (1, 40, 50), 2, 2.0, mass=False)
    right = torch.logit(heat, 1e-6) + SILENT
    wrong = right + torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
    assert float(heat_loss(right, heat)) < 1e-3 < float(heat_loss(wrong, heat))


def test_a_wrong_option_is_named():
    with pytest.raises(ValueError, match="no key 'sigmo'"):
        point_options({"options": {"ndim": 2, "sigmo": 3}, "classes": []}, {"ndim": 0, "sigma": 0}, "counting")
    with pytest.raises(ValueError, match="needs ndim"):
        point_options({"options": {}, "classes": []}, {"ndim": 0}, "counting")
