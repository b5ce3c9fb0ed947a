"""Windows cover the wanted outputs once, each within what its input decides; plans and runs by windows."""

import itertools
import math
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import nn

from atrous.geometry.axis import period
from atrous.geometry.field import AxisField
from atrous.stream import Options, Refused, plan, prepare, stream, windows
from atrous.stream.compiled import eager_compiler
from atrous.stream.prepare import output_region
from atrous.stream.windows import AxisWindow, axis_windows, run_windows, window_engine, window_plan, window_size
from tests import toy_models
from tests.toy_models import Lambda, difference, settled


@given(
    st.integers(1, 300),
    st.sampled_from([Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2)]),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.integers(1, 90),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_windows_cover_the_wanted_rows_and_the_halo_around_them(inputs, stride, halo, size, part):
    outputs, step = max(1, int(inputs / stride)), max(1, stride.numerator)
    lo = min(outputs - 1, int(part[0] * outputs))
    hi = min(outputs, lo + 1 + int(part[1] * outputs))
    field = AxisField(0, inputs, outputs, float(stride), 1, 0.0, halo)
    found = axis_windows(field, step, size, (lo, hi))
    assert [w.lo for w in found] == [lo, *(w.hi for w in found[:-1])]
    assert found[-1].hi == hi
    shared = -(-(halo[0] + -(-halo[1] // stride) * stride) // step) * step
    first = max(0, (int(lo * stride) - halo[0]) // step * step)
    needed = min(inputs, math.ceil(hi * stride) + halo[1]) - first
    usual = max(-(-size // step) * step, min(shared + step, -(-needed // step) * step))
    for w in found:
        assert w.lo < w.hi
        assert w.start % step == 0
        assert 0 <= w.start < w.stop <= inputs
        assert w.start == 0 or w.start + halo[0] <= w.lo * stride
        assert w.stop == inputs or w.hi * stride + halo[1] <= w.stop
        assert w.stop - w.start == usual or (w.stop == inputs and w.stop - w.start < usual + step)
    assert all(a.hi == int((a.stop - halo[1]) / stride) for a in found[:-1])
    assert all(a.stop - b.start == shared for a, b in itertools.pairwise(found[:-1]) if b.start)
    again = axis_windows(field, step, max(w.stop - w.start for w in found) // step * step, (lo, hi))
    assert again == found  # what a plan says of its windows is what runs


@given(
    st.integers(1, 3000),
    st.sampled_from([(1, 1), (1, 8), (2, 8), (4, 4), (0.5, 2)]),
    st.tuples(st.integers(0, 60), st.integers(0, 60)),
    st.integers(1, 300),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_windows_are_no_longer_than_so_few_need_to_be(inputs, grid, halo, core, part):
    stride, step = grid
    outputs = max(1, int(inputs / stride))
    lo = min(outputs - 1, int(part[0] * outputs))
    hi = min(outputs, lo + 1 + int(part[1] * outputs))
    field = AxisField(0, inputs, outputs, float(stride), 1, 0.0, halo)
    size = window_size(field, step, core, (lo, hi))
    found = axis_windows(field, step, size, (lo, hi))
    shared = -(-math.ceil(halo[0] + -(-halo[1] // stride) * stride) // step) * step
    longest = -(-(shared + core + step) // step) * step
    assert size <= longest
    longer = axis_windows(field, step, longest, (lo, hi))
    assert len(found) <= len(longer) or longer[-1].stop == inputs
    if size > shared + step and found[-1].stop < inputs:
        assert len(axis_windows(field, step, size - step, (lo, hi))) > len(found)


def test_windows_are_as_few_as_their_size_allows():
    field = AxisField(0, 1000, 500, 2.0, 31, -15.0, (15, 14))
    assert axis_windows(field, 4, 100, (0, 500)) == [
        AxisWindow(0, 100, 0, 43), AxisWindow(68, 168, 43, 77), AxisWindow(136, 236, 77, 111),
        AxisWindow(204, 304, 111, 145), AxisWindow(272, 372, 145, 179), AxisWindow(340, 440, 179, 213),
        AxisWindow(408, 508, 213, 247), AxisWindow(476, 576, 247, 281), AxisWindow(544, 644, 281, 315),
        AxisWindow(612, 712, 315, 349), AxisWindow(680, 780, 349, 383), AxisWindow(748, 848, 383, 417),
        AxisWindow(816, 916, 417, 451), AxisWindow(884, 984, 451, 485), AxisWindow(900, 1000, 485, 500),
    ]  # fmt: skip
    assert axis_windows(field, 4, 1000, (0, 500)) == [AxisWindow(0, 1000, 0, 500)]
    assert axis_windows(field, 4, 1, (100, 101)) == [AxisWindow(184, 216, 100, 101)]


def network() -> nn.Module:
    return settled(nn.Sequential(nn.Conv1d(1, 2, 5, padding=2), nn.ReLU(), nn.Conv1d(2, 2, 3, padding=1)))


def test_a_plan_says_what_windows_cost(monkeypatch):
    monkeypatch.setitem(windows.CORE, 1, 64)
    ready = prepare(network(), (1, 300))
    strips = plan(ready, (1, 300), strip=30)
    box = output_region(ready.graph, ready.axes, None)
    found = window_plan(ready, strips, box, None, torch.float32)
    parts = axis_windows(ready.fields[0], 1, 65, (0, 300))
    assert (found.strategy, found.window, found.blocks) == ("windows", (65,), len(parts))
    assert len(parts) == 5  # of 65 positions at most, which share 6 with the next one
    work = sum(w.stop - w.start for w in parts) * (10 + 12)
    assert found.macs == pytest.approx(work)
    assert found.macs_whole == strips.macs_whole
    assert found.reason == "one static shape"
    weights = ready.graph.parameters * 4
    assert found.peak_bytes == pytest.approx(65 * (2 + 2) * 4 + weights, abs=1)
    half = window_plan(ready, strips, box, None, torch.bfloat16)
    assert half.peak_bytes == pytest.approx(found.peak_bytes / 2, abs=1)


def test_windows_shrink_until_they_fit(monkeypatch):
    monkeypatch.setitem(windows.CORE, 1, 128)
    ready = prepare(network(), (1, 1000))
    strips, box = plan(ready, (1, 1000), strip=30), output_region(ready.graph, ready.axes, None)
    peaks = {n: 4 * (4 * n + ready.graph.parameters) for n in (131, 69, 39)}  # 8, 16 and 31 windows
    shapes = {m: window_plan(ready, strips, box, m, torch.float32).window for m in (peaks[131], peaks[131] - 1, 1)}
    assert shapes == {peaks[131]: (131,), peaks[131] - 1: (69,), 1: (39,)}
    assert window_plan(ready, strips, box, peaks[69], torch.float32).window == (69,)


@pytest.mark.parametrize("place", [64, 67, 77])
def test_a_region_is_computed_with_its_halo_and_little_more(place, monkeypatch):
    """Of 64 x 64 positions, wherever they begin: one window, of which each side is rounded to whole steps once."""
    monkeypatch.setitem(windows.CORE, 2, 64)
    ready, x = prepare(settled(toy_models.unet(2)), (2, 256, 256)), torch.randn(2, 256, 256)
    read, counted = windows.read_box, []

    def counting(source, place, *options):
        counted.append(math.prod(stop - start for start, stop in place.values()))
        return read(source, place, *options)

    monkeypatch.setattr(windows, "read_box", counting)
    region = (slice(place, place + 64),) * 2
    found = stream(ready, x.numpy(), strategy="windows", region=region)
    assert difference(torch.from_numpy(found), ready.network(x[None])[0, :, *region].detach()) <= 5e-5
    steps = [period(axis) for axis in ready.axes.values()]
    most = [64 + sum(ready.fields[g].halo) + 2 * (step - 1) for g, step in enumerate(steps)]
    assert len(counted) == 1
    assert counted[0] <= math.prod(most)


REFUSED = {
    "barrier": (lambda x: x - x.mean(2, keepdim=True), "needs the whole extent"),
    "wide bins": (lambda x: F.adaptive_avg_pool1d(x, x.shape[2] // 2 - 1), "depend on the length"),
    "corners": (lambda x: F.interpolate(x, scale_factor=2, mode="linear", align_corners=True), "depend on the length"),
    "odd ratio": (lambda x: F.interpolate(x, size=x.shape[2] * 2 // 5), "depend on the length"),
    "circular": (lambda x: F.pad(x, (2, 2), mode="circular"), "depend on the length"),
    "coordinates": (lambda x: x + torch.arange(float(x.shape[2])), "depends on the position"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_the_whole_is_refused(name):
    function, reason = REFUSED[name]
    with pytest.raises(Refused, match=reason):
        plan(Lambda(lambda m, x: function(x)), (2, 100), strategy="windows")
    assert plan(Lambda(lambda m, x: function(x)), (2, 100)).strategy == "strips"


def test_axes_that_cannot_be_cut_are_refused():
    with pytest.raises(Refused, match="mixes positions"):
        plan(toy_models.tokens(), (2, 8, 6), strategy="windows")


@pytest.mark.parametrize("factor", [2, 0.5, 0.25])
def test_resizes_by_whole_factors_are_windows(factor, monkeypatch):
    monkeypatch.setitem(windows.CORE, 1, 64)
    resize, x = Lambda(lambda m, x: F.interpolate(F.relu(x), scale_factor=factor, mode="linear")), torch.randn(1, 400)
    found = torch.from_numpy(stream(resize, x.numpy(), strategy="windows"))
    assert difference(found, resize(x[None])[0]) <= 5e-5


@pytest.mark.parametrize("post", [None, "argmax"])
@pytest.mark.parametrize("region", [None, (slice(40, 61), slice(3, 33))])
def test_windows_give_the_rows_of_the_whole(post, region, monkeypatch):
    monkeypatch.setitem(windows.CORE, 2, 24)
    unet, x = settled(toy_models.unet(2)), torch.randn(2, 100, 36, generator=torch.Generator().manual_seed(1))
    shares = []
    out = stream(unet, x.numpy(), strategy="windows", region=region, post=post, progress=shares.append)
    with torch.inference_mode():
        whole = unet(x[None])[0]
    whole = whole if region is None else whole[:, *region]
    if post is None:
        assert difference(torch.from_numpy(out), whole) <= 5e-5
    else:
        assert np.array_equal(out, whole.argmax(0).numpy())
    count = plan(unet, (2, 100, 36), strategy="windows", region=region).blocks
    assert shares == [pytest.approx((i + 1) / count) for i in range(count)]


def test_windows_that_repeat_are_compiled_and_others_are_not(monkeypatch):
    monkeypatch.setitem(windows.CORE, 1, 64)
    compiled = []

    def compiler(module, inputs, outputs):
        compiled.append((tuple(inputs[0].shape), tuple(outputs[0].shape)))
        return eager_compiler(module, inputs, outputs)

    ready, x = prepare(network(), (1, 301)), torch.randn(1, 301)
    box = output_region(ready.graph, ready.axes, None)
    for dtype, tolerance in ((None, 1e-5), (torch.float64, 1e-6), (torch.bfloat16, 5e-2)):
        run_plan = window_plan(ready, plan(ready, (1, 301), strip=9), box, None, dtype or torch.float32)
        out = run_windows(ready, run_plan, box, x, None, Options(dtype=dtype), compiler)
        assert difference(torch.from_numpy(out), ready.network(x[None])[0].detach()) <= tolerance
    assert compiled == [((1, 1, 65), (1, 2, 65))] * 3
    compiled.clear()
    short = prepare(network(), (1, 50))
    box = output_region(short.graph, short.axes, None)
    run_windows(short, window_plan(short, plan(short, (1, 50), strip=9), box, None, torch.float32), box,
                x[:, :50], None, Options(), compiler)  # fmt: skip
    assert compiled == []


def test_planes_are_compiled_channels_last():
    ready = prepare(settled(toy_models.unet(2)), (2, 24, 16))

    def compiler(module, inputs, outputs):
        assert all(t.is_contiguous(memory_format=torch.channels_last) for t in (*inputs, *outputs))
        return eager_compiler(module, inputs, outputs)

    x = torch.randn(1, 2, 12, 8)
    engine = window_engine(ready, (2, 12, 8), torch.float32, compiler)
    with torch.inference_mode():
        assert difference(engine(x), ready.network(x)) <= 5e-5


def test_the_strategy_with_less_work_is_taken():
    wide = plan(network(), (1, 4096))
    assert wide.strategy == "strips"
    assert "windows would do 1." in wide.reason
    asked = plan(network(), (1, 400_000), strategy="windows")
    assert "times the work of strips" in asked.reason
