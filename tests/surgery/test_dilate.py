"""Dilated networks on the coarse grid against the original, borders included."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.errors import UserError
from atrous.stream import stream
from atrous.surgery import dilate
from tests.surgery.networks import randomized
from tests.toy_models import Lambda, difference


def on_grid(result: torch.Tensor, wanted: torch.Tensor, rate: int) -> float:
    coarse = result[(..., *(slice(None, None, rate),) * (result.dim() - 2))]
    return difference(coarse.detach(), wanted.detach())


def residual() -> nn.Module:
    def forward(m, x):
        x = m.pool(F.relu(m.norm(m.stem(x))))
        y = m.second(F.relu(m.first(x)))
        x = F.relu(y + m.short(m.mean(x)))
        return [x, m.last(x) * torch.sigmoid(m.gate(x.mean((2, 3), keepdim=True)))]

    return Lambda(
        forward,
        stem=nn.Conv2d(3, 6, 7, 2, 3, bias=False),
        norm=nn.BatchNorm2d(6),
        pool=nn.MaxPool2d(3, 2, 1),
        first=nn.Conv2d(6, 8, 3, 2, 1, groups=2),
        second=nn.Conv2d(8, 8, 3, padding=1),
        mean=nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False),
        short=nn.Conv2d(6, 8, 1),
        last=nn.Conv2d(8, 4, 3, 2, 1),
        gate=nn.Conv2d(8, 4, 1),
    )


@pytest.mark.parametrize("stride", [8, 4, 2, 1])
@pytest.mark.parametrize("size", [(48, 64), (45, 51)])
def test_residual_network_with_pools_and_a_gate(stride, size):
    network = randomized(residual())
    done = dilate(network, stride)
    assert done.certificate.max_error < 1e-5
    assert done.certificate.shapes == ((3, 96, 96), (3, 97, 99))
    x = torch.randn(2, 3, *size)
    for found, wanted, own in zip(done.network(x), network(x), (8, 16), strict=True):
        assert on_grid(found, wanted, max(1, own // stride)) < 1e-5
        assert found.shape[2] == -(-size[0] // min(stride, own))
    assert {k: v.shape for k, v in done.network.state_dict().items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }


def test_the_result_trains_streams_exports_and_leaves_the_original_alone():
    network = randomized(nn.Sequential(residual()))[0]
    network.train()
    network.stem.eval()
    calls = []
    network.first.register_forward_hook(lambda *_: calls.append(1))
    before = copy.deepcopy(network.state_dict())
    modes = [m.training for m in network.modules()]
    done = dilate(network, 2).network
    assert [m.training for m in network.modules()] == modes
    assert len(network.first._forward_hooks) == 1
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert network.first.stride == (2, 2)
    sum(t.sum() for t in done(torch.randn(2, 3, 32, 32))).backward()
    assert done.stem.weight.grad is not None
    assert network.stem.weight.grad is None
    done.load_state_dict(before)
    done.eval()
    x = torch.randn(3, 64, 48)
    whole = done(x[None])[0].detach()
    assert difference(torch.from_numpy(stream(done, x.numpy(), output=0, strip=16)), whole[0]) < 5e-5
    exported = torch.export.export(done, (x[None],)).module()
    assert difference(exported(x[None])[0].detach(), whole) < 1e-6


@given(
    layers=st.lists(
        st.tuples(
            st.sampled_from(["conv", "conv", "max", "avg", "ceil"]), st.integers(1, 4), st.sampled_from([1, 2]),
            st.integers(0, 2), st.integers(1, 2),
        ),
        min_size=1, max_size=5,
    ),
    target=st.sampled_from([1, 2, 4]),
    length=st.integers(60, 75),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_random_stacks(layers, target, length):
    modules = []
    for kind, k, s, p, d in layers:
        half = min(p, k // 2)
        if kind == "conv":
            modules += [nn.Conv1d(2, 2, k, s, p, d), nn.Tanh()]
        elif kind == "avg":
            modules.append(nn.AvgPool1d(k, s, half, count_include_pad=bool(d - 1)))
        else:
            modules.append(nn.MaxPool1d(k, s, half, ceil_mode=kind == "ceil"))
    network = nn.Sequential(*modules).double()
    x = torch.randn(1, 2, length, dtype=torch.float64)
    done = dilate(network, target, shape=(2, length))
    total = 1
    for _, _, s, _, _ in layers:
        total *= s
    assert on_grid(done.network(x), network(x), max(1, total // target)) < 1e-12


def test_equal_to_shift_and_stitch_in_the_interior():
    network = randomized(nn.Sequential(nn.Conv2d(1, 4, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3, 1, 1)))
    x = torch.randn(1, 1, 64, 72)
    dense = dilate(network, 1).network(x)
    for i in range(4):
        for j in range(4):
            shifted = network(x[..., i:, j:])[..., 3:-3, 3:-3]
            found = dense[..., i::4, j::4][..., 3:, 3:][..., : shifted.shape[2], : shifted.shape[3]]
            assert difference(found.detach(), shifted.detach()) < 1e-5


class SamePadded(nn.Conv2d):
    def forward(self, input):
        pads = []
        for size, k, s in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(input, pads), self.weight, self.bias, self.stride)


@pytest.mark.parametrize("size", [(32, 32), (37, 46)])
def test_padding_that_depends_on_the_length_is_that_of_the_coarse_grid(size):
    network = randomized(nn.Sequential(SamePadded(2, 4, 3, 2), nn.ReLU(), SamePadded(4, 4, 5, 2), SamePadded(4, 3, 4)))
    done = dilate(network, 1, shape=(2, 64, 64))
    x = torch.randn(1, 2, *size)
    assert on_grid(done.network(x), network(x), 4) < 1e-5
    assert done.network(x).shape[2:] == size


class StaticallyPadded(nn.Conv2d):
    """As the EfficientNets of segmentation_models_pytorch: the padding is a child, of fixed amounts."""

    def __init__(self, channels, kernel, stride, before, after):
        super().__init__(channels, channels, kernel, stride)
        self.static_padding = nn.ZeroPad2d((before, after, before, after))

    def forward(self, input):
        return F.conv2d(self.static_padding(input), self.weight, self.bias, self.stride, 0, self.dilation)


@pytest.mark.parametrize("size", [(32, 32), (37, 46)])
def test_padding_by_a_child_of_the_convolution_scales_and_keeps_sizes_that_meet(size):
    network = nn.Sequential(
        StaticallyPadded(2, 3, 2, 0, 1), nn.ReLU(), StaticallyPadded(2, 5, 2, 1, 2), StaticallyPadded(2, 3, 1, 1, 1)
    )
    done = dilate(randomized(network), 1, shape=(2, 64, 64))
    x = torch.randn(1, 2, *size)
    assert on_grid(done.network(x), network(x), 4) < 1e-5
    assert list(done.network.state_dict()) == list(network.state_dict())
    assert done.network(torch.randn(1, 2, 64, 64)).shape[2:] == (64, 64)


class Gated(nn.Module):
    """A block that is called with a rate of stochastic depth, and gates channels by a pool called as a function."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x, drop_rate=None):
        y = self.inner(x) * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))
        if drop_rate is not None and drop_rate > 0 and self.training:
            y = y * torch.bernoulli(torch.full((x.shape[0], 1, 1, 1), 1 - drop_rate))
        return x + y


