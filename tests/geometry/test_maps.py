"""The interval arithmetic, against what ATen's operators really read."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.geometry.maps import IDENTITY, Bins, Everything, Map, Regrouped, Sliding, Transposed

SMALL = settings(max_examples=60, deadline=None)


def read_rows(function, length: int) -> list[set[int]]:
    """For each output of a linear function of one axis, the inputs with a weight that is not zero."""
    matrix = function(torch.eye(length)[:, None])[:, 0]  # (input, output)
    return [set(torch.nonzero(matrix[:, o]).flatten().tolist()) for o in range(matrix.shape[1])]


def check(step: Map, length: int, rows: list[set[int]]) -> None:
    """first and last never decrease, enclose what is read, and ready is their inverse."""
    firsts, lasts = ([f(o) for o in range(len(rows))] for f in (step.first, step.last))
    assert firsts == sorted(firsts)
    assert lasts == sorted(lasts)
    for o, reads in enumerate(rows):
        for i in reads:
            assert max(0, firsts[o]) <= i < min(lasts[o], length)
    for arrived in range(length + 1):
        ready = step.ready(arrived, len(rows))
        assert all(last <= arrived for last in lasts[:ready])
        assert ready == len(rows) or lasts[ready] > arrived


@SMALL
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(12, 30))
def test_sliding(kernel, stride, dilation, padding, length):
    length = max(length, dilation * (kernel - 1) + 1)
    step = Sliding(kernel, stride, dilation, padding)
    weight = torch.ones(1, 1, kernel)
    check(step, length, read_rows(lambda x: F.conv1d(x, weight, None, stride, padding, dilation), length))


@SMALL
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(5, 20))
def test_transposed(kernel, stride, dilation, padding, length):
    step = Transposed(kernel, stride, dilation, padding)
    weight = torch.ones(1, 1, kernel)
    check(
        step, length, read_rows(lambda x: F.conv_transpose1d(x, weight, None, stride, padding, 0, 1, dilation), length)
    )


@SMALL
@given(st.integers(1, 12), st.integers(12, 40))
def test_bins(bins, length):
    check(Bins(length, bins), length, read_rows(lambda x: F.adaptive_avg_pool1d(x, bins), length))


def test_regrouped():
    check(Regrouped(3, 1), 5, [{o // 3} for o in range(15)])
    check(Regrouped(1, 2), 10, [{2 * o, 2 * o + 1} for o in range(5)])


@SMALL
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(12, 30), st.booleans())
def test_windows_give_as_many_outputs_as_torch_says(kernel, stride, dilation, padding, rows, ceil):
    padding = min(padding, kernel // 2)
    x = torch.zeros(1, 1, rows)
    pooled = F.max_pool1d(x, kernel, stride, padding, dilation, ceil).shape[2]
    assert Sliding(kernel, stride, dilation, padding).window_outputs(rows, ceil) == pooled
    transposed = F.conv_transpose1d(x, torch.ones(1, 1, kernel), None, stride, padding, 0, 1, dilation).shape[2]
    assert Transposed(kernel, stride, dilation, padding).window_outputs(rows) == transposed


def test_rows_per_output():
    assert Sliding(3, 2).rows_per_output == 2
    assert Transposed(3, 2, 1, 0).rows_per_output == Fraction(1, 2)
    assert Regrouped(3, 2).rows_per_output == Fraction(2, 3)
    assert Bins(9, 2).rows_per_output == Fraction(9, 2)
    assert Everything(9).rows_per_output == 1


def test_only_the_identity_is_pointwise():
    assert IDENTITY.is_pointwise
    assert not any(s.is_pointwise for s in (Sliding(3), Sliding(1, 2), Sliding(padding=-1), Everything(1)))
    assert IDENTITY.outputs_of(7) == 7
    assert Sliding(padding=-1).outputs_of(7) is None
    assert Regrouped(3, 2).outputs_of(4) == 6
    assert Regrouped(3, 2).outputs_of(5) is None
    assert Everything(7).outputs_of(7) is None
    assert IDENTITY.window_outputs(7) == 7
    assert Bins(7, 2).window_outputs(7) is None


def test_kinds_are_told_apart_by_what_they_do():
    one, all_rows, bins = Everything(1), Everything(9), Bins(9, 2)
    assert (one.is_broadcast, all_rows.is_broadcast, IDENTITY.is_broadcast) == (True, False, False)
    assert (one.needs_all_rows, all_rows.needs_all_rows, bins.needs_all_rows) == (False, True, False)
    assert (one.is_uniform, all_rows.is_uniform, bins.is_uniform, IDENTITY.is_uniform) == (True, False, False, True)
    assert (one.depends_on_length, all_rows.depends_on_length, bins.depends_on_length) == (False, True, True)
    assert not IDENTITY.depends_on_length
    assert (Sliding(3).is_unpadded_window, Sliding(3, padding=1).is_unpadded_window) == (True, False)
    assert not one.is_unpadded_window
    assert not any(step.interpolates or step.wraps for step in (one, bins, IDENTITY))


def test_signatures_leave_out_the_length():
    assert Everything(3).signature == Everything(9).signature
    assert Bins(4, 2).signature == Bins(10, 5).signature != Bins(5, 2).signature
    assert Sliding(3).signature == Sliding(3) != Sliding(3, 2).signature


@pytest.mark.parametrize("stop", range(1, 11))
def test_a_window_at_the_end_reads_padding(stop):
    step, length = Sliding(3, padding=1), 10
    assert step.reads_beyond(stop, length) == (stop + 1 > length)


def test_dropped_rows_are_counted():
    assert Sliding(3, padding=1).dropped_at_end(10, 10) == -1  # the last output needs padding
    assert Sliding(padding=-2).dropped_at_end(10, 5) == 3
    assert Sliding(stride=2).dropped_at_end(10, 4) == 2  # one is left out, and perhaps one more at another length
    assert Sliding(stride=2).dropped_at_end(10, 5) == 0
    assert not IDENTITY.ratio_follows_length(False, 1)


def test_copied_rows():
    assert [Sliding(stride=2, padding=-1).source_row(o) for o in range(3)] == [1, 3, 5]


@SMALL
@given(st.integers(-3, 20), st.integers(0, 8), st.integers(1, 12))
def test_needs_are_clipped_to_the_input(lo, count, length):
    step = Sliding(3, 2, 1, 1)
    rows = {i for o in range(lo, lo + count) for i in range(2 * o - 1, 2 * o + 2) if 0 <= i < length}
    start, stop = step.need(lo, lo + count, length)
    assert set(range(start, stop)) == rows
    assert 0 <= start <= stop <= length


@SMALL
@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 30), st.integers(0, 40))
def test_ready_is_the_inverse_of_last(length, bins, arrived, limit):
    step = Bins(length, bins)
    assert step.ready(arrived, limit) == sum(step.last(o) <= arrived for o in range(limit))
