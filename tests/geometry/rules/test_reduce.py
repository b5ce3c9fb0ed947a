"""Reductions over other dimensions keep rows; over the axis they are barriers, or are refused by name."""

from functools import cache

import pytest
import torch
from torch import nn

from atrous.geometry.axis import Refused
from atrous.geometry.graph import Op
from atrous.geometry.maps import Everything
from atrous.geometry.rules import follow
from atrous.geometry.rules.reduce import reduced_dims
from tests.geometry.truth import check_axis, followed, graphs_of

FOLLOWED = {
    "mean": (lambda x: x.mean(1), 0, 1),
    "mean that keeps": (lambda x: x.mean(1, keepdim=True), 0, 2),
    "sum of all others": (lambda x: x.sum((0, 1, 3)), 0, 0),
    "maximum from the end": (lambda x: x.amax((-3, -1)), 0, 1),
    "minimum of rows": (lambda x: x.amin(2), 1, 2),
    "minimum of columns": (lambda x: x.amin(3), 0, 2),
    "variance": (lambda x: x.var(1, correction=0), 0, 1),
    "max": (lambda x: x.max(1)[0], 0, 1),
    "argmax": (lambda x: x.argmax(1).float(), 0, 1),
    "logsumexp": (lambda x: x.logsumexp(1), 0, 1),
    "topk": (lambda x: x.topk(2, 1)[0], 0, 2),
    "cumsum": (lambda x: x.cumsum(1), 1, 3),
    "sort": (lambda x: x.sort(1)[0], 0, 2),
    "median": (lambda x: x.median(1)[0], 0, 1),
}
BARRIERS = {
    "mean of all": lambda x: x.mean(),
    "mean of positions": lambda x: x.mean((2, 3)),
    "sum of rows": lambda x: x.sum(2),
    "maximum of rows": lambda x: x.amax(-2),
    "deviation": lambda x: x.std((1, 2, 3)),
    "max of rows": lambda x: x.max(2)[0],
    "norm": lambda x: torch.linalg.vector_norm(x, 2, (2, 3)),
    "least": lambda x: torch.linalg.vector_norm(x, float("-inf"), (2, 3)),
}
REFUSED = {
    "has no rule to gather it piece by piece: argmax": lambda x: x.argmax(2),
    "has no rule to gather it piece by piece: indices": lambda x: x.max(2)[1],
    "has no rule to gather it piece by piece: cumsum": lambda x: x.cumsum(2),
    "has no rule to gather it piece by piece: sort": lambda x: x.sort(2)[0],
}


@cache
def graphs():
    followed_functions = {name: function for name, (function, *_) in FOLLOWED.items()}
    return graphs_of(followed_functions | BARRIERS | REFUSED, (6, 8, 10))


@pytest.mark.parametrize("name", FOLLOWED)
def test_other_dimensions_are_reduced_row_by_row(name):
    _, index, dim = FOLLOWED[name]
    axis = follow(graphs()[name], index)
    assert axis.dim(axis.graph.output) == dim
    assert not axis.barriers
    check_axis(axis)


@pytest.mark.parametrize("name", BARRIERS)
def test_over_the_axis_they_are_barriers(name):
    axis = follow(graphs()[name], 0)
    assert [op.index for op in axis.barriers] == [axis.graph.output]
    assert axis.along[axis.graph.output].reads[0].map == Everything(8)
    assert axis.passes == 1


def test_group_norm_waits_for_its_statistics():
    axis = followed(nn.GroupNorm(2, 6), (6, 8, 10))
    assert [op.kind for op in axis.barriers] == ["moments"]
    assert axis.along[axis.barriers[0].index].reads[0].map == Everything(8)
    assert axis.passes == 2


def test_group_norm_of_turned_rows_is_refused():
    def turned(x):
        return nn.functional.group_norm(x.transpose(1, 2), 2)

    with pytest.raises(Refused, match="the axis is none"):
        followed(turned, (6, 8, 10))


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_gathered_is_refused(reason):
    with pytest.raises(Refused, match=reason.split(":")[0]):
        follow(graphs()[reason], 0)


@pytest.mark.parametrize(("dim", "dims"), [([1, -1], [1, 3]), ([], [0, 1, 2, 3]), ((-2,), [2])])
def test_dimensions_are_counted_from_the_front(dim, dims):
    x = Op(1, "sum", "", (), torch.float32, torch.ops.aten.sum.dim_IntList, (torch.zeros(1), list(dim)))
    assert reduced_dims(x, 4) == dims


def test_a_single_dimension_is_a_number():
    x = Op(1, "softmax", "", (), torch.float32, torch.ops.aten.argmax.default, (torch.zeros(1), -1))
    assert reduced_dims(x, 4) == [3]
    whole = Op(1, "sum", "", (), torch.float32, torch.ops.aten.argmax.default, (torch.zeros(1),))
    assert reduced_dims(whole, 2) == [0, 1]
