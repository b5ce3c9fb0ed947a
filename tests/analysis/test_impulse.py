"""Responses of whole networks against their output for waves, and against networks that can be written down."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from atrous._nd import AVG_POOL, CONV, CONV_TRANSPOSE
from atrous.analysis import impulse, kernel_response, network_response, upsampling
from atrous.errors import UserError
from atrous.nn.blurpool import BlurPool
from tests.toy_models import Lambda


def chain(ndim: int) -> nn.Module:
    """A linear network that averages and enlarges; the stride does not divide the kernel that enlarges."""
    torch.manual_seed(0)
    return nn.Sequential(
        CONV[ndim](2, 2, 3, padding=1),
        AVG_POOL[ndim](2),
        CONV_TRANSPOSE[ndim](2, 3, 3, stride=2, padding=1, output_padding=1),
    )


@pytest.mark.parametrize("ndim", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_waves_come_out_as_the_response_says(ndim):
    """Away from the border, the output for a wave is the sum of waves with the numbers of the response."""
    network, count, length = chain(ndim), 4, 32 if ndim < 3 else 24
    response = network_response(network, (2, *[16] * ndim), size=count)
    assert response.values.shape == (*(2,) * ndim, 3, 2, *(count,) * ndim)
    assert response.period == (2,) * ndim
    assert response.stride == (1.0,) * ndim
    assert response.time_varying
    bins, amplitudes = (1, 3, 1)[:ndim], np.array([0.5, -2 + 1j])
    places = np.meshgrid(*[np.arange(length)] * ndim, indexing="ij")
    frequency = [axis[m] for axis, m in zip(response.frequencies, bins, strict=True)]
    wave = np.exp(2j * np.pi * sum(f * n for f, n in zip(frequency, places, strict=True)))
    x = torch.from_numpy(amplitudes.reshape(2, *(1,) * ndim) * wave)[None]
    double = network.double()
    with torch.no_grad():
        silence = double(torch.zeros_like(x.real))
        y = (double(x.real) - silence)[0].numpy() + 1j * (double(x.imag) - silence)[0].numpy()
    expected = np.zeros_like(y)
    for q in itertools.product(range(2), repeat=ndim):
        turns = sum((f + k / 2) * o for f, k, o in zip(frequency, q, places, strict=True))
        numbers = response.values[q][(slice(None), slice(None), *bins)] @ amplitudes
        expected += numbers.reshape(3, *(1,) * ndim) * np.exp(2j * np.pi * turns)
    inner = (slice(None), *(slice(6, -6),) * ndim)
    assert np.abs(y - expected)[inner].max() < 1e-12
    assert np.abs(y)[inner].max() > 0.01


def test_without_strides_it_is_the_transform_of_the_impulse_response():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 1, (1, 5), padding=(0, 2)))
    response = network_response(network, (1, 16, 16), size=16)
    double, x = network.double().eval(), torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    x[0, 0, 8, 8] = 1
    with torch.no_grad():
        impulse = (double(x) - double(torch.zeros_like(x)))[0, 0].roll((-8, -8), (0, 1))
    truth = torch.fft.fft2(impulse).numpy()
    assert np.abs(response.values[0, 0, 0, 0] - truth).max() < 1e-12
    assert np.abs(response.gain - np.abs(truth)).max() < 1e-12
    assert response.images.max() == 0
    assert not response.time_varying
    assert max(response.linear_error, response.shift_error) < 1e-12


def test_a_layer_has_the_response_of_its_kernel():
    torch.manual_seed(0)
    layer = nn.Conv1d(2, 3, 5, dilation=2, padding=3).double()
    response = network_response(layer, (2, 32), size=9)
    truth = kernel_response(layer.weight.detach(), 9, 2, 3).numpy()
    assert np.abs(response.values[0] - truth).max() < 1e-12


def test_blur_pools_fold_frequencies():
    """Tri-3 is cos^2 before the stride; after it there is one output per period, so no images, and stride 2."""
    response = network_response(BlurPool(1, 2), (2, 32), size=8)
    assert np.abs(response.gain - np.cos(np.pi * np.arange(8) / 8) ** 2).max() < 1e-12
    assert response.stride == (2.0,)
    assert response.period == (2,)
    assert response.values.shape == (1, 2, 2, 8)


@pytest.mark.parametrize("stride", [2, 3])
def test_images_of_linear_interpolation(stride):
    """The response of a triangle at the output's frequency `(f + q) / stride`, divided by the stride."""
    response = network_response(nn.Upsample(scale_factor=stride, mode="linear"), (1, 16), size=8)
    assert response.stride == (1 / stride,)
    size = 2 * stride - stride % 2
    taps = 1 - np.abs(np.arange(size) - (size - 1) / 2) / stride
    for q in range(stride):
        output = (np.fft.fftfreq(8) + q) / stride
        truth = np.abs(np.exp(-2j * np.pi * np.outer(output, np.arange(size))) @ taps) / stride
        assert np.abs(np.abs(response.values[q, 0, 0]) - truth).max() < 1e-12
    assert response.images[0] < 1e-12  # constants stay constant


