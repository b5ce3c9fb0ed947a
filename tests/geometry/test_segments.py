"""Segments: cut anywhere, they compute the same rows, and in steady steps the same function."""

import pytest

from atrous.geometry.axis import strides
from atrous.geometry.program import build, full_box
from atrous.geometry.segments import SegmentWalk, choose, segment, steady_windows
from atrous.stream import prepare
from tests import toy_models
from tests.toy_models import settled


def program_of(network, shape):
    ready = prepare(settled(network), shape)
    axes = {0: ready.axes[0]}
    return build(axes, 0, {ready.graph.output: full_box(axes, ready.graph.output)}, (0,))


@pytest.mark.parametrize("strip", [8, 12, 64])
def test_every_output_row_is_computed_once(strip):
    program = program_of(toy_models.unet(2), (2, 128, 16))
    segments = choose(program, strip, 4)
    assert [op for part in segments for op in part.ops] == list(program.order)
    done = {v: 0 for part in segments for v in part.outputs}
    for step in SegmentWalk(program, segments, strip).steps():
        for run in step.runs:
            for value, (lo, hi) in run.wanted.items():
                assert lo == done[value]
                done[value] = hi
    assert all(rows == program.rows(v)[1] for v, rows in done.items())


def test_steady_steps_have_windows_of_one_size():
    program = program_of(toy_models.unet(2), (2, 512, 16))
    segments = choose(program, 16, 4)
    windows = steady_windows(program, segments, 16)
    assert set(windows) == {part.ops[0].index for part in segments}
    runs = [run for step in SegmentWalk(program, segments, 16, windows).steps() for run in step.runs]
    with_window = [run for run in runs if run.window is not None]  # 512 rows are whole units, borders included
    assert len(with_window) > 0.7 * len(runs)
    for run in with_window:
        assert run.window[1] - run.window[0] == windows[run.part.ops[0].index]
        for value, (lo, hi) in run.rows.items():
            if value not in run.part.inputs:
                a, b = run.part.lattice.span(value, run.window)
                assert a <= lo <= hi <= b
        for port in run.part.lattice.ports:
            a, b = run.part.lattice.entering(port, run.window)
            assert a <= run.rows[port.value][1]
            assert b >= run.rows[port.value][0]


def test_an_end_that_is_no_whole_unit_has_no_window():
    program = program_of(toy_models.unet(2), (2, 509, 16))
    segments = choose(program, 16, 4)
    windows = steady_windows(program, segments, 16)
    runs = [run for step in SegmentWalk(program, segments, 16, windows).steps() for run in step.runs]
    without = [run for run in runs if run.window is None]
    assert 0 < len(without) < 0.4 * len(runs)


def test_longer_segments_read_more_rows():
    program = program_of(toy_models.unet(2), (2, 128, 16))
    whole = segment(program, program.order, strides(program.axis))
    assert whole.inputs == (0,)
    assert whole.outputs == (program.graph.output,)
    assert whole.lattice is not None
    assert whole.lattice.units * whole.lattice.rows[0] == 128
