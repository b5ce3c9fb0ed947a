"""Blocks and small layers."""

import pytest
import torch

from atrous._nd import per_axis
from atrous.nn.blocks import Normalize, conv_norm_act, resize


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_stride_one_keeps_the_size(ndim, dilation):
    size = (11, 8, 9)[:ndim]
    assert conv_norm_act(ndim, 2, 3, 3, dilation=dilation)(torch.zeros(1, 2, *size)).shape == (1, 3, *size)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="even"):
        conv_norm_act(2, 1, 1, 4)


def test_one_number_per_axis():
    with pytest.raises(ValueError, match="2 values for 3 axes"):
        per_axis((1, 2), 3)


def test_normalize_reads_bytes():
    x = torch.tensor([[[[0, 127], [255, 1]]]], dtype=torch.uint8)
    torch.testing.assert_close(Normalize([127.0], [128.0], 2)(x), (x.float() - 127) / 128)
    with pytest.raises(ValueError, match="positive"):
        Normalize([0.0], [0.0], 1)


def test_resize_is_torchs_half_pixel_interpolation():
    x = torch.randn(1, 2, 5, 7)
    want = torch.nn.functional.interpolate(x, size=(9, 7), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(x, (9, 7)), want)
    assert resize(x, (5, 7)) is x
