"""Windows on which operators run unchanged: their sizes and their values, against the operators themselves."""

from fractions import Fraction
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.axis import strides
from atrous.geometry.lattice import Lattice, Port, lattice, outputs
from atrous.geometry.program import build, full_box
from atrous.geometry.rules import follow
from tests.geometry.programs import program_of
from tests.geometry.truth import followed, graphs_of, run_graph, run_op
from tests.toy_models import Lambda

SHAPE = (6, 24, 20)
COUNTED = {
    "conv": nn.Conv2d(6, 3, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(2, 1)),
    "same": nn.Conv2d(6, 3, 4, padding="same"),
    "valid": nn.Conv2d(6, 3, 4, padding="valid"),
    "transposed": nn.ConvTranspose2d(6, 3, 3, stride=(2, 3), padding=1, output_padding=(1, 2)),
    "wide transposed": nn.ConvTranspose2d(6, 3, 2, stride=2, dilation=3),
    "max pool": nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "mean pool": nn.AvgPool2d(3, 2, 1),
    "pad": lambda x: F.pad(x, (1, -2, 3, 1)),
    "reflect": lambda x: F.pad(x, (1, 2, 3, 1), mode="reflect"),
    "shuffle": lambda x: F.pixel_unshuffle(x, 2),
    "resize": lambda x: F.interpolate(x, scale_factor=2.0),
    "pointwise": lambda x: x.exp(),
    "channels": lambda x: x[:, 1:3],
    "crop at the end": lambda x: x[:, :, :-3],
}
UNKNOWN = {
    "resize by a ratio": lambda x: F.interpolate(x, scale_factor=(1.5, 1.5)),
    "adaptive": nn.AdaptiveAvgPool2d((5, 7)),
    "shift": lambda x: x[:, :, 2:],
    "thinned": lambda x: x[:, :, ::2],
    "part": lambda x: x.split([10, 14], 2)[0],
}


def last(graphs, name, index=0):
    """The last operator of a network, and how it reads its input along an axis."""
    axis = follow(graphs[name], index)
    return axis.graph, axis.graph.ops[axis.graph.output], axis.along[axis.graph.output].reads[0]


@cache
def graphs():
    return graphs_of(COUNTED | UNKNOWN, SHAPE)


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("index", [0, 1])
def test_outputs_are_as_many_as_torch_gives(name, index):
    graph, op, read = last(graphs(), name, index)
    tensors = run_graph(graph, torch.randn(1, *SHAPE))
    for rows in range(8, 24, 2 if "shuffle" in name else 1):
        if rows <= graph.ops[read.input].shape[read.dim]:
            short = {**tensors, read.input: tensors[read.input].narrow(read.dim, 0, rows)}
            if op.kind.startswith("upsample"):
                short_op = op.target(short[read.input], None, [2.0, 2.0])
            else:
                short_op = run_op(op, short)
            assert outputs(op, read.map, read.dim, rows) == short_op.shape[read.dim]


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_does_not_follow_from_the_rows_is_not_known(name):
    _, op, read = last(graphs(), name)
    assert outputs(op, read.map, read.dim, 12) is None


def test_elements_that_are_left_over_are_not_known():
    _, op, read = last(graphs(), "shuffle")
    assert outputs(op, read.map, read.dim, 11) is None


def test_frames_of_a_batch_are_as_many_as_before():
    def frames(m, x):
        return m.f(x[0].transpose(0, 1)).transpose(0, 1)[None]

    for layer in (
        nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(2, 3, 3),
    ):
        axis = followed(Lambda(frames, f=layer), (2, 5, 6, 6))
        op = next(op for op in axis.graph.ops if op.module == "f" and op.inputs)
        read = axis.along[op.index].reads[0]
        assert read.dim == 0
        assert outputs(op, read.map, 0, 5) == 5


def test_unpooling_counts_positions_of_the_whole_input():
    axis = followed(Lambda(lambda m, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)), (2, 8, 6))
    op = axis.graph.ops[axis.graph.output]
    assert outputs(op, axis.along[op.index].reads[0].map, 2, 4) is None


def lattice_of(network, rows):
    axis = followed(network, (2, rows))
    program = build({0: axis}, 0, {axis.graph.output: full_box({0: axis}, axis.graph.output)}, (0,))
    return program, lattice(program.order, (0,), program, strides(axis))


CASES = {
    "same size": (nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 3, 5, padding=2)), 64),
    "strided": (nn.Sequential(nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.MaxPool1d(3, 3), nn.Conv1d(4, 3, 3)), 72),
    "down and up": (nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(2, 4, 3), nn.ConvTranspose1d(4, 3, 2, stride=2)), 64),
    "unpadded": (nn.Sequential(nn.Conv1d(2, 4, 3), nn.Conv1d(4, 3, 2, stride=2)), 65),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("window", [(2, 9), (3, 11)])
