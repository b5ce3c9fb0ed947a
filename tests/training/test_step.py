"""A step: when it is asked whether a loss was a number, whose crops are looked at, and the optimizers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from atrous.data.feed.batches import Batch, share
from atrous.errors import UserError
from atrous.tasks.semantic import Semantic
from atrous.training.average import averaged
from atrous.training.processes import Processes, make_fabric
from atrous.training.settings import Settings
from atrous.training.sharpness import uphill
from atrous.training.step import Learner, compiled, fast_kernels, make_optimizer
from atrous.training.teacher import ramp_up
from tests.ranks import play_ranks

TASK = Semantic(("a", "b"))


def learner(settings, lag=0):
    torch.manual_seed(0)
    network, fabric = nn.Conv2d(1, 2, 3), make_fabric(settings)
    optimizer = make_optimizer(network, settings)
    model, _ = fabric.setup(compiled(network, settings.compile), optimizer)
    return Learner(fabric, model, network, optimizer, averaged(network), TASK, settings, Processes(), None, lag)


def batch(value=1.0):
    torch.manual_seed(1)
    images, targets = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 6, 6))
    images[1, 0, 3, 3] = value
    return Batch(images, targets, ("good.png", "bad.png"))


def weights(network):
    return torch.cat([weight.detach().flatten().clone() for weight in network.parameters()])


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_loss_that_is_looked_at_later_changes_no_weights(name):
    """As on a GPU, which is not waited for: the optimizer itself leaves such a step out."""
    of_gpu = learner(Settings(optimizer=name, precision="32-true"), lag=1)
    of_gpu.step(batch(), 0, 1e-2)
    before = weights(of_gpu.network)
    of_gpu.step(batch(float("inf")), 1, 1e-2)
    assert torch.equal(weights(of_gpu.network), before)
    with pytest.raises(UserError, match=r"^bad.png: has values that are nan or infinite, so the loss at step 1"):
        of_gpu.step(batch(), 2, 1e-2)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_late_looks_take_the_same_steps(name):
    settings = Settings(optimizer=name, precision="32-true")
    at_once, later = learner(settings), learner(settings, lag=1)
    for number in range(4):
        assert torch.equal(at_once.step(batch(), number, 1e-2), later.step(batch(), number, 1e-2))
    later.check()
    assert torch.equal(weights(at_once.network), weights(later.network))
    assert not torch.equal(weights(later.network), weights(learner(settings).network))


def test_a_compiled_network_takes_the_same_steps(monkeypatch):
    """The graph is traced; what a compiler makes of it is torch's business."""
    compile_network = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **_: compile_network(network, backend="eager"))
    plain, traced = (learner(Settings(compile=wanted, precision="32-true")) for wanted in (False, True))
    for number in range(2):
        torch.testing.assert_close(plain.step(batch(), number, 1e-2), traced.step(batch(), number, 1e-2))
    torch.testing.assert_close(weights(plain.network), weights(traced.network))
    assert type(traced.model._forward_module).__name__ == "OptimizedModule"


def test_a_sharpness_aware_step_follows_the_gradient_uphill():
    """SGD's first step is the rate times the gradient, which is compared with autograd's at the moved weights."""
    settings = Settings(optimizer="sgd", precision="32-true", weight_decay=0.0, clip=1e9, sharpness=0.1)
    found = learner(settings)
    reference = learner(replace(settings, sharpness=0.0)).network

    def gradients():
        loss = TASK.loss(reference(batch().images), batch().targets)
        return torch.autograd.grad(loss, list(reference.parameters()))

    first = gradients()
    norm = torch.cat([part.flatten() for part in first]).norm()
    before = weights(reference)
    with torch.no_grad():
        for weight, part in zip(reference.parameters(), first, strict=True):
            weight.add_(0.1 * part / norm)
    want = before - 0.5 * torch.cat([part.flatten() for part in gradients()])
    found.step(batch(), 0, 0.5)
    torch.testing.assert_close(weights(found.network), want)
    assert not torch.allclose(want, before - 0.5 * torch.cat([part.flatten() for part in first]))


def test_steps_between_are_plain_and_batch_norms_count_a_batch_once():
    settings = Settings(optimizer="sgd", precision="32-true", sharpness=0.3, sharpness_every=2)
    sharp, plain = learner(settings), learner(replace(settings, sharpness=0.0))
    assert torch.equal(sharp.step(batch(), 1, 1e-2), plain.step(batch(), 1, 1e-2))
    assert torch.equal(weights(sharp.network), weights(plain.network))
    norm = nn.BatchNorm2d(1)
    norm(batch().images).pow(3).sum().backward()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with uphill(norm, 0.5):
        assert not torch.equal(norm.weight, before["weight"])
        norm(batch().images)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_a_teacher_adds_the_divergence_from_the_average():
    settings = Settings(precision="32-true", teacher=0.5)
    taught, plain = learner(settings), learner(replace(settings, teacher=0.0))
    with torch.no_grad():
        for weight in taught.average.module.parameters():
            weight.mul_(2.0)
    taught_before = {name: value.clone() for name, value in taught.average.module.state_dict().items()}
    output, said = taught.network(batch().images), taught.average.module(batch().images)
    p, q = said.softmax(1), output.softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    loss, alone = taught.step(batch(), 0, 1e-2), plain.step(batch(), 0, 1e-2)
    torch.testing.assert_close(loss, alone + 0.5 * divergence)
    early = learner(settings)
    early.average.module.load_state_dict(taught_before)
    torch.testing.assert_close(early.step(batch(), 0, 1e-2, 0.1), alone + 0.5 * math.exp(-1.25) * divergence)
    assert not torch.equal(weights(taught.network), weights(plain.network))
    assert not taught.average.module.training


def test_the_weight_of_a_teacher_rises_over_the_first_fifth():
    rising = [ramp_up(progress) for progress in np.linspace(0, 0.2, 50)]
    assert rising[0] == pytest.approx(math.exp(-5))
    assert (np.diff(rising) > 0).all()
    assert {ramp_up(progress) for progress in (0.2, 0.5, 1.0)} == {1.0}


def test_fast_kernels_of_a_gpu_are_chosen_for_the_block_alone():
    def chosen():
        return torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()

    before, gpu = chosen(), torch.device("cuda")
    with fast_kernels(gpu, fixed=True):
        assert chosen() == (True, "high")
        with fast_kernels(gpu, fixed=False):  # a validation
            assert chosen() == (False, "high")
        assert chosen() == (True, "high")
    with fast_kernels(torch.device("cpu"), fixed=True):
        assert chosen() == before
    assert chosen() == before


def test_the_first_process_looks_at_the_crops_of_all(monkeypatch):
    whole = batch(3e38)

    def work(group):
        own = learner(Settings(precision="32-true"))
        own.processes = Processes(group.rank, group.count, group, group)
        return str(own._broken(whole.part(share(2, group.rank, 2)), 7))

    told = play_ranks(monkeypatch, 2, work)
    assert told[0] == told[1]
    assert told[0].startswith("bad.png: the loss at step 7 is not a number because of this image")
