"""Gradients strip by strip equal those of the whole input: every kind of operator, every way to cut, float64."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.errors import UserError
from atrous.stream import Refused, gradient, gradient_plan, prepare_gradient
from atrous.stream.gradient_plan import GradientPlan
from tests import toy_models
from tests.toy_models import Lambda, chain, module_chain, settled, two_dimensional

TOLERANCE = 1e-9
NETWORKS = two_dimensional()
UNDIFFERENTIABLE = ("computed norms", "in place")
"""Autograd itself refuses these: statistics that need gradients, and a ReLU whose result is overwritten."""
QUICK = ("transposed wide", "segnet", "bicubic", "squeeze excitation", "statistics", "chosen", "weight norms")


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared(rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A loss whose gradient is another one at every position."""
    return (rows - target).square().sum() + rows.sin().sum()


def whole_gradients(network: nn.Module, x: torch.Tensor, loss, target) -> tuple[float, nn.Module]:
    """Return the loss on the whole input, and a copy of the network with its gradients."""
    network = copy.deepcopy(network)
    value = loss(network(x[None]), target)
    value.backward()
    return float(value.detach()), network


def difference(found: nn.Module, wanted: nn.Module) -> float:
    """Return the largest difference of the gradients of two networks, in parts of the largest gradient of the tensor.

    Gradients that are zero but for rounding, such as those of a bias before a batch norm, are measured by the largest
    of all.
    """
    pairs = list(zip(found.parameters(), wanted.parameters(), strict=True))
    assert all((a.grad is None) == (b.grad is None) for a, b in pairs)
    pairs = [(a.grad, b.grad) for a, b in pairs if a.grad is not None]
    largest = max(float(b.abs().max()) for _, b in pairs)
    assert largest > 0
    return max(float((a - b).abs().max()) / max(float(b.abs().max()), 1e-3 * largest) for a, b in pairs)


def assert_equals_whole(network: nn.Module, x: torch.Tensor, **options) -> None:
    network = network.double()
    with torch.no_grad():
        target = random(*copy.deepcopy(network)(x[None]).shape[1:], seed=2)
    value, wanted = whole_gradients(network, x, squared, target[None])
    found = copy.deepcopy(network)
    assert gradient(found, x.numpy(), squared, target.numpy(), **options) == pytest.approx(value, rel=1e-9)
    assert difference(found, wanted) <= TOLERANCE
    for buffer, expected in zip(found.buffers(), wanted.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected)


@pytest.mark.parametrize("name", QUICK)
def test_each_kind_of_operator(name):
    assert_equals_whole(settled(NETWORKS[name]), random(2, 20, 16), axis=0, strip=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in (*QUICK, *UNDIFFERENTIABLE)])
@pytest.mark.parametrize("strip", [1, 7])
def test_each_other_kind_of_operator(name, strip):
    assert_equals_whole(settled(NETWORKS[name]), random(2, 28, 20), axis=0, strip=strip)


@pytest.mark.parametrize("n", [1, 3])
def test_signals_and_volumes(n):
    assert_equals_whole(settled(toy_models.unet(n)), random(2, *((40,) if n == 1 else (12, 8, 9))), strip=4)


def test_along_another_axis():
    assert_equals_whole(settled(NETWORKS["squeeze excitation"]), random(2, 12, 24), axis=1, strip=5)


@pytest.mark.parametrize("spool", [False, True])
def test_batch_norms_in_training_mode(spool, tmp_path):
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4, momentum=None), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False),
        nn.Upsample(scale_factor=2), nn.Conv2d(4, 2, 3, padding=1),
    )  # fmt: skip
    options = {"spool": tmp_path} if spool else {}
    assert_equals_whole(settled(network).train(), random(2, 20, 12), strip=4, **options)
    assert not list(tmp_path.iterdir())


