"""Checkerboards counted by hand."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from atrous._nd import CONV_TRANSPOSE
from atrous.analysis import upsampling
from atrous.errors import UserError


def with_weights(kernel: torch.Tensor, stride: int) -> nn.Module:
    """A transposed convolution of one channel that lays down `kernel` `(*k)`."""
    ndim = kernel.ndim
    network = CONV_TRANSPOSE[ndim](1, 1, tuple(kernel.shape), stride=stride, bias=False)
    network.weight.data = kernel[None, None].float()
    return network


def test_a_kernel_of_three_over_a_stride_of_two():
    """Ones of 3 every 2 positions overlap at every other: 1, 2, 1, 2. Variance 0.25 of energy 2.5."""
    layer = upsampling(with_weights(torch.ones(3), 2)).layers[0]
    assert layer.checkerboard == pytest.approx(0.25 / 2.5, rel=1e-12)
    assert layer.checkerboard_resized < 1e-24


def test_in_two_dimensions_the_pattern_is_the_product():
    layer = upsampling(with_weights(torch.ones(3, 3), 2)).layers[0]
    total = np.outer([1, 2], [1, 2])
    assert layer.checkerboard == pytest.approx(total.var() / np.square(total).mean(), rel=1e-12)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("stride", [2, 3])
def test_bilinear_weights_leave_constants_constant(ndim, stride):
    tent = torch.minimum(torch.arange(1, 2 * stride), 2 * stride - torch.arange(1, 2 * stride)).double() / stride
    kernel = torch.ones((), dtype=torch.float64)
    for _ in range(ndim):
        kernel = kernel[..., None] * tent
    layer = upsampling(with_weights(kernel, stride), samples=2).layers[0]
    assert layer.checkerboard < 1e-12  # the weights are float32
    assert layer.kernel == (2 * stride - 1,) * ndim


def test_a_kernel_that_fits_can_still_have_unequal_weights():
    assert upsampling(with_weights(torch.tensor([1.0, 2.0]), 2)).layers[0].checkerboard == pytest.approx(0.25 / 2.5)


def test_noise_shows_the_spike_only_after_the_transposed_convolution():
    layer = upsampling(with_weights(torch.ones(3), 2)).layers[0]
    assert layer.spikes > 10
    assert layer.spikes_resized < 3
    assert layer.frequencies[-1] == pytest.approx(0.5)
    assert layer.spectrum.sum() == pytest.approx(1)


def test_groups_and_dilation_are_laid_down_alike():
    """A resize by nothing but zeros between is the transposed convolution: the kernels agree, seen at stride one."""
    from atrous.analysis.upsampling import _resized, _transposed

    layer = nn.ConvTranspose2d(4, 6, 3, stride=1, groups=2, dilation=2)
    x = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(_resized(layer, x), _transposed(layer, x))


def test_a_network(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ConvTranspose2d(4, 4, 4, stride=2), nn.ConvTranspose2d(4, 1, 3))
    found = upsampling(network, samples=2)
    assert [layer.name for layer in found.layers] == ["1"]
    assert set(found.adjoint) == {"0", "1", "2"}
    assert len(json.loads(json.dumps(found.to_dict()))["layers"][0]["spectrum"]) > 10
    assert "checkerboard" in found.text()
    assert found.draw(tmp_path / "spectrum.png").stat().st_size > 1000
    with pytest.raises(UserError, match="no transposed convolution"):
        upsampling(nn.Conv2d(1, 1, 3)).draw(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"\.png"):
        found.draw(tmp_path / "spectrum.bmp")
    with pytest.raises(UserError, match="too wide"):
        upsampling(nn.ConvTranspose3d(1, 1, 9, stride=4, dilation=8))
