"""A prepared network says what can be cut, and regions are checked against it."""

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.geometry.plan import COMFORT
from atrous.stream import plan
from atrous.stream.prepare import output_region, prepare, rows_limit
from tests import toy_models
from tests.toy_models import Lambda


def test_axes_and_refusals():
    ready = prepare(toy_models.tokens(), (2, 8, 6))
    assert list(ready.axes) == [0]
    assert list(ready.refused) == [1]
    assert ready.device == torch.device("cpu")
    assert prepare(Lambda(lambda m, x: {"a": x, "b": x * 2}), (1, 8), output="b").output == "b"


def test_the_type_is_that_of_the_weights():
    assert prepare(nn.Conv1d(1, 1, 3).double(), (1, 8)).dtype == torch.float64
    assert prepare(Lambda(lambda m, x: x * 2), (1, 8)).dtype == torch.float32
    assert prepare(Lambda(lambda m, x: (x > 0).long()), (1, 8)).dtype == torch.float32
    assert prepare(Lambda(lambda m, x: x.double()), (1, 8)).dtype == torch.float64
    mixed = Lambda(lambda m, x: m.a(x[:, m.order]), a=nn.Conv1d(2, 1, 1).bfloat16())
    mixed.register_buffer("order", torch.tensor([1, 0]))
    assert prepare(mixed, (2, 8)).dtype == torch.bfloat16


def test_fields_have_the_margins_of_windows():
    network = nn.Sequential(nn.ConstantPad1d((-3, -1), 0.0), nn.Conv1d(1, 1, 3, padding=1))
    field = prepare(network, (1, 100)).fields[0]
    assert (field.inputs, field.outputs, field.halo) == (100, 96, (1, 5))


def test_regions_are_boxes_of_rows():
    ready = prepare(nn.Conv2d(1, 2, 3), (1, 12, 10))
    graph, axes = ready.graph, ready.axes
    assert output_region(graph, axes, None) == {0: (0, 10), 1: (0, 8)}
    assert output_region(graph, axes, (slice(2, 5), slice(None))) == {0: (2, 5), 1: (0, 8)}
    assert output_region(graph, axes, (slice(-1, None), slice(0, -2))) == {0: (9, 10), 1: (0, 6)}
    assert output_region(graph, axes, (slice(0, 99), slice(7, 8))) == {0: (0, 10), 1: (7, 8)}
    plane = prepare(Lambda(lambda m, x: x[:, 0]), (2, 12, 10))
    assert output_region(plane.graph, plane.axes, (slice(1, 2), slice(3, 4))) == {0: (1, 2), 1: (3, 4)}


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ((slice(0, 4),), "region has 1 slices, but the output has 2"),
        ((slice(4, 4), slice(None)), "axis 0 of 10 positions"),
        ((slice(None), slice(5, 3)), "axis 1 of 8 positions"),
        ((slice(0, 8, 2), slice(None)), "not empty, without a step"),
    ],
)
def test_regions_that_cannot_be(region, text):
    ready = prepare(nn.Conv2d(1, 2, 3), (1, 12, 10))
    with pytest.raises(UserError, match=text):
        output_region(ready.graph, ready.axes, region)


def test_axes_that_cannot_be_cut_are_taken_whole():
    ready = prepare(toy_models.tokens(), (2, 8, 6))
    assert output_region(ready.graph, ready.axes, (slice(1, 3), slice(0, 6))) == {0: (1, 3)}
    with pytest.raises(UserError, match="axis 1 cannot be cut"):
        output_region(ready.graph, ready.axes, (slice(1, 3), slice(0, 5)))
    with pytest.raises(UserError, match="axis 1 cannot be cut"):
        output_region(ready.graph, ready.axes, (slice(1, 3), slice(1, 6)))


@pytest.mark.parametrize("network", [lambda x: x.mean((2, 3)), lambda x: x.mean((1, 2, 3))])
def test_classifiers_have_no_positions(network):
    ready = prepare(Lambda(lambda m, x: network(x)), (2, 4, 4))
    assert ready.axes == {}
    assert "convert the classifier" in str(ready.refused[0])


def test_weights_are_not_rows():
    network = nn.Conv1d(1, 4, 3)  # 16 numbers
    ready, run_plan = prepare(network, (1, 100)), plan(network, (1, 100))
    needed = run_plan.peak_bytes
    assert rows_limit(ready, run_plan, torch.float32, needed / 2) == needed - 2 * 64
    assert rows_limit(ready, run_plan, torch.bfloat16, needed / 2) == needed - 64
    assert rows_limit(ready, run_plan, torch.bfloat16, 3 * needed) == 3 * needed - 64
    assert rows_limit(ready, run_plan, torch.bfloat16) == COMFORT / 2
