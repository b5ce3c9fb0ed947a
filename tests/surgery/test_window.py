"""Windows on a finer grid against the framework's own operators on the coarse one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.surgery.window import DilatedAvgPool, DilatedMaxPool, FineWindow, dilate_conv

WINDOWS = st.builds(
    lambda k, s, d, p, r, left: FineWindow(k, s, d, *[min(p, d * (k - 1) // 2)] * 2, r, min(left, s)),
    st.integers(1, 4), st.sampled_from([1, 2, 4]), st.integers(1, 2), st.integers(0, 3), st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 4]),
)  # fmt: skip


@given(window=WINDOWS, length=st.integers(20, 41), kind=st.sampled_from(["conv", "max", "avg"]))
@settings(max_examples=60, deadline=None)
def test_the_coarse_grid_is_the_original_borders_included(window, length, kind):
    x = torch.randn(1, 2, length, dtype=torch.float64)
    coarse = x[..., :: window.rate]
    k, s, p, d = window.kernel, window.stride, window.after, window.dilation
    if coarse.shape[2] + 2 * p < d * (k - 1) + 1:
        return
    if kind == "conv":
        conv = nn.Conv1d(2, 3, k, s, p, d, dtype=torch.float64)
        wanted = conv(coarse)
        dilate_conv(conv, [window])
        found = conv(x)
    elif kind == "max":
        p = min(p, k // 2)
        window = FineWindow(k, s, d, p, p, window.rate, window.fine_stride)
        wanted, found = F.max_pool1d(coarse, k, s, p, d), DilatedMaxPool([window])(x)
    else:
        p = min(p, k // 2)
        window = FineWindow(k, s, 1, p, p, window.rate, window.fine_stride)
        wanted, found = F.avg_pool1d(coarse, k, s, p), DilatedAvgPool([window])(x)
    assert found[..., :: window.rate_out].shape == wanted.shape
    assert torch.allclose(found[..., :: window.rate_out], wanted, atol=1e-12)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("divisor", [None, 3])
@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize("size", [(14, 15), (16, 17), (9, 12)])
def test_average_pools_count_as_the_original_does(include, divisor, ceil, size):
    x = torch.randn(1, 2, size[0] * 2, size[1] * 2 - 1, dtype=torch.float64)
    pool = nn.AvgPool2d(3, 2, 1, ceil, include, divisor)
    found = DilatedAvgPool([FineWindow(3, 2, 1, 1, 1, 2, 1, ceil)] * 2, include, divisor)(x)
    assert torch.allclose(found[..., ::4, ::4], pool(x[..., ::2, ::2]), atol=1e-12)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_a_window_of_two_keeps_an_even_length_and_its_class_is_copied(kind):
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[kind](2, 2, 2, 2)
    dilate_conv(conv, [FineWindow(2, 2, 1, 0, 0, 1, 1)] * kind)
    x = torch.randn(1, 2, *(8,) * kind)
    assert conv(x).shape == x.shape
    assert torch.equal(copy.deepcopy(conv)(x), conv(x))


@pytest.mark.parametrize(("kernel", "stride", "pad", "length"), [(3, 2, 2, 8), (5, 2, 4, 12), (3, 4, 2, 16)])
def test_more_padding_than_same_stays_where_the_outputs_allow_it(kernel, stride, pad, length):
    window = FineWindow(kernel, stride, 1, pad, pad, rate=1, fine_stride=1)
    coarse = (length + 2 * pad - kernel) // stride + 1
    fine = min(length + 2 * pad - kernel + 1, coarse * stride)  # every stride-th is a coarse output
    assert window.pads(length) == (pad, fine - 1 + kernel - length - pad)
