"""What barriers gather piece by piece is what torch computes from the whole, however the pieces are cut."""

from itertools import pairwise

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor, nn

from atrous.geometry.graph import Op
from atrous.stream.gather import gatherer
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.values import constants
from tests.toy_models import Lambda

SHAPE = (4, 11, 9)
REDUCTIONS = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean of rows": lambda x: x.mean(2),
    "sum": lambda x: x.sum((2, 3)),
    "norm 1": lambda x: torch.linalg.vector_norm(x, 1, (2, 3)),
    "norm 3": lambda x: torch.linalg.vector_norm(x, 3, (2, 3)),
    "largest": lambda x: torch.linalg.vector_norm(x, torch.inf, (2, 3)),
    "smallest": lambda x: torch.linalg.vector_norm(x, -torch.inf, (2, 3)),
    "amax": lambda x: x.amax((2, 3)),
    "amin": lambda x: x.amin((2, 3)),
    "var": lambda x: x.var((2, 3)),
    "var without correction": lambda x: x.var((2, 3), correction=0),
    "std": lambda x: x.std((2, 3), keepdim=True),
    "std of rows": lambda x: x.std(2),
    "pool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "bins": lambda x: F.adaptive_avg_pool2d(x, (1, 4)),
    "maximum": lambda x: F.adaptive_max_pool2d(x, (1, 2)),
    "whole pool": lambda x: F.avg_pool2d(x, x.shape[2:]),
    "divisor": lambda x: F.avg_pool2d(x, x.shape[2:], divisor_override=7),
}


def barrier_of(function) -> tuple[Prepared, Op]:
    ready = prepare(Lambda(lambda m, x: x * 2 + _broadcast(function(x * 2), x)), SHAPE)
    return ready, ready.axes[0].barriers[0]


def _broadcast(value: Tensor, x: Tensor) -> Tensor:
    if value.dim() == 4:
        return value if value.shape[3] in (1, x.shape[3]) else value.mean(3, keepdim=True)
    return value[:, :, None, None] if value.dim() == 2 else value[:, :, None]


def cut_points(size: int, cuts: list[int]) -> list[tuple[int, int]]:
    edges = [0, *sorted({1 + c % (size - 1) for c in cuts}), size]
    return list(pairwise(edges))


@pytest.mark.parametrize("name", REDUCTIONS)
@settings(max_examples=6)
@given(cuts=st.lists(st.integers(0, 20), max_size=4), columns=st.lists(st.integers(0, 20), max_size=2))
def test_pieces_of_rows_and_columns_join_to_the_whole(name, cuts, columns):
    _, op = _cached(name)
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 3
    pieces = [(r, c) for r in cut_points(11, cuts) for c in cut_points(9, columns)]
    gathering, one, other = (gatherer(op, CACHE[name][0].graph) for _ in range(3))
    for number, ((a, b), (c, d)) in enumerate(reversed(pieces)):
        gathering.update(x[:, :, a:b, c:d], {2: (a, b), 3: (c, d)})
        (other if number % 3 else one).update(x[:, :, a:b, c:d], {2: (a, b), 3: (c, d)})
    one.merge(other.state())
    torch.testing.assert_close(one.result({}), gathering.result({}), rtol=1e-10, atol=1e-10)
    result = gathering.result({})
    assert result.dtype == torch.float64
    expected = REDUCTIONS[name](x)
    assert result.shape == expected.shape
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


CACHE: dict[str, tuple[Prepared, Op]] = {}


def _cached(name: str) -> tuple[Prepared, Op]:
    if name not in CACHE:
        CACHE[name] = barrier_of(REDUCTIONS[name])
    return CACHE[name]


@pytest.mark.parametrize(("groups", "affine"), [(1, True), (2, True), (4, False)])
@pytest.mark.parametrize("cuts", [[], [3], [0, 4, 8]])
def test_group_norm_is_that_of_the_whole(groups, affine, cuts):
    norm = nn.GroupNorm(groups, 4, affine=affine, eps=1e-3)
    if affine:
        norm.weight.data, norm.bias.data = torch.rand(4) + 0.5, torch.randn(4)
    ready = prepare(nn.Sequential(nn.Conv2d(4, 4, 1), norm.eval()), SHAPE)
    op = ready.axes[0].barriers[0]
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(2)) * 2 + 5
    gathering = gatherer(op, ready.graph)
    for a, b in cut_points(11, cuts):
        gathering.update(x[:, :, a:b], {2: (a, b)})
    scale, shift = gathering.result(constants(ready.graph, None)).reshape(2, 1, 4, 1, 1)
    torch.testing.assert_close((x * scale + shift).float(), norm(x).detach(), rtol=1e-4, atol=1e-4)


def test_a_large_mean_does_not_swallow_the_variance():
    _, op = _cached("var")
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 1e7
    gathering = gatherer(op, CACHE["var"][0].graph)
    for a in range(11):
        gathering.update(x[:, :, a : a + 1], {2: (a, a + 1)})
    torch.testing.assert_close(gathering.result({}), x.var((2, 3)), rtol=1e-6, atol=0)


def test_counts_keep_their_type():
    ready = prepare(Lambda(lambda m, x: x * (x > 0).sum((2, 3), keepdim=True)), SHAPE)
    op = ready.axes[0].barriers[0]
    x = torch.randn(1, *SHAPE) > 0
    gathering = gatherer(op, ready.graph)
    gathering.update(x[:, :, :4], {2: (0, 4)})
    gathering.update(x[:, :, 4:], {2: (4, 11)})
    result = gathering.result({})
    assert result.dtype == torch.int64
    assert torch.equal(result, x.sum((2, 3), keepdim=True))
