"""Edits where the modules stand: the rewritten network equals the original on the coarse grid, borders included."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.surgery.dilate import plan_dilation
from atrous.surgery.rewrite import rewrite
from atrous.surgery.window import CoarseGrid, DilatedAvgPool, DilatedConv1d, DilatedMaxPool
from tests.surgery.networks import randomized
from tests.toy_models import Lambda


def rewritten(network: nn.Module, *lengths: int, target: int = 1, rate: int = 2):
    """Rewrite a 1-D network of two channels, exported at the first length, and compare it at all of them."""
    network = randomized(network)
    plan = plan_dilation(network, (2, lengths[0]), target)
    new, changes, remarks = rewrite(copy.deepcopy(network), plan.graph, plan.edits)
    for length in lengths:
        x = torch.randn(1, 2, length)
        with torch.no_grad():
            wanted, found = network(x.clone()), new(x.clone())
        torch.testing.assert_close(found[..., ::rate] if wanted.dim() == 3 else found, wanted, rtol=1e-4, atol=1e-5)
    return new, [(change.module, change.what) for change in changes], remarks


def conv(stride: int = 2, kernel: int = 3, padding: int = 1, **more) -> nn.Module:
    return nn.Conv1d(2, 2, kernel, stride, padding, **more)


def test_a_convolution_is_changed_in_place_and_keeps_its_class_where_padding_is_plain():
    new, changes, remarks = rewritten(nn.Sequential(conv(), nn.ReLU(), conv(1)), 32, 33, 35)
    assert (type(new[0]), new[0].stride, new[0].padding) == (nn.Conv1d, (1,), (1,))
    assert (type(new[2]), new[2].dilation, new[2].padding) == (nn.Conv1d, (2,), (2,))
    assert changes == [("0", "stride 2 -> 1"), ("2", "dilation 1 -> 2")]
    assert remarks == []


def test_other_padding_becomes_that_of_windows():
    new, changes, _ = rewritten(nn.Sequential(conv(kernel=2, padding=0), conv(1, 4)), 32, 33, 34, 35)
    assert type(new[0]) is DilatedConv1d
    assert type(new[1]) is DilatedConv1d
    assert changes == [("0", "stride 2 -> 1"), ("1", "dilation 1 -> 2")]


class Far(nn.Conv1d):
    def forward(self, input):
        return super().forward(F.pad(input, (0, 1)))


class Scaled(nn.Conv1d):
    def forward(self, input):
        return 2 * super().forward(input)


class Valued(nn.Conv1d):
    def forward(self, input):
        return super().forward(F.pad(input, (0, 1), value=1.0))


def test_convolutions_that_pad_themselves():
    new, _, _ = rewritten(nn.Sequential(conv(), Far(2, 2, 3, 2)), 32, 33, 34, 35, rate=4)
    assert type(new[1]) is DilatedConv1d
    assert new[1].windows[0].after == 1
    assert new[1].windows[0].before == 0


def test_convolutions_that_do_more_are_changed_where_padding_stays_plain():
    new, _, _ = rewritten(nn.Sequential(conv(), Scaled(2, 2, 3, 1, 1)), 32, 33)
    assert type(new[1]) is Scaled
    with pytest.raises(UserError, match=r"^1 .conv1d.*Scaled does more than to convolve"):
        rewritten(nn.Sequential(conv(), Scaled(2, 2, 3, 1, 0)), 32)
    with pytest.raises(UserError, match=r"^1 .conv1d.*pads by a constant other than zero"):
        rewritten(nn.Sequential(conv(), Valued(2, 2, 3, 1)), 32)


@pytest.mark.parametrize(
    ("pool", "kind"),
    [
        (nn.MaxPool1d(3, 1, 1), DilatedMaxPool),
        (nn.MaxPool1d(1), None),
        (nn.MaxPool1d(2, 1), DilatedMaxPool),
        (nn.MaxPool1d(3, 2, 1, ceil_mode=True), DilatedMaxPool),
        (nn.AvgPool1d(3, 1, 1), DilatedAvgPool),
        (nn.AvgPool1d(3, 1, 1, count_include_pad=False), DilatedAvgPool),
    ],
)
def test_pools_are_replaced(pool, kind):
    network = nn.Sequential(conv(), pool)
    rate = 4 if getattr(pool, "stride", 1) == 2 else 2
    new, _, _ = rewritten(network, 32, 33, 34, 35, rate=rate)
    assert type(new[1]) is (kind or type(pool))


def test_torchs_own_pool_serves_where_it_allows_the_padding():
    new, _, _ = rewritten(nn.Sequential(nn.MaxPool1d(3, 2, 1)), 32, 33)
    assert isinstance(new[0], nn.MaxPool1d)
    assert (new[0].stride, new[0].padding, new[0].dilation) == ((1,), (1,), (1,))
    assert type(rewritten(nn.Sequential(nn.MaxPool1d(2, 2)), 32, 33)[0][0]) is DilatedMaxPool
    new, _, _ = rewritten(nn.Sequential(conv(), nn.MaxPool1d(5, 1, 1), conv(1)), 32, 33)
    assert type(new[1]) is DilatedMaxPool


class OddPool(nn.MaxPool1d):
    def forward(self, input):
        return super().forward(F.pad(input, (0, input.shape[-1] % 2), value=float("-inf")))


class ZeroPool(nn.MaxPool1d):
    def forward(self, input):
        return super().forward(F.pad(input, (0, 1)))


class PaddedMean(nn.AvgPool1d):
    def forward(self, input):
        return super().forward(F.pad(input, (1, 1)))


def test_pools_that_pad_themselves():
    new, _, _ = rewritten(nn.Sequential(conv(), OddPool(2)), 33, 34, 35, 36, 37, rate=4)
    assert type(new[1]) is DilatedMaxPool
    assert new[1].windows[0].before is None
    new, _, _ = rewritten(nn.Sequential(conv(), PaddedMean(3, 1)), 33, 34)
    assert type(new[1]) is DilatedAvgPool
    with pytest.raises(UserError, match=r"^1 .max_pool1d.*it pads by 0.0 before"):
        rewritten(nn.Sequential(conv(), ZeroPool(2)), 33)


def test_padding_layers_are_scaled():
    new, changes, _ = rewritten(nn.Sequential(conv(), nn.ConstantPad1d((1, 2), 0.5), nn.ReLU()), 32, 33)
    assert type(new[1]) is nn.ConstantPad1d
    assert (new[1].padding, new[1].value) == ((2, 4), 0.5)
    assert changes[1] == ("1", "pads by (2, 4)")


def test_global_pools_read_the_coarse_grid():
    new, changes, _ = rewritten(nn.Sequential(conv(), nn.AdaptiveAvgPool1d(1), nn.Flatten()), 32, 33)
    assert isinstance(new[1][0], CoarseGrid)
    assert isinstance(new[1][1], nn.AdaptiveAvgPool1d)
    assert changes[1] == ("1", "reads every 2-th position only")


def test_functions_are_changed_in_the_forward_pass_that_calls_them():
    def forward(m, x):
        x = F.max_pool1d(m.a(x), 3, 2, 1)
        y = F.avg_pool1d(x, 3, 1, 1) + x.mean(1, keepdim=True)
        return F.pad(m.b(y) * x.amax(2, keepdim=True), (0, 1)).relu()

    new, changes, remarks = rewritten(Lambda(forward, a=conv(), b=conv(1)), 32, 33, 35, rate=4)
    assert isinstance(new, torch.fx.GraphModule)
    assert isinstance(new, Lambda)
    assert [what for path, what in changes if path == ""] == [
        "stride 2 -> 1, dilation 1 -> 2", "dilation 1 -> 4", "reads every 4-th position only", "pads by (0, 4)"
    ]  # fmt: skip
    assert remarks == []
    assert [path for path, _ in changes] == ["a", "", "", "b", "", ""]


def test_an_owner_inside_is_replaced_under_every_name():
    block = Lambda(lambda m, x: m.c(x) - x.mean(2, keepdim=True), c=conv(1))
    holder = Lambda(lambda m, x: m.block(m.a(x)), a=conv(), block=block, again=nn.Sequential(block))
    new, _, _ = rewritten(holder, 32, 33)
    assert isinstance(new.block, torch.fx.GraphModule)
    assert new.again[0] is new.block


def test_training_that_is_lost_and_arguments_that_are_ignored_are_said():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.c = conv(1)

        def forward(self, x, rate=0.5):
            y = x - F.adaptive_avg_pool1d(x, 1)
            return self.c(y) if not self.training else y

    network = Lambda(lambda m, x: m.block(m.a(x), 0.1), a=conv(), block=Block())
    _, changes, (remark,) = rewritten(network, 32, 33)
    assert ("block", "takes rate by the default, in training too") in changes
    assert remark.module == "block"
    assert "with c" in remark.what


def test_a_layer_may_be_used_twice_on_one_grid_only():
    new, changes, _ = rewritten(Lambda(lambda m, x: m.b(m.b(m.a(x))), a=conv(), b=conv(1)), 32, 33)
    assert new.b.dilation == (2,)
    assert changes == [("a", "stride 2 -> 1"), ("b", "dilation 1 -> 2")]
    pool = nn.AvgPool1d(3, 1, 1)
    new, _, _ = rewritten(Lambda(lambda m, x: m.p(m.p(m.a(x))), a=conv(), p=pool), 32, 33)
    assert type(new.p) is DilatedAvgPool
    for twice in (lambda m, x: m.b(m.a(m.b(x))), lambda m, x: m.b(m.b(x))):
        with pytest.raises(UserError, match=r"^b .*used several times, on grids that differ"):
            rewritten(Lambda(twice, a=conv(), b=conv()), 64)


def test_a_block_that_is_called_twice_is_matched_call_by_call():
    block = Lambda(lambda m, x: F.avg_pool1d(F.max_pool1d(x, 3, 1, 1), 3, 1, 1) - x.mean(2, keepdim=True))
    rewritten(Lambda(lambda m, x: m.b(m.b(m.a(x))), a=conv(), b=block), 32, 33)
    with pytest.raises(UserError, match=r"^b .*used several times, on grids that differ"):
        rewritten(Lambda(lambda m, x: m.b(m.a(m.b(x))), a=conv(), b=block), 32)


def test_a_dilated_network_is_dilated_again_by_its_windows():
    network = nn.Sequential(conv(), nn.Conv1d(2, 2, 4, 2), nn.MaxPool1d(4, 2, 1))
    once, _, _ = rewritten(network, *range(40, 48), target=4)
    twice, _, _ = rewritten(once, *range(40, 48), target=1, rate=4)
    assert [twice[i].windows[0].rate for i in (1, 2)] == [2, 4]
    assert [twice[i].windows[0].fine_stride for i in (1, 2)] == [1, 1]
    assert once[2].windows[0].rate == 1


def test_functions_without_a_family_or_a_match_are_refused():
    with pytest.raises(UserError, match=r"^the network .conv1d.*Lambda calls it as a function in its forward pass"):
        rewritten(Lambda(lambda m, x: F.conv1d(m.a(x), m.a.weight, padding=1), a=conv()), 32)
    with pytest.raises(UserError, match=r"it is not found in the forward pass of Lambda"):
        rewritten(Lambda(lambda m, x: F.lp_pool1d(m.a(x), 1, 3, 1).abs(), a=conv()), 32)


@pytest.mark.parametrize("ndim", [2, 3])
def test_other_numbers_of_axes(ndim):
    """Each axis at its own rate."""
    kinds = {2: (nn.Conv2d, nn.ConstantPad2d, nn.MaxPool2d), 3: (nn.Conv3d, nn.ConstantPad3d, nn.MaxPool3d)}[ndim]
    strides = (2, 3, 1)[:ndim]
    layers = [
        kinds[0](2, 2, 3, strides, 1),
        kinds[1]((1, 0) * ndim, 0.5),
        nn.ReLU(),
        kinds[2](3, 1, 1),
        kinds[0](2, 2, 1),
    ]
    network = randomized(nn.Sequential(*layers))
    size = (12, 13, 5)[:ndim]
    plan = plan_dilation(network, (2, *size), 1)
    new, _, _ = rewrite(copy.deepcopy(network), plan.graph, plan.edits)
    assert type(new[1]) is kinds[1]
    x = torch.randn(1, 2, *size)
    with torch.no_grad():
        coarse = new(x)[(..., *(slice(None, None, stride) for stride in strides))]
        torch.testing.assert_close(coarse, network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ceil", [False, True])
def test_pools_that_are_called_with_all_their_arguments_in_order(ceil):
    network = Lambda(lambda m, x: m.conv(F.max_pool1d(m.first(x), 3, 2, 1, 1, ceil)), first=conv(1), conv=conv(1))
    rewritten(network, 32, 33)


def test_a_module_that_pools_everything_and_does_more_reads_the_coarse_grid():
    new, _, _ = rewritten(nn.Sequential(conv(), Lambda(lambda m, x: x.mean(2, keepdim=True).relu())), 32, 33)
    assert isinstance(new[1][0], CoarseGrid)
    assert isinstance(new[1][1], Lambda)


def test_a_module_with_another_function_of_the_family_is_changed_where_it_pools():
    module = Lambda(lambda m, x: x.mean(1, keepdim=True).mean(2, keepdim=True))
    new, _, _ = rewritten(nn.Sequential(conv(), module), 32, 33)
    assert isinstance(new[1], torch.fx.GraphModule)


def test_a_module_that_pools_by_windows_and_does_more_is_changed_where_it_pools():
    module = Lambda(lambda m, x: F.max_pool1d(x, 3, 2, 1) * 2)
    new, _, _ = rewritten(nn.Sequential(conv(), module), 32, 33, rate=4)
    assert isinstance(new[1], torch.fx.GraphModule)


@pytest.mark.parametrize("pool", [
    lambda x: F.max_pool1d(x, 3, 2, 1, 1, False, True)[0],
    lambda x: F.max_pool1d(x, 3, 2, 1, return_indices=True)[0],
])  # fmt: skip
def test_pools_that_return_indices_are_refused(pool):
    network = Lambda(lambda m, x: m.conv(pool(m.first(x))), first=conv(1), conv=conv(1))
    with pytest.raises(UserError, match=r"its indices would count positions of the finer grid"):
        rewritten(network, 32)
