"""Views, pads, slices and the like read just the rows that their maps say, or are refused by name."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atrous.geometry.axis import Refused
from atrous.geometry.maps import Everything, Regrouped, Sliding
from atrous.geometry.rules import follow
from atrous.geometry.rules.rearrange import pad_map, pad_mode, pad_pairs, view_group
from tests.geometry.test_maps import SMALL
from tests.geometry.truth import check_axis, followed, graphs_of, network_of

SHAPE = (6, 8, 10)

STREAMED = {
    "constant pad": lambda x: F.pad(x, (1, 2, 3, 0), value=0.5),
    "crop": lambda x: F.pad(x, (-1, -2, -3, 0)),
    "reflect pad": lambda x: F.pad(x, (2, 1, 3, 2), mode="reflect"),
    "replicate pad": lambda x: F.pad(x, (2, 1, 3, 2), mode="replicate"),
    "cropping reflect pad": lambda x: F.pad(x, (-2, -1, -3, -2), mode="reflect"),
    "permute": lambda x: (x.permute(0, 2, 3, 1) * 2).permute(0, 3, 1, 2),
    "transpose": lambda x: (x.transpose(1, 3) * 2).transpose(-1, -3),
    "transpose back to front": lambda x: (x.transpose(2, 3) * 2).transpose(2, 3),
    "unsqueeze": lambda x: x.unsqueeze(2).mean(2),
    "unsqueeze behind": lambda x: x.unsqueeze(4).mean(4),
    "unsqueeze at the axis": lambda x: x.unsqueeze(3).amax(3),
    "squeeze": lambda x: x.squeeze(0).unsqueeze(0),
    "squeeze some": lambda x: x.unsqueeze(-1).squeeze((0, 4)).unsqueeze(0),
    "squeeze all": lambda x: x.squeeze().unsqueeze(0),
    "view of channels": lambda x: x.view(1, 2, 3, 8, 10).flatten(1, 2),
    "pooled vector": lambda x: x + x.mean((2, 3), keepdim=True).expand_as(x),
    "expand channels": lambda x: x.mean(1, keepdim=True).expand(1, 6, 8, 10),
    "expand with a new dimension": lambda x: x.expand(2, 1, 6, 8, 10)[1],
    "slice": lambda x: x[:, :, 1:7:2, 2:],
    "slice from the end": lambda x: x[:, :, -5:-1, :-3],
    "slice of channels": lambda x: x[:, 1:3],
    "select": lambda x: x[:, 2].unsqueeze(1),
    "select before": lambda x: x[0].unsqueeze(0),
    "chunks of the axes": lambda x: x.chunk(2, 2)[1][:, :, :, :5] + x.chunk(2, 3)[1][:, :, :4],
    "parts of the axes": lambda x: x.split([3, 5], 2)[1],
    "parts of channels": lambda x: x.split([2, 4], 1)[1],
    "unbind": lambda x: x.unbind(1)[3].unsqueeze(1),
    "cat of channels": lambda x: torch.cat([x, x * 2], 1),
    "cat along the rows": lambda x: torch.cat([x, x * 2, x[:, :, 3:] * 3], 2),
    "stack": lambda x: torch.stack([x, x * 2], 1).sum(1),
    "stack at the axis": lambda x: torch.stack([x, x * 2], 2).sum(2),
    "stack after the axis": lambda x: torch.stack([x, x * 2], 3).sum(3),
    "stack behind": lambda x: torch.stack([x, x * 2], -1).sum(-1),
    "pixel shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(torch.cat([x, x], 1), 2), 2),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "repeat with a new dimension": lambda x: x.repeat(2, 1, 1, 1, 1).sum(0),
    "repeat of a pooled vector": lambda x: x * x.mean((2, 3), keepdim=True).repeat(1, 1, 8, 10),
    "index select": lambda x: x.index_select(1, torch.tensor([3, 1])),
    "index": lambda x: x[:, [2, 0, 1]],
    "slice scatter": lambda x: torch.slice_scatter(x, x[:, :2] * 2, 1, 2, 4),
    "select scatter": lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, 3),
    "repeat interleave": lambda x: x.repeat_interleave(3, 2),
    "repeat interleave of channels": lambda x: x.repeat_interleave(3, 1),
    "flip of channels": lambda x: x.flip(1),
    "roll of channels": lambda x: x.roll(2, 1),
}

REFUSED = {
    "picks one position of the axis": lambda x: x[:, :, 3].unsqueeze(2) + x,
    "is picked by unbind": lambda x: x.unbind(2)[0].unsqueeze(2) + x,
    "mixes positions with other dimensions": lambda x: x.reshape(1, 48, 10).reshape(1, 6, 8, 10),
    "concatenates a value with itself along the axis": lambda x: torch.cat([x, x], 2),
    "shuffles other dimensions than the grid's": lambda x: F.pixel_shuffle(x.transpose(1, 2), 1).transpose(1, 2),
    "repeats the axis": lambda x: x.repeat(1, 1, 2, 1),
    "picks positions of the axis": lambda x: x.index_select(2, torch.tensor([3, 1])),
    "picks by several lists of numbers, or along the axis": lambda x: x[:, :, [2, 0, 1]],
    "writes into a part of the axis": lambda x: torch.slice_scatter(x, x[:, :, :2] * 2, 2, 2, 4),
    "repeats a number of times that the data decide": lambda x: x.repeat_interleave(torch.arange(6), 1, output_size=15),
    "turns the axis around": lambda x: x.flip(2),
    "stacks values that have the axis in different dimensions": lambda x: torch.stack(
        [x[:, :, :, :8], x[:, :, :, :8].transpose(2, 3)], 1
    ).sum(1),
}


@cache
def streamed_graphs():
    return graphs_of(STREAMED, SHAPE)


@cache
def refused_graphs():
    return graphs_of(REFUSED, SHAPE)


@pytest.mark.parametrize("name", STREAMED)
def test_rows_are_read_as_the_map_says(name):
    for index in (0, 1):
        axis = follow(streamed_graphs()[name], index)
        assert axis.streamed(axis.graph.output)
        check_axis(axis)


def test_flattened_positions_are_followed_along_the_first_axis():
    network = network_of(lambda x: (x.flatten(2) * 2).view(1, 6, 8, 10))
    axis = followed(network, SHAPE)
    assert {read.map for along in axis.along for read in along.reads} >= {Regrouped(10, 1), Regrouped(1, 10)}
    check_axis(axis)
    with pytest.raises(Refused, match="mixes positions with other dimensions"):
        followed(network, SHAPE, 1)


@pytest.mark.parametrize("reason", REFUSED)
def test_what_moves_rows_otherwise_is_refused(reason):
    expected = "picks one position" if "unbind" in reason else reason
    with pytest.raises(Refused, match=expected):
        follow(refused_graphs()[reason], 0)


def test_an_axis_of_one_row_cannot_be_removed():
    with pytest.raises(Refused, match="removes the axis"):
        followed(network_of(lambda x: x.squeeze(2).unsqueeze(2)), (6, 1, 10))


def test_a_circular_pad_waits_for_all_rows():
    axis = followed(network_of(lambda x: torch.ops.aten.pad(x, (0, 0, 2, 1), "circular")), SHAPE)
    if axis.graph.ops[-1].kind == "pad":
        assert axis.along[-1].reads[0].map == Everything(8)
    assert axis.waits or all(op.kind != "pad" for op in axis.graph.ops)


def test_pads_are_counted_from_the_last_dimension():
    graph = followed(network_of(lambda x: F.pad(x, (1, 2, 3, 4), mode="reflect")), SHAPE).graph
    op = graph.ops[graph.output]
    assert pad_pairs(op) == {3: (1, 2), 2: (3, 4)}
    assert pad_mode(op) == "reflect"
    constant = followed(network_of(lambda x: F.pad(x, (1, 2))), SHAPE).graph
    assert pad_mode(constant.ops[constant.output]) == "constant"


@pytest.mark.parametrize(("before", "after"), [(0, 0), (-1, -2), (0, -3), (-2, 0)])
def test_crops_only_shift_in_every_mode(before, after):
    assert pad_map("reflect", before, after, 9) == Sliding(padding=before)


def test_an_expanded_axis_reads_its_only_row():
    axis = followed(network_of(lambda x: x.expand(1, 6, 8, 10)), (6, 1, 10))
    assert axis.along[-1].reads[0].map == Everything(1)
    assert axis.length(axis.graph.output) == 8


def test_a_whole_value_that_is_not_spread_stays_whole():
    for function in (lambda x: x.mean((2, 3), keepdim=True).expand(3, 6, 1, 1), lambda x: x.mean((2, 3)).repeat(2, 2)):
        axis = followed(network_of(function), SHAPE)
        assert not axis.streamed(axis.graph.output)


@SMALL
@given(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=2, max_size=4), st.data())
def test_views_move_elements_as_they_say(before, data):
    """Against the indices of the elements: row `r` after the view holds just the elements that the map says."""
    total = int(torch.tensor(before).prod())
    divisors = [d for d in range(1, total + 1) if total % d == 0]
    first = data.draw(st.sampled_from(divisors))
    second = data.draw(st.sampled_from([d for d in divisors if (total // first) % d == 0]))
    after = [first, second, total // first // second]
    dim = data.draw(st.integers(0, len(before) - 1))
    group = view_group(before, after, dim)
    if before[dim] == 1 or group is None:
        return
    new_dim, inner, outer = group
    row_of = torch.arange(before[dim]).reshape([-1 if d == dim else 1 for d in range(len(before))]).expand(before)
    viewed = row_of.reshape(after).movedim(new_dim, 0).flatten(1)
    step = Regrouped(inner, outer)
    for o, rows in enumerate(viewed.tolist()):
        assert set(rows) == set(range(step.first(o), step.last(o)))


@pytest.mark.parametrize(
    ("before", "after", "dim", "expected"),
    [
        ((1, 6, 8, 5), (1, 2, 3, 8, 5), 2, (3, 1, 1)),
        ((1, 6, 8, 5), (1, 6, 40), 2, (2, 5, 1)),
        ((1, 6, 8, 5), (1, 6, 40), 3, None),
        ((1, 6, 40), (1, 6, 8, 5), 2, (2, 1, 5)),
        ((1, 6, 8), (1, 6, 1, 8), 2, (3, 1, 1)),
        ((1, 6, 8), (48,), 2, None),
        ((1, 6, 8, 4), (1, 6, 4, 2, 4), 2, (2, 1, 2)),
        ((1, 6, 1, 4), (1, 6, 4), 2, (2, 4, 1)),
    ],
)
def test_view_group(before, after, dim, expected):
    assert view_group(before, after, dim) == expected