def test_a_batch_norm_alone_and_one_that_is_used_twice():
    network = nn.BatchNorm1d(2).train()
    assert_equals_whole(network, random(2, 30), strip=7)
    norm = nn.BatchNorm1d(3)
    shared = Lambda(
        lambda m, x: m.norm(m.b(F.relu(m.norm(m.a(x))))), a=nn.Conv1d(2, 3, 3), norm=norm, b=nn.Conv1d(3, 3, 3)
    )
    assert_equals_whole(shared.train(), random(2, 30), strip=7)


@pytest.mark.parametrize("spool", [False, True])
def test_a_pooled_output(spool, tmp_path):
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.GroupNorm(2, 6),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3),
    ).double().train()  # fmt: skip
    x, label = random(2, 26, 14), torch.tensor([1])
    options = {"spool": tmp_path} if spool else {}
    value, wanted = whole_gradients(network, x, nn.CrossEntropyLoss(), label)
    found = gradient(network, x.numpy(), nn.CrossEntropyLoss(), label, strip=6, **options)
    assert found == pytest.approx(value, rel=1e-9)
    assert difference(network, wanted) <= TOLERANCE


def test_cross_entropy_with_void_and_a_known_number_of_positions():
    network, x = settled(toy_models.unet(2)).double(), random(2, 20, 16)
    labels = torch.randint(0, 3, (20, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels[4:9], labels[:, 3] = 255, 255
    value, wanted = whole_gradients(network, x, nn.CrossEntropyLoss(ignore_index=255), labels[None].long())
    loss = nn.CrossEntropyLoss(ignore_index=255, reduction="sum")
    scale = 1 / int((labels != 255).sum())
    assert gradient(network, x.numpy(), loss, labels.numpy(), scale=scale, strip=4) == pytest.approx(value, rel=1e-9)
    assert difference(network, wanted) <= TOLERANCE


@pytest.fixture(scope="module")
def prepared():
    """A U-Net with a gate by the mean of the whole input, prepared once, its input, target and whole gradients."""
    parts = {"unet": toy_models.unet(2), "gate": nn.Conv2d(3, 3, 1)}
    network = Lambda(lambda m, x: (y := m.unet(x)) * torch.sigmoid(m.gate(y.mean((2, 3), keepdim=True))), **parts)
    network, x, target = settled(network).double(), random(2, 24, 12), random(3, 24, 12, seed=2)
    return (
        prepare_gradient(network, (2, 24, 12), axis=0),
        x,
        target,
        whole_gradients(network, x, squared, target[None])[1],
    )


@settings(max_examples=12)
@given(strip=st.integers(1, 30), every=st.integers(1, 6))
def test_any_strip_and_any_number_of_kept_ones(prepared, strip, every):
    ready, x, target, wanted = prepared
    ready.network.zero_grad()
    ready.schedules.clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gradient_plan, "plan_gradient", lambda *_: GradientPlan(strip, every, 0))
        gradient(ready, x.numpy(), squared, target.numpy())
    ready.schedules.clear()
    assert difference(ready.network, wanted) <= TOLERANCE


def test_gradients_add_up_and_follow_the_weights_as_they_are(prepared):
    ready, x, target, wanted = prepared
    network = ready.network
    network.zero_grad()
    for _ in range(2):
        gradient(ready, x, squared, target, scale=0.5, strip=8)
    assert difference(network, wanted) <= TOLERANCE
    before = copy.deepcopy(network.state_dict())
    torch.optim.SGD(network.parameters(), lr=1e-4).step()
    network.zero_grad()
    moved = whole_gradients(network, x, squared, target[None])[1]
    gradient(ready, x, squared, target, strip=8)
    assert difference(network, moved) <= TOLERANCE
    network.load_state_dict(before)


def test_memory_and_progress(prepared):
    ready, x, target, wanted = prepared
    ready.network.zero_grad()
    shares: list[float] = []
    gradient(ready, x, squared, target, memory="200kB", progress=shares.append)
    assert difference(ready.network, wanted) <= TOLERANCE
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    with pytest.raises(UserError, match=r"at least, more than memory=0 MiB"):
        gradient(ready, x, squared, target, memory=1000)


def test_frozen_unused_and_shared_parameters():
    conv = nn.Conv1d(2, 2, 3, padding=1)
    network = Lambda(lambda m, x: m.b(m.a(m.c(x))), a=conv, b=conv, c=nn.Conv1d(2, 2, 3), unused=nn.Conv1d(2, 2, 3))
    network.c.bias.requires_grad_(False)
    assert_equals_whole(network, random(2, 30), strip=7)


def test_a_detached_branch_sends_no_gradient():
    network = chain(2, lambda x: x * torch.sigmoid(x.detach()).mean((2, 3), keepdim=True) + x.relu().detach())
    assert_equals_whole(network, random(2, 12, 8), strip=5)


def test_float32():
    network, x, target = settled(toy_models.unet(2)), random(2, 40, 16).float(), random(3, 40, 16, seed=2).float()
    wanted = whole_gradients(network, x, squared, target[None])[1]
    gradient(network, x, squared, target, strip=8)
    assert difference(network, wanted) <= 1e-3


def test_only_the_rows_of_a_strip_are_read():
    class Recorder:
        def __init__(self, array):
            self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

        def __getitem__(self, key):
            part = self.array[key]
            self.most = max(self.most, part.shape[-2])
            return part

    source, target = Recorder(random(2, 64, 8).numpy()), Recorder(np.zeros((3, 64, 8)))
    gradient(settled(toy_models.unet(2)).double(), source, squared, target, strip=8)
    assert max(source.most, target.most) <= 8


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, grad):
        return grad


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1, 4, 1, 1))

    def forward(self, x):
        self.count += 1
        return x + self.count


