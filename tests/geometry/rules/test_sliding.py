"""Convolutions and pools read just the rows that their windows say, or are refused by name."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.axis import Refused
from atrous.geometry.graph import Op, export_graph
from atrous.geometry.maps import IDENTITY, Bins, Everything, Sliding, Transposed
from atrous.geometry.rules import follow
from atrous.geometry.rules.sliding import dimensions, each, window
from tests.geometry.truth import check_axis, followed, graphs_of, network_of
from tests.toy_models import Lambda

STREAMED = {
    "conv": nn.Conv2d(2, 3, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(2, 1)),
    "depthwise conv": nn.Conv2d(2, 2, 3, groups=2),
    "same": nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2)),
    "valid": nn.Conv2d(2, 3, (4, 3), padding="valid"),
    "one number for all": nn.Conv2d(2, 3, 3, stride=3, padding=1, dilation=1),
    "transposed": nn.ConvTranspose2d(2, 3, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 1)),
    "dilated transposed": nn.ConvTranspose2d(2, 3, (3, 2), stride=(1, 2), dilation=(2, 3)),
    "max pool": nn.MaxPool2d((3, 2), (2, 3), (1, 0), ceil_mode=True),
    "dilated max pool": nn.MaxPool2d(3, 1, 1, dilation=2),
    "pool without a stride": nn.AvgPool2d((3, 2)),
    "mean pool": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    "adaptive bins": nn.AdaptiveAvgPool2d((5, 7)),
    "adaptive max": nn.AdaptiveMaxPool2d((5, 12)),
    "adaptive that changes nothing": nn.AdaptiveAvgPool2d((16, 12)),
}


@cache
def graphs():
    return graphs_of(STREAMED | WHOLE | REFUSED, (2, 16, 12))


@pytest.mark.parametrize("name", STREAMED)
def test_rows_are_read_as_the_window_says(name):
    for index in (0, 1):
        axis = follow(graphs()[name], index)
        assert axis.streamed(axis.graph.output)
        assert axis.passes == 1
        check_axis(axis)


def test_unpooling_puts_each_value_back_into_its_window():
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    axis = followed(Lambda(lambda m, x: m.unpool(*m.pool(x)), pool=pool, unpool=unpool), (2, 16, 12))
    assert {read.map for read in axis.along[axis.graph.output].reads} == {Transposed(2, 2, 1, 0)}
    check_axis(axis)


def frames(x):  # (1, C, T, H, W) -> (T, C, H, W)
    return x[0].transpose(0, 1)


FRAMES = {
    "conv": nn.Conv2d(2, 3, 3, padding=1),
    "transposed": nn.ConvTranspose2d(2, 3, 2, stride=2, output_padding=1),
    "pool": nn.MaxPool2d(2),
    "adaptive": nn.AdaptiveAvgPool2d(2),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_a_batch_are_computed_each_by_itself(name):
    axis = followed(Lambda(lambda m, x: m.f(frames(x)).transpose(0, 1)[None], f=FRAMES[name]), (2, 5, 6, 6))
    assert axis.along[[op.module for op in axis.graph.ops].index("f")].reads[0].map == IDENTITY
    check_axis(axis)


WHOLE = {
    "adaptive": nn.AdaptiveAvgPool2d(1),
    "adaptive max": nn.AdaptiveMaxPool2d(1),
    "mean pool": nn.AvgPool2d((16, 12)),
    "max pool": nn.MaxPool2d((16, 12)),
}
WHOLE = {f"whole {name}": network for name, network in WHOLE.items()}


@pytest.mark.parametrize("name", WHOLE)
def test_pools_over_the_whole_input_are_barriers(name):
    axis = follow(graphs()[name], 0)
    assert [op.index for op in axis.barriers] == [axis.graph.output]
    assert axis.along[axis.graph.output].reads[0].map == Everything(16)
    assert axis.passes == 1


def test_wide_bins_are_barriers():
    axis = followed(nn.AdaptiveAvgPool2d((2, 2)), (2, 17, 12))
    assert axis.along[axis.graph.output].reads[0].map == Everything(17)


def test_bins_of_up_to_eight_rows_stream():
    assert followed(nn.AdaptiveAvgPool2d((2, 2)), (2, 16, 12)).along[-1].reads[0].map == Bins(16, 2)
    assert followed(nn.AdaptiveAvgPool2d((1, 2)), (2, 4, 12)).barriers  # one bin holds everything


def test_a_pool_of_one_row_is_no_barrier():
    axis = followed(nn.AvgPool2d((1, 12)), (2, 1, 12))
    assert not axis.barriers
    assert followed(nn.AvgPool2d((16, 11)), (2, 16, 12)).barriers == []  # not over all columns
    assert followed(nn.AvgPool2d((16, 12), padding=(0, 1)), (2, 16, 12)).barriers == []


def dynamic(x):
    return F.conv2d(x, x.mean(1, keepdim=True)[:, :, :3, :3].expand(2, 2, 3, 3))


def unpooled_elsewhere(x):
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(values, indices + 0, 2)


def unpooled_larger(x):
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(values, indices, 2, output_size=(17, 12))


def unpooled_overlapping(x):
    values, indices = F.max_pool2d(x, 2, 1, return_indices=True)
    return F.max_unpool2d(values, indices, 2, 1)


REFUSED = {
    "its weights depend on the position": dynamic,
    "its weights depend on the position of a transposed": lambda x: F.conv_transpose2d(
        x, x[:, :, :2, :2].expand(2, 2, 2, 2)
    ),
    "its indices do not come straight from a max pool": unpooled_elsewhere,
    "its indices count positions in": unpooled_larger,
    "its pool's windows overlap": unpooled_overlapping,
    "indices of a pool over the whole extent": lambda x: F.adaptive_max_pool2d(x, 1, return_indices=True)[1],
    "indices of a pool over the whole extent by its window": lambda x: F.max_pool2d(x, (16, 12), return_indices=True)[
        0
    ],
    "slides over other dimensions": lambda x: F.conv1d(x[0], torch.ones(1, 16, 1)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_slide_is_refused(reason):
    with pytest.raises(Refused, match=reason.removesuffix(" of a transposed").removesuffix(" by its window")):
        follow(graphs()[reason], 0)


def test_windows_are_read_from_the_arguments():
    def last(network, shape):
        graph = export_graph(network, shape)
        weight = graph.ops[graph.output].arguments.get("weight")
        return window(graph.ops[graph.output], None if weight is None else graph.ops[weight.index].shape)

    conv = nn.Conv2d(2, 3, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(2, 3))
    assert last(conv, (2, 32, 32)) == [Sliding(3, 2, 2, 1), Sliding(5, 1, 3, 2)]
    same = nn.Conv1d(1, 1, 4, dilation=3, padding="same")
    assert last(same, (1, 32)) == [Sliding(4, 1, 3, 4)]
    assert last(nn.MaxPool1d(3, 2, 1, dilation=2), (1, 32)) == [Sliding(3, 2, 2, 1)]
    assert last(nn.AvgPool1d(3), (1, 32)) == [Sliding(3, 3, 1, 0)]


def test_arguments_are_numbers_or_lists():
    assert each(3, 2) == (3, 3)
    assert each([3], 2) == (3, 3)
    assert each([3, 4], 2) == (3, 4)
    assert each([], 2) == (0, 0)
    assert each(None, 2, 1) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("conv1d", 1),
        ("conv_transpose3d", 3),
        ("max_pool2d_with_indices", 2),
        ("adaptive_avg_pool1d", 1),
        ("max_unpool2d", 2),
    ],
)
def test_dimensions_are_read_from_the_name(kind, count):
    assert dimensions(Op(0, kind, "", (), torch.float32)) == count


def test_a_value_without_rows_is_computed_whole():
    axis = followed(network_of(lambda x: F.avg_pool2d(x.mean((2, 3), keepdim=True), 1)), (2, 16, 12))
    assert not axis.streamed(axis.graph.output)
