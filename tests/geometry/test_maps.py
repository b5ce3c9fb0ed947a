"""The interval arithmetic, against what ATen's operators really read."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.geometry.borders import Bordered
from atrous.geometry.graph import Op, Ref
from atrous.geometry.interpolation import Resize
from atrous.geometry.maps import Bins, Map, Regrouped, Sliding, Transposed
from atrous.geometry.rules.rearrange import view_group
from atrous.geometry.rules.resize import resizes

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
@given(st.sampled_from(["nearest", "nearest-exact", "linear"]), st.integers(2, 20), st.integers(1, 50), st.booleans())
def test_resize(mode, length, outputs, corners):
    corners = corners and mode == "linear"
    scale = (length - 1) / max(outputs - 1, 1) if corners else length / outputs
    if corners and outputs == 1:
        scale = 0.0
    step = Resize(mode, length, outputs, corners, float(np.float32(scale)))
    options = {"align_corners": corners} if mode == "linear" else {}
    check(step, length, read_rows(lambda x: F.interpolate(x, size=outputs, mode=mode, **options), length))


@SMALL
@given(st.sampled_from(["nearest", "nearest-exact", "linear"]), st.integers(3, 30), st.floats(0.4, 3.2))
def test_resize_by_a_factor(mode, length, factor):
    def function(x):
        return F.interpolate(x, scale_factor=factor, mode=mode)

    kind = ("_" if mode == "nearest-exact" else "") + f"upsample_{mode.replace('-', '_')}1d"
    corners = (False,) if mode == "linear" else ()
    shape = (1, 1, int(length * factor))
    op = Op(1, kind, "", shape, torch.float32, getattr(torch.ops.aten, kind).vec, (Ref(0), None, *corners, [factor]))
    check(resizes(op, (1, 1, length))[0], length, read_rows(function, length))


@SMALL
@given(st.sampled_from(["reflect", "replicate"]), st.integers(0, 4), st.integers(0, 4), st.integers(6, 12))
def test_bordered(mode, before, after, length):
    step = Bordered(mode, before, after, length)
    rows = read_rows(lambda x: F.pad(x, (before, after), mode=mode), length)
    assert [{step.source_row(o)} for o in range(len(rows))] == rows
    check(step, length, rows)


@SMALL
@given(st.integers(1, 12), st.integers(12, 40))
def test_bins(bins, length):
    check(Bins(length, bins), length, read_rows(lambda x: F.adaptive_avg_pool1d(x, bins), length))


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "cubic"])
@pytest.mark.parametrize("length", [1, 2, 5, 17])
def test_powers_of_two_need_no_table(mode, factor, length):
    step = Resize(mode, length, length * factor, False, 1 / factor)
    taps = step.taps(np.arange(length * factor))
    assert [step.first(o) for o in range(length * factor)] == taps[:, 0].tolist()
    assert [step.last(o) - 1 for o in range(length * factor)] == taps[:, -1].tolist()


def test_regrouped():
    check(Regrouped(3, 1), 5, [{o // 3} for o in range(15)])
    check(Regrouped(1, 2), 10, [{2 * o, 2 * o + 1} for o in range(5)])


@pytest.mark.parametrize(
    ("before", "after", "dim", "found"),
    [
        ((1, 6, 8, 5), (1, 2, 3, 8, 5), 2, (3, 1, 1)),
        ((1, 6, 8, 5), (1, 6, 40), 2, (2, 5, 1)),
        ((1, 6, 8, 5), (1, 6, 40), 3, None),
        ((1, 6, 40), (1, 6, 8, 5), 2, (2, 1, 5)),
        ((1, 6, 8), (1, 6, 1, 8), 2, (3, 1, 1)),
        ((1, 6, 8), (48,), 2, None),
        ((1, 6, 8, 4), (1, 6, 4, 2, 4), 2, (2, 1, 2)),
        ((1, 6, 1, 4), (1, 6, 4), 2, (2, 4, 1)),
    ],
)
def test_view_group(before, after, dim, found):
    assert view_group(before, after, dim) == found