def hooked() -> nn.Module:
    network = nn.Conv2d(2, 3, 3)
    network.register_full_backward_hook(lambda *_: None)
    return network


def tracking() -> nn.Module:
    return module_chain(nn.InstanceNorm2d(4, track_running_stats=True)).train()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (module_chain(nn.Dropout()).train(), r"1 \(native_dropout\): draws random numbers"),
        (chain(2, Straight.apply), "Straight has a backward pass of its own"),
        (module_chain(Counter()), r"changes its buffer 1\.count"),
        (hooked(), "Conv2d: has a backward hook"),
        (tracking(), "1: is an instance norm that updates running statistics"),
        (toy_models.attention(), "matmul"),
        (
            chain(2, lambda x: x + F.interpolate(F.adaptive_max_pool2d(x, 2), x.shape[2:])),
            "several wide bins has no rule",
        ),
    ],
    ids=["dropout", "own backward", "counter", "hook", "instance norm", "attention", "bins"],
)
def test_what_cannot_be_exact_is_refused_and_nothing_is_changed(network, message):
    state, mode = copy.deepcopy(network.state_dict()), network.training
    with pytest.raises(UserError, match=message):
        gradient(network.double(), random(2, 24, 24).numpy(), squared, random(3, 24, 24).numpy())
    assert all(p.grad is None for p in network.parameters())
    assert network.training == mode
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, state[name], check_dtype=False)


def test_dropout_in_evaluation_mode_is_no_dropout():
    assert_equals_whole(module_chain(nn.Dropout()).eval(), random(2, 12, 8), strip=5)


def test_mistakes_are_named(prepared):
    ready, x, target, _ = prepared
    for call, message in (
        (lambda: gradient(ready, x, F.mse_loss, target, strip=8), "the loss is no sum over positions"),
        (lambda: gradient(ready, x, lambda a, b: (a - b) ** 2, target), "return one number"),
        (lambda: gradient(ready, x, squared, target[:, :8]), r"its last sizes must be those of the output, \(24, 12\)"),
        (lambda: gradient(ready, x[:, :8], squared, target), "was prepared for inputs of shape"),
        (lambda: gradient(ready, x, squared, target, blocks=2), "blocks: is no option of a gradient"),
    ):
        with pytest.raises(UserError, match=message):
            call()
    ready.network.train()
    with pytest.raises(UserError, match="was put into another mode"):
        gradient(ready, x, squared, target)
    ready.network.eval()


def test_refused_is_a_user_error():
    assert issubclass(Refused, UserError)
