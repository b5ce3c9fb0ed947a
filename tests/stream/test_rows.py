"""Which rows are read and where they lie: the spans of operators, and cutting them out of what is held."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import nn

from atrous.geometry.maps import IDENTITY
from atrous.geometry.passes import Pass, program
from atrous.geometry.program import Program, build
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.rows import (
    InputPiece,
    OutputSpan,
    barrier_rows,
    cross_offset,
    cross_rows,
    cross_spans,
    input_rows,
    narrow,
    no_rows,
    output_span,
)


def convolution() -> Prepared:
    return prepare(nn.Conv2d(2, 3, (3, 5), stride=(2, 1), padding=(1, 2)), (2, 20, 30))


def blocks(ready: Prepared) -> Program:
    """Rows 2 to 6 along the streamed axis 0, columns 10 to 20 along the cross axis 1."""
    return build(ready.axes, 0, {ready.graph.output: {0: (2, 6), 1: (10, 20)}}, (0,))


def test_a_span_names_the_rows_that_the_windows_cover():
    ready = convolution()
    op = ready.graph.ops[ready.graph.output]
    span = output_span(op, ready.axes[0], 2, 6)
    assert span is not None
    assert (span.dim, span.lo, span.hi) == (2, 2, 6)
    assert span.pieces[0].dim == 2
    assert (span.pieces[0].lo, span.pieces[0].hi, span.pieces[0].length) == (3, 12, 20)
    first = output_span(op, ready.axes[0], 0, 1)
    assert first is not None
    assert (first.pieces[0].lo, first.pieces[0].hi) == (0, 2)  # the padding is no row of the input
    assert output_span(ready.graph.ops[1], ready.axes[0], 0, 1) is None  # a weight has no rows


def test_a_reduction_reads_all_rows_and_has_none():
    ready = prepare(nn.Sequential(nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4)), (1, 20))
    barrier = ready.axes[0].barriers[0]
    span = output_span(barrier, ready.axes[0], 0, 1)
    assert span is not None
    assert (span.dim, span.hi) == (-1, 1)
    assert [(p.lo, p.hi) for p in span.pieces.values()] == [(0, 18)]


def test_cross_axes_are_cut_to_the_block_and_its_halo():
    ready = convolution()
    cut = blocks(ready)
    (span,) = cross_spans(cut, ready.graph.ops[ready.graph.output])
    assert (span.dim, span.lo, span.hi) == (3, 10, 20)
    assert (span.pieces[0].lo, span.pieces[0].hi) == (8, 22)
    assert cross_rows(cut, 0) == {3: (8, 22)}
    assert cross_rows(cut, ready.graph.output) == {3: (10, 20)}
    assert cross_offset(cut, 0, 3) == 8
    assert cross_offset(cut, 0, 2) == 0  # the streamed axis
    assert cross_offset(cut, 1, 3) == 0  # a weight
    whole = build({0: ready.axes[0]}, 0, {ready.graph.output: {0: (0, 10)}}, (0,))
    assert cross_spans(whole, ready.graph.ops[ready.graph.output]) == ()
    assert cross_rows(whole, 0) == {}


def test_input_rows_are_cut_out_of_what_is_held():
    ready = convolution()
    cut, op = blocks(ready), ready.graph.ops[ready.graph.output]
    x = torch.arange(20.0)[:, None] * 100 + torch.arange(30.0)
    along = output_span(op, cut.axis, 3, 5)
    assert along is not None
    spans = (along, *cross_spans(cut, op))
    held = x[None, None, 1:15, 8:22]  # rows from 1 on, columns of the block
    assert torch.equal(input_rows(cut, 0, held, 1, spans)[0, 0], x[5:10, 8:22])
    narrower = (along, OutputSpan(3, 12, 14, {0: InputPiece(3, 10, 16, 30, IDENTITY)}))
    assert torch.equal(input_rows(cut, 0, held, 1, narrower)[0, 0], x[5:10, 10:16])
    assert torch.equal(input_rows(cut, 0, held, None, narrower[1:])[0, 0], x[1:15, 10:16])
    weight = torch.zeros(3, 2, 3, 5)
    assert input_rows(cut, 1, weight, None, spans) is weight


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5))
def test_narrow_is_a_slice(lo, count, offset):
    rows = torch.arange(40).reshape(2, 20)
    piece = InputPiece(1, lo + offset, lo + offset + count, 100, IDENTITY)
    assert torch.equal(narrow(rows, piece, offset), rows[:, lo : lo + count])


def test_all_rows_are_returned_without_a_view():
    rows = torch.zeros(1, 4)
    assert narrow(rows, InputPiece(1, 7, 11, 100, IDENTITY), 7) is rows
    assert narrow(rows, InputPiece(1, 8, 8, 100, IDENTITY), 7).shape == (1, 0)
    assert narrow(rows, InputPiece(1, 9, 8, 100, IDENTITY), 7).shape == (1, 0)
    assert narrow(rows, InputPiece(1, 50, 50, 100, IDENTITY), 7).shape == (1, 0)  # rows that are not held
    assert narrow(rows, InputPiece(1, 7, 10, 100, IDENTITY), 7).shape == (1, 3)
    assert narrow(rows, InputPiece(1, 3, 7, 100, IDENTITY), 3) is rows


def test_no_rows_have_the_type_and_the_other_sizes_of_the_run():
    ready = convolution()
    cut, op = blocks(ready), ready.graph.ops[ready.graph.output]
    spans = (OutputSpan(2, 0, 1, {0: InputPiece(2, 5, 5, 20, IDENTITY)}), *cross_spans(cut, op))
    held = [torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.float64)]
    empty = no_rows(cut, 0, spans, held)
    assert empty.shape == (1, 2, 0, 14)
    assert empty.dtype == torch.float64
    assert no_rows(cut, 0, spans, []).dtype == torch.float32


@pytest.mark.parametrize("b", [0, 1, 2])
def test_blocks_of_a_barrier_share_no_column(b):
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(1, 2), nn.Conv2d(2, 2, 5, padding=2))
    ready = prepare(network, (1, 12, 30))
    barrier = ready.axes[0].barriers[0]
    both = Pass(0, (barrier.index,), (ready.axes[0].along[barrier.index].reads[0].input,), False, ())
    cut = program(ready.axes, 0, both, {0: (0, 12), 1: (0, 30)}, 1, b, 3)
    source = cut.axis.along[barrier.index].reads[0].input
    cut.boxes[source][1] = (max(0, 10 * b - 2), 10 * b + 10)  # as if another operator needed two columns more
    columns = torch.arange(30.0)[cut.boxes[source][1][0] : cut.boxes[source][1][1]]
    rows, place = barrier_rows(cut, barrier.index, columns.expand(1, 2, 4, -1), 3, 7)
    assert place == {2: (3, 7), 3: (10 * b, 10 * b + 10)}
    assert torch.equal(rows[0, 0, 0], torch.arange(10.0 * b, 10.0 * b + 10))
    assert rows.shape == (1, 2, 4, 10)
    assert cross_spans(cut, barrier) == ()
