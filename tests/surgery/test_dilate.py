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
    assert done.certificate.shapes[:2] == ((3, 96, 96), (3, 97, 99))
    assert {n % 16 for shape in done.certificate.shapes for n in shape[1:]} == {0, 1, 3, 5, 8, 10, 15}
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
        (Lambda(lambda m, x: F.group_norm(m.b(x), 1), b=conv()), "the network .moments"),
        (nn.Sequential(conv(), conv(2, padding_mode="reflect")), "^1 .pad.: .*reflect"),
        (nn.Sequential(nn.Sequential(conv(), nn.Upsample(scale_factor=2))), "^0.1 .upsample"),
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


class ByMean(nn.Module):
    """A gate that averages by a sum, whose divisor is not seen in the graph's operators: wrong on a finer grid."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.inner(x.abs().sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_types_of_few_digits_are_held_to_what_float32_is(kind):
    torch.manual_seed(0)
    wrong = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), ByMean(), nn.Conv2d(8, 8, 3, padding=1)).to(kind)
    with pytest.raises(UserError, match="differs from the original"):
        dilate(wrong, 1, shape=(3, 32, 32))
    right = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8).float(), nn.Conv2d(8, 8, 3, padding=1)).to(kind)
    right[1].float()
    done = dilate(right, 1, shape=(3, 32, 32))
    assert done.certificate.max_error < 1e-5
    assert done.certificate.tolerance == 1e-4
    assert ("both in float32" in done.certificate.compared) == (kind != torch.float32)
    types = {name: value.dtype for name, value in right.state_dict().items()}
    assert {name: value.dtype for name, value in done.network.state_dict().items()} == types
    assert all(torch.equal(value, right.state_dict()[name]) for name, value in done.network.state_dict().items())


class PadIfOdd(nn.Module):
    def forward(self, x):
        return F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))


def test_padding_that_is_seen_at_some_lengths_only_is_refused():
    down = [nn.Sequential(PadIfOdd(), nn.Conv2d(8, 8, 2, 2)) for _ in range(2)]
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 4), down[0], nn.ReLU(), down[1])
    assert network(torch.zeros(1, 3, 96, 99)).shape[2:] == (6, 6)  # no padding shows at these
    with pytest.raises(UserError, match=r"differs from the original by inf .* on an input of"):
        dilate(network, 4)


class Far(nn.Conv2d):
    """Pads by fixed amounts, which at even lengths are those of TensorFlow's "same"."""

    def forward(self, input):
        return super().forward(F.pad(input, (0, 1, 0, 1)))


@pytest.mark.parametrize("size", [(64, 66), (100, 101), (97, 104)])
def test_fixed_padding_is_not_taken_for_padding_by_length(size):
    network = nn.Sequential(*[Far(c, 8, 3, stride=2) for c in (3, 8, 8)], nn.Conv2d(8, 8, 3, padding=1))
    done = dilate(randomized(network), 4)
    x = torch.randn(1, 3, *size)
    assert on_grid(done.network(x), network(x), 2) < 1e-5


class SometimesPadded(nn.Conv2d):
    def forward(self, input):
        return super().forward(F.pad(input, (2 * (input.shape[-1] % 2), 1, 0, 1)))


def test_padding_by_a_rule_of_its_own_is_refused_by_name():
    with pytest.raises(UserError, match=r"^1 .*SometimesPadded pads by amounts that depend on the length"):
        dilate(nn.Sequential(conv(), SometimesPadded(2, 2, 3, 2)), 1)


@pytest.mark.parametrize("last", [nn.Conv1d(3, 3, 4, 2, 1), nn.MaxPool1d(4, 2, 1)])
def test_a_dilated_network_is_dilated_again_at_any_length(last):
    network = randomized(nn.Sequential(nn.Conv1d(2, 3, 5, 2, 2), nn.Conv1d(3, 3, 4, 2), last))
    once = dilate(network, 4).network
    twice = dilate(once, 1).network
    for length in range(60, 84):
        x = torch.randn(1, 2, length)
        assert on_grid(twice(x), once(x), 4) < 1e-5
        assert on_grid(twice(x), network(x), 8) < 1e-5


def test_a_forward_pass_that_writes_into_its_input_is_no_difference():
    network = Lambda(lambda m, x: m.b(x.sub_(0.5).div_(0.2)), b=conv())
    assert dilate(network, 1).certificate.max_error < 1e-5


def test_a_head_shared_by_levels_on_grids_that_differ_is_refused_by_name():
    def forward(m, x):
        x = m.a(x)
        return m.head(x), m.head(m.b(x))

    network = Lambda(forward, a=conv(), b=conv(), head=conv(1))
    with pytest.raises(UserError, match=r"^head .*used several times, on grids that differ"):
        dilate(network, 2)
    assert dilate(network, 4).certificate.max_error == 0


class Encoder(nn.Module):
    """Calls functions, has attributes and methods that others read, and does more in training."""

    def __init__(self):
        super().__init__()
        self.out_channels = (8,)
        self.a, self.b, self.aux = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 2, 1)
        self.named = self.levels

    def levels(self):
        return len(self.out_channels)

    def forward(self, x):
        x = F.max_pool2d(F.alpha_dropout(self.a(x), 0.5, self.training), 2)
        y = self.b(F.dropout(x, 0.5, self.training))
        return (y, self.aux(x)) if self.training else y


def test_a_traced_network_is_what_it_was_and_training_that_is_lost_is_said():
    done = dilate(Encoder(), 1)
    for network in (done.network, copy.deepcopy(done.network), dilate(dilate(Encoder(), 4).network, 1).network):
        assert isinstance(network, Encoder)
        assert type(network).__name__ == "Encoder"
        assert network.out_channels == (8,)
        assert network.levels() == 1
        assert network.named.__self__ is not done.network or network is done.network
        assert network.eval()(torch.zeros(1, 3, 16, 16)).shape == (1, 8, 16, 16)
    (remark,) = done.certificate.remarks
    assert remark.module == ""
    assert "without alpha_dropout, aux, and with another kind of output" in remark.what


def test_weights_that_a_hook_computes_cannot_be_copied_and_are_named():
    network = nn.Sequential(conv(), nn.Sequential(conv()))
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(network[1][0])
    with pytest.raises(UserError, match=r"^1.0 .*weight is computed from other parameters"):
        dilate(network, 1)
