"""Key points: perfect heat gives the points, at fractions of a position."""

import numpy as np
import pytest
import torch

from atrous.tasks.counting import CountingTask
from atrous.tasks.keypoints import KeypointTask
from atrous.tasks.points import SILENT, bumps

POINTS = torch.tensor([[0.0, 11.3, 12.8, 0.0], [0.0, 30.9, 8.2, 1.0], [0.0, 25.5, 33.1, 2.0]])


def logits(task, shape=(40, 44)):
    return torch.logit(bumps(POINTS, (1, *shape), 3, task.spread, mass=False), 1e-6) + SILENT


def test_perfect_heat_gives_the_named_points():
    task = KeypointTask(ndim=2, names=("a", "b", "c"), single=True, fraction=0.1)
    output = logits(task)
    answer = task.answer(task.probabilities(output)[0].numpy())
    order = np.argsort(answer.classes)
    np.testing.assert_allclose(answer.places[order], POINTS[:, 1:3].numpy(), atol=0.03)
    assert answer.counts.tolist() == [1, 1, 1]
    metrics = task.metrics(full=False)
    metrics.update("a", output[0], POINTS[:, 1:])
    assert metrics.result(0.0).values["pck"] == metrics.result(0.0).values["f1"] == 1
    assert int(task.decode(output)[0, 11, 12]) == 1


def test_the_loss_falls_towards_the_truth():
    task = KeypointTask(ndim=2, names=("a", "b", "c"))
    right = logits(task)
    wrong = torch.zeros_like(right, requires_grad=True)
    loss = task.loss(wrong, POINTS)
    loss.backward()
    assert float(task.loss(right, POINTS)) < 1e-3 < float(loss.detach())
    assert float((right * wrong.grad).sum()) < 0  # the gradient points away from the truth


def test_distances_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="with single"):
        KeypointTask(ndim=2, fraction=0.1)
    with pytest.raises(ValueError, match="numbers above 0"):
        KeypointTask(ndim=2, spread=0)


def test_the_distance_is_that_of_the_box_around_the_points():
    task = KeypointTask(ndim=2, single=True, fraction=0.1, distance=3.0)
    assert task.distance_of(np.array([[0.0, 0.0], [10.0, 40.0]])) == 4
    assert task.distance_of(np.array([[5.0, 5.0]])) == 3
    assert task.distance_of(np.zeros((0, 2))) == 3
    flat = KeypointTask(ndim=2, single=True, fraction=0.1, aspect=(4.0, 1.0))  # steps of 2 and 1/2
    assert flat.distance_of(np.array([[0.0, 0.0], [15.0, 40.0]])) == pytest.approx(3)


def test_an_aspect_must_fit():
    for aspect in ((1.0,), (0.0, 1.0)):
        with pytest.raises(ValueError, match="aspect is"):
            KeypointTask(ndim=2, aspect=aspect)
        with pytest.raises(ValueError, match="aspect is"):
            CountingTask(ndim=2, aspect=aspect)