def test_operators_on_a_window_give_the_rows_of_the_span(name, window):
    """Run unchanged on the rows that enter a window, every operator has as many rows as its span, and the right values
    away from the ends."""
    network, rows = CASES[name]
    program, grid = lattice_of(network, rows)
    assert grid is not None
    graph = program.graph
    x = torch.randn(1, 2, rows, generator=torch.Generator().manual_seed(0))
    whole = run_graph(graph, x)
    (port,) = grid.ports
    lo, hi = grid.entering(port, window)
    assert 0 <= lo < hi <= rows
    tensors = {0: x[..., lo:hi]}
    for op in graph.ops[1:]:
        if op.kind == "constant":
            tensors[op.index] = op.tensor
            continue
        padded = grid.padded(op.index)  # else its port gives it neighbouring rows in the place of padding
        value = run_op(op, tensors) if padded else run_unpadded(op, tensors)
        assert value.shape[-1] == grid.span(op.index, window)[1] - grid.span(op.index, window)[0]
        tensors[op.index] = value
    output = graph.output
    begin, end = grid.span(output, window)
    right = whole[output][..., begin:end]
    middle = right.shape[-1] // 2
    torch.testing.assert_close(tensors[output][..., middle], right[..., middle], atol=1e-5, rtol=1e-5)


def run_unpadded(op, tensors):
    weight, bias = tensors[op.inputs[1]], tensors[op.inputs[2]]
    return F.conv1d(tensors[op.inputs[0]], weight, bias, op.arguments["stride"], 0, op.arguments["dilation"])


def test_units_and_extras_by_hand():
    _, grid = lattice_of(CASES["strided"][0], 72)
    assert grid is not None
    conv, pool, head = sorted(v for v in grid.rows if v)
    assert grid.rows == {0: 6, conv: 3, pool: 1, head: 1}
    assert grid.extra == {0: 0, conv: 0, pool: 0, head: -2}
    assert grid.units == 12
    assert grid.flush
    assert grid.ports == (Port(0, 1, 0),)
    assert grid.port == {(conv, 0): Port(0, 1, 0)}
    assert [grid.padded(v) for v in (conv, pool, head)] == [False, True, True]
    assert grid.entering(grid.ports[0], (2, 4)) == (11, 24)
    assert grid.span(head, (2, 4)) == (2, 2)


def test_a_length_that_is_no_multiple_is_not_flush():
    _, grid = lattice_of(CASES["strided"][0], 75)
    assert grid is not None
    assert (grid.units, grid.flush) == (12, False)


@pytest.mark.parametrize("before", range(0, 14, 3))
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_window_around_rows_is_the_smallest(before, count):
    grid = Lattice({0: 2, 1: 2, 2: 1}, {0: 0, 1: 0, 2: -2}, 20, True, (Port(0, 1, 1), Port(1)), {})
    rows = {0: (before - 1, before + count + 40), 1: (before, before + count), 2: (before // 2, before // 2 + count)}

    def holds(a, b):
        spans = {v: grid.span(v, (a, b)) for v in (1, 2)}  # value 0 is only read with neighbouring rows
        return all(spans[v][0] <= rows[v][0] and rows[v][1] <= spans[v][1] for v in spans)

    a, b = grid.around(rows)
    assert holds(a, b)
    assert not holds(a + 1, b)
    assert not holds(a, b - 1)


@pytest.mark.parametrize("port", [Port(0, 1, 0), Port(0, 0, 1)])
def test_neighbouring_rows_on_one_side_are_enough(port):
    grid = Lattice({0: 2, 1: 2}, {0: 0, 1: 0}, 20, True, (port,), {})
    assert grid.around({0: (0, 40), 1: (5, 9)}) == (2, 5)


def test_a_value_that_is_also_read_plainly_counts():
    grid = Lattice({0: 2}, {0: 0}, 20, True, (Port(0, 1, 1), Port(0)), {})
    assert grid.around({0: (3, 9)}) == (1, 5)


@pytest.mark.parametrize(
    "network",
    [
        nn.AdaptiveAvgPool1d(13),
        Lambda(lambda m, x: F.interpolate(x, scale_factor=1.5)),
        Lambda(lambda m, x: x[:, :, 3:]),
    ],
)
def test_what_does_not_keep_in_step_has_no_lattice(network):
    assert lattice_of(network, 64)[1] is None


def test_inputs_must_end_at_the_same_place():
    """An unpadded convolution ends two rows before the skip that is cropped to fit."""
    network = Lambda(lambda m, x: m.a(x.exp()) + x.exp()[:, :, :62], a=nn.Conv1d(2, 2, 3))
    program, grid = lattice_of(network, 64)
    assert grid is None
    assert program.axis.length(program.graph.output) == 62


def test_a_slice_ends_where_it_ends():
    program, grid = lattice_of(Lambda(lambda m, x: F.conv1d(x, torch.ones(1, 2, 1))[:, :, :60]), 64)
    assert grid is not None
    assert grid.units == 60
    assert not grid.flush
    output = program.graph.output
    assert grid.span(output, (0, 60)) == (0, 60)


def test_without_inputs_or_strides_there_is_none():
    program = program_of("strided")
    stride = strides(program.axis)
    assert lattice(program.order, (), program, stride) is None
    assert lattice(program.order, (0,), program, {0: Fraction(1)}) is None


def test_an_input_shorter_than_a_unit_has_none():
    network = nn.Sequential(nn.MaxPool1d(8), nn.ConvTranspose1d(2, 2, 8, stride=8))
    assert lattice_of(network, 9)[1] is not None
    long = nn.Sequential(nn.Conv1d(2, 2, 3, stride=16, padding=1))
    assert lattice_of(long, 15)[1] is None
