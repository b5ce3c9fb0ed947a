"""Strides and periods against how values move when the input does; which inputs an operator may read."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atrous.errors import UserError
from atrous.geometry import axis as axis_module
from atrous.geometry.axis import Along, Axis, Refused, aligned, period, same, spatial, strides
from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.maps import IDENTITY, Bins, Everything, Read, Regrouped, Sliding, Transposed
from tests.geometry.programs import axis_of, images_of
from tests.geometry.test_maps import SMALL


def op(index, shape, *inputs, kind="add"):
    return Op(index, kind, f"m{index}", shape, torch.float32, lambda *args: args, tuple(Ref(i) for i in inputs))


def chain(steps, lengths):
    """An axis whose value `i + 1` reads value `i` by `steps[i]`."""
    ops = [op(0, (1, 1, lengths[0]), kind="input")]
    along = [Along(2)]
    for i, (step, length) in enumerate(zip(steps, lengths[1:], strict=True)):
        ops.append(op(i + 1, (1, 1, length), i))
        along.append(Along(2, (Read(i, 2, step),)))
    return Axis(Graph(tuple(ops), len(steps), "chain"), 0, along, [0] * len(ops))


STEPS = st.one_of(
    st.builds(Sliding, st.integers(1, 4), st.integers(1, 3)),
    st.builds(Transposed, st.integers(1, 4), st.integers(1, 3), st.just(1), st.just(0)),
    st.builds(Regrouped, st.integers(1, 3), st.integers(1, 3)),
)


@SMALL
@given(st.lists(STEPS, min_size=1, max_size=5))
def test_strides_are_how_far_the_rows_move(steps):
    axis = chain(steps, [10_000] * (len(steps) + 1))
    stride = strides(axis)
    far = 10**6
    for value in range(1, len(steps) + 1):
        # 3600 outputs are whole periods of nearly all these steps
        moved = _first(steps[:value], far + 3600) - _first(steps[:value], far)
        assert abs(moved - 3600 * stride[value]) <= 40 * max(1, stride[value])
    unit = period(axis)
    assert all((unit / s).denominator == 1 for s in stride.values())
    smaller = [n for n in range(1, unit) if all((n / s).denominator == 1 for s in stride.values())]
    assert not smaller or unit == 10_000


def _first(steps, o):
    for step in reversed(steps):
        o = step.first(o)
    return o


def test_a_period_longer_than_the_input_or_the_limit_is_rounded(monkeypatch):
    assert period(chain([Sliding(2, 7), Sliding(2, 7)], [49, 7, 1])) == 49
    assert period(chain([Sliding(2, 101)], [100, 1])) == 100
    assert period(chain([Sliding(2, 101)], [100, 3])) == 33
    assert period(chain([Bins(101, 99)], [100, 99])) == 1
    assert period(chain([Sliding(2, 7), Sliding(2, 8)], [55, 7, 1])) == 55
    assert period(chain([Bins(100, 9), Sliding(1, 1)], [90, 9, 9])) == 10  # 100 rows do not fit; the coarsest has 9
    assert period(chain([Bins(100, 9), Sliding(1, 1)], [100, 9, 9])) == 100
    monkeypatch.setattr(axis_module, "LONGEST_PERIOD", 99)
    assert period(chain([Bins(100, 9), Sliding(1, 1)], [100, 9, 9])) == 11
    monkeypatch.setattr(axis_module, "LONGEST_PERIOD", 100)
    assert period(chain([Bins(100, 9), Sliding(1, 1)], [100, 9, 9])) == 100


def test_a_value_that_does_not_follow_the_input_has_no_stride():
    axis = images_of("gates")[0]
    for op_ in axis.graph.ops:
        if not axis.streamed(op_.index):
            assert op_.index not in strides(axis)
    assert strides(axis)[axis.graph.output] == Fraction(64, axis.length(axis.graph.output))


def test_the_first_input_gives_the_stride():
    axis = chain([Sliding(2, 2), Sliding(2, 2)], [64, 32, 16])
    axis.along[2] = Along(2, (Read(0, 2, Sliding(4, 4)), Read(1, 2, Sliding(2, 2))))
    assert strides(axis) == {0: 1, 1: 2, 2: 4}


def test_barriers_and_levels():
    axis = images_of("gates")[0]
    assert len(axis.barriers) == 3
    assert all(axis.along[b.index].barrier for b in axis.barriers)
    assert axis.passes == 4
    assert axis.length(axis.barriers[0].index) == 0
    assert axis.dim(axis.barriers[0].index) is None
    assert axis.length(0) == 64
    assert images_of("gates")[1].length(0) == 48
    assert axis_of("unet").barriers == []
    assert axis_of("unet").passes == 1


def test_a_network_that_ends_in_a_barrier_takes_one_pass():
    axis = chain([Sliding(), Everything(9)], [9, 9, 1])
    axis.along[2], axis.levels[2] = Along(None, axis.along[2].reads, barrier=True), 1
    assert axis.passes == 1


def wired(*shapes, dims):
    ops = tuple(op(i, shape, kind="input") for i, shape in enumerate(shapes))
    return Axis(Graph(ops, 0, "wired"), 0, [Along(dim) for dim in dims], [0] * len(ops))


def test_one_streamed_input():
    axis = wired((1, 2, 8), (1, 2, 8), (2,), dims=(2, 2, None))
    assert same(op(3, (1, 2, 8), 0, 2), axis) == Along(2, (Read(0, 2, IDENTITY),))
    assert same(op(3, (1, 8, 2), 0, 2), axis, 1, step=Sliding(3)) == Along(1, (Read(0, 2, Sliding(3)),))
    assert same(op(3, (1, 2, 8), 2, 0), axis, source=0) == Along(2, (Read(0, 2, IDENTITY),))
    with pytest.raises(Refused, match="only a secondary argument runs along the axis"):
        same(op(3, (1, 2, 8), 2, 0), axis)
    with pytest.raises(Refused, match="more than one argument runs along the axis"):
        same(op(3, (1, 2, 8), 0, 1), axis)


def test_inputs_are_matched_from_the_right():
    shapes = ((1, 2, 8, 3), (8, 3), (8, 1), (3,), (1, 2, 1, 3), (1, 8), (1, 2, 1, 3))
    axis = wired(*shapes, dims=(2, 0, None, None, 2, 1, None))
    assert aligned(op(6, (1, 2, 8, 3), 0, 1), axis) == Along(2, (Read(0, 2), Read(1, 0)))
    assert aligned(op(6, (1, 2, 8, 3), 0, 2), axis) == Along(2, (Read(0, 2), Read(2, 0)))  # a number per position
    assert aligned(op(6, (1, 2, 8, 3), 0, 3), axis) == Along(2, (Read(0, 2),))
    assert aligned(op(6, (1, 2, 8, 3), 0, 4), axis) == Along(2, (Read(0, 2), Read(4, 2, Everything(1))))
    assert aligned(op(6, (1, 2, 8, 3), 0, 1), axis, (0,)) == Along(2, (Read(0, 2),))
    assert aligned(op(7, (1, 2, 8, 3), 0, 6), axis) == Along(2, (Read(0, 2),))
    with pytest.raises(Refused, match="its inputs have the axis in different dimensions"):
        aligned(op(6, (1, 2, 8, 8), 0, 5), axis)
    with pytest.raises(Refused, match="its inputs have the axis in different dimensions"):
        aligned(op(6, (8, 3), 2, 3), axis)  # none of them has it


def test_rows_that_do_not_fit_are_refused():
    axis = wired((1, 2, 8), (1, 2, 5), dims=(2, 2))
    with pytest.raises(Refused, match="joins a value of 5 rows to one of 8"):
        aligned(op(2, (1, 2, 8), 0, 1), axis)


def test_the_place_among_the_last_dimensions():
    axis = wired((1, 2, 8, 3), (1, 2, 8, 3), (2,), dims=(2, 3, None))
    assert spatial(op(3, (), 0), axis, 2) == (2, 0)
    assert spatial(op(3, (), 1), axis, 2) == (3, 1)
    assert spatial(op(3, (), 0), axis, 3) == (2, 1)
    assert spatial(op(3, (), 1), axis, 1) == (3, 0)
    for source, count in ((0, 1), (2, 1)):
        with pytest.raises(Refused, match="slides over other dimensions than the grid's"):
            spatial(op(3, (), source), axis, count)


def test_what_waits_for_all_rows_gives_rows():
    axis = wired((1, 2, 8), dims=(2,))
    reads = {
        "wrap": Along(2, (Read(0, 2, Everything(8)),)),
        "broadcast": Along(2, (Read(0, 2, Everything(1)),)),
        "barrier": Along(None, (Read(0, 2, Everything(8)),), barrier=True),
        "pointwise": Along(2, (Read(0, 2),)),
        "whole": Along(None, (Read(0, 2, Everything(8)),)),
    }
    ops = (*axis.graph.ops, *(op(i + 1, (1, 2, 8), 0, kind=kind) for i, kind in enumerate(reads)))
    followed = Axis(Graph(ops, 0, "waits"), 0, [axis.along[0], *reads.values()], [0] * len(ops))
    assert [o.kind for o in followed.waits] == ["wrap"]
    assert [o.kind for o in followed.barriers] == ["barrier"]


def test_a_refusal_is_a_mistake_of_the_user_with_names():
    refused = Refused(op(3, (1,), 0, kind="flip"), "turns the axis around")
    assert isinstance(refused, UserError)
    assert (refused.module, refused.operator, refused.reason) == ("m3", "flip", "turns the axis around")
    assert str(refused) == "m3 (flip): turns the axis around"


def test_the_stride_of_a_network_is_that_of_its_output():
    assert strides(axis_of("strided"))[axis_of("strided").graph.output] == 4
    assert period(axis_of("strided")) == 4
    assert strides(axis_of("resize"))[axis_of("resize").graph.output] == Fraction(2, 3)
    assert F.max_pool1d(nn.Conv1d(1, 1, 5, 2)(torch.zeros(1, 1, 64)), 3, 2, 1).shape[2] == 15
