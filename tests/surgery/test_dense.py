"""Operations of a head on maps: each against the same operation on the classifier's vectors, window by window."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.surgery.dense import (
    ChannelNorm,
    MapLayout,
    adaptive_pool,
    dense_linear,
    dense_norm,
    is_map,
    linear_on_map,
    point_layout,
    recognize,
    side_by_side,
    slides,
    works_densely,
)

POINT = point_layout(2, True)
X = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_layouts():
    assert point_layout(3, False) == MapLayout((1, 1, 1), False, (1, 1, 1))
    assert POINT.is_point
    assert not MapLayout((1, 2), True, (1, 1)).is_point
    layout = MapLayout((4, 5), True, (1, 1))
    assert torch.equal(layout.as_map(X.flatten(1)), X)


def test_maps_have_more_than_one_position():
    assert is_map(X, 2)
    assert is_map(torch.zeros(1, 3, 1, 2), 2)
    assert not is_map(torch.zeros(1, 3, 1, 1), 2)
    assert not is_map(torch.zeros(1, 3, 4), 2)
    assert not is_map(X, 3)
    assert not is_map([1], 2)


@pytest.mark.parametrize("keep", [True, False])
def test_global_pools_are_recognized_by_value(keep):
    shape = (2, 3, 1, 1) if keep else (2, 3)
    for after, kind, word in ((X.mean((2, 3)), nn.AvgPool2d, "average"), (X.amax((2, 3)), nn.MaxPool2d, "maximum")):
        found = recognize(X, after.reshape(shape), None, 2)
        assert isinstance(found.module, kind)
        assert found.what == f"{word} over 4x5 at every position"
        assert found.layout == point_layout(2, not keep)
        large = torch.randn(1, 3, 6, 6)
        wanted = large[:, :, 2:6, 1:6].mean((2, 3)) if kind is nn.AvgPool2d else large[:, :, 2:6, 1:6].amax((2, 3))
        torch.testing.assert_close(found.module(large)[:, :, 2, 1], wanted)
        assert found.module(large).shape == (1, 3, 3, 2)


def test_a_pool_over_bins_is_not_one_over_the_map():
    spread = MapLayout((4, 5), False, (1, 2))
    assert recognize(X, X.mean((2, 3)), spread, 2) is None
    assert recognize(X, X.mean((2, 3)), MapLayout((4, 5), False, (1, 1)), 2) is not None


def test_flattening_leaves_positions():
    found = recognize(X, X.flatten(1), None, 2)
    assert (found.module, found.layout) == (None, MapLayout((4, 5), True, (1, 1)))
    found = recognize(X, X.flatten(1), MapLayout((4, 5), False, (3, 2)), 2)
    assert found.layout == MapLayout((4, 5), True, (3, 2))
    assert found.what == "left out: positions stay"


def test_reshaping_a_point_is_nothing():
    vector = X[:, :, 0, 0]
    found = recognize(vector, vector[:, :, None, None], POINT, 2)
    assert (found.module, found.layout) == (None, point_layout(2, False))
    found = recognize(vector[:, :, None, None], vector, point_layout(2, False), 2)
    assert found.layout == POINT
    assert recognize(vector, vector.clone(), POINT, 2) is None  # no change of shape
    assert recognize(vector, 2 * vector[:, :, None, None], POINT, 2) is None
    assert recognize(vector, vector[:, :2, None, None], POINT, 2) is None


@pytest.mark.parametrize(
    "after",
    [
        X.mean((2, 3)) * 1.001,
        X.sum((2, 3)),
        X.flatten(1).flip(1),
        X[:1].flatten(1),
        X.mean(3) * 1.001,
        X.flatten(1).long(),
        X.sum(),
        3,
    ],
)
def test_anything_else_is_not_recognized(after):
    assert recognize(X, after, None, 2) is None


def test_a_value_that_is_no_map_is_not_recognized():
    assert recognize(X.flatten(2), X.flatten(1), None, 2) is None


def test_rounding_is_no_difference():
    eps = torch.finfo(torch.float32).eps
    assert recognize(X, X.mean((2, 3)) * (1 + 100 * eps), None, 2) is not None
    assert recognize(X, X.mean((2, 3)) * (1 + 400 * eps), None, 2) is None


def test_adaptive_pools_to_several_bins():
    x = torch.randn(1, 2, 4, 6)
    found = adaptive_pool((2, 3), x, F.adaptive_avg_pool2d(x, (2, 3)))
    assert found.layout == MapLayout((2, 3), False, (2, 2))
    assert found.what == "average over 2x2 at every position"
    assert found.module.kernel_size == (2, 2)
    torch.testing.assert_close(found.module(x)[:, :, ::2, ::2], F.adaptive_avg_pool2d(x, (2, 3)))
    assert adaptive_pool((2, 4), x, F.adaptive_avg_pool2d(x, (2, 4))) is None
    same = adaptive_pool((4, 6), x, x)
    assert isinstance(same.module, nn.Identity)
    assert same.layout == MapLayout((4, 6), False, (1, 1))


def test_a_window_as_large_as_the_map_slides():
    conv = nn.Conv2d(3, 2, (4, 5))
    with torch.no_grad():
        assert slides(conv, X, conv(X), 2)
        assert not slides(nn.Conv2d(3, 2, 3), X, conv(X)[:, :, :0], 2)
        strided = nn.Conv2d(3, 2, (4, 5), stride=2)
        assert not slides(strided, X, strided(X), 2)  # two positions, not three
        pooled = nn.AdaptiveAvgPool2d(1)
        assert not slides(pooled, X, pooled(X), 2)
        assert not slides(lambda x: conv(x) * x.numel(), X, conv(X) * X.numel(), 2)  # depends on the size
        assert not slides(lambda x: conv(x) if x.shape == X.shape else conv(x).flip(2), X, conv(X), 2)
        assert not slides(lambda x: conv(x) if x.shape == X.shape else None, X, conv(X), 2)
        assert not slides(conv, conv(X), conv(X), 2)  # no map

    def picky(x):
        assert x.shape == X.shape
        return conv(x)

    assert not slides(picky, X, conv(X), 2)


def densely(function, layout=POINT, *, size=6):
    value = torch.randn(2, size, generator=torch.Generator().manual_seed(1))
    return works_densely(function, [value], [layout], function(value.clone()))


@pytest.mark.parametrize("function", [torch.relu, lambda x: x.softmax(1), lambda x: x[:, :3], lambda x: 2 * x + 1])
def test_functions_over_channels_work_densely(function):
    assert densely(function)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flip(-1),
        lambda x: x / x.norm(),
        lambda x: x.sort(-1)[0],
        lambda x: F.group_norm(x, 2),
        lambda x: x.softmax(-1),
        lambda x: x.flatten(1) @ torch.ones(6, 3),
        lambda x: x if x.dim() == 2 else x.transpose(2, 3),
        lambda x: x if x.dim() == 2 or x.shape[2] == 1 else x.mean((2, 3), keepdim=True).expand_as(x),
        lambda x: [x],
    ],
)
def test_functions_over_positions_do_not(function):
    assert not densely(function)


def test_windows_must_agree():
    value = torch.randn(2, 6)
    window = MapLayout((2, 1), True, (1, 1))
    assert densely(torch.relu, window)
    assert not works_densely(torch.add, [value, value], [window, POINT], value + value)
    spread = MapLayout((2, 1), True, (2, 1))
    assert not works_densely(torch.add, [value, value], [window, spread], value + value)
    assert works_densely(torch.add, [value, value], [window, window], value + value)
    assert works_densely(torch.add, [value, 1.0], [window, None], value + 1)
    assert not works_densely(lambda x: x[:, :1], [torch.randn(2, 2)], [window], torch.randn(2, 1))  # no whole window


def test_values_of_integers_are_left_as_they_are():
    value = torch.arange(6).reshape(2, 3)
    assert not works_densely(torch.neg, [value], [POINT], -value)  # equal only means equal floats


def test_maps_side_by_side_count_the_last_axis_fastest():
    parts = [torch.full((1, 2, 1, 2), float(i)) for i in range(6)]
    assert side_by_side(parts, (2, 3))[0, 1].tolist() == [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]]


def test_fully_connected_layers_are_convolutions_over_the_window():
    linear, tied = nn.Linear(3 * 2 * 2, 5), {}
    linear.weight.requires_grad_(False)
    layout = MapLayout((2, 2), True, (2, 3))
    conv = dense_linear(linear.eval(), layout, tied)
    x = torch.randn(2, 3, 4, 5)
    window = x[:, :, 1::2, 1::3]  # taps spread by (2, 3), from position (1, 1)
    torch.testing.assert_close(conv(x)[:, :, 1, 1], linear(window.flatten(1)))
    assert conv(x).shape == (2, 5, 2, 2)
    assert not conv.weight.requires_grad
    assert not conv.training
    assert dense_linear(linear, layout, tied).weight is conv.weight
    assert dense_linear(linear, MapLayout((4, 1), True, (1, 1)), tied).weight is not conv.weight
    torch.testing.assert_close(linear_on_map(x, linear.weight, linear.bias, (2, 2), (2, 3)), conv(x))


def test_norms_of_vectors_become_norms_of_maps():
    x = torch.randn(3, 4, 2, 5)
    vectors = x.movedim(1, -1).reshape(-1, 4)
    norm = nn.LayerNorm(4)
    nn.init.normal_(norm.weight)
    wanted = norm(vectors).reshape(3, 2, 5, 4).movedim(-1, 1)
    found = dense_norm(norm, POINT)
    assert type(norm) is ChannelNorm
    torch.testing.assert_close(found.module(x), wanted)
    batch = nn.BatchNorm1d(4)
    assert dense_norm(batch, POINT).module is batch
    assert type(batch) is nn.BatchNorm2d
    assert dense_norm(nn.LayerNorm((4, 1)), POINT) is None
    assert dense_norm(nn.ReLU(), POINT) is None
    assert dense_norm(nn.LayerNorm(4), point_layout(2, False)) is None
    assert dense_norm(nn.LayerNorm(4), MapLayout((2, 1), True, (1, 1))) is None
