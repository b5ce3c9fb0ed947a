"""The convolution theorem on the layers of a network, and what padding with zeros changes near the border."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.analysis.linear import ConvolutionKernel, operators
from atrous.analysis.probe import Output
from atrous.analysis.spectrum import fourier_convolution
from atrous.errors import UserError

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CHANNELS = 16  # output channels that are measured at most


@dataclass(frozen=True)
class TheoremCheck:
    """One convolution compared with a product of Fourier transforms, on random inputs in float64.

    Attributes:
        name: name of the layer's module.
        circular: largest difference if the layer pads circularly, relative to the largest output. It is rounding.
        reach: how many outputs read padding before the first and after the last input position, per axis.
        inside: largest difference at the other outputs if the layer pads with zeros, which is rounding too; 0 if there
            are none.
        border: root mean square difference at the outputs that read zeros, relative to that of all outputs; 0 if there
            are none.
    """

    name: str
    circular: float
    reach: tuple[tuple[int, int], ...]
    inside: float
    border: float


def convolution_theorem(
    network: nn.Module, shape: tuple[int, ...], *, output: Output = None, seed: int = 0
) -> dict[str, TheoremCheck]:
    """Compare the convolutions of a network, run by torch, with products of Fourier transforms.

    The Fourier transform takes its input as periodic, so the two are equal if the layer pads circularly. If it pads
    with zeros, those outputs differ that read padding, and no others. A stride keeps every stride-th output. The layers
    run by themselves, without their biases, with their own weights, dilation, groups and amounts of padding. Of a layer
    with more than 16 output channels (and one group), 16 are measured.

    Args:
        network: any module; its transposed convolutions are left out, its average pools count as convolutions.
        shape: `(C, *S)` of an input of the network, only used to find its layers.
        output: which tensor counts if the network returns several.
        seed: random seed of the layers' inputs.

    Returns:
        The comparison for each layer, by module name.

    Raises:
        UserError: the network has no convolution, or cannot be exported at this shape.

    >>> check = convolution_theorem(nn.Conv2d(3, 4, 5, padding=2), (3, 16, 16))["Conv2d"]
    >>> check.circular < 1e-12, check.inside < 1e-12, check.border > 0.1, check.reach
    (True, True, True, ((2, 2), (2, 2)))
    """
    kernels = operators(network, shape, output=output).kernels
    checks = theorem_of(kernels, seed)
    if not checks:
        raise UserError(f"{type(network).__name__}: has no convolution")
    return checks


def theorem_of(kernels: tuple[ConvolutionKernel, ...], seed: int = 0) -> dict[str, TheoremCheck]:
    """Return the comparison for each of these kernels that is not transposed, by name."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return {kernel.name: _check(kernel, generator) for kernel in kernels if not kernel.transposed}


def _check(kernel: ConvolutionKernel, generator: torch.Generator) -> TheoremCheck:
    ndim, weight = len(kernel.stride), kernel.weight
    if kernel.groups == 1:
        weight = weight[:: -(-len(weight) // _CHANNELS)]
    extents = [d * (k - 1) + 1 for d, k in zip(kernel.dilation, kernel.size, strict=True)]
    sizes = [2 * extent + 4 * s + 3 for extent, s in zip(extents, kernel.stride, strict=True)]
    x = torch.randn(2, kernel.channels[0], *sizes, generator=generator, dtype=torch.float64)
    before = [low for low, _ in kernel.padding]
    product = fourier_convolution(x, weight, kernel.dilation, before, kernel.groups)

    def layer(padded: Tensor) -> Tensor:
        return _CONVOLVE[ndim](padded, weight, None, kernel.stride, 0, kernel.dilation, kernel.groups)

    wrapped = x
    for axis, (size, (low, high)) in enumerate(zip(sizes, kernel.padding, strict=True)):
        wrapped = wrapped.index_select(2 + axis, torch.arange(-low, size + high) % size)
    circular = layer(wrapped)
    for axis, (size, step) in enumerate(zip(sizes, kernel.stride, strict=True)):
        product = product.index_select(2 + axis, torch.arange(circular.shape[2 + axis]) * step % size)
    zero = layer(F.pad(x, [side for pair in reversed(kernel.padding) for side in pair])) - product
    reach = []
    for axis, (low, _) in enumerate(kernel.padding):
        firsts = [o * kernel.stride[axis] - low for o in range(product.shape[2 + axis])]  # first input that is read
        reach.append((sum(n < 0 for n in firsts), sum(n + extents[axis] > sizes[axis] for n in firsts)))
    inner = tuple(slice(lo, zero.shape[2 + a] - hi) for a, (lo, hi) in enumerate(reach))
    reads_zeros = torch.ones(zero.shape[2:], dtype=torch.bool)
    reads_zeros[inner] = False
    largest, power = product.abs().max().clamp_min(1e-300), product.square().mean().clamp_min(1e-300)
    border, inside = zero[..., reads_zeros], zero[..., ~reads_zeros]
    return TheoremCheck(
        kernel.name,
        float((circular - product).abs().max() / largest),
        tuple(reach),
        float(inside.abs().max() / largest) if inside.numel() else 0.0,
        float((border.square().mean() / power).sqrt()) if border.numel() else 0.0,
    )
