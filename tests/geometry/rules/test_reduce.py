"""Reductions over other dimensions keep rows; over the axis they are barriers, or are refused by name."""

import pytest
import torch
from torch import nn

from atrous.geometry.axis import Refused
from atrous.geometry.graph import Op
from atrous.geometry.maps import Everything
from atrous.geometry.rules.reduce import reduced_dims
from tests.geometry.truth import check_axis, followed, network_of


@pytest.mark.parametrize(
    ("function", "index", "dim"),
    [
        (lambda x: x.mean(1), 0, 1),
        (lambda x: x.mean(1, keepdim=True), 0, 2),
        (lambda x: x.sum((0, 1, 3)), 0, 0),
        (lambda x: x.amax((-3, -1)), 0, 1),
        (lambda x: x.amin(2), 1, 2),
        (lambda x: x.amin(3), 0, 2),
        (lambda x: x.var(1, correction=0), 0, 1),
        (lambda x: x.max(1)[0], 0, 1),
        (lambda x: x.argmax(1).float(), 0, 1),
        (lambda x: x.logsumexp(1), 0, 1),
        (lambda x: x.topk(2, 1)[0], 0, 2),
        (lambda x: x.cumsum(1), 1, 3),
        (lambda x: x.sort(1)[0], 0, 2),
        (lambda x: x.median(1)[0], 0, 1),
    ],
)
def test_other_dimensions_are_reduced_row_by_row(function, index, dim):
    axis = followed(network_of(function), (6, 8, 10), index)
    assert axis.dim(axis.graph.output) == dim
    assert not axis.barriers
    check_axis(axis)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean(),
        lambda x: x.mean((2, 3)),
        lambda x: x.sum(2),
        lambda x: x.amax(-2),
        lambda x: x.std((1, 2, 3)),
        lambda x: x.max(2)[0],
        lambda x: torch.linalg.vector_norm(x, 2, (2, 3)),
        lambda x: torch.linalg.vector_norm(x, float("-inf"), (2, 3)),
    ],
)
def test_over_the_axis_they_are_barriers(function):
    axis = followed(network_of(function), (6, 8, 10))
    assert [op.index for op in axis.barriers] == [axis.graph.output]
    assert axis.along[axis.graph.output].reads[0].map == Everything(8)
    assert axis.passes == 1


def test_group_norm_waits_for_its_statistics():
    axis = followed(nn.GroupNorm(2, 6), (6, 8, 10))
    assert [op.kind for op in axis.barriers] == ["moments"]
    assert axis.along[axis.barriers[0].index].reads[0].map == Everything(8)
    assert axis.passes == 2


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x.argmax(2), "has no rule to gather it piece by piece"),
        (lambda x: x.max(2)[1], "has no rule to gather it piece by piece"),
        (lambda x: x.cumsum(2), "has no rule to gather it piece by piece"),
        (lambda x: x.sort(2)[0], "has no rule to gather it piece by piece"),
        (lambda x: torch.linalg.vector_norm(x, 0, (2, 3)), "gathers a norm of order 0"),
        (lambda x: torch.linalg.vector_norm(x, -1, (2, 3)), "gathers a norm of order -1"),
    ],
)
def test_what_cannot_be_gathered_is_refused(function, reason):
    with pytest.raises(Refused, match=reason):
        followed(network_of(function), (6, 8, 10))


@pytest.mark.parametrize(("dim", "dims"), [([1, -1], [1, 3]), ([], [0, 1, 2, 3]), ((-2,), [2])])
def test_dimensions_are_counted_from_the_front(dim, dims):
    x = Op(1, "sum", "", (), torch.float32, torch.ops.aten.sum.dim_IntList, (torch.zeros(1), list(dim)))
    assert reduced_dims(x, 4) == dims


def test_a_single_dimension_is_a_number():
    x = Op(1, "softmax", "", (), torch.float32, torch.ops.aten.argmax.default, (torch.zeros(1), -1))
    assert reduced_dims(x, 4) == [3]
    whole = Op(1, "sum", "", (), torch.float32, torch.ops.aten.argmax.default, (torch.zeros(1),))
    assert reduced_dims(whole, 2) == [0, 1]
