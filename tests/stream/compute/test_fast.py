"""The fast roads compute what the framework's own operators compute."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from atrous.stream.compute import fast


def lines(channels, length, last):
    x = torch.randn(2, channels, length, dtype=torch.float64)
    return x.transpose(1, 2).contiguous().transpose(1, 2) if last else x


@given(
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 3),
    st.sampled_from((1, 2)),
    st.booleans(),
    st.booleans(),
)
def test_convolutions_of_lines(kernel, stride, padding, dilation, groups, last, biased):
    x, weight = lines(4, 40, last), torch.randn(6, 4 // groups, kernel, dtype=torch.float64)
    bias = torch.randn(6, dtype=torch.float64) if biased else None
    found = fast.convolve(x, weight, bias, [stride], [padding], [dilation], groups)
    torch.testing.assert_close(found, F.conv1d(x, weight, bias, stride, padding, dilation, groups))


@given(
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(1, 2),
    st.sampled_from((1, 2)),
    st.booleans(),
)
def test_transposed_convolutions_of_lines(kernel, stride, padding, extra, dilation, groups, biased):
    extra = min(extra, max(stride, dilation) - 1)
    x, weight = lines(4, 17, True), torch.randn(4, 3, kernel, dtype=torch.float64)
    bias = torch.randn(3 * groups, dtype=torch.float64) if biased else None
    found = fast.convolve_transposed(x, weight, bias, [stride], [padding], [extra], groups, [dilation])
    torch.testing.assert_close(found, F.conv_transpose1d(x, weight, bias, stride, padding, extra, groups, dilation))


@pytest.mark.parametrize("last", [False, True])
def test_pools_of_lines(last):
    x = lines(3, 50, last)
    torch.testing.assert_close(fast.max_pool(x, [3], [2], [1], [2], True), F.max_pool1d(x, 3, 2, 1, 2, True))
    torch.testing.assert_close(fast.average_pool(x, [4], [3]), F.avg_pool1d(x, 4, 3))


@pytest.mark.parametrize("channels", [1, 8, 16])
@pytest.mark.parametrize("groups", [1, "depthwise"])
def test_volumes_with_few_channels_need_no_matrix_of_columns(channels, groups):
    groups = channels if groups == "depthwise" else 1
    x, weight = torch.randn(1, channels, 9, 10, 11), torch.randn(2 * channels, channels // groups, 3, 3, 3)
    found = fast.convolve(x, weight, None, (1, 2, 1), (0, 1, 1), (1, 1, 2), groups)
    expected = F.conv3d(x.double(), weight.double(), None, (1, 2, 1), (0, 1, 1), (1, 1, 2), groups)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("last", [False, True])
def test_values_are_joined_as_they_lie(dim, last):
    parts = [lines(4, 6, last), lines(4, 6, last)]
    found = fast.join(parts, dim)
    torch.testing.assert_close(found, torch.cat(parts, dim))
    assert fast.rows_last(found) == last


def test_rows_of_lines_stay_together_through_layers():
    x = lines(4, 64, False).float()
    y = fast.convolve(x, torch.randn(8, 4, 3), None, [1], [1], [1], 1)
    y = fast.convolve_transposed(
        fast.max_pool(y, [2], [2], [0], [1], False), torch.randn(8, 5, 4), None, [2], [1], [0], 1, [1]
    )
    assert y.shape == (2, 5, 64)
    assert y.stride(1) == 1


def test_the_kernel_of_onednn_is_called_where_it_can_be(monkeypatch):
    assert fast._onednn(torch.zeros(1, 2, 9))
    assert not fast._onednn(torch.zeros(1, 2, 9, dtype=torch.float64))
    assert not fast._onednn(torch.zeros(1, 0, 9))
    monkeypatch.setattr(torch.jit, "is_tracing", lambda: True)
    assert not fast._onednn(torch.zeros(1, 2, 9))
