"""The rows that a resize reads, against ATen's own interpolation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atrous.geometry import interpolation
from atrous.geometry.graph import Op, Ref
from atrous.geometry.interpolation import Resize
from atrous.geometry.rules.resize import resizes
from tests.geometry.test_maps import SMALL, check, read_rows


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


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "cubic"])
@pytest.mark.parametrize("length", [1, 2, 5, 17])
def test_powers_of_two_need_no_table(mode, factor, length):
    step = Resize(mode, length, length * factor, False, 1 / factor)
    taps = step.taps(np.arange(length * factor))
    assert [step.first(o) for o in range(length * factor)] == taps[:, 0].tolist()
    assert [step.last(o) - 1 for o in range(length * factor)] == taps[:, -1].tolist()


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("mode", "weights"), [("linear", 2), ("cubic", 4)])
def test_taps_and_positions_give_the_interpolation(mode, weights, align_corners):
    """`sum over taps of weight(position - tap) * x[tap]` is what ATen computes."""
    length, outputs = 7, 12
    scale = (length - 1) / (outputs - 1) if align_corners else length / outputs
    step = Resize(mode, length, outputs, align_corners, float(np.float32(scale)))
    x = np.random.default_rng(0).normal(size=length)
    o = np.arange(outputs)
    position = step.position(o).astype(np.float64)
    offsets = np.floor(position)[:, None] + np.arange(weights) - (1 if mode == "cubic" else 0) - position[:, None]
    away = np.abs(offsets)
    if mode == "linear":
        kernel = 1 - away
    else:  # Keys (1981), a = -0.75
        a = -0.75
        kernel = np.where(
            away <= 1, (a + 2) * away**3 - (a + 3) * away**2 + 1, a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a
        )
    expected = F.interpolate(
        torch.tensor(x)[None, None, :, None].expand(1, 1, length, 2),
        size=(outputs, 2),
        mode={"linear": "bilinear", "cubic": "bicubic"}[mode],
        align_corners=align_corners,
    )[0, 0, :, 0].numpy()
    np.testing.assert_allclose((kernel * x[step.taps(o)]).sum(1), expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "cubic"])
@pytest.mark.parametrize(("length", "outputs"), [(7, 12), (12, 7), (5, 5)])
def test_without_a_table_the_rows_are_the_same(monkeypatch, mode, length, outputs):
    table = Resize(mode, length, outputs, False, length / outputs)
    firsts, lasts = [table.first(o) for o in range(outputs)], [table.last(o) for o in range(outputs)]
    ready = [table.ready(n, outputs) for n in range(length + 1)]
    assert table.ready(length, outputs - 2) == outputs - 2
    monkeypatch.setattr(interpolation, "TABLE", outputs - 1)
    single = Resize(mode, length, outputs, False, length / outputs)
    assert [single.first(o) for o in range(outputs)] == firsts
    assert [single.last(o) for o in range(outputs)] == lasts
    assert [single.ready(n, outputs) for n in range(length + 1)] == ready
    assert (single.first(-3), single.last(outputs + 3)) == (firsts[0], lasts[-1])


@pytest.mark.parametrize(
    ("scale", "corners", "power"),
    [
        (0.5, False, 2),
        (0.25, False, 4),
        (1.0, False, 1),
        (1 / 3, False, 0),
        (2.0, False, 0),
        (0.5, True, 0),
        (0.0, False, 0),
    ],
)
def test_powers_of_two_are_known(scale, corners, power):
    step = Resize("linear", 8, 16, corners, scale)
    assert step.power == power
    assert step.is_uniform == (power > 0)
    assert step.outputs_of(5) == (5 * power if power else None)
    assert step.dropped_at_end(8, 16) == (0 if power else 1)


@pytest.mark.parametrize(
    ("scale", "corners", "expected"),
    [
        (0.5, False, False),
        (1 / 3, False, False),
        (3.0, False, False),
        (1.0, False, False),
        (0.4, False, True),
        (0.5, True, True),
    ],
)
def test_integer_factors_do_not_depend_on_the_length(scale, corners, expected):
    assert Resize("linear", 8, 16, corners, scale).depends_on_length == expected


@pytest.mark.parametrize(
    ("length", "outputs", "corners", "given", "expected"),
    [
        (8, 16, False, False, False),
        (8, 25, False, False, True),
        (8, 25, False, True, False),
        (8, 25, True, True, True),
        (25, 8, False, False, True),
        (1, 25, False, False, False),
        (25, 25, True, False, False),
        (2, 25, True, False, True),
        (1, 24, True, False, False),
        (2, 48, False, False, False),
    ],
)
def test_ratios_of_lengths_are_told_from_factors(length, outputs, corners, given, expected):
    step = Resize("linear", length, outputs, corners, length / outputs)
    assert step.ratio_follows_length(given, 24) == expected


def test_the_last_row_stands_for_those_after_the_end():
    step = Resize("linear", 8, 16, False, 0.5)
    reading = [o for o in range(16) if step.last(o) >= 8]
    assert [o for o in range(16) if step.reads_beyond(o + 1, 8)] == reading
    assert min(reading) == 13
    assert step.interpolates
    assert step.signature == ("linear", False, 0.5)
    assert step.rows_per_output == 0.5
    assert Resize("nearest", 1, 1, True, 0.0).rows_per_output == 1
    assert Resize("nearest", 7, 5, False, 1.4).rows_per_output == interpolation.Fraction(7, 5)


def test_float64_positions_are_not_rounded():
    far = np.array([2**25 + 1])
    assert Resize("nearest", 2**26, 2**26, False, 1.0, precise=True).position(far)[0] == 2**25 + 1
    assert Resize("nearest", 2**26, 2**26, False, 1.0).position(far)[0] == 2**25
