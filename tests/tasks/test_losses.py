"""Losses against their formulas in float64 and torch's own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from atrous.labels import IGNORE
from atrous.tasks.class_sums import class_sums
from atrous.tasks.cross_entropy import CrossEntropyOptions
from atrous.tasks.losses import dice_of_sums, segmentation_loss, summed_segmentation_loss


def batch(seed, void=0.2):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(2, 4, 5, 6)))
    target = torch.from_numpy(rng.choice([0, 1, 3], (2, 5, 6)))  # class 2 does not occur
    target[torch.from_numpy(rng.random((2, 5, 6)) < void)] = IGNORE
    return logits, target


def dice_loss(probabilities, target):
    """One minus the mean soft Dice coefficient of the classes that occur, over positions that are not void."""
    p, counted, dice = probabilities.movedim(1, 0), target != IGNORE, []
    for k in range(len(p)):
        truth = target == k
        if truth.any():
            dice.append(2 * p[k][truth].sum() / (p[k][counted].sum() + truth.sum()))
    return 1 - torch.stack(dice).mean()


def test_dice_leaves_out_classes_that_do_not_occur():
    sums = torch.tensor([[3.0, 0.0, 1.0], [4.0, 2.0, 1.0], [4.0, 0.0, 2.0]])
    assert float(dice_of_sums(sums)) == pytest.approx(1 - (2 * 3 / 8 + 2 * 1 / 3) / 2)


@given(st.integers(0, 1000))
def test_cross_entropy_is_torchs(seed):
    logits, target = batch(seed)
    weights = [0.5, 2.0, 1.0, 3.0]
    want = F.cross_entropy(logits, target, torch.tensor(weights, dtype=logits.dtype), ignore_index=IGNORE)
    torch.testing.assert_close(segmentation_loss(logits, target, class_weights=weights, dice=0), want)


@given(st.integers(0, 1000))
def test_void_never_matters(seed):
    logits, target = batch(seed)
    changed = torch.where((target == IGNORE)[:, None], torch.randn_like(logits) * 9, logits)
    torch.testing.assert_close(segmentation_loss(logits, target), segmentation_loss(changed, target))


@given(st.integers(0, 1000), st.sampled_from([0.25, 1.0, 2.0]))
def test_the_loss_is_cross_entropy_plus_weighted_dice(seed, dice):
    logits, target = batch(seed)
    cross_entropy = F.cross_entropy(logits, target, ignore_index=IGNORE)
    dice_part = dice_loss(logits.softmax(1), target)
    torch.testing.assert_close(segmentation_loss(logits, target, dice=dice), cross_entropy + dice * dice_part)
    torch.testing.assert_close(segmentation_loss(logits, target), cross_entropy + dice_part)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 3.0]])
@pytest.mark.parametrize("dice", [0.0, 0.7])
def test_the_loss_and_its_gradient_follow_from_the_sums_of_pieces(weights, dice):
    logits, target = batch(3)
    logits.requires_grad_()
    loss = summed_segmentation_loss(class_weights=weights, dice=dice)
    pieces = [loss.sums(logits[:, :, i : i + 2], target[:, i : i + 2]) for i in (0, 2, 4)]
    together = loss.value(torch.stack(pieces).sum(0))
    whole = segmentation_loss(logits, target, class_weights=weights, dice=dice)
    torch.testing.assert_close(together, whole)
    found, wanted = (torch.autograd.grad(value, logits)[0] for value in (together, whole))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


def test_a_class_of_a_single_position_counts():
    target = torch.tensor([[0, 0, 1, IGNORE]])
    probabilities = torch.tensor([[[0.8, 0.6, 0.5, 0.9], [0.2, 0.4, 0.5, 0.1]]])
    dice = 2 * 1.4 / (1.9 + 2), 2 * 0.5 / (1.1 + 1)
    sums = class_sums(probabilities.log(), target, None, CrossEntropyOptions(), dice=True)
    assert float(dice_of_sums(sums[2:].unflatten(0, (3, 2)))) == pytest.approx(1 - sum(dice) / 2)


def test_one_position_of_a_small_weight_has_its_cross_entropy():
    logits, target = torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0]])
    loss = segmentation_loss(logits, target, class_weights=[0.25, 1.0], dice=0)
    torch.testing.assert_close(loss, F.cross_entropy(logits, target))


def test_a_batch_of_void_has_loss_zero_and_finite_gradients():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 4, 4), IGNORE))
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
