"""Segments: cut anywhere, they compute the same rows, and in steady steps the same function."""

import itertools
from dataclasses import replace

import pytest

from atrous.geometry import segments as segments_module
from atrous.geometry.axis import strides
from atrous.geometry.memory import Meter
from atrous.geometry.passes import passes_of
from atrous.geometry.passes import program as program_of_pass
from atrous.geometry.program import build
from atrous.geometry.segments import SegmentWalk, choose, overhangs, rows_for, segment, steady_windows
from tests.geometry.programs import PLAIN, axis_of, needed, program_of


def cut(program, *cuts):
    """The segments of a program cut after so many operators."""
    ops, stride = program.order, strides(program.axis)
    bounds = [0, *cuts, len(ops)]
    return [segment(program, ops[a:b], stride) for a, b in itertools.pairwise(bounds)]


def check_walk(program, segments, steps):
    """Every wanted row is computed once, from rows that are there; what is kept is what is needed later."""
    kept = {*program.sources, *(v for part in segments for v in part.outputs)}
    done = {v: program.rows(v)[0] for v in kept}
    dropped = dict(done)
    runs = [run for step in steps for run in step.runs]
    count = 0
    for step in steps:
        for value, lo, hi in step.feeds:
            assert lo == done[value] < hi
            done[value] = hi
        for run in step.runs:
            count += 1
            assert run.rows == rows_for(run.part, program, run.wanted)
            for value in run.part.inputs:
                lo, hi = run.rows.get(value, (0, 0))
                assert lo == hi or dropped[value] <= lo < hi <= done[value]
            for value, (lo, hi) in run.wanted.items():
                assert lo == done[value] < hi
                done[value] = hi
        for value, (first, end) in step.keep.items():
            assert end == done[value]
            later = [run.rows[value] for run in runs[count:] if value in run.part.inputs and value in run.rows]
            assert first == min([lo for lo, hi in later if hi > lo] + [end])
            dropped[value] = first
    assert all(done[v] == program.rows(v)[1] for part in segments for v in part.outputs)


@pytest.mark.parametrize("strip", [8, 12, 64])
def test_every_output_row_is_computed_once(strip):
    program = program_of("unet")
    segments = choose(program, strip, 4)
    assert [op for part in segments for op in part.ops] == list(program.order)
    check_walk(program, segments, list(SegmentWalk(program, segments, strip).steps()))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("wanted", [None, (11, 25)])
def test_cut_anywhere_they_compute_the_same_rows(name, wanted):
    program = program_of(name, wanted=wanted)
    for cuts in ((), (1,), (2,), (1, 2), range(1, len(program.order))):
        segments = cut(program, *cuts)
        steps = list(SegmentWalk(program, segments, 16).steps())
        check_walk(program, segments, steps)
        pieces = [replace(part, pieces=3) for part in segments]
        check_walk(program, pieces, list(SegmentWalk(program, pieces, 16).steps()))


