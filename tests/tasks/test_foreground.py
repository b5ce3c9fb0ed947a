"""Tasks that seek what is not the first class keep the contract of tasks, and pool their counts."""

import math

import numpy as np
import pytest
import torch

from atrous.tasks.change import change_figures, change_task
from atrous.tasks.custom import CustomTask
from atrous.tasks.foreground import ForegroundTask
from atrous.tasks.motion import motion_task
from atrous.tasks.task import Task

SECTION = {"classes": ["no", "yes"], "class_weights": None, "dice": 1.0, "tolerance": None, "options": {}}


@pytest.fixture(params=[change_task, motion_task])
def task(request) -> ForegroundTask:
    return request.param(SECTION)


def maps(prediction):
    """Probabilities `(2, *S)` that decode to a prediction `(*S)`."""
    return torch.stack([1.0 - prediction, prediction.float()])


def test_contract(task):
    assert isinstance(task, Task)
    output = torch.randn(2, 2, 4, 5)
    assert task.out_channels == 2
    assert task.decode(output).shape == (2, 4, 5)
    torch.testing.assert_close(task.probabilities(output).sum(1), torch.ones(2, 4, 5))
    assert task.loss(output, torch.zeros(2, 4, 5, dtype=torch.long)).ndim == 0
    metrics = task.metrics(full=False)
    metrics.update("a", torch.rand(2, 4, 5), torch.ones(4, 5, dtype=torch.uint8))
    assert set(task.watched) <= set(metrics.result(0.0).watched())
    assert next(iter(metrics.result(0.0).watched())) == task.watched[0]


def test_counts_are_pooled_over_samples_and_void_counts_nowhere(task):
    truth = [torch.tensor([[1, 1, 0, 255]], dtype=torch.uint8), torch.tensor([[1, 0, 0, 0]], dtype=torch.uint8)]
    found = [torch.tensor([[1, 0, 0, 1]]), torch.tensor([[1, 1, 1, 0]])]
    metrics = task.metrics()
    for name, one, other in zip("ab", truth, found, strict=True):
        metrics.update(name, maps(other), one)
    scores = metrics.result(1.0)
    first = task.watched[0]
    # true positives 2, false positives 2, false negatives 1
    assert scores.foreground[first] == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))
    assert (scores.foreground["precision"], scores.foreground["recall"]) == pytest.approx((2 / 4, 2 / 3))
    assert scores.per_image == pytest.approx({"a": 2 / 3, "b": 2 / 4})
    assert scores.ranking() == ["b", "a"]
    facts = scores.to_dict()
    assert facts[first] == pytest.approx(4 / 7)
    assert f"{first:<16}0.571" in scores.text()
    assert first in scores.conventions


def test_a_clip_of_one_frame_counts_as_a_picture():
    task = motion_task(SECTION)
    truth, found = torch.tensor([[[0, 1], [1, 255]]], dtype=torch.uint8), torch.tensor([[[0, 1], [0, 0]]])
    metrics = task.metrics()
    metrics.update("a", maps(found), truth)
    scores = metrics.result(0.0)
    assert scores.sample == "frame"
    assert scores.foreground["pwc"] == pytest.approx(100 / 3)
    assert not math.isnan(scores.boundary_iou)


def test_metrics_of_ones_own_are_added(task):
    own = CustomTask(task, None, {"share": lambda probabilities, target: float(target.float().mean())})
    metrics = own.metrics()
    metrics.update("a", torch.rand(2, 4, 5), torch.ones(4, 5, dtype=torch.uint8))
    scores = metrics.result(0.0)
    assert scores.watched()["share"] == 1
    assert next(iter(scores.watched())) == task.watched[0]


def test_of_several_kinds_of_change_the_metrics_are_means():
    confusion = np.array([[80, 2, 0, 0], [4, 6, 0, 0], [0, 0, 8, 0], [0, 0, 0, 0]])
    figures = change_figures(confusion)
    assert figures["f1"] == pytest.approx((12 / 18 + 1) / 2)
    assert figures["precision"] == pytest.approx((6 / 8 + 1) / 2)
    assert figures["recall"] == pytest.approx((6 / 10 + 1) / 2)
    assert math.isnan(change_figures(np.array([[9, 0], [0, 0]]))["f1"])
