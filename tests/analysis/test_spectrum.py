"""Responses of kernels against torch.fft and closed formulas, and products in frequency against layers of torch."""

import math

import pytest
import torch
from torch import Tensor, nn

from atrous._nd import CONV
from atrous.analysis import fourier_convolution, kernel_response
from atrous.analysis.linear import ConvolutionKernel
from atrous.analysis.spectrum import kernel_gain
from atrous.nn.blurpool import binomial


def kernel(weight: Tensor, *, stride: int = 1, dilation: int = 1, groups: int = 1, transposed: bool = False):
    ndim = weight.ndim - 2
    operator = f"conv_transpose{ndim}d" if transposed else f"conv{ndim}d"
    padding = ((0, 0),) * ndim
    return ConvolutionKernel("layer", operator, weight, (stride,) * ndim, padding, (dilation,) * ndim, groups)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_response_is_the_transform_of_the_impulse_response(ndim):
    """An impulse at 0 of a circular input comes out as the impulse response, whose transform is the response."""
    torch.manual_seed(0)
    sizes, taps = (8, 9, 10)[:ndim], (3, 4, 5)[:ndim]
    layer = CONV[ndim](2, 3, taps, bias=False).double()
    x = torch.zeros(2, 2, *sizes, dtype=torch.float64)
    x[(0, 0, *(0,) * ndim)] = x[(1, 1, *(0,) * ndim)] = 1  # one channel at a time
    wrapped = x
    for axis, (size, k) in enumerate(zip(sizes, taps, strict=True)):
        wrapped = wrapped.index_select(2 + axis, torch.arange(size + k - 1) % size)
    truth = torch.fft.fftn(layer(wrapped).detach(), dim=tuple(range(2, 2 + ndim))).movedim(0, 1)
    torch.testing.assert_close(kernel_response(layer.weight.detach(), sizes), truth, rtol=0, atol=1e-13)


@pytest.mark.parametrize("taps", [2, 3, 5, 20])
def test_a_box_is_the_dirichlet_kernel(taps):
    """`|H(f)| = |sin(pi k f) / (k sin(pi f))|`, also with fewer frequencies than taps."""
    frequency = torch.arange(1, 16, dtype=torch.float64) / 16
    truth = (torch.sin(math.pi * taps * frequency) / (taps * torch.sin(math.pi * frequency))).abs()
    box = torch.full((1, 1, taps), 1 / taps, dtype=torch.float64)
    response = kernel_response(box, 16)[0, 0]
    assert response[0].real == pytest.approx(1)
    torch.testing.assert_close(response[1:].abs(), truth, rtol=0, atol=1e-14)
    torch.testing.assert_close(kernel_gain(kernel(box), 16)[1:], truth, rtol=0, atol=1e-7)


@pytest.mark.parametrize("taps", [3, 5, 7])
def test_a_binomial_is_a_power_of_the_cosine(taps):
    frequency = torch.arange(12, dtype=torch.float64) / 12
    response = kernel_response(binomial(taps)[None, None], 12, padding=taps // 2)[0, 0]
    torch.testing.assert_close(response.real, torch.cos(math.pi * frequency) ** (taps - 1), rtol=0, atol=1e-14)
    assert response.imag.abs().max() < 1e-14


def test_dilation_compresses_the_response_and_repeats_it():
    weight = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    plain, dilated = kernel_response(weight, (4, 5)), kernel_response(weight, (8, 15), (2, 3))
    torch.testing.assert_close(dilated, plain.repeat(1, 1, 2, 3), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("groups", "dilation"), [(1, 1), (2, 3)])
def test_the_gain_sums_over_channels(groups, dilation):
    weight = torch.randn(20, 4 // groups, 3, 2, dtype=torch.float64)
    truth = (kernel_response(weight, (6, 5), dilation).abs().square().sum((0, 1)) / 4).sqrt()
    found = kernel_gain(kernel(weight, dilation=dilation, groups=groups), (6, 5))
    torch.testing.assert_close(found, truth)


def test_linear_interpolation_has_gain_one_at_zero_and_none_at_half():
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=torch.float64)
    gain = kernel_gain(kernel(taps[None, None], stride=2, transposed=True), 8)
    frequency = torch.arange(8, dtype=torch.float64) / 8
    # the taps are (1 + z)^3 / 4, and 1 + z is 2 |cos(pi f)|; the inserted zeros halve it
    torch.testing.assert_close(gain, torch.cos(math.pi * frequency).abs() ** 3, rtol=0, atol=1e-7)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_product_in_frequency_is_a_circular_layer(ndim):
    """The convolution theorem, on torch's own layer with groups and dilation."""
    torch.manual_seed(0)
    layer = CONV[ndim](4, 6, 3, padding=2, dilation=2, groups=2, padding_mode="circular", bias=False).double()
    x = torch.randn(2, 4, *(9, 8, 7)[:ndim], dtype=torch.float64)
    product = fourier_convolution(x, layer.weight, 2, 2, 2).detach()
    assert (product - layer(x).detach()).abs().max() < 1e-10
    zeros = CONV[ndim](4, 6, 3, padding=2, dilation=2, groups=2, bias=False).double()
    zeros.load_state_dict(layer.state_dict())
    difference = (product - zeros(x).detach()).abs()
    assert difference[(..., *(slice(2, -2),) * ndim)].max() < 1e-10
    assert difference[..., :2].max() > 0.1


def test_kernels_may_be_larger_than_the_input():
    layer = nn.Conv1d(1, 1, 7, bias=False).double()
    x = torch.randn(1, 1, 5, dtype=torch.float64)
    truth = layer(torch.cat([x, x, x], 2)[..., :11])
    torch.testing.assert_close(fourier_convolution(x, layer.weight), truth)