def test_the_image_of_a_constant_is_the_checkerboard():
    layer = nn.ConvTranspose1d(1, 1, 3, stride=2, bias=False).double()
    nn.init.constant_(layer.weight, 2 / 3)  # 2/3 and 4/3 by turns
    response = network_response(layer, (1, 16), size=4)
    assert response.gain[0] == pytest.approx(1)
    assert response.images[0] == pytest.approx(1 / 3)
    energy = response.gain[0] ** 2 + response.images[0] ** 2
    assert upsampling(layer).layers[0].checkerboard == pytest.approx(response.images[0] ** 2 / energy)


def test_small_changes_of_a_flat_region():
    """A network with activations, linearized around a constant, is the network with their slopes in their place."""
    torch.manual_seed(0)
    first, last = nn.Conv1d(1, 4, 3, padding=1).double(), nn.Conv1d(4, 2, 3).double()
    network = nn.Sequential(first, nn.Tanh(), nn.AvgPool1d(2), last)
    level = 0.7
    inside = first.weight.detach().sum((1, 2)) * level + first.bias.detach()
    slopes = (1 - torch.tanh(inside) ** 2)[:, None]
    linear = nn.Sequential(first, Lambda(lambda m, x: x * slopes), nn.AvgPool1d(2), last)
    found, truth = network_response(network, (1, 32), size=8, at=level), network_response(linear, (1, 32), size=8)
    assert np.abs(found.values - truth.values).max() < 1e-12
    assert found.linear_error < 1e-4


@pytest.mark.slow
def test_networks_without_a_response():
    with pytest.raises(UserError, match=r"^1 \(relu\): is not linear, so Sequential has no frequency response"):
        network_response(nn.Sequential(nn.Conv1d(1, 1, 3), nn.ReLU()), (1, 16))
    with pytest.raises(UserError, match=r"is not linear: small differences around 0\.5"):
        network_response(nn.Sequential(nn.Conv1d(1, 1, 3), nn.MaxPool1d(2)), (1, 16), at=0.5)
    with pytest.raises(UserError, match="needs the whole input"):
        network_response(Lambda(lambda m, x: x - x.mean(2, keepdim=True)), (1, 16))
    ramp = Lambda(lambda m, x: x * torch.arange(x.shape[2]).to(x))
    with pytest.raises(UserError, match="treats positions differently"):
        network_response(ramp, (1, 16))
    with pytest.raises(UserError, match="needs 8192 impulses on inputs of 2 x 640 x 640"):
        network_response(nn.AvgPool2d(64), (2, 128, 128))


def test_fewer_frequencies_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(impulse, "_STORED", 2 * 3 * 64)
    response = network_response(nn.Conv1d(2, 3, 1), (2, 16))
    assert response.values.shape == (1, 3, 2, 64)
