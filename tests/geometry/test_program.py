"""Every schedule computes each row once, from rows that are there, and as early as it can, and drops them in time."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from atrous.geometry.passes import passes_of
from atrous.geometry.passes import program as program_of_pass
from atrous.geometry.program import OpRun, ProgramWalk, StripStep, build, full_box, needs, share_of, steps
from tests.geometry.programs import PLAIN, axis_of, images_of, needed, program_of
from tests.geometry.truth import followed, run_graph


def check_schedule(program, schedule):
    """Replay the steps with sets of rows, and return how far every operator came."""
    done = {value: program.rows(value)[0] for value in program.boxes}
    dropped = dict(done)
    runs = [run for step in schedule for run in step.runs]
    count = 0
    for k, step in enumerate(schedule):
        for value, lo, hi in step.feeds:
            assert lo == done[value] < hi
            done[value] = hi
        assert len(step.runs) == len(step.keep)
        for run, keep in zip(step.runs, step.keep, strict=True):
            assert run.lo == done[run.op] < run.hi
            for value, (lo, hi) in needed(program, run.op, (run.lo, run.hi)).items():
                assert lo == hi or dropped[value] <= lo < hi <= done[value]
            done[run.op] = run.hi
            count += 1
            for value, first in keep.items():
                later = [needed(program, run.op, (run.lo, run.hi)).get(value, (0, 0)) for run in runs[count:]]
                assert first == min([lo for lo, hi in later if hi > lo] + [done[value]])
                dropped[value] = max(dropped[value], first)
        for op in program.order:  # nothing more could have been computed
            lo, hi = done[op.index], program.rows(op.index)[1]
            limit = share_of(16 / program.longest_source, hi - program.rows(op.index)[0])
            made = next((run.hi - run.lo for run in step.runs if run.op == op.index), 0)
            if lo < hi and made < limit and k < len(schedule) - 1:
                lengths = {r.input: program.graph.ops[r.input].shape[r.dim] for r in program.axis.along[op.index].reads}
                assert any(
                    read.map.last(lo) > done[read.input] and done[read.input] < lengths[read.input]
                    for read in program.axis.along[op.index].reads
                    if read.input in program.boxes
                )
            assert made <= limit
    return done


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("strip", [16])
def test_every_row_is_computed_once_from_rows_that_are_there(name, strip):
    program = program_of(name)
    done = check_schedule(program, list(steps(program, strip)))
    assert all(done[value] == program.rows(value)[1] for value in program.boxes)


@pytest.mark.parametrize("name", ["skip", "strided"])
def test_a_part_of_the_output_needs_a_part_of_the_input(name):
    program = program_of(name, wanted=(11, 20))
    lo, hi = program.rows(0)
    assert 0 < lo < hi < 128
    done = check_schedule(program, list(steps(program, 16)))
    assert done[program.graph.output] == 20


@pytest.mark.parametrize("name", ["strided", "reflect", "skip"])
@pytest.mark.parametrize("wanted", [(0, 3), (9, 10), (5, 17), (20, 27)])
def test_boxes_hold_just_the_rows_that_change_the_target(name, wanted):
    axis = axis_of(name)
    program = program_of(name, wanted=wanted)
    x = torch.randn(1, 2, 128, generator=torch.Generator().manual_seed(0))
    before = run_graph(axis.graph, x)[axis.graph.output][..., slice(*wanted)]
    changing = []
    for row in range(128):
        changed = x.clone()
        for scale in (50.0, -50.0):
            changed[..., row] = scale
            if not torch.equal(run_graph(axis.graph, changed)[axis.graph.output][..., slice(*wanted)], before):
                changing.append(row)
                break
    assert (min(changing), max(changing) + 1) == program.rows(0)


def test_boxes_of_several_targets_are_joined():
    axis = axis_of("skip")
    output = axis.graph.output
    first = axis.along[output].reads[0].input
    both = build({0: axis}, 0, {output: {0: (40, 41)}, first: {0: (10, 12)}}, (0,))
    assert both.rows(first) == (10, 41)
    assert both.targets == (output, first)
    swapped = build({0: axis}, 0, {output: {0: (10, 12)}, first: {0: (40, 41)}}, (0,))
    assert swapped.rows(first) == (10, 41)
    empty = build({0: axis}, 0, {output: {0: (10, 12)}, first: {0: (40, 40)}}, (0,))
    assert empty.rows(first) == (10, 12)


def test_only_what_is_needed_runs():
    axis = axis_of("skip")
    first = axis.along[axis.graph.output].reads[0].input
    part = build({0: axis}, 0, {first: full_box({0: axis}, first)}, (0,))
    assert part.order[-1].index == first
    assert all(op.index in part.boxes for op in part.order)
    assert 0 not in [op.index for op in part.order]
    assert part.sources == (0,)
    middle = part.order[1].index
    from_middle = build({0: axis}, 0, {first: full_box({0: axis}, first)}, (0, middle))
    assert middle in from_middle.sources
    assert middle not in [op.index for op in from_middle.order]


def test_other_axes_are_read_whole_or_in_blocks():
    axes = images_of("unet")
    graph = axes[0].graph
    conv = next(op for op in graph.ops if op.kind == "conv2d")
    source = conv.inputs[0]
    assert needs(conv, axes, {0: (4, 6)})[source] == {0: (3, 7), 1: (0, graph.ops[source].shape[3])}
    assert needs(conv, axes, {0: (4, 6), 1: (8, 9)})[source] == {0: (3, 7), 1: (7, 10)}
    assert full_box(axes, 0) == {0: (0, 64), 1: (0, 48)}
    assert full_box({1: axes[1]}, 0) == {1: (0, 48)}


def test_barriers_gather_all_rows_once():
    axes = {0: axis_of("gated")}
    first, _ = passes_of(axes[0])
    program = program_of_pass(axes, 0, first, {0: (0, 128)})
    barrier = program.order[-1].index
    source = program.axis.along[barrier].reads[0].input
    assert program.owned == {barrier: {0: (0, 128)}}
    assert program.rows(source) == (0, 128)
    gathered = [run for step in steps(program, 16) for run in step.runs if run.op == barrier]
    assert gathered[0].lo == 0
    assert all(a.hi == b.lo for a, b in pairwise(gathered))
    assert gathered[-1].hi == 128
    done = ProgramWalk(program)
    assert done.first_needed(source) == 0
    part = build(axes, 0, {barrier: {0: (40, 50)}}, (0,))
    runs = [run for step in steps(part, 16) for run in step.runs if run.op == barrier]
    assert (runs[0].lo, runs[-1].hi) == (40, 50)
    assert part.rows(source) == (40, 50)


def test_steps_by_hand():
    """A convolution of three taps with padding 1 on eight rows, in strips of three."""
    axis = followed(nn.Conv1d(1, 1, 3, padding=1), (1, 8))
    conv = axis.graph.output
    program = build({0: axis}, 0, {conv: {0: (0, 8)}}, (0,))
    assert list(steps(program, 3)) == [
        StripStep(((0, 0, 3),), (OpRun(conv, 0, 2),), ({0: 1},)),
        StripStep(((0, 3, 6),), (OpRun(conv, 2, 5),), ({0: 4},)),
        StripStep(((0, 6, 8),), (OpRun(conv, 5, 8),), ({0: 8},)),
    ]
    assert len(list(steps(program, 8))) == len(list(steps(program, 20))) == 1


def test_what_is_left_at_the_end_comes_in_steps_of_the_same_size():
    """A convolution of nine taps, padded by 4: the last four rows come with no new input, three at a time."""
    axis = followed(nn.Conv1d(1, 1, 9, padding=4), (1, 12))
    program = build({0: axis}, 0, {axis.graph.output: {0: (0, 12)}}, (0,))
    schedule = list(steps(program, 3))
    assert [[(run.lo, run.hi) for run in step.runs] for step in schedule] == [
        [],
        [(0, 2)],
        [(2, 5)],
        [(5, 8)],
        [(8, 11)],
        [(11, 12)],
    ]
    assert [len(step.feeds) for step in schedule] == [1, 1, 1, 1, 0, 0]


def test_rows_that_are_withheld_come_later():
    program = program_of("unet")
    op = program.order[1].index
    plain, held = ProgramWalk(program), ProgramWalk(program, {op: 3})
    for walk in (plain, held):
        walk.advance({0: 40}, 40 / 128)
    assert held.done[op] == plain.done[op] - 3
    for walk in (plain, held):
        walk.advance({0: 128}, 1.0)
    assert held.done == plain.done
    assert plain.finished


def test_a_jump_moves_every_value():
    walk = ProgramWalk(program_of("unet"))
    list(zip(range(3), walk.finite(16), strict=False))
    before, step = dict(walk.done), walk.step
    walk.jump(2, dict.fromkeys(before, 5))
    assert walk.step == step + 2
    assert walk.done == {value: rows + 10 for value, rows in before.items()}


@pytest.mark.parametrize(
    ("share", "rows", "count"), [(0.5, 7, 4), (1 / 3, 3, 1), (1 / 3, 4, 2), (0.1, 0, 1), (1.0, 5, 5)]
)
def test_shares_are_rounded_up(share, rows, count):
    assert share_of(share, rows) == count
