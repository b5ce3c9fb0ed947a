"""Counting: the loss knows the right maps, and perfect maps give the right count and points."""

import numpy as np
import pytest
import torch

from atrous.tasks.counting import CountingTask
from atrous.tasks.points import SILENT, PointTask, bumps
from atrous.tasks.task import NotFinite

SHAPES = [(200,), (50, 60), (24, 28, 30)]


def world(shape, count=6, seed=3):
    """Points of two classes that keep apart, as the loss is given them."""
    rng, rows = np.random.default_rng(seed), []
    while len(rows) < count:
        place = np.array([rng.uniform(6, n - 6) for n in shape])
        if all(np.linalg.norm(place - row[1:-1]) > 8 for row in rows):
            rows.append(np.array([0, *place, len(rows) % 2]))
    return torch.from_numpy(np.array(rows, np.float32))


def perfect(task, points, shape):
    """The output of a network that knows the truth."""
    density = bumps(points, (1, *shape), 2, task.sigma, mass=True)
    heat = bumps(points, (1, *shape), 2, task.spread, mass=False)
    return torch.cat([density / task.unit, torch.logit(heat, 1e-6) + SILENT], dim=1)


def task_for(shape):
    return CountingTask(ndim=len(shape), names=("a", "b"), sigma=2.0, spread=1.5, apart=3.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_perfect_maps_give_the_count_and_the_points(shape):
    task, points = task_for(shape), world(shape)
    output = perfect(task, points, shape)
    for full in (True, False):
        metrics = task.metrics(full=full)
        metrics.update("a", task.probabilities(output)[0] if full else output[0], points[:, 1:])
        values = metrics.result(0.0).values
        assert values["count_mae"] < 0.05
        assert values["f1"] == 1
        assert values["peaks_mae"] == 0
        assert values["offset"] < 0.1
    decoded = task.decode(output)[0].numpy()
    for row in points.numpy():
        assert decoded[tuple(row[1:-1].astype(int))] == 1 + row[-1]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_least_for_the_right_maps_and_has_gradients(shape):
    task, points = task_for(shape), world(shape)
    right = perfect(task, points, shape)
    noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
    wrong = (right + noise).requires_grad_()
    loss = task.loss(wrong, points)
    assert float(task.loss(right, points)) < 0.1 * float(loss.detach())
    loss.backward()
    assert bool(torch.isfinite(wrong.grad).all())


def test_crops_without_points_have_a_finite_loss():
    output = torch.zeros(2, 2, 16, 16, requires_grad=True)
    loss = CountingTask(ndim=2).loss(output, torch.zeros(0, 4))
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(output.grad).all())


def test_one_point_more_costs_most_where_it_is():
    task = CountingTask(ndim=2, sigma=2.0)
    points = torch.tensor([[0.0, 10.0, 10.0, 0.0], [0.0, 30.0, 30.0, 0.0]])
    right = bumps(points, (1, 40, 40), 1, 2.0, mass=True)
    missed = bumps(points[:1], (1, 40, 40), 1, 2.0, mass=True)
    smeared = torch.full_like(right, 2 / 1600)
    costs = [float(task._count_loss(maps, right)) for maps in (right, smeared, missed)]
    assert costs[0] == 0 < costs[1] < costs[2]


def test_output_that_is_not_finite_names_the_image():
    with pytest.raises(NotFinite, match="wave"):
        CountingTask(ndim=1).metrics().update("wave", torch.full((2, 9), float("nan")), torch.zeros(0, 2))


def test_the_task_is_built_from_a_recipe():
    section = {"classes": ["cell", "dead"], "options": {"ndim": 3, "sigma": 2.5, "video": False}}
    task = CountingTask.build(section)
    assert isinstance(task, PointTask)
    assert (task.ndim, task.sigma, task.out_channels, task.dense) == (3, 2.5, 4, 2)
    with pytest.raises(ValueError, match="numbers above 0"):
        CountingTask(ndim=2, sigma=0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_unit_is_the_density_at_a_point_that_stands_alone(ndim):
    point = torch.tensor([[0.0, *[16.5] * ndim, 0.0]])
    density = bumps(point, (1, *[33] * ndim), 1, 2.5, mass=True)
    assert float(density.max()) == pytest.approx(CountingTask(ndim=ndim, sigma=2.5).unit, rel=5e-3)
