"""Pads that copy rows, against torch's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atrous.geometry.borders import Bordered
from tests.geometry.test_maps import SMALL, check, read_rows


@SMALL
@given(st.sampled_from(["reflect", "replicate"]), st.integers(0, 4), st.integers(0, 4), st.integers(6, 12))
def test_bordered(mode, before, after, length):
    step = Bordered(mode, before, after, length)
    rows = read_rows(lambda x: F.pad(x, (before, after), mode=mode), length)
    assert [{step.source_row(o)} for o in range(len(rows))] == rows
    check(step, length, rows)


def copied(mode, before, after, length):
    x = torch.arange(float(length))[None, None]
    if mode == "circular":  # torch wraps only what a crop leaves
        x = x[..., max(-before, 0) : length - max(-after, 0)]
        before, after = max(before, 0), max(after, 0)
    return F.pad(x, (before, after), mode=mode)[0, 0].tolist()


@SMALL
@given(
    st.sampled_from(["reflect", "replicate", "circular"]),
    st.integers(-3, 4),
    st.integers(-3, 4),
    st.integers(8, 12),
)
def test_every_row_is_copied_from_where_torch_copies_it(mode, before, after, length):
    if before <= 0 and after <= 0:
        return  # only crops, which have no mode
    step = Bordered(mode, before, after, length)
    rows = copied(mode, before, after, length)
    assert [step.source_row(o) for o in range(length + before + after)] == rows
    assert step.wraps == (mode == "circular")
    if not step.wraps:
        lowest, highest = (lambda o: min(rows[o:])), (lambda o: max(rows[: o + 1]) + 1)
        assert [step.first(o) for o in range(len(rows))] == [lowest(o) for o in range(len(rows))]
        assert [step.last(o) for o in range(len(rows))] == [highest(o) for o in range(len(rows))]


def test_a_circular_crop_does_not_wrap():
    assert not Bordered("circular", -1, 0, 9).wraps


def test_the_padding_after_the_end_begins_behind_the_last_row():
    step = Bordered("reflect", 2, 3, 10)
    assert not step.reads_beyond(12, 10)
    assert step.reads_beyond(13, 10)
    assert step.dropped_at_end(10, 15) == 0


@pytest.mark.parametrize(("other", "alike"), [(("reflect", 2, 3, 99), True), (("reflect", 2, 4, 10), False)])
def test_the_signature_leaves_out_the_length(other, alike):
    assert (Bordered("reflect", 2, 3, 10).signature == Bordered(*other).signature) == alike
