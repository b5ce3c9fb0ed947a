"""Every resize has the map of the kernel that ATen takes, along each axis."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F

from atrous.geometry.axis import Refused
from atrous.geometry.graph import export_graph
from atrous.geometry.rules import follow
from atrous.geometry.rules.resize import resizes, scale_factors
from tests.geometry.truth import check_axis, followed, graphs_of, network_of


def resized(**options):
    return network_of(lambda x: F.interpolate(x, **options))


def last(network, shape):
    graph = export_graph(network, shape)
    return graph.ops[graph.output]


OPTIONS = {
    "nearest": {"scale_factor": (3, 2)},
    "nearest size": {"size": (5, 17)},
    "nearest exact": {"size": (13, 4), "mode": "nearest-exact"},
    "linear": {"scale_factor": (2, 1.5), "mode": "bilinear"},
    "corners": {"size": (11, 23), "mode": "bilinear", "align_corners": True},
    "cubic": {"scale_factor": (2, 3), "mode": "bicubic"},
    "large nearest": {"size": (70, 90)},
}


@cache
def graphs():
    return graphs_of({name: resized(**options) for name, options in OPTIONS.items()}, (1, 8, 12))


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_are_read_as_the_formula_says(name):
    for index in (0, 1):
        axis = follow(graphs()[name], index)
        check_axis(axis, tight="nearest" in name)
        step = axis.along[axis.graph.output].reads[0].map
        assert (step.length, step.outputs) == ((8, 12)[axis.index], axis.length(axis.graph.output))


def test_factors_are_kept_where_they_were_given():
    assert scale_factors(last(resized(scale_factor=(3, 2)), (1, 8, 12))) == [3, 2]
    assert scale_factors(last(resized(size=(9, 9)), (1, 8, 12))) == [None, None]
    one = network_of(lambda x: F.interpolate(x, scale_factor=2.0))
    assert scale_factors(last(one, (1, 8))) == [2.0]


def scales(options, shape, dtype=torch.float32):
    network = network_of(lambda x: F.interpolate(x.to(dtype), **options))
    op = last(network, shape)
    return [(step.scale, step.precise) for step in resizes(op, (1, *shape))]


@pytest.mark.parametrize(
    ("options", "dtype", "expected"),
    [
        ({"scale_factor": (1.25, 2.6)}, torch.float32, [1 / 1.25, 1 / 2.6]),
        ({"scale_factor": (1.01, 2.04)}, torch.float32, [1.0, 0.5]),  # the small kernel copies and doubles
        ({"scale_factor": (1.01, 2.04), "mode": "bilinear"}, torch.float32, [1.0, 1 / 2.04]),
        ({"scale_factor": (1.01, 2.04), "mode": "nearest-exact"}, torch.float32, [1 / 1.01, 1 / 2.04]),
        ({"size": (5, 30)}, torch.float32, [10 / 5, 20 / 30]),
        ({"size": (5, 1), "mode": "bilinear", "align_corners": True}, torch.float32, [9 / 4, 0.0]),
        ({"scale_factor": (10.05, 10.05)}, torch.float64, [1 / 10.05, 1 / 10.05]),
    ],
)
def test_scales_are_atens(options, dtype, expected):
    precise = dtype == torch.float64
    kind = torch.float64 if precise else torch.float32
    rounded = [float(torch.tensor(value, dtype=kind)) for value in expected]
    found = scales(options, (1, 10, 20), dtype)
    assert [scale for scale, _ in found] == pytest.approx(rounded, rel=0 if precise else 1e-7)
    assert {p for _, p in found} == {precise}


def test_the_small_kernel_computes_in_float32_always():
    assert not any(p for _, p in scales({"size": (100, 28)}, (1, 10, 20), torch.float64))
    assert all(p for _, p in scales({"size": (100, 29)}, (1, 10, 20), torch.float64))
    assert all(p for _, p in scales({"size": (50, 28), "mode": "bilinear"}, (1, 10, 20), torch.float64))


def test_a_pooled_map_becomes_rows_again():
    axis = followed(network_of(lambda x: F.interpolate(F.adaptive_avg_pool2d(x, 1), size=(8, 12))), (1, 8, 12))
    along = axis.along[axis.graph.output]
    assert (along.dim, along.reads[0].dim, along.reads[0].map.outputs) == (2, 2, 8)
    second = followed(network_of(lambda x: F.interpolate(F.adaptive_avg_pool2d(x, 1), size=(8, 12))), (1, 8, 12), 1)
    assert second.along[second.graph.output].dim == 3
    assert second.along[second.graph.output].reads[0].map.outputs == 12


def test_a_pooled_vector_of_other_dimensions_stays_whole():
    network = network_of(lambda x: F.interpolate(x.mean((2, 3))[:, None], size=9))
    axis = followed(network, (4, 8, 12))
    assert not axis.streamed(axis.graph.output)


def test_frames_are_resized_each_by_itself():
    network = network_of(lambda x: F.interpolate(x[0].transpose(0, 1), size=(4, 4)).transpose(0, 1)[None])
    axis = followed(network, (2, 5, 6, 6))
    check_axis(axis)


def test_other_dimensions_are_refused():
    with pytest.raises(Refused, match="slides over other dimensions"):
        followed(network_of(lambda x: F.interpolate(x.transpose(1, 2), size=(4, 4))), (2, 5, 6))
