"""Operators that compute each position by itself do so, or are refused by name."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.axis import Refused
from atrous.geometry.rules import follow
from atrous.geometry.rules.rows import spelled_out
from tests.geometry.truth import check_axis, followed, graphs_of
from tests.toy_models import Lambda

LAST = torch.randn(10, 4)
CHANNELS = torch.randn(4, 6)

STREAMED = {
    "hardswish": lambda x: F.hardswish(x) + F.mish(x) + F.logsigmoid(x),
    "where": lambda x: torch.where(x > 0, x, x * 2),
    "softmax of channels": lambda x: x.softmax(1) + x.log_softmax(-3),
    "glu": lambda x: F.glu(x, 1),
    "einsum of channels": lambda x: torch.einsum("oc,nchw->nohw", CHANNELS, x),
    "einsum with dots": lambda x: torch.einsum("...chw,oc->...ohw", x, CHANNELS),
    "linear over channels": lambda x: F.linear(x.movedim(1, 3), CHANNELS).movedim(3, 1),
    "matrix from the right": lambda x: (x.movedim(1, 3) @ CHANNELS.T).movedim(3, 1),
    "gather among channels": lambda x: x.gather(1, (x > 0).long()),
    "scatter among channels": lambda x: x.scatter(1, (x > 0).long(), x * 2),
    "layer norm of channels": lambda x: F.layer_norm(x.movedim(1, 3), (6,)).movedim(3, 1),
}


@cache
def graphs():
    cases = [*STREAMED.items(), *((name, function) for name, (function, *_) in FOLLOWED.items())]
    return graphs_of(dict([*cases, *REFUSED.items()]), (6, 8, 10))


@pytest.mark.parametrize("name", STREAMED)
def test_each_position_by_itself(name):
    for index in (0, 1):
        axis = follow(graphs()[name], index)
        assert axis.streamed(axis.graph.output)
        check_axis(axis)


FOLLOWED = {
    "rows of the first matrix": (lambda x: x @ LAST, 0, 2),
    "columns of the second": (lambda x: torch.ones(3, 8) @ x, 1, 3),
    "columns of the second, flattened": (lambda x: CHANNELS @ x.flatten(2), 0, 2),
    "the batch": (lambda x: x.transpose(1, 2) @ torch.ones(10, 2), 0, 1),
    "the batch, with one matrix for all": (lambda x: x.transpose(1, 2) @ torch.ones(1, 1, 10, 2), 0, 1),
    "linear": (lambda x: F.linear(x, LAST.T), 0, 2),
    "layer norm of columns": (lambda x: F.layer_norm(x, (10,)), 0, 2),
    "einsum of columns": (lambda x: torch.einsum("nchw,wv->nchv", x, LAST), 0, 2),
    "einsum with a number per position": (lambda x: torch.einsum("nchw,hw->nhwc", x, torch.ones(8, 10)), 0, 1),
    "softmax of columns": (lambda x: x.softmax(3), 0, 2),
    "prelu": (lambda x: F.prelu(x, torch.full((6,), 0.1)), 1, 3),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_dimension_of_the_axis_is_followed(name):
    _, index, dim = FOLLOWED[name]
    axis = follow(graphs()[name], index)
    assert axis.dim(axis.graph.output) == dim
    check_axis(axis)


REFUSED = {
    "positions that the data decide: gather": lambda x: x.gather(2, (x > 0).long()),
    "mixes all positions of the axis: softmax": lambda x: x.softmax(2),
    "normalizes over the positions of one image": lambda x: F.layer_norm(x, (8, 10)),
    "is a linear layer over positions: linear": lambda x: F.linear(x.transpose(2, 3), torch.ones(3, 8)),
    "is a linear layer over positions: second": lambda x: torch.ones(3, 8) @ x,
    "is a linear layer over positions: first": lambda x: x.transpose(2, 3) @ torch.ones(8, 2),
    "multiplies positions with positions": lambda x: x @ x.transpose(2, 3),
    "multiplies by another matrix at each position": lambda x: x.transpose(1, 2) @ torch.ones(1, 8, 10, 2),
    "a product with a vector has no rule": lambda x: torch.matmul(x, torch.ones(10)),
    "mixes all positions of the axis: summed": lambda x: torch.einsum("nchw,nchv->ncwv", x, x * 2),
    "mixes all positions of the axis: two labels": lambda x: torch.einsum("nchw,nkvw->nchkv", x, x * 2),
    "mixes all positions of the axis: weighted": lambda x: torch.einsum("nchw,hw->ncw", x, torch.ones(8, 10)),
    "name the result": lambda x: torch.einsum("nchw,wv", x, torch.ones(10, 2)),
    "reads one value twice": lambda x: torch.einsum("nchw,nchw->nchw", x, x),
    "its parameters run along the axis": lambda x: F.prelu(x.transpose(1, 2), torch.full((8,), 0.1)),
    "takes statistics of several images in one batch": lambda x: F.group_norm(x.expand(2, 6, 8, 10), 2),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_mixes_positions_is_refused(reason):
    with pytest.raises(Refused, match=reason.split(":")[0]):
        follow(graphs()[reason], 0)


def test_a_norm_of_frames_runs_along_the_batch():
    network = Lambda(lambda m, x: m.norm(x[0].transpose(0, 1)).transpose(0, 1)[None], norm=nn.GroupNorm(2, 4))
    axis = followed(network, (4, 5, 6, 6))
    assert axis.streamed(axis.graph.output)
    check_axis(axis)
    with pytest.raises(Refused, match="several images"):
        followed(network, (4, 5, 6, 6), 1)


@pytest.mark.parametrize(
    ("equation", "ranks", "spelled"),
    [
        ("ij,jk->ik", [2, 2], "ij,jk->ik"),
        ("...ij,jk->...ik", [4, 2], "ABij,jk->ABik"),
        ("...i,...i->...", [3, 2], "ABi,Bi->AB"),
        ("A...,A->...", [3, 1], "ABC,A->BC"),
    ],
)
def test_dots_are_spelled_out(equation, ranks, spelled):
    assert spelled_out(equation, ranks) == spelled