def test_arguments_of_a_block_that_must_be_traced_keep_their_default_and_the_certificate_says_so():
    network = Lambda(lambda m, x: m.block(m.stem(x), 0.2), stem=nn.Conv2d(3, 4, 3, 2, 1), block=Gated())
    done = dilate(randomized(network), 1)
    x = torch.randn(1, 3, 41, 40)
    assert on_grid(done.network(x), network(x), 2) < 1e-5
    assert torch.equal(done.network.block(x=network.stem(x), drop_rate=0.5), done.network.block(network.stem(x)))
    assert "block: takes drop_rate by the default" in done.certificate.text()


def test_functions_called_in_a_forward_pass_are_changed_there():
    def forward(m, x):
        x = F.max_pool2d(m.stem(x), 3, 2, 1)
        x = torch.cat([F.avg_pool2d(x, 3, 1, 1), m.same(x)], 1)
        x = F.dropout(m.last(x), 0.5, m.training)
        return x - x.mean((2, 3), keepdim=True) + x.mean(1, keepdim=True)

    network = Lambda(forward, stem=nn.Conv2d(3, 4, 3, 2, 1), same=nn.Conv2d(4, 4, 3, 1, 1), last=nn.Conv2d(8, 4, 1))
    randomized(network)
    done = dilate(network, 1)
    x = torch.randn(1, 3, 41, 40)
    assert on_grid(done.network(x), network(x), 4) < 1e-5
    assert list(done.network.state_dict()) == list(network.state_dict())
    assert not torch.equal(done.network.train()(x), done.network(x))
    assert on_grid(copy.deepcopy(done.network).eval()(x), network(x), 4) < 1e-5


