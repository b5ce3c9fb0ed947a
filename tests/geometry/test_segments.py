"""Segments: cut anywhere, they compute the same rows, and in steady steps the same function."""

import pytest
import torch

from atrous.geometry.program import build, full_box
from atrous.geometry.segments import SegmentWalk, choose, pattern, segment
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


def test_steady_steps_have_one_pattern():
    program = program_of(toy_models.unet(2), (2, 512, 16))
    for part in choose(program, 16, 4):
        runs = [
            r for step in SegmentWalk(program, choose(program, 16, 4), 16).steps() for r in step.runs if r.part == part
        ]
        patterns = [pattern(part, program, r.rows) for r in runs]
        most = max(patterns.count(p) for p in patterns)
        assert most > 0.7 * len(patterns)


def test_longer_segments_read_more_rows():
    program = program_of(toy_models.unet(2), (2, 128, 16))
    whole = segment(program, program.order)
    assert whole.inputs == (0,)
    assert whole.outputs == (program.graph.output,)
    assert torch.Size(program.graph.ops[0].shape) == (1, 2, 128, 16)
