"""Passes gather every barrier once, after those that it waits for, and the last makes the output."""

from itertools import pairwise

import pytest

from atrous.geometry.passes import Pass, part, passes_of, program
from tests.geometry.programs import axis_of, images_of


def kinds(axis, values):
    return [axis.graph.ops[value].kind for value in values]


@pytest.mark.parametrize("spool", [False, True])
def test_every_barrier_is_gathered_in_the_pass_before_its_level(spool):
    axis = images_of("gates")[0]
    passes = passes_of(axis, spool=spool)
    assert [each.level for each in passes] == [0, 1, 2, 3]
    assert sorted(b for each in passes for b in each.barriers) == [op.index for op in axis.barriers]
    assert all(axis.levels[b] == each.level + 1 for each in passes for b in each.barriers)
    assert [each.final for each in passes] == [False, False, False, True]


def test_without_spooling_every_pass_begins_at_the_input():
    assert all(each.spooled == each.sources == () for each in passes_of(images_of("gates")[0]))


def test_spooled_values_are_those_that_later_passes_read():
    axis = images_of("gates")[0]
    passes = passes_of(axis, spool=True)
    readers = axis.graph.readers()
    seen = ()
    for each in passes:
        assert each.sources == seen
        seen = (*seen, *each.spooled)
        wanted = [
            op.index
            for op in axis.graph.ops[1:]
            if axis.streamed(op.index)
            and axis.levels[op.index] == each.level
            and any(axis.streamed(r) and axis.levels[r] > each.level for r in readers[op.index])
        ]
        assert list(each.spooled) == ([] if each.final else wanted)
    assert 0 not in seen  # the input is there anyway
    assert seen
    # a pass reads what was stored, and does not compute it again
    ran = [
        {op.index for op in program({0: axis}, 0, each, {0: (0, 64)}).order if op.index not in each.barriers}
        for each in passes
    ]
    assert not any(ran[i] & ran[j] for i in range(4) for j in range(i))


def test_one_pass_without_barriers():
    assert passes_of(axis_of("unet")) == passes_of(axis_of("unet"), spool=True) == [Pass(0, (), (), True, ())]


def test_a_network_that_ends_in_a_barrier_has_no_final_pass():
    axis = axis_of("gated")
    mean = axis.barriers[0].index
    pooled = type(axis)(type(axis.graph)(axis.graph.ops, mean, "pooled"), 0, axis.along, axis.levels)
    assert passes_of(pooled) == [Pass(0, (mean,), (), False, ())]


def test_the_program_of_a_pass():
    axes = images_of("gates")
    axis, output = axes[0], axes[0].graph.output
    passes = passes_of(axis, spool=True)
    region = {0: (10, 30), 1: (5, 45)}
    last = program(axes, 0, passes[-1], region)
    assert last.boxes[output] == region
    assert set(last.sources) <= {0, *passes[-1].sources}
    resumed = program(axes, 0, passes[-1], region, start=22)
    assert resumed.boxes[output] == {0: (22, 30), 1: (5, 45)}
    block = program(axes, 0, passes[-1], region, 1, 1, 4)
    assert block.boxes[output] == {0: (10, 30), 1: (15, 25)}
    first = program(axes, 0, passes[0], region, 1, 3, 4)
    for barrier in passes[0].barriers:
        assert first.owned[barrier] == {0: (0, 64), 1: (36, 48)}  # whatever region is wanted
    for value in passes[0].spooled:
        assert first.boxes[value][1][1] == axes[1].length(value)
        assert value in first.targets
    assert output not in first.boxes


@pytest.mark.parametrize("blocks", [1, 2, 3, 7])
def test_blocks_cover_the_box_once(blocks):
    box = {0: (3, 50), 1: (0, 9)}
    parts = [part(box, 0, b, blocks) for b in range(blocks)]
    assert all(piece[1] == (0, 9) for piece in parts)
    assert (parts[0][0][0], parts[-1][0][1]) == (3, 50)
    assert all(a[0][1] == b[0][0] for a, b in pairwise(parts))
    sizes = [hi - lo for lo, hi in (piece[0] for piece in parts)]
    assert max(sizes) - min(sizes) <= 1


def test_a_box_without_the_axis_is_not_cut():
    assert part({0: (0, 9)}, 1, 1, 3) == {0: (0, 9)}
    assert part({0: (0, 9)}, None, 1, 3) == {0: (0, 9)}