def test_layers_run_as_slices_of_a_stack_are_found_under_their_own_names():
    stack = nn.Sequential(conv(), nn.MaxPool2d(2), nn.Sequential(conv(), nn.ReLU()), nn.AvgPool2d(2))
    network = randomized(Lambda(lambda m, x: m.stack[2:](m.stack[:-2](x)), stack=stack))
    done = dilate(network, 1)
    x = torch.randn(1, 2, 64, 64)
    assert on_grid(done.network(x), network(x), 16) < 1e-5
    assert {change.module for change in done.certificate.changes} == {"stack.0", "stack.1", "stack.2.0", "stack.3"}


def test_a_classifier_keeps_its_answer():
    network = randomized(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, 2), nn.AdaptiveAvgPool2d(1)
        )
    )
    done = dilate(network, 1)
    x = torch.randn(2, 3, 50, 53)
    assert difference(done.network(x).detach(), network(x).detach()) < 1e-5
    assert "every 4-th position" in done.certificate.text()


def conv(stride: int = 2, **more) -> nn.Module:
    return nn.Conv2d(2, 2, 3, stride, 1, **more)


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(conv(), nn.Upsample(scale_factor=2)), "^1 .upsample"),
        (nn.Sequential(conv(), nn.ConvTranspose2d(2, 2, 2, 2)), "^1 .conv_transpose2d"),
        (Lambda(lambda m, x: m.b(x)[..., :-1], b=conv()), "^.*slice"),
        (Lambda(lambda m, x: m.b(x) + torch.ones(1, 2, 48, 48), b=conv()), "48 positions"),
        (nn.Sequential(conv(), nn.GroupNorm(1, 2)), "^1 .moments"),
        (nn.Sequential(conv(), conv(1, padding_mode="reflect")), "^1 .pad.: .*reflect"),
        (nn.Sequential(conv(), nn.ReflectionPad2d(1)), "^1 .*reflect"),
        (Lambda(lambda m, x: m.a(F.pixel_unshuffle(x, 2)), b=conv(), a=nn.Conv2d(8, 2, 3)), "^Lambda|pixel_unshuffle"),
        (nn.Sequential(conv(), nn.Flatten(2), nn.Linear(48 * 48, 4)), "linear"),
        (nn.Sequential(conv(), nn.AdaptiveAvgPool2d(30)), "^1 .adaptive"),
        (nn.Sequential(conv(), nn.MaxPool2d(2, return_indices=True)), "^1 .*indices"),
        (Lambda(lambda m, x: m.b(m.b(x)), b=conv()), "^b .*grids that differ"),
        (Lambda(lambda m, x: F.avg_pool2d(m.b(x), 3) if x.sum() > 0 else x, b=conv(1)), "export"),
    ],
)
def test_what_cannot_be_exact_is_refused_by_name(network, named):
    with pytest.raises(UserError, match=named):
        dilate(network, 1)


def test_mistakes_and_nothing_to_do():
    with pytest.raises(UserError, match="output_stride=0"):
        dilate(conv(), 0)
    with pytest.raises(UserError, match="give shape="):
        dilate(nn.ReLU(), 2)
    done = dilate(conv(), 4)
    assert done.certificate.max_error == 0
    assert "nowhere coarser than 4" in done.certificate.changes[0].what
