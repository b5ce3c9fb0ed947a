"""Every operator is followed by its rule, as pointwise, or refused by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.axis import Refused
from atrous.geometry.maps import IDENTITY
from tests.geometry.truth import check_axis, followed, network_of
from tests.toy_models import Lambda


@pytest.mark.parametrize("function", [torch.exp, torch.relu, lambda x: x.clamp(min=0.1), lambda x: x**2 + 1, F.gelu])
def test_pointwise_operators_need_no_rule(function):
    axis = followed(network_of(function), (2, 8, 6))
    assert axis.along[axis.graph.output].reads[0].map == IDENTITY
    check_axis(axis)


@pytest.mark.parametrize("index", [0, 1])
def test_the_input_has_the_axis_behind_the_channels(index):
    assert followed(nn.Identity(), (2, 8, 6), index).along[0].dim == 2 + index


def test_what_has_no_rows_stays_whole():
    axis = followed(network_of(lambda x: x * torch.arange(3.0).cumsum(0).sum()), (2, 8, 6))
    assert [axis.streamed(op.index) for op in axis.graph.ops if op.kind in ("cumsum", "sum")] == [False, False]


def test_levels_count_the_barriers_on_the_way():
    def twice(x):
        x = x - x.mean((2, 3), keepdim=True)
        return x / x.std((2, 3), keepdim=True)

    axis = followed(network_of(twice), (2, 8, 6))
    assert axis.levels[axis.graph.output] == 2
    assert axis.passes == 3
    kinds = {op.kind: axis.levels[op.index] for op in axis.graph.ops}
    assert (kinds["input"], kinds["mean"], kinds["sub"], kinds["std"], kinds["div"]) == (0, 1, 1, 2, 2)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: F.scaled_dot_product_attention(x, x, x), "lets positions attend to positions|positions"),
        (lambda x: F.unfold(x, 3), "cuts the grid into overlapping patches"),
        (lambda x: F.grid_sample(x, torch.zeros(1, 8, 6, 2)), "reads at positions that the data decide"),
        (lambda x: F.interpolate(x, size=(4, 4), mode="bilinear", antialias=True), "resizes with antialiasing"),
        (lambda x: torch.fft.rfft(x, dim=2).abs(), "streaming has no rule for this operator"),
        (lambda x: x + torch.rand(1, 1, 1, 1), "draws random numbers"),
        (lambda x: F.dropout(x, 0.5, training=True), "draws random numbers"),
        (lambda x: torch.rand_like(x) + x, "draws random numbers"),
    ],
)
def test_what_cannot_be_cut_is_refused(function, reason):
    with pytest.raises(Refused, match=reason):
        followed(network_of(function), (2, 8, 6))


def test_random_numbers_that_are_not_drawn_are_no_reason():
    axis = followed(network_of(lambda x: F.rrelu(x, training=False)), (2, 8, 6))
    assert axis.streamed(axis.graph.output)


def test_a_refusal_names_the_module_and_the_operator():
    network = Lambda(lambda m, x: m.shuffle(x), shuffle=network_of(lambda x: x.flip(2)))
    with pytest.raises(Refused) as caught:
        followed(network, (2, 8, 6))
    assert (caught.value.module, caught.value.operator) == ("shuffle", "flip")
    assert str(caught.value) == f"shuffle (flip): {caught.value.reason}"
