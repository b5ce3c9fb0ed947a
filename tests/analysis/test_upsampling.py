"""Checkerboards against counts by hand."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from atrous._nd import CONV_TRANSPOSE
from atrous.analysis import upsampling
from atrous.analysis.upsampling import _enlarged, _positions
from atrous.errors import UserError
from atrous.nn.transposed import linear_upsampling


def with_weights(kernel: torch.Tensor, stride: int) -> nn.Module:
    """A transposed convolution of one channel with the weights `kernel` `(*k)`."""
    ndim = kernel.ndim
    network = CONV_TRANSPOSE[ndim](1, 1, tuple(kernel.shape), stride=stride, bias=False)
    network.weight.data = kernel[None, None].float()
    return network


def test_a_kernel_of_three_over_a_stride_of_two():
    """Three ones, added every 2 positions, overlap at every other one: 1, 2, 1, 2. Variance 0.25, energy 2.5."""
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


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("resize", [False, True])
def test_one_channel_at_a_time_is_the_frameworks_own_operator(stride, resize):
    """Away from borders it equals resize and convolution, with groups, dilation and unequal axes."""
    layer = nn.ConvTranspose2d(4, 6, (3, 2), stride=(stride, 2), groups=2, dilation=(2, 1)).double()
    inner = (2, 3)
    x = torch.randn(2, 4, *_positions(layer, inner), dtype=torch.float64)
    settings = {"groups": 2, "dilation": (2, 1)}
    if resize:
        large = nn.functional.interpolate(x, scale_factor=(float(stride), 2.0), mode="bilinear", align_corners=False)
        truth = nn.functional.conv_transpose2d(large, layer.weight, **settings)
    else:
        truth = nn.functional.conv_transpose2d(x, layer.weight, stride=(stride, 2), **settings)
    result = _enlarged(layer, x, list(range(6)), inner, resize=resize).detach()
    part = [slice(None), slice(None)]
    for axis, step in enumerate((stride, 2)):
        tent = 2 * step - step % 2
        reach = tent + (4, 1)[axis]
        start = math.ceil((reach - 1) / step) * step - (tent - step) // 2 * resize
        part.append(slice(start, start + inner[axis] * step))
    torch.testing.assert_close(result, truth[tuple(part)].detach())


@pytest.mark.parametrize(("classes", "stride"), [(2, 8), (21, 16)])
def test_fcn_layers_fit_into_little_memory(classes, stride):
    """The largest tensor that any operator returns stays small for layers like those of FCN-8s and FCN-16s."""
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            output = function(*args, **(kwargs or {}))
            if "convolution" in str(function):  # input positions of one sample times what is laid down for each
                x, weight, transposed = args[0], args[1], args[6]
                positions = (x if transposed else output)[0, 0].numel()
                largest = max(largest, positions * weight[0].numel())
            return output

    with Watch():
        result = upsampling(linear_upsampling(2, classes, stride, mix=True), samples=1)
    assert largest * 8 < 300e6
    assert result.layers[0].checkerboard < 1e-12
    assert result.layers[0].channels == (min(classes, 16), classes)
    assert ("16 of 21 output channels" in result.text()) == (classes == 21)


def test_a_network(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ConvTranspose2d(4, 4, 4, stride=2), nn.ConvTranspose2d(4, 1, 3))
    result = upsampling(network, samples=2)
    assert [layer.name for layer in result.layers] == ["1"]
    assert set(result.adjoint) == {"0", "1", "2"}
    assert len(json.loads(json.dumps(result.to_dict()))["layers"][0]["spectrum"]) > 10
    assert "checkerboard" in result.text()
    assert result.draw(tmp_path / "spectrum.png").stat().st_size > 1000
    with pytest.raises(UserError, match="no transposed convolution"):
        upsampling(nn.Conv2d(1, 1, 3)).draw(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"\.png"):
        result.draw(tmp_path / "spectrum.bmp")
    with pytest.raises(UserError, match="too wide"):
        upsampling(nn.ConvTranspose3d(1, 1, 9, stride=4, dilation=8))
