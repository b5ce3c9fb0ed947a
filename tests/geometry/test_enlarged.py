"""Convolutions on the small grid compute what enlarging and convolving computes, with fewer multiply-adds."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.enlarged import on_small_grid, spread
from atrous.geometry.graph import export_graph
from atrous.geometry.memory import macs
from atrous.stream.values import constants, evaluate
from tests.toy_models import Lambda, difference

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
SIZES = {1: (11,), 2: (5, 7), 3: (3, 4, 5)}


def up(x, factor=2, mode="nearest"):
    return F.interpolate(x, scale_factor=factor, mode=mode)


def graphs(network, shape):
    graph = export_graph(network.double().eval(), shape)
    return graph, on_small_grid(graph)


def kinds(graph):
    return [op.kind for op in graph.ops if op.kind not in ("input", "constant")]


def assert_same(network, shape):
    graph, small = graphs(network, shape)
    x = torch.randn(1, *shape, dtype=torch.float64)
    with torch.no_grad():
        wanted = network(x)
    assert small.ops[small.output].shape == wanted.shape
    assert difference(evaluate(small, constants(small, None), x), wanted) <= 1e-12
    return graph, small


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "padding", "factor"), [(3, 1, 2), (3, 0, 2), (5, 4, 2), (2, 0, 4), (4, 1, 2)])
def test_enlarged_values_are_convolved_on_their_own_grid(ndim, kernel, padding, factor):
    network = Lambda(lambda m, x: m.c(up(x, factor)), c=CONVOLUTIONS[ndim](2, 3, kernel, padding=padding))
    graph, small = assert_same(network, (2, *SIZES[ndim]))
    assert kinds(small) == [f"conv_transpose{ndim}d"]
    if kernel > 2:
        assert sum(macs(op, small.ops) for op in small.ops) < sum(macs(op, graph.ops) for op in graph.ops)


JOINED = {
    "first": (lambda m, x: m.c(torch.cat([up(m.a(x)), m.b(x)], 1)), 7),
    "last": (lambda m, x: m.c(torch.cat([m.b(x), up(m.a(x))], 1)), 7),
    "between": (lambda m, x: m.c(torch.cat([m.b(x), up(m.a(x)), up(x, mode="bilinear")], 1)), 9),
    "no channels": (lambda m, x: m.c(torch.cat([up(m.a(x)), m.b(x)[:, :0]], 1)), 3),
    "both": (lambda m, x: m.c(torch.cat([up(m.a(x)), up(m.a(x).relu())], 1)), 6),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", JOINED)
def test_joined_values_are_convolved_by_parts(name, bias):
    function, channels = JOINED[name]
    network = Lambda(
        function, a=nn.Conv2d(2, 3, 1), b=nn.ConvTranspose2d(2, 4, 2, 2), c=nn.Conv2d(channels, 5, 3, 1, 1, bias=bias)
    )
    _, small = assert_same(network, (2, 6, 5))
    assert kinds(small).count("upsample_nearest2d") == 0
    assert kinds(small).count("cat") == (1 if name == "between" else 0)


LEFT = {
    "two readers": lambda m, x: (y := up(x)) + m.c(y),
    "joined and read": lambda m, x: (y := torch.cat([up(x), up(x)], 1))[:, :2] + m.wide(y),
    "factor 3": lambda m, x: m.c(up(x, 3)),
    "factor 1": lambda m, x: m.c(F.interpolate(x, scale_factor=(1, 2))),
    "bilinear": lambda m, x: m.c(up(x, 2, "bilinear")),
    "other size": lambda m, x: m.c(F.interpolate(x, size=(13, 11))),
    "strides": lambda m, x: m.strided(up(x)),
    "groups": lambda m, x: m.grouped(up(x)),
    "one tap": lambda m, x: m.one(up(x)),
    "computed weight": lambda m, x: F.conv2d(up(x), m.c.weight * 2, padding=1),
    "joined along rows": lambda m, x: m.c(torch.cat([up(x), up(x)], 2)),
    "joined with itself": lambda m, x: m.wide(torch.cat([y := up(x), y], 1)),
}


@pytest.mark.parametrize("name", LEFT)
def test_other_convolutions_stay(name):
    network = Lambda(
        LEFT[name],
        c=nn.Conv2d(2, 2, 3, padding=1),
        wide=nn.Conv2d(4, 2, 3, padding=1),
        strided=nn.Conv2d(2, 2, 3, 2),
        grouped=nn.Conv2d(2, 2, 3, groups=2),
        one=nn.Conv2d(2, 2, 1),
    )
    graph, small = graphs(network, (2, 6, 5))
    assert small is graph


def test_kernels_are_spread_over_all_rows_that_an_input_row_becomes():
    weight = torch.tensor([[[1.0, 10.0, 100.0]]], dtype=torch.float64)
    assert spread(weight, (4,)).tolist() == [[[100.0, 110.0, 111.0, 111.0, 11.0, 1.0]]]
