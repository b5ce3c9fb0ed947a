"""Convolutions, pools and unpooling on a part of the rows are the same rows of torch's operator on the whole input."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from torch import nn

from atrous.geometry.maps import Sliding
from atrous.stream.compute.sliding import extended, overhang
from tests.stream.compute.parts import check_parts
from tests.toy_models import Lambda

LAYERS = {
    "conv1d": (nn.Conv1d(2, 4, 4, 2, 3, 2, groups=2), (2, 23)),
    "conv2d": (nn.Conv2d(2, 3, (3, 5), (2, 3), (2, 1), (1, 2)), (2, 12, 15)),
    "conv2d without bias": (nn.Conv2d(2, 3, 3, padding=(0, 2), bias=False), (2, 9, 7)),
    "conv2d same": (nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2)), (2, 9, 8)),
    "conv3d": (nn.Conv3d(2, 3, 3, (1, 2, 1), 1), (2, 6, 7, 5)),
    "transposed1d": (nn.ConvTranspose1d(2, 3, 5, 3, 2, 1), (2, 9)),
    "transposed2d": (nn.ConvTranspose2d(2, 4, (3, 4), 2, (1, 0), (1, 0), groups=2, dilation=(2, 1)), (2, 7, 6)),
    "transposed gaps": (nn.ConvTranspose2d(2, 3, 2, 3, output_padding=2, bias=False), (2, 5, 6)),
    "transposed gaps with bias": (nn.ConvTranspose2d(2, 3, 1, 3, output_padding=2), (2, 5, 6)),
    "max pool 1d": (nn.MaxPool1d(3, 2, 1, 2), (2, 17)),
    "max pool": (nn.MaxPool2d((3, 2), (2, 1), 1, ceil_mode=True), (2, 12, 8)),
    "max pool dilated": (nn.MaxPool2d(3, 1, 1, (2, 1)), (2, 11, 8)),
    "max pool 3d": (nn.MaxPool3d(2, 2), (2, 6, 8, 4)),
    "positions of maxima": (Lambda(lambda m, x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1]), (2, 12, 9)),
    "positions in 3-D": (Lambda(lambda m, x: F.max_pool3d(x, 2, return_indices=True)[1]), (1, 4, 6, 4)),
    "maxima beside positions": (Lambda(lambda m, x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[0]), (2, 12, 9)),
    "avg pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 12, 9)),
    "avg pool inner": (nn.AvgPool2d((4, 3), (3, 1), (2, 1), ceil_mode=True, count_include_pad=False), (2, 12, 9)),
    "avg pool divisor": (nn.AvgPool2d(3, 2, 1, divisor_override=5), (2, 12, 9)),
    "avg pool 1d": (nn.AvgPool1d(4, 3, 1), (2, 20)),
    "avg bins": (nn.AdaptiveAvgPool2d((5, 3)), (2, 12, 9)),
    "max bins": (nn.AdaptiveMaxPool2d((5, 3)), (2, 12, 9)),
    "avg bins 1d": (nn.AdaptiveAvgPool1d(7), (2, 20)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rows_are_those_of_the_whole(name):
    layer, shape = LAYERS[name]
    check_parts(layer, shape)


def test_masks_and_numbers_have_a_least_value():
    check_parts(Lambda(lambda m, x: F.max_pool2d((x * 9).long(), 3, 2, 1)), (2, 12, 9))


@pytest.mark.parametrize("shape", [(2, 8, 6), (2, 7, 9)])
def test_unpooled_rows_are_those_of_the_whole(shape):
    def forward(m, x):
        values, positions = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(values, positions, 2, output_size=x.shape[2:])

    check_parts(Lambda(forward), shape)


def test_frames_of_a_batch_are_pooled_each_by_itself():
    check_parts(
        Lambda(lambda m, x: m.pool(m.conv(x.transpose(1, 2)[0])).transpose(0, 1)[None],
               conv=nn.Conv2d(2, 3, 3, padding=1), pool=nn.MaxPool2d(2)),
        (2, 6, 8, 4),
    )  # fmt: skip


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(0, 9), st.integers(1, 9))
@settings(max_examples=60)
def test_overhang_counts_the_rows_beyond_the_input(kernel, stride, dilation, padding, lo, count):
    w, length = Sliding(kernel, stride, dilation, padding), 11
    read = range(w.first(lo), w.last(lo + count - 1))
    assume(any(0 <= row < length for row in read))
    before, after = overhang(w, lo, lo + count, length)
    assert before == sum(row < 0 for row in read)
    assert after == sum(row >= length for row in read)


def test_windows_that_only_read_padding():
    w = Sliding(3, 1, 1, 5)
    assert overhang(w, 0, 2, 4) == (4, 0)
    assert overhang(w, 10, 11, 4) == (0, 3)
    assert sum(overhang(w, 0, 1, 4)) == 3


@given(
    st.sampled_from([(1, 2, 5), (1, 2, 5, 4), (1, 2, 3, 5, 4)]),
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-2, 3)), min_size=2, max_size=2),
    st.booleans(),
    st.sampled_from([0.0, 1.5]),
)
@settings(max_examples=60)
def test_extended_rows_have_a_border_of_constants(shape, pairs, last, value):
    x = torch.randn(shape)
    x = x.transpose(1, -1).contiguous().transpose(1, -1) if last else x
    pads = dict(zip(range(2, x.dim()), pairs, strict=False))
    flat = [n for dim in range(x.dim() - 1, -1, -1) for n in pads.get(dim, (0, 0))]
    out = extended(x, pads, value)
    assert torch.equal(out, F.pad(x, flat, value=value))
    assert out.is_contiguous() or last


def test_nothing_is_extended_to_constants():
    assert torch.equal(extended(torch.zeros(1, 2, 0), {2: (1, 2)}, 3.0), torch.full((1, 2, 3), 3.0))
    x = torch.zeros(1, 2, 3)
    assert extended(x, {2: (0, 0)}) is x
    assert extended(torch.zeros(1, 3, 2).transpose(1, 2), {1: (1, 0), 2: (0, 4)}).stride(1) == 1
