"""Bytes by hand and by replay, and multiply-adds against torch's own count."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atrous.geometry.memory import Meter, macs, measure, number_bytes
from atrous.geometry.passes import passes_of
from atrous.geometry.passes import program as program_of_pass
from atrous.geometry.program import OpRun, StripStep, build, full_box, steps
from tests.geometry.programs import PLAIN, axis_of, images_of, program_of
from tests.geometry.truth import followed, graphs_of, network_of
from tests.toy_models import Lambda

NETWORKS = {
    "conv": nn.Conv2d(4, 6, (3, 5), stride=2, padding=1, groups=2),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1),
    "linear": Lambda(lambda m, x: m.f(x), f=nn.Linear(10, 7)),
    "matrices": lambda x: x @ torch.ones(10, 3),
    "pool": nn.MaxPool2d(2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_are_half_of_torchs_operations(name):
    network = NETWORKS[name] if isinstance(NETWORKS[name], nn.Module) else network_of(NETWORKS[name])
    graph = graphs_of({name: network}, (4, 8, 10))[name]
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 4, 8, 10))
    assert 2 * sum(macs(op, graph.ops) for op in graph.ops) == counter.get_total_flops()


def test_an_einsum_counts_its_sum():
    graph = graphs_of({0: lambda x: torch.einsum("nchw,wv->nchv", x, torch.ones(10, 3))}, (4, 8, 10))[0]
    assert sum(macs(op, graph.ops) for op in graph.ops) == 4 * 8 * 10 * 3


def conv_program():
    axis = followed(nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 3, 1)), (2, 8))
    return build({0: axis}, 0, {axis.graph.output: {0: (0, 8)}}, (0,))


def test_bytes_by_hand():
    """Two channels in, four between, three out, of four bytes each."""
    program = conv_program()
    first, second = (op.index for op in program.order)
    meter = Meter(program, 4)
    assert meter.row == {0: 8, first: 16, second: 12}
    assert meter.macs_per_row == {first: 2 * 4 * 3, second: 4 * 3}
    meter.take(StripStep(((0, 0, 3),), (OpRun(first, 0, 2),), ({0: 1},)))
    assert meter.held == {0: (1, 3), first: (0, 2)}
    assert meter.now == 2 * 8 + 2 * 16
    # the strip and the result, 56, then two rows of the input copied while three are dropped to two
    assert meter.peak == 2 * 8 + 2 * 16 + 2 * 8
    assert meter.macs == 2 * 24
    meter.take(StripStep(((0, 3, 6),), (), ()))
    assert meter.now == 5 * 8 + 2 * 16
    assert meter.peak == 2 * 8 + 2 * 16 + 3 * 8 + 5 * 8  # the old rows and a joined copy of all
    meter.take(StripStep((), (OpRun(second, 0, 2),), ({first: 2},)))
    assert meter.held == {0: (1, 6)}  # the output is handed on, and all rows between are dropped
    assert meter.now == 5 * 8
    assert meter.macs == 2 * 24 + 2 * 12


def test_rows_to_drop_that_were_dropped_before():
    meter = Meter(conv_program(), 4)
    meter.take(StripStep(((0, 0, 3),), (), ()))
    meter._drop(0, 2)
    meter._drop(0, 1)
    assert meter.held == {0: (2, 3)}
    assert meter.now == 8
    meter._drop(0, 3)
    assert (meter.held, meter.now) == ({}, 0)


def test_only_the_rows_of_the_block_count():
    axes = images_of("unet")
    output = axes[0].graph.output
    program = build(axes, 0, {output: {0: (0, 64), 1: (10, 22)}}, (0,))
    meter = Meter(program, 4)
    channels = axes[0].graph.ops[output].shape[1]
    assert meter.row[output] == pytest.approx(channels * 12 * 4)
    lo, hi = program.boxes[0][1]
    assert meter.row[0] == pytest.approx(2 * (hi - lo) * 4)
    conv = next(op for op in program.order if op.kind == "conv2d")
    lo, hi = program.boxes[conv.index][1]
    assert meter.macs_per_row[conv.index] == pytest.approx(2 * 4 * 9 * (hi - lo))


def test_integers_have_their_own_size():
    graph = graphs_of({0: lambda x: x.argmax(1)}, (4, 8, 10))[0]
    assert [number_bytes(op, 2) for op in graph.ops] == [2, 8]


@pytest.mark.parametrize("name", ["unet", "strided", "skip"])
@pytest.mark.parametrize("strip", [8, 12])
def test_jumping_over_equal_steps_changes_nothing(name, strip):
    program = program_of(name, 512)
    walked = Meter(program, 4)
    for step in steps(program, strip):
        walked.take(step)
    jumped = measure(program, strip, 4)
    assert (jumped.peak, round(jumped.macs)) == (walked.peak, round(walked.macs))
    computed = {op.index: program.rows(op.index) for op in program.order}
    assert walked.macs == pytest.approx(sum(walked.macs_per_row[i] * (hi - lo) for i, (lo, hi) in computed.items()))
    assert jumped.held == walked.held


def test_a_long_input_takes_no_more_steps(monkeypatch):
    taken = []
    monkeypatch.setattr(Meter, "take", lambda self, step: taken.append(step))
    measure(program_of("strided", 100_000), 16, 4)
    assert len(taken) < 40


@pytest.mark.parametrize("name", PLAIN)
def test_memory_does_not_grow_with_the_length(name):
    short, long = (measure(program_of(name, rows), 16, 4) for rows in (256, 1024))
    assert long.peak <= 1.1 * short.peak
    assert long.macs == pytest.approx(4 * short.macs, rel=0.05)


def test_a_strip_of_every_value():
    program = conv_program()
    meter = Meter(program, 4)
    assert meter.strip_bytes(2, math.inf) == 2 * (16 + 12)
    assert meter.strip_bytes(4, 60) == 4 * 12 + 60
    assert meter.strip_bytes(20, math.inf) == 8 * (16 + 12)


def test_barriers_take_float64_copies():
    axes = {0: axis_of("gated")}
    program = program_of_pass(axes, 0, passes_of(axes[0])[0], {0: (0, 128)})
    barrier = program.order[-1].index
    source = program.axis.along[barrier].reads[0].input
    meter = Meter(program, 4)
    assert meter.macs_per_row[barrier] == 0
    meter.take(StripStep((), (OpRun(barrier, 0, 10),), ({},)))
    assert meter.peak == 10 * 4 * 3 * 8
    assert meter.row[source] == 16
    assert meter.macs == 0
    assert full_box(axes, source) == {0: (0, 128)}


@pytest.mark.parametrize(
    ("network", "times"),
    [
        (nn.Conv1d(2, 4, 3), 1),
        (nn.MaxPool1d(2), 2),
        (nn.ConvTranspose1d(2, 4, 2, stride=2), 1),
        (nn.ConvTranspose1d(2, 4, 3, stride=2), 3),
        (Lambda(lambda m, x: F.interpolate(x, scale_factor=2)), 2),
        (Lambda(lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0]), 4),
        (Lambda(lambda m, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)), 4),
    ],
)
def test_temporary_tensors_count(network, times):
    axis = followed(network, (2, 16, 6) if times == 4 else (2, 16))
    output = axis.graph.output
    meter = Meter(build({0: axis}, 0, {output: full_box({0: axis}, output)}, (0,)), 4)
    meter.take(StripStep((), (OpRun(output, 0, 4),), ({},)))
    assert meter.peak == times * 4 * meter.row[output]
