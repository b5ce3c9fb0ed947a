"""Transposed convolutions that begin as interpolation: against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from atrous._nd import LINEAR
from atrous.nn.transposed import learned_resize, linear_upsampling


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


@pytest.mark.parametrize("strides", [(2,), (3,), (2, 2), (1, 4), (1, 2, 3)])
def test_a_learned_resize_begins_as_a_point_convolution_and_a_resize(strides):
    torch.manual_seed(0)
    ndim = len(strides)
    x = torch.randn(2, 5, *(6, 7, 4)[:ndim])
    network = learned_resize(ndim, 5, 3, strides)
    layer = network[1]
    middle = tuple((size - size % 2) // 2 for size in layer.kernel_size)
    # The tap at the middle of a kernel of odd size is 1; of an even one it is 1 - 1 / (2 * stride).
    share = torch.tensor([1 - (1 - step % 2) / (2 * step) for step in strides]).prod()
    point = layer.weight.detach()[(..., *middle)] / share
    size = [length * step for length, step in zip(x.shape[2:], strides, strict=True)]
    want = F.interpolate(torch.einsum("nc...,ck->nk...", x, point), size=size, mode=LINEAR[ndim], align_corners=False)
    torch.testing.assert_close(network(x).detach(), want, rtol=1e-4, atol=1e-5)
    network(x).square().sum().backward()
    assert all(bool(torch.isfinite(weight.grad).all()) for weight in network.parameters())
