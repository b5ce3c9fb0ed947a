"""A step on a whole sample has the loss and the gradients of one forward and backward pass."""

import copy
from unittest.mock import Mock

import pytest
import torch

from atrous.encoders import ResNet
from atrous.errors import UserError
from atrous.models import fcn
from atrous.nn.strided import safe_strided
from atrous.tasks.custom import CustomTask
from atrous.tasks.semantic import Semantic
from atrous.tasks.summed import SummedLoss
from atrous.training import whole
from atrous.training.whole import WholeSteps, whole_loss

TASK = Semantic(("ground", "one", "two"), class_weights=(1.0, 3.0, 2.0))


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return fcn(ResNet(2, in_channels=1, depth=10, width=4), 3, width=8).train()


def test_a_step_is_that_of_the_whole_sample_batch_norms_included(tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.stream.gradient_plan.COMFORT", 100_000)  # so that there are several strips
    plain = network()
    streamed = copy.deepcopy(plain)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 96, 64, generator=generator)
    target = torch.randint(0, 3, (96, 64), generator=generator)
    target[10:20] = 255
    wanted = TASK.loss(plain(image[None]), target[None])
    wanted.backward()
    steps = WholeSteps(streamed, TASK, tmp_path)
    with safe_strided(streamed):  # as in a training
        loss = steps.step(image, target)
    assert loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    largest = max(float(p.grad.abs().max()) for p in plain.parameters())
    for one, other in zip(streamed.parameters(), plain.parameters(), strict=True):
        assert float((one.grad - other.grad).abs().max()) <= 1e-3 * max(float(other.grad.abs().max()), 1e-2 * largest)
    for (name, one), other in zip(streamed.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)
    assert not list(tmp_path.iterdir())


def test_few_sizes_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "prepare_gradient", lambda network, shape: shape)
    steps = WholeSteps(network(), TASK, tmp_path)
    for length in (8, 16, 24, 32, 40, 8):
        steps.prepare((1, length, 8))
    assert [shape for shape, _ in steps.ready] == [(1, 24, 8), (1, 32, 8), (1, 40, 8), (1, 8, 8)]
    steps.network.encoder.eval()  # a stage of fine-tuning
    steps.prepare((1, 8, 8))
    assert [shape for shape, _ in steps.ready] == [(1, 32, 8), (1, 40, 8), (1, 8, 8), (1, 8, 8)]


def test_losses_that_follow_from_no_sums_are_refused():
    with pytest.raises(UserError, match=r"train\.whole: the loss of this task"):
        whole_loss(Mock(spec=["loss"]))
    with pytest.raises(UserError, match="give a loss of your own as a SummedLoss"):
        whole_loss(CustomTask(TASK, torch.nn.functional.cross_entropy))
    own = SummedLoss(lambda output, target: output.sum().reshape(1), torch.sum)
    assert whole_loss(CustomTask(TASK, own)) is own
    assert whole_loss(CustomTask(TASK)).sums(torch.zeros(1, 3, 4), torch.zeros(1, 4).long()).shape == (11,)
