"""The frequency response of kernels, and the convolution theorem: in frequency a convolution is a product."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from atrous._nd import per_axis
from atrous.analysis.linear import ConvolutionKernel


def kernel_response(
    weight: Tensor, size: int | Sequence[int], dilation: int | Sequence[int] = 1, padding: int | Sequence[int] = 0
) -> Tensor:
    """Return the frequency response of kernels `(K, C, *k)` on a grid of frequencies, complex `(K, C, *size)`.

    A convolution layer computes `y[o] = sum_j w[j] x[o + dilation j - padding]`. A wave `x[n] = exp(2 pi i f n)` comes
    out as the same wave, multiplied by

        H(f) = sum_j w[j] exp(2 pi i f (dilation j - padding)).

    The frequencies are `f = m / size` cycles per position, m = 0 .. size - 1, as `torch.fft` orders them: those above
    1/2 stand for the negative ones. `size` may be smaller than the kernel.

    Args:
        weight: kernels of a convolution, as `nn.Conv2d` stores them. Of a transposed convolution they give the complex
            conjugate of the response.
        size: number of frequencies, one number or one per axis.
        dilation: distance between taps, one number or one per axis.
        padding: of the layer, one number or one per axis. It changes the phase only.

    >>> kernel_response(torch.tensor([[[0.25, 0.5, 0.25]]]), 4, padding=1).real.round(decimals=6).tolist()
    [[[1.0, 0.5, 0.0, 0.5]]]
    """
    ndim = weight.ndim - 2
    response = weight.to(torch.complex128)
    for axis, (count, step, before) in enumerate(
        zip(per_axis(size, ndim), per_axis(dilation, ndim), per_axis(padding, ndim), strict=True)
    ):
        offsets = torch.arange(weight.shape[2 + axis]) * step - before
        turns = (torch.outer(offsets, torch.arange(count)) % count).double() / count
        # the axis of taps goes, and one of frequencies comes last: dimension 2 is the next axis
        response = torch.einsum("kct...,tf->kc...f", response, wave(turns))
    return response


def wave(turns: Tensor) -> Tensor:
    """Return `exp(2 pi i turns)` as complex128."""
    angle = 2 * math.pi * turns.double()
    return torch.polar(torch.ones_like(angle), angle)


def kernel_gain(kernel: ConvolutionKernel, size: int | Sequence[int]) -> Tensor:
    """Return the gain of a layer's kernels at the frequencies of `kernel_response`, float64 `(*size)`.

    The gain is the square root of output power divided by input power, for waves of one frequency with independent
    phases in the C input channels: `sqrt(sum_kc |H_kc(f)|^2 / C)`. For one channel it is `|H(f)|`. The power is summed
    over lags: `sum_kc |H_kc(f)|^2 = sum_lag r[lag] exp(2 pi i f dilation lag)`, where r is the autocorrelation of all
    kernels. So the memory does not grow with the number of channels.

    A transposed convolution inserts zeros, which divides every frequency by the product of its strides, and then
    convolves. Its gain contains this factor, so that interpolation has gain 1 at frequency 0.
    """
    ndim, sizes = kernel.weight.ndim - 2, kernel.size
    dims, lags = tuple(range(2, 2 + ndim)), tuple(2 * k - 1 for k in sizes)
    power = torch.zeros(lags, dtype=torch.float64)
    for part in kernel.weight.split(16):
        power += torch.fft.fftn(part, s=lags, dim=dims).abs().square().sum((0, 1))
    correlation = torch.fft.fftshift(torch.fft.ifftn(power).real)  # lag 0 is in the middle, at k - 1
    center = [d * (k - 1) for d, k in zip(kernel.dilation, sizes, strict=True)]
    total = kernel_response(correlation[None, None], size, kernel.dilation, center)[0, 0].real
    inserted = math.prod(kernel.stride) if kernel.transposed else 1
    return (total.clamp_min(0) / kernel.channels[0]).sqrt() / inserted


def fourier_convolution(
    x: Tensor,
    weight: Tensor,
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    groups: int = 1,
) -> Tensor:
    """Convolve x `(N, C, *S)` with kernels `(K, C / groups, *k)` by a product in frequency; return `(N, K, *S)`.

    This is the convolution theorem: the output's Fourier transform is that of the input times the kernels' response, at
    each frequency by itself. The Fourier transform takes the input as periodic. So the result is that of a layer of
    stride 1 with circular padding: `y[o] = sum_j w[j] x[(o + dilation j - padding) mod S]`.

    >>> layer = torch.nn.Conv1d(2, 3, 5, padding=2, padding_mode="circular", bias=False).double()
    >>> x = torch.randn(1, 2, 20, dtype=torch.float64)
    >>> bool((fourier_convolution(x, layer.weight, padding=2) - layer(x)).abs().max() < 1e-12)
    True
    """
    sizes, dims = x.shape[2:], tuple(range(2, x.ndim))
    response = kernel_response(weight, sizes, dilation, padding)
    response = response.reshape(groups, -1, *response.shape[1:])  # (groups, K / groups, C / groups, *S)
    spectrum = torch.fft.fftn(x.double(), dim=dims).reshape(len(x), groups, -1, *sizes)
    product = torch.einsum("ngc...,gkc...->ngk...", spectrum, response)
    return torch.fft.ifftn(product.reshape(len(x), -1, *sizes), dim=dims).real
