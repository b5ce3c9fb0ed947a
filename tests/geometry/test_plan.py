"""Plans keep to their limits, take the fewest blocks and the widest strips, and predict what the steps take."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.geometry import plan as plan_module
from atrous.geometry.axis import Refused, period
from atrous.geometry.graph import Graph
from atrous.geometry.memory import macs, measure
from atrous.geometry.passes import passes_of, program
from atrous.geometry.plan import Cost, Limits, byte_count, choose_axis, cost, follow_axes, make_plan, whole_peak
from atrous.geometry.program import full_box
from atrous.geometry.segments import INSIDE
from tests.geometry.programs import axis_of, images_of
from tests.geometry.truth import graphs_of


def planned(name="unet", stream=0, **options):
    axes = images_of(name)
    graph = axes[0].graph
    return make_plan(graph, axes, stream, full_box(axes, graph.output), **options)


def weights(graph, copies):
    return graph.parameters * 4 * copies


def test_without_limits_one_strip_holds_a_small_input():
    plan = planned()
    graph = images_of("unet")[0].graph
    assert (plan.axis, plan.strip, plan.blocks, plan.block_axis) == (0, 64, 1, None)
    assert plan.reason == "about 768 MiB of rows at most"
    assert (plan.shape, plan.output_shape, plan.network) == ((2, 64, 48), (3, 64, 48), "Lambda")
    assert (plan.strategy, plan.spool, plan.window) == ("strips", False, None)
    assert plan.macs == pytest.approx(plan.macs_whole)
    assert plan.macs_whole == sum(macs(op, graph.ops) for op in graph.ops)
    assert plan.whole_bytes == int(whole_peak(graph, 4) + weights(graph, 2))
    assert len(plan.passes) == 1


@pytest.mark.parametrize("stream", [0, 1])
def test_the_prediction_is_that_of_the_steps(stream):
    axes = images_of("unet")
    graph = axes[0].graph
    plan = planned(stream=stream, limits=Limits(strip=8))
    meter = measure(program({stream: axes[stream]}, stream, plan.passes[0], full_box(axes, graph.output)), 8, 4)
    strips = 2 * 8 / graph.shape[1 + stream] * 4 * (graph.ops[0].numel + graph.ops[graph.output].numel)
    assert plan.peak_bytes == int(1.7 * meter.peak + strips + weights(graph, 3))
    assert plan.macs == meter.macs
    assert (plan.strip, plan.axis) == (8, stream)


def test_memory_limits_are_kept_to_with_the_widest_strip_and_the_fewest_blocks():
    tight = planned(limits=Limits(strip=4))
    everything = planned()
    for part in (0.2, 0.5, 0.8):
        memory = tight.peak_bytes + part * (everything.peak_bytes - tight.peak_bytes)
        plan = planned(limits=Limits(memory=memory))
        assert plan.peak_bytes <= memory
        assert plan.reason == "within the memory limit"
        assert plan.strip % 4 == 0
        assert plan.blocks == 1
        if plan.strip < 64:  # twice as wide was too much
            assert planned(limits=Limits(strip=min(64, 2 * plan.strip))).peak_bytes > memory
    blocks = planned(limits=Limits(memory=tight.peak_bytes - 1000))
    assert blocks.blocks == 2
    assert blocks.block_axis == 1
    assert blocks.peak_bytes <= tight.peak_bytes - 1000


def test_too_little_memory_is_refused_with_what_it_takes():
    with pytest.raises(UserError, match=r"Lambda at \(2, 64, 48\) needs 0 MiB at least, more than memory=0 MiB"):
        planned(limits=Limits(memory=10.0))
    assert planned(limits=Limits(memory=10.0, strip=8)).reason == "strip and blocks as asked"


def test_strip_and_blocks_as_asked(monkeypatch):
    plan = planned(limits=Limits(strip=12, blocks=3))
    assert (plan.strip, plan.blocks, plan.block_axis) == (12, 3, 1)
    axes = images_of("unet")
    graph, box = axes[0].graph, full_box(axes, axes[0].graph.output)
    meters = [measure(program(axes, 0, plan.passes[0], box, 1, b, 3), 12, 4) for b in range(3)]
    ends = 2 * 12 / 64 / 3 * 4 * (graph.ops[0].numel + graph.ops[graph.output].numel)
    assert plan.peak_bytes == int(1.7 * max(meter.peak for meter in meters) + ends + weights(graph, 3))
    assert planned(limits=Limits(blocks=48)).blocks == 48
    assert planned(limits=Limits(blocks=1)).block_axis is None
    with pytest.raises(UserError, match=r"blocks=49: Lambda at .* has no second axis to cut into so many blocks"):
        planned(limits=Limits(blocks=49))
    monkeypatch.setattr(plan_module, "COMFORT", 10)
    assert planned(limits=Limits(blocks=2)).reason == "strip and blocks as asked"
    assert planned().reason == "the least memory that cutting reaches"


def test_one_axis_has_no_blocks():
    axis = axis_of("unet")
    with pytest.raises(UserError, match="blocks=2"):
        make_plan(axis.graph, {0: axis}, 0, full_box({0: axis}, axis.graph.output), limits=Limits(blocks=2))
    plan = make_plan(axis.graph, {0: axis}, 0, full_box({0: axis}, axis.graph.output), limits=Limits(blocks=1))
    assert (plan.blocks, plan.block_axis, plan.strip) == (1, None, 128)


def test_a_wide_row_makes_a_short_strip(monkeypatch):
    monkeypatch.setattr(plan_module, "POSITIONS", 20 * 48)
    assert planned().strip == 20
    monkeypatch.setattr(plan_module, "POSITIONS", 20 * 48 - 1)
    assert planned().strip == 16
    monkeypatch.setattr(plan_module, "POSITIONS", 1)
    assert planned().strip == period(images_of("unet")[0]) == 4
    monkeypatch.setattr(plan_module, "POSITIONS", 64 * 48 // 2)
    assert planned(limits=Limits(blocks=2)).strip == 64  # blocks make rows narrower


def test_compiled_plans_take_eight_steps_and_one_more_copy_of_the_weights(monkeypatch):
    plan = planned(compiled=True)
    graph = images_of("unet")[0].graph
    assert plan.strip == 64 // 8
    axes = images_of("unet")
    meter = measure(program({0: axes[0]}, 0, plan.passes[0], full_box(axes, graph.output)), 8, 4)
    rows = 1.7 * meter.peak + 0.85 * meter.strip_bytes(8, INSIDE)
    ends = 2 * 8 / 64 * 4 * (graph.ops[0].numel + graph.ops[graph.output].numel)
    assert plan.peak_bytes == int(rows + ends + weights(graph, 3))
    monkeypatch.setattr(plan_module, "STEPS", 2)
    monkeypatch.setattr(plan_module, "COMPILED", 4 * 48 * 24)
    assert planned(compiled=True).strip == 24
    monkeypatch.setattr(plan_module, "STEPS", 100)
    assert planned(compiled=True).strip == 4


def test_compiled_strips_shrink_by_an_eighth(monkeypatch):
    monkeypatch.setattr(plan_module, "STEPS", 1)
    wide = planned(compiled=True)
    assert wide.strip == 64
    narrower = planned(compiled=True, limits=Limits(memory=wide.peak_bytes - 1))
    assert narrower.strip == 56
    assert planned(limits=Limits(memory=planned().peak_bytes - 1)).strip == 32


def test_the_type_of_the_run_is_counted():
    graph = images_of("unet")[0].graph
    half, full = planned(dtype=torch.float16), planned(dtype=torch.float64)
    assert half.whole_bytes == int(whole_peak(graph, 2) + graph.parameters * (4 + 2))
    assert full.whole_bytes == int(whole_peak(graph, 8) + graph.parameters * (4 + 8))


def test_spooling_is_in_the_plan():
    plan = planned("gates", spool=True)
    assert plan.spool
    assert any(each.spooled for each in plan.passes)
    assert not any(each.spooled for each in planned("gates").passes)


@pytest.mark.parametrize(("blocks", "block_axis"), [(1, None), (4, 1), (5, 1)])
def test_costs_are_those_of_all_blocks_and_passes(blocks, block_axis):
    axes = images_of("gates")
    region = full_box(axes, axes[0].graph.output)
    passes = passes_of(axes[0])
    total = cost(axes, 0, passes, region, block_axis, blocks, 8, 4)
    used = {0: axes[0]} if block_axis is None else axes
    meters = [
        measure(program(used, 0, each, region, block_axis, b, blocks), 8, 4) for each in passes for b in range(blocks)
    ]
    assert total.peak == pytest.approx(max(meter.peak for meter in meters), rel=0.02)
    assert total.macs == pytest.approx(sum(meter.macs for meter in meters), rel=0.02)
    assert total.strip == pytest.approx(max(meter.strip_bytes(8, INSIDE) for meter in meters), rel=0.02)


def test_a_region_needs_less():
    axes = images_of("unet")
    passes = passes_of(axes[0])
    region = {0: (0, 64), 1: (20, 24)}
    part = cost(axes, 0, passes, region, None, 1, 8, 4)
    whole = cost(axes, 0, passes, full_box(axes, axes[0].graph.output), None, 1, 8, 4)
    assert part.macs < 0.7 * whole.macs
    assert part.peak < 0.8 * whole.peak


def test_held_bytes():
    assert Cost(100, 0, 10).held(False) == pytest.approx(170)
    assert Cost(100, 0, 10).held(True) == pytest.approx(178.5)


def halved_and_doubled(x):
    y = x[:, :, ::2] * 2
    return y + y.exp()


def test_the_whole_peak_by_hand():
    """Input 2 x 64, sliced to 32 rows, an exponential, and their sum: the last three live at once."""
    graph = graphs_of({0: halved_and_doubled}, (2, 64, 1))[0]
    assert [op.numel for op in graph.ops if op.kind in ("input", "mul", "exp", "add")] == [128, 64, 64, 64]
    assert whole_peak(graph, 4) == max(128 + 64, 3 * 64) * 4
    constants = graphs_of({0: nn.Conv2d(2, 4, 1)}, (2, 64, 1))[0]
    assert whole_peak(constants, 4) == (128 + 256) * 4
    integers = graphs_of({0: lambda x: x.argmax(1)}, (2, 64, 1))[0]
    assert whole_peak(integers, 2) == 128 * 2 + 64 * 8


def fake(shape, waits=(), passes=()):
    """Axes that only say what `choose_axis` asks for."""
    graph = replace(axis_of("unet").graph, ops=(replace(axis_of("unet").graph.ops[0], shape=(1, 2, *shape)),))
    axes = {}
    for g in range(len(shape)):
        axes[g] = type("Axis", (), {"waits": [0] * dict(waits).get(g, 0), "passes": dict(passes).get(g, 1)})()
    return graph, axes


@pytest.mark.parametrize(
    ("shape", "waits", "passes", "expected"),
    [
        ((64, 64), (), (), 0),
        ((64, 90), (), (), 0),
        ((64, 96), (), (), 0),
        ((64, 97), (), (), 1),
        ((64, 1000), ((1, 1),), (), 0),
        ((1000, 64), ((0, 1),), (), 1),
        ((1000, 64), (), ((0, 2),), 1),
        ((1000, 64), ((1, 1),), ((0, 9),), 0),
        ((4, 90, 90), (), (), 1),
    ],
)
def test_the_best_axis_is_chosen(shape, waits, passes, expected):
    graph, axes = fake(shape, waits, passes)
    assert choose_axis(graph, axes, {}, None) == expected


def test_the_wanted_axis_is_chosen_or_refused():
    axes = images_of("unet")
    graph: Graph = axes[0].graph
    assert choose_axis(graph, axes, {}, 1) == choose_axis(graph, axes, {}, -1) == 1
    assert choose_axis(graph, axes, {}, -2) == 0
    for wanted in (2, -3):
        with pytest.raises(UserError, match=f"axis={wanted}: the input has 2 spatial axes, 0 to 1"):
            choose_axis(graph, axes, {}, wanted)
    reason, other = Refused(graph.ops[0], "no"), Refused(graph.ops[1], "never")
    with pytest.raises(Refused, match="no"):
        choose_axis(graph, {0: axes[0]}, {1: reason}, 1)
    with pytest.raises(Refused, match="never"):
        choose_axis(graph, {}, {1: reason, 0: other}, None)


def test_axes_are_followed_or_refused():
    axes, refused = follow_axes(graphs_of({0: lambda x: x.softmax(2)}, (2, 8, 6))[0])
    assert list(axes) == [1]
    assert list(refused) == [0]
    assert "softmax" in str(refused[0])


def test_the_text():
    plan = replace(
        planned(), strip=1, macs=2.5e9, macs_whole=2e9, peak_bytes=3 * 2**20, whole_bytes=5 * 2**20, reason="why"
    )
    assert plan.text().splitlines() == [
        "Lambda: 2 x 64 x 48 -> 3 x 64 x 48",
        "  streams axis 0 in strips of 1 row (why)",
        "  passes 1, multiply-adds 2.5 G (1.250 of the whole image's)",
        "  peak memory 3 MiB (whole image 5 MiB)",
    ]
    assert "in strips of 8 rows, axis 1 in 3 blocks (why)" in replace(plan, strip=8, blocks=3, block_axis=1).text()
    assert "windows of 16 x 32, 7 of them (why)" in replace(plan, strategy="windows", window=(16, 32), blocks=7).text()
    assert "0.000 of" in replace(plan, macs=0.0, macs_whole=0.0).text()


@pytest.mark.parametrize(
    ("text", "count"),
    [("1GB", 1e9), ("512 MiB", 2**29), ("1.5 kib", 1536), ("7", 7), ("2b", 2), ("3 KB", 3e3), ("1mb", 1e6),
     ("1tb", 1e12), ("1GiB", 2**30), ("1TiB", 2**40), (5, 5), (2.5, 2.5), (None, None)],
)  # fmt: skip
def test_sizes_are_read(text, count):
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "GB", "1 XB", "1..2GB", "one"])
def test_other_sizes_are_refused(text):
    with pytest.raises(UserError, match="is not a size"):
        byte_count(text)


def test_a_strip_that_was_asked_for_is_not_cut_into_blocks_that_double_the_work(monkeypatch):
    monkeypatch.setattr(plan_module, "COMFORT", 10)
    axes = images_of("unet")
    one, most, chosen, limited = (
        make_plan(axes[0].graph, axes, 0, {0: (0, 64), 1: (10, 34)}, limits=Limits(memory, 64, blocks))
        for memory, blocks in ((None, 1), (None, 24), (None, None), (130_000, None))
    )
    assert chosen.macs <= 2 * one.macs
    assert most.macs > 2 * one.macs
    assert limited.peak_bytes <= 130_000  # a limit is kept to at any work
    assert limited.macs > 2 * one.macs


def test_there_are_no_more_blocks_than_rows_that_are_wanted():
    axes = images_of("unet")
    part = {0: (20, 30), 1: (20, 30)}
    assert make_plan(axes[0].graph, axes, 0, part, limits=Limits(blocks=10)).blocks == 10
    with pytest.raises(UserError, match="cut into so many blocks"):
        make_plan(axes[0].graph, axes, 0, part, limits=Limits(blocks=11))
