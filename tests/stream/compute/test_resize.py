"""Interpolated rows of a part are those of ATen on the whole input, to its last rounded weight."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.stream.compute.resize import resize
from atrous.stream.prepare import prepare
from atrous.stream.rows import output_span
from tests.stream.compute.parts import check_parts, part_of, values_of
from tests.toy_models import Lambda


def resized(**choices):
    return Lambda(lambda m, x: F.interpolate(x, **choices))


RESIZES = {
    "nearest": ({"scale_factor": 2}, (2, 9, 7)),
    "nearest 3": ({"scale_factor": 3}, (2, 9, 7)),
    "nearest size": ({"size": (5, 11)}, (2, 9, 7)),
    "nearest exact": ({"size": (5, 11), "mode": "nearest-exact"}, (2, 9, 7)),
    "nearest large": ({"size": (70, 80)}, (2, 90, 60)),
    "nearest 1d": ({"scale_factor": 4}, (2, 13)),
    "nearest 64": ({"scale_factor": 64}, (1, 5)),
    "linear 1d": ({"scale_factor": 1.7, "mode": "linear"}, (2, 20)),
    "linear doubled": ({"scale_factor": 2, "mode": "linear"}, (2, 20)),
    "bilinear": ({"scale_factor": (2, 4), "mode": "bilinear"}, (2, 9, 7)),
    "bilinear mixed": ({"scale_factor": (2, 1.5), "mode": "bilinear"}, (2, 9, 8)),
    "bilinear corners": ({"size": (13, 5), "mode": "bilinear", "align_corners": True}, (2, 9, 7)),
    "bilinear down": ({"size": (4, 3), "mode": "bilinear"}, (2, 9, 7)),
    "bilinear same size": ({"scale_factor": 1.04, "mode": "bilinear"}, (2, 9, 7)),
    "bicubic": ({"scale_factor": 2, "mode": "bicubic"}, (2, 9, 7)),
    "bicubic odd": ({"size": (14, 5), "mode": "bicubic"}, (2, 9, 7)),
    "bicubic corners": ({"size": (14, 5), "mode": "bicubic", "align_corners": True}, (2, 9, 7)),
    "trilinear": ({"scale_factor": 2, "mode": "trilinear"}, (1, 4, 5, 3)),
    "trilinear odd": ({"size": (7, 4, 5), "mode": "trilinear"}, (1, 4, 5, 3)),
}


@pytest.mark.parametrize("name", RESIZES)
def test_rows_are_those_of_the_whole(name):
    choices, shape = RESIZES[name]
    check_parts(resized(**choices), shape)


@pytest.mark.parametrize("factor", [2.04, 1.04])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_factors_that_are_not_the_ratio_of_the_lengths(factor, mode):
    check_parts(resized(scale_factor=factor, mode=mode), (2, 20, 22))


def test_a_factor_beside_a_dimension_that_is_not_cut():
    """The second dimension has the lengths of a copy, but ATen's kernel goes by the factor."""
    network = resized(scale_factor=(2, 1.04), mode="nearest")
    check_parts(network, (2, 70, 20))
    check_parts(network, (2, 9, 20))


@pytest.mark.parametrize(
    ("mode", "size"), [("nearest", 141), ("nearest-exact", 141), ("linear", 141), ("nearest", 200)]
)
def test_float64_is_computed_in_float64(mode, size):
    network = Lambda(lambda m, x: F.interpolate(x, size=size, mode=mode), a=nn.Conv1d(1, 1, 1).double())
    check_parts(network, (1, 100), 1e-12)


def test_far_down_an_axis_weights_are_those_of_aten():
    ready = prepare(resized(size=(150_001,), mode="linear"), (1, 100_000))
    values = values_of(ready, torch.randn(1, 1, 100_000))
    op = ready.graph.ops[ready.graph.output]
    span = output_span(op, ready.axes[0], 149_000, 149_100)
    assert span is not None
    part, _ = part_of(op, values, (span,))
    assert float((part - values[op.index][..., 149_000:149_100]).abs().max()) < 1e-6


@pytest.mark.parametrize(
    "choices", [{"scale_factor": 2}, {"scale_factor": 2, "mode": "bilinear"}, {"size": (13, 9), "mode": "bicubic"}]
)
def test_rows_are_written_where_they_are_asked_for(choices):
    ready = prepare(resized(**choices), (2, 9, 7))
    values, op = values_of(ready, torch.randn(1, 2, 9, 7)), ready.graph.ops[ready.graph.output]
    for lo, hi in ((0, op.shape[2]), (3, 8), (0, 4), (4, 8)):
        span = output_span(op, ready.axes[0], lo, hi)
        assert span is not None
        part, tensors = part_of(op, values, (span,))
        place = torch.full_like(part, np.nan)
        assert resize(op, tensors, (span,), place) is place
        torch.testing.assert_close(place, part, rtol=1e-6, atol=1e-6)
