"""Transposed convolutions that begin as interpolation: against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from atrous._nd import LINEAR
from atrous.nn.transposed import linear_upsampling


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize(("ndim", "stride"), [(1, 2), (1, 3), (2, 4), (2, (1, 2)), (3, (1, 2, 3))])
def test_the_interior_is_linear_interpolation(ndim, stride, mix):
    torch.manual_seed(0)
    x = torch.randn(1, 2, *(7,) * ndim)
    strides = (stride,) * ndim if isinstance(stride, int) else stride
    found = linear_upsampling(ndim, 2, stride, mix=mix)(x)
    size = [7 * step for step in strides]
    assert list(found.shape[2:]) == size
    want = F.interpolate(x, size=size, mode=LINEAR[ndim], align_corners=False)
    inside = (slice(None), slice(None), *(slice(step, -step) for step in strides))
    torch.testing.assert_close(found[inside], want[inside])


def test_stride_one_is_nothing():
    assert not list(linear_upsampling(3, 4, 1).parameters())
