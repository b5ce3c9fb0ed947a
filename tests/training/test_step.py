"""A step: when it is asked whether a loss was a number, whose crops are looked at, and the optimizers."""

import pytest
import torch
from torch import nn

from atrous.data.feed.batches import Batch, share
from atrous.errors import UserError
from atrous.tasks.semantic import Semantic
from atrous.training.average import averaged
from atrous.training.processes import Processes, make_fabric
from atrous.training.settings import Settings
from atrous.training.step import Learner, compiled, fast_kernels, make_optimizer
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
