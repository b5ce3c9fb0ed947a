"""Heads on maps: the classifier at its own size, and the classifier on every crop of a larger map."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.surgery.dense import MapLayout, point_layout
from atrous.surgery.head import HeadConverter
from tests.surgery.networks import randomized
from tests.toy_models import Lambda

X = torch.randn(2, 4, 5, 3, generator=torch.Generator().manual_seed(0))
LARGE = torch.randn(1, 4, 7, 6, generator=torch.Generator().manual_seed(1))


def convert(head: nn.Module, x: torch.Tensor = X):
    """Convert a head that reads the last map `x`."""
    converter = HeadConverter(x.dim() - 2)
    with torch.no_grad():
        new, layout = converter.module(copy.deepcopy(head), "", [x], [None], {})
    return new.eval(), layout, converter


def check(head: nn.Module, large: torch.Tensor = LARGE, x: torch.Tensor = X) -> HeadConverter:
    """Convert a head, and compare it with itself at its size and on all crops of a larger map."""
    head = randomized(head)
    new, layout, converter = convert(head, x)
    assert layout.is_point
    with torch.no_grad():
        wanted = head(x.clone())
        torch.testing.assert_close(new(x.clone()).flatten(1), wanted.flatten(1))
        found = new(large.clone())
        sizes = [n - m + 1 for n, m in zip(large.shape[2:], x.shape[2:], strict=True)]
        assert list(found.shape[2:]) == sizes
        for index in torch.cartesian_prod(*map(torch.arange, sizes)).reshape(-1, len(sizes)).tolist():
            crop = large[(..., *(slice(i, i + m) for i, m in zip(index, x.shape[2:], strict=True)))]
            torch.testing.assert_close(found[(..., *index)], head(crop.clone()).flatten(1))
    return converter


def pooled(*layers) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)


def whats(converter: HeadConverter) -> list[tuple[str, str]]:
    return [(change.module, change.what) for change in converter.changes]


def test_a_flattened_map_is_read_by_one_large_kernel():
    converter = check(nn.Sequential(nn.Flatten(), nn.Linear(60, 6), nn.ReLU(), nn.Linear(6, 2)))
    assert whats(converter) == [
        ("0", "left out: positions stay"), ("1", "convolution of 5x3"), ("3", "convolution of 1x1")
    ]  # fmt: skip
    assert converter.remarks == []


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Linear(4, 3)],
        [
            nn.Linear(4, 4),
            nn.BatchNorm1d(4),
            nn.Hardswish(inplace=True),
            nn.LayerNorm(4),
            nn.Linear(4, 2),
            nn.Softmax(1),
        ],
        [nn.Unflatten(1, (4, 1, 1)), nn.Conv2d(4, 3, 1), nn.Flatten()],
        [Lambda(lambda m, x: m.b(torch.tanh(m.a(x))) + x, a=nn.Linear(4, 6), b=nn.Linear(6, 4))],
        [nn.Dropout(0.5), nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())],
        [Lambda(lambda m, x: torch.cat([m.a(x), x * 2], 1), a=nn.Linear(4, 2))],
    ],
)
def test_layers_after_a_global_pool(layers):
    check(pooled(*layers))


def test_maps_that_stay_and_bins_that_spread():
    check(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Conv2d(4, 3, 1)))
    check(nn.Sequential(nn.Conv2d(4, 6, (5, 3)), nn.Flatten(), nn.Linear(6, 2)))
    x, large = torch.randn(2, 4, 4, 6), torch.randn(1, 4, 6, 7)
    converter = check(nn.Sequential(nn.AdaptiveAvgPool2d((2, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2)), large, x)
    assert whats(converter)[0] == ("0", "average over 2x2 at every position")
    converter = check(nn.Sequential(nn.AdaptiveAvgPool2d((5, 3)), nn.Flatten(), nn.Linear(60, 2)))
    assert whats(converter)[0][1].startswith("left out: the map has its size")


@pytest.mark.parametrize("ndim", [1, 3])
def test_other_numbers_of_axes(ndim):
    x, large = torch.randn(2, 3, *(4, 3, 2)[:ndim]), torch.randn(1, 3, *(5, 5, 3)[:ndim])
    pool = {1: nn.AdaptiveAvgPool1d, 3: nn.AdaptiveAvgPool3d}[ndim]
    check(nn.Sequential(pool(1), nn.Flatten(), nn.LayerNorm(3), nn.Linear(3, 2)), large, x)
    check(nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 2)), large, x)


def test_functions_in_a_forward_pass():
    def forward(m, x):
        x = F.adaptive_avg_pool2d(F.relu(x), 1).flatten(1)
        x = F.linear(x, m.a.weight, bias=m.a.bias)
        return m.b(F.dropout(x.clamp(min=0), 0.5, m.training)).log_softmax(dim=1)

    head = Lambda(forward, a=nn.Linear(4, 6), b=nn.Linear(6, 2))
    assert whats(check(head)) == [
        ("", "adaptive_avg_pool2d: average over 5x3 at every position"),
        ("", "flatten: left out: positions stay"),
        ("", "linear: convolution of 1x1"),
        ("b", "convolution of 1x1"),
    ]
    check(Lambda(lambda m, x: m.a(x.mean([2, 3]) + x.amax((2, 3))), a=nn.Linear(4, 2)))
    check(Lambda(lambda m, x: F.linear(x.reshape(x.shape[0], -1), m.a.weight), a=nn.Linear(60, 2, bias=False)))
    check(
        Lambda(lambda m, x: m.a(F.adaptive_avg_pool2d(x, (1, 3)).flatten(1)), a=nn.Linear(12, 2)),
        torch.randn(1, 4, 7, 5),
    )


def test_a_gate_before_the_head_stays_as_it_is():
    def forward(m, x):
        gate = torch.sigmoid(m.gate(x.mean((2, 3))))
        return m.fc((x * gate[:, :, None, None]).mean((2, 3)))

    head = randomized(Lambda(forward, gate=nn.Linear(4, 4), fc=nn.Linear(4, 3)))
    new, layout, converter = convert(head)
    assert layout == point_layout(2, True)
    assert isinstance(new.gate, nn.Linear)
    assert isinstance(new.fc, nn.Conv2d)
    with torch.no_grad():
        torch.testing.assert_close(new(X).flatten(1), head(X))
    assert whats(converter) == [("", "mean: average over 5x3 at every position"), ("fc", "convolution of 1x1")]


def test_only_what_calls_functions_is_traced():
    inner = Lambda(lambda m, x: m.a(x.mean((2, 3))), a=nn.Linear(4, 2))
    new, _, converter = convert(nn.Sequential(nn.ReLU(), inner))
    assert type(new) is nn.Sequential
    assert isinstance(new[1], torch.fx.GraphModule)
    modules = Lambda(lambda m, x: m.a(m.f(m.p(x))), p=nn.AdaptiveAvgPool2d(1), f=nn.Flatten(), a=nn.Linear(4, 2))
    new, _, converter = convert(modules)
    assert not isinstance(new, torch.fx.GraphModule)
    assert converter.remarks == []


def test_what_a_traced_head_loses_in_training_is_a_remark():
    def forward(m, x):
        y = m.a(x.mean((2, 3)))
        return (y, m.aux(x)) if m.training else y

    head = Lambda(forward, a=nn.Linear(4, 2), aux=nn.Conv2d(4, 1, 1)).eval()
    _, _, converter = convert(nn.Sequential(head))
    assert [(r.module, r.what) for r in converter.remarks] == [
        ("0", "in training runs as in evaluation: without aux, and with another kind of output")
    ]


def test_a_map_that_never_ends_has_no_layout():
    _, layout, converter = convert(nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU()))
    assert layout is None
    assert converter.changes == []
    assert convert(nn.Sequential(nn.Conv2d(4, 3, 3), nn.Flatten()))[1] == MapLayout((3, 1), True, (1, 1))


def test_tied_layers_stay_tied():
    head = pooled(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    head[4].weight = head[2].weight
    new, _, _ = convert(head)
    assert new[2].weight is new[4].weight


class KeywordOnly(nn.Linear):
    def forward(self, *, x):
        return super().forward(x)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = KeywordOnly(4, 2)

    def forward(self, x):
        return self.inner(x=x.mean((2, 3)))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (pooled(nn.GroupNorm(2, 4), nn.Linear(4, 2)), r"^2 .GroupNorm.: does not work on maps"),
        (
            Lambda(lambda m, x: m.a(x.mean((2, 3)).t().t()), a=nn.Linear(4, 2)),
            "^the network .Lambda.: t does not work on maps",
        ),
        (Lambda(lambda m, x: m.a(x.std((2, 3))), a=nn.Linear(4, 2)), "ends the map by std, which is no mean"),
        (Lambda(lambda m, x: (m.a(x.mean((2, 3))), 3), a=nn.Linear(4, 2)), "returns several values"),
        (Lambda(lambda m, x: m.a(x.mean((2, 3))) * x.norm(), a=nn.Linear(4, 2)), "ends the map by norm"),
        (Lambda(lambda m, x: m.a(x.mean((2, 3))).sum(), a=nn.Linear(4, 2)), "sum does not work on maps"),
        (Named(), "calls inner with arguments by name only"),
        (nn.Sequential(nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(16, 2)), "^0 .AdaptiveAvgPool2d"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(15, 2)), "^1 .Linear.: does not work on maps"),
    ],
)
def test_what_has_no_form_on_maps_is_refused_by_name(head, said):
    with pytest.raises(UserError, match=said):
        convert(head.eval())


class Gate(nn.Module):
    """Squeeze-and-excitation whose forward pass cannot be traced."""

    def __init__(self, bins):
        super().__init__()
        self.pool, self.scale = nn.AdaptiveAvgPool2d(bins), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        assert x.abs().sum() >= 0
        return x * torch.sigmoid(self.scale(self.pool(x)))


@pytest.mark.parametrize("bins", [1, (1, 1)])
def test_a_module_before_the_end_of_the_map_is_not_looked_into(bins):
    converter = check_at_size(nn.Sequential(Gate(bins), *pooled(nn.Linear(4, 2))))
    assert [change.module for change in converter.changes] == ["1", "2", "3"]


def check_at_size(head):
    """Compare at the classifier's size only: the gate reads more of a larger map."""
    new, layout, converter = convert(head.eval())
    assert layout == point_layout(2, True)
    with torch.no_grad():
        torch.testing.assert_close(new(X).flatten(1), head(X))
    return converter


@pytest.mark.parametrize("bins", [(5, 1), 3, (1, 3)])
def test_a_module_that_pools_to_a_fixed_map_is_looked_into(bins):
    with pytest.raises(UserError, match=r"^0 .Broad.: its forward pass must be changed but cannot be traced"):
        convert(nn.Sequential(Broad(bins), *pooled(nn.Linear(4, 2))).eval())


class Broad(Gate):
    def forward(self, x):
        assert x.abs().sum() >= 0
        return self.scale(self.pool(x))


def test_a_window_of_its_own_gives_a_map_of_one_position():
    assert convert(nn.Sequential(nn.Conv2d(4, 6, (5, 3))))[1] == point_layout(2, False)
