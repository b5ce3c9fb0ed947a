"""The changed cross-entropy against its formulas in float64, position by position, and torch's own."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrous.labels import IGNORE
from atrous.tasks.cross_entropy import REACH, CrossEntropyOptions, border_weights, position_losses
from atrous.tasks.losses import segmentation_loss
from atrous.tasks.semantic import Semantic
from tests.tasks.test_losses import batch

WEIGHTS = [0.5, 2.0, 1.0, 3.0]


def test_smoothed_labels_are_torchs_and_void_is_left_out():
    logits, target = batch(0)
    want = F.cross_entropy(logits, target, ignore_index=IGNORE, label_smoothing=0.2)
    options = CrossEntropyOptions(smoothing=0.2)
    torch.testing.assert_close(segmentation_loss(logits, target, dice=0, options=options), want)
    changed = torch.where((target == IGNORE)[:, None], 9 * logits, logits)
    torch.testing.assert_close(segmentation_loss(changed, target, dice=0, options=options), want)


@pytest.mark.parametrize("focal", [0.5, 2.0])
def test_sure_positions_count_less_by_the_formula(focal):
    logits, target = batch(1)
    p = logits.softmax(1).movedim(1, -1)
    losses = position_losses(logits.log_softmax(1), target, CrossEntropyOptions(0.1, focal))
    for place in itertools.product(*map(range, target.shape)):
        t = int(target[place])
        mean = -p[place].log().mean()
        want = 0.0 if t == IGNORE else (1 - p[place][t]) ** focal * (-0.9 * p[place][t].log() + 0.1 * mean)
        assert float(losses[place]) == pytest.approx(float(want), rel=1e-9)


def test_a_position_that_is_certain_has_a_finite_gradient():
    logits = torch.tensor([[[99.0], [-99.0]]], requires_grad=True)
    segmentation_loss(logits, torch.tensor([[0]]), options=CrossEntropyOptions(focal=0.5)).backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("size", [(13,), (7, 8), (6, 5, 7)])
def test_a_border_is_where_the_cube_holds_another_class(size):
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.choice([0, 1, IGNORE], (2, *size), p=[0.9, 0.05, 0.05]))
    weights = border_weights(target, 1.5)
    for place in itertools.product(*map(range, target.shape)):
        cube = target[place[0]][tuple(slice(max(0, n - REACH), n + REACH + 1) for n in place[1:])]
        others = bool(((cube != IGNORE) & (cube != target[place])).any())
        assert float(weights[place]) == (0.0 if target[place] == IGNORE else 2.5 if others else 1.0)


def test_classes_and_borders_weigh_together():
    logits, target = batch(2)
    weight = border_weights(target, 2.0) * torch.tensor(WEIGHTS)[target.clamp(max=3)]
    losses = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    options = CrossEntropyOptions(boundary=2.0)
    found = segmentation_loss(logits, target, class_weights=WEIGHTS, dice=0, options=options)
    torch.testing.assert_close(found, (weight * losses).sum() / weight.sum())


def test_a_task_takes_them_from_its_section_and_its_loss_still_follows_from_sums():
    section = {"classes": list("abcd"), "class_weights": WEIGHTS, "dice": 1.0, "tolerance": None, "options": {}}
    task = Semantic.build({**section, "smoothing": 0.1, "focal": 2.0})
    assert task.options == CrossEntropyOptions(0.1, 2.0, 0.0)
    logits, target = batch(3)
    sums = task.summed_loss().sums
    pieces = sums(logits[:, :, :2], target[:, :2]) + sums(logits[:, :, 2:], target[:, 2:])
    torch.testing.assert_close(task.summed_loss().value(pieces), task.loss(logits, target))
    void = torch.full_like(target, IGNORE)
    assert float(task.loss(logits, void)) == 0