def test_no_step_computes_more_than_its_share():
    program = program_of("unet")
    segments = cut(program, 3)
    for step in SegmentWalk(program, segments, 16).steps():
        for run in step.runs:
            for value, (lo, hi) in run.wanted.items():
                total = program.rows(value)[1] - program.rows(value)[0]
                assert hi - lo <= -(-total * 16 // 128)
    steps = list(SegmentWalk(program, segments, 16).steps())
    assert [feed for step in steps for feed in step.feeds] == [(0, a, a + 16) for a in range(0, 128, 16)]


def test_inputs_and_outputs_of_a_segment():
    program = program_of("skip")
    for a, b in itertools.combinations(range(len(program.order) + 1), 2):
        part = segment(program, program.order[a:b], strides(program.axis))
        inside = {op.index for op in part.ops}
        reads = {i for op in part.ops for i in needed(program, op.index, (0, 1))}
        assert set(part.inputs) == reads - inside
        outside = {i for op in program.order if op.index not in inside for i in needed(program, op.index, (0, 1))}
        assert set(part.outputs) == {v for v in inside if v in outside or v == program.graph.output}


def test_values_that_others_read_and_targets_come_out():
    axis = axis_of("skip")
    first = program_of("skip").order[0].index
    program = build({0: axis}, 0, {axis.graph.output: {0: (0, 64)}, first: {0: (0, 128)}}, (0,))
    assert set(segment(program, program.order, strides(axis)).outputs) == {first, axis.graph.output}


@pytest.mark.parametrize("wanted", [(0, 1), (7, 9), (30, 64), (5, 5)])
def test_rows_for_are_those_of_the_union_of_all_paths(wanted):
    program = program_of("skip")
    output = program.graph.output
    part = segment(program, program.order, strides(program.axis))
    alone = build({0: program.axis}, 0, {output: {0: wanted}}, (0,))
    rows = rows_for(part, program, {output: wanted})
    if wanted[0] == wanted[1]:
        assert rows == {}
    else:
        assert rows == {value: box[0] for value, box in alone.boxes.items()}


@pytest.mark.parametrize("name", ["unet", "strided", "reflect", "resize"])
def test_a_segment_overhangs_if_an_operator_reads_padding_after_the_end(name):
    program = program_of(name)
    part = segment(program, program.order, strides(program.axis))
    output = program.graph.output
    length = program.axis.length(output)
    found = []
    for hi in range(1, length + 1):
        rows = rows_for(part, program, {output: (hi - 1, hi)})
        found.append(overhangs(part, program, rows))
        expected = False
        for op in part.ops:
            lo, stop = rows.get(op.index, (0, 0))
            for read in program.axis.along[op.index].reads if stop > lo else ():
                rows_there = program.graph.ops[read.input].shape[read.dim]
                expected |= read.map.reads_beyond(stop, rows_there)
        assert found[-1] == expected
    assert found == sorted(found)
    assert not found[0]
    assert found[-1]
    assert not overhangs(part, program, {})


def test_steady_steps_have_windows_of_one_size():
    program = program_of("unet", 512)
    segments = choose(program, 16, 4)
    windows = steady_windows(program, segments, 16)
    assert set(windows) == {part.ops[0].index for part in segments}
    runs = [run for step in SegmentWalk(program, segments, 16, windows).steps() for run in step.runs]
    with_window = [run for run in runs if run.window is not None]  # 512 rows are whole units, borders included
    assert len(with_window) > 0.7 * len(runs)
    for run in with_window:
        assert run.window[1] - run.window[0] == windows[run.part.ops[0].index]
        assert 0 <= run.window[0] < run.window[1] <= run.part.lattice.units
        for value, (lo, hi) in run.rows.items():
            if value not in run.part.inputs:
                a, b = run.part.lattice.span(value, run.window)
                assert a <= lo <= hi <= b
        for port in run.part.lattice.ports:
            a, b = run.part.lattice.entering(port, run.window)
            assert a <= run.rows[port.value][1]
            assert b >= run.rows[port.value][0]
    for run in runs:
        a, b = run.part.lattice.around(run.rows)
        count = windows[run.part.ops[0].index]
        fits = 0.6 * count <= b - a <= count and b <= run.part.lattice.units
        assert (run.window is not None) == fits
    widest = {}
    for run in runs[: 16 * len(segments)]:
        a, b = run.part.lattice.around(run.rows)
        widest[run.part.ops[0].index] = max(b - a, widest.get(run.part.ops[0].index, 0))
    assert windows == widest


def test_an_end_that_is_no_whole_unit_has_no_window():
    program = program_of("unet", 509)
    segments = choose(program, 16, 4)
    windows = steady_windows(program, segments, 16)
    runs = [run for step in SegmentWalk(program, segments, 16, windows).steps() for run in step.runs]
    without = [run for run in runs if run.window is None]
    assert 0 < len(without) < 0.4 * len(runs)
    for run in runs:
        if run.window is not None and not run.part.lattice.flush:
            assert not overhangs(run.part, program, run.rows)


def test_windows_larger_than_the_input_are_left_out():
    program = program_of("unet", 512)
    whole = cut(program)
    assert steady_windows(program, whole, 16)
    short = [replace(whole[0], lattice=replace(whole[0].lattice, units=3))]
    assert steady_windows(program, short, 16) == {}
    assert steady_windows(program, [replace(whole[0], lattice=None)], 16) == {}


def test_longer_segments_read_more_rows():
    program = program_of("unet")
    whole = segment(program, program.order, strides(program.axis))
    assert whole.inputs == (0,)
    assert whole.outputs == (program.graph.output,)
    assert whole.lattice is not None
    assert whole.lattice.units * whole.lattice.rows[0] == 128


@pytest.mark.parametrize("name", ["skip", "strided", "reflect", "resize"])
@pytest.mark.parametrize(("bytes_per_second", "call"), [(2e10, 3e-4), (2e10, 3e-8), (1e5, 1e-9)])
def test_the_chosen_cuts_cost_least(monkeypatch, name, bytes_per_second, call):
    """Against all ways to cut the program."""
    monkeypatch.setattr(segments_module, "BYTES_PER_SECOND", bytes_per_second)
    monkeypatch.setattr(segments_module, "SECONDS_PER_CALL", call)
    program = program_of(name)
    meter = Meter(program, 4)

    def seconds(parts):
        return sum(segments_module._seconds(program, part, 16 / 128, meter) for part in parts)

    costs = []
    for count in range(len(program.order)):
        for cuts in itertools.combinations(range(1, len(program.order)), count):
            parts = cut(program, *cuts)
            if all(part.lattice is not None or len(part.ops) == 1 for part in parts):
                costs.append(seconds(parts))
    assert seconds(choose(program, 16, 4)) == pytest.approx(min(costs))


def test_segments_have_at_most_so_many_operators(monkeypatch):
    monkeypatch.setattr(segments_module, "MOST_OPERATORS", 2)
    segments = choose(program_of("unet"), 16, 4)
    assert max(len(part.ops) for part in segments) == 2


def test_the_seconds_by_hand():
    """One convolution on 128 rows, 16 a step: 18 rows of 2 channels come in, 16 of 4 channels go out."""
    program = program_of("skip")
    (part, *_) = cut(program, 1)
    meter = Meter(program, 4)
    moved = (18 * 2 + 16 * 4) * 4
    work = 16 * 3 * 2 * 4
    expected = work / 1.5e11 + moved / 2e10 + 3e-4
    assert segments_module._seconds(program, part, 16 / 128, meter) == pytest.approx(expected, rel=1e-9)
    half = segments_module._seconds(program, part, 16 / 128, Meter(program, 2))
    assert half == pytest.approx(work / 3e11 + moved / 2 / 2e10 + 3e-4, rel=1e-9)


def test_large_values_are_computed_in_pieces(monkeypatch):
    program = program_of("unet")
    assert [part.pieces for part in cut(program)] == [1]
    (whole,) = cut(program)
    meter = Meter(program, 4)
    rows = segments_module._steady_rows(program, whole, 1.0)
    a, b = whole.lattice.around(rows)
    widest = max(meter.row[op.index] * (b - a) * whole.lattice.rows[op.index] for op in whole.ops)
    quarter = (b - a) // 4
    cases = [
        (widest, 1, 1),
        (widest - 1, 1, 2),
        (widest / 4, 1, 4),
        (widest / 4, quarter, 4),
        (widest / 4, quarter + 1, 2),
        (1, 1000, 1),
    ]
    for inside, smallest, pieces in cases:
        monkeypatch.setattr(segments_module, "INSIDE", inside)
        monkeypatch.setattr(segments_module, "SMALLEST_PIECE", smallest)
        assert segments_module._piece_count(program, whole, 1.0, meter) == pieces
    one_op = segment(program, program.order[:1], strides(program.axis))
    assert segments_module._piece_count(program, one_op, 1.0, meter) == 1
    assert segments_module._piece_count(program, replace(whole, lattice=None), 1.0, meter) == 1


@pytest.mark.parametrize("share", [1 / 16, 1 / 8, 1.0])
def test_steady_rows_are_in_the_middle(share):
    program = program_of("unet")
    (whole,) = cut(program)
    lo, hi = segments_module._steady_rows(program, whole, share)[program.graph.output]
    assert hi - lo == 128 * share
    assert lo % (128 * share) == 0
    assert abs((lo + hi) / 2 - 64) <= 64 * share


def test_barriers_gather_as_rows_come():
    axes = {0: axis_of("gated")}
    first, _ = passes_of(axes[0])
    program = program_of_pass(axes, 0, first, {0: (0, 128)})
    segments = choose(program, 16, 4)
    assert all(op.index not in program.owned for part in segments for op in part.ops)
    steps = list(SegmentWalk(program, segments, 16).steps())
    (barrier,) = program.owned
    gathered = [gather for step in steps for gather in step.gathers]
    assert (gathered[0][1], gathered[-1][2]) == (0, 128)
    assert all(a[2] == b[1] for a, b in itertools.pairwise(gathered))
    source = program.axis.along[barrier].reads[0].input
    for step in steps:
        ends = [hi for _, _, hi in step.gathers]
        assert step.keep[source][0] == (ends[0] if ends else step.keep[source][1])
    part = build(axes, 0, {barrier: {0: (40, 50)}}, (0,))
    runs = [gather for step in SegmentWalk(part, choose(part, 16, 4), 16).steps() for gather in step.gathers]
    assert (runs[0][1], runs[-1][2]) == (40, 50)


def test_what_differs_from_row_to_row_is_not_moved():
    program = program_of("resize")
    lattices = [segment(program, (op,), strides(program.axis)).lattice for op in program.order]
    assert [lattice is None for lattice in lattices] == [op.kind.startswith("upsample") for op in program.order]
