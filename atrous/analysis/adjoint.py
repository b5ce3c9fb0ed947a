"""Measure on every layer of a network that transposed convolution is the adjoint of convolution (not its inverse)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous._nd import CONV, CONV_TRANSPOSE

_FORWARD = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def adjointness(network: nn.Module, *, seed: int = 0) -> dict[str, float]:
    """Return how far each convolution and its transposed convolution are from being adjoint.

    A linear map A has the adjoint A^T if `<A x, y> == <x, A^T y>` for all x and y. Here A is a layer of the network
    without its bias, and A^T is the transposed convolution with the same weights, stride, padding and dilation. (If the
    layer is a transposed convolution, A^T is the convolution.) The error is

        |<A x, y> - <x, A^T y>| / (|A x| |y|)

    for random x and y in float64. It is rounding, about 1e-16, if the two are adjoint. It is larger for a convolution
    that does not pad with zeros: its adjoint adds the values that fell on padded positions to the positions they were
    copied from, which a plain transposed convolution does not do.

    Args:
        network: any module.
        seed: random seed for x and y.

    Returns:
        The error of each convolution and transposed convolution, by module name.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 3, 4, stride=2))
    >>> errors = adjointness(network)
    >>> list(errors), max(errors.values()) < 1e-14
    (['0', '1'], True)
    """
    generator = torch.Generator().manual_seed(seed)
    errors = {}
    for name, module in network.named_modules():
        if isinstance(module, tuple(CONV.values())):
            errors[name or type(module).__name__] = _error_of_convolution(module, generator)
        elif isinstance(module, tuple(CONV_TRANSPOSE.values())):
            errors[name or type(module).__name__] = _error_of_transposed(module, generator)
    return errors


def _error_of_convolution(module: nn.Module, generator: torch.Generator) -> float:
    """Compute the error with x `(2, C_in, *S)` and y `(2, C_out, *S')`."""
    ndim = next(n for n in CONV if isinstance(module, CONV[n]))
    conv: Any = module
    weight = conv.weight.detach().double().cpu()
    pads = conv._reversed_padding_repeated_twice
    sizes = [d * (k - 1) + 3 * s + 2 for d, k, s in zip(conv.dilation, conv.kernel_size, conv.stride, strict=True)]
    x = torch.randn(2, conv.in_channels, *sizes, generator=generator, dtype=torch.float64)
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    padded = F.pad(x, pads, mode=mode)
    forward = _FORWARD[ndim](padded, weight, None, conv.stride, 0, conv.dilation, conv.groups)
    y = torch.randn(forward.shape, generator=generator, dtype=torch.float64)
    back = _TRANSPOSED[ndim](y, weight, None, conv.stride, 0, 0, conv.groups, conv.dilation)
    # `back` lacks the last positions of `padded` if no window reached them: append zeros there. Then cut the padding
    # off, which is the adjoint of padding with zeros.
    sizes_reversed = zip(back.shape[:1:-1], padded.shape[:1:-1], strict=True)
    missing = [pad for size, full in sizes_reversed for pad in (0, full - size)]
    back = F.pad(F.pad(back, missing), [-p for p in pads])
    return _relative(forward, y, x, back)


def _error_of_transposed(module: nn.Module, generator: torch.Generator) -> float:
    """Compute the error with x `(2, C_in, *S)` and y `(2, C_out, *S')`."""
    ndim = next(n for n in CONV_TRANSPOSE if isinstance(module, CONV_TRANSPOSE[n]))
    conv: Any = module
    weight = conv.weight.detach().double().cpu()
    sizes = [-(-2 * p // s) + 4 for p, s in zip(conv.padding, conv.stride, strict=True)]
    x = torch.randn(2, conv.in_channels, *sizes, generator=generator, dtype=torch.float64)
    settings = (conv.stride, conv.padding, conv.output_padding, conv.groups, conv.dilation)
    forward = _TRANSPOSED[ndim](x, weight, None, *settings)
    y = torch.randn(forward.shape, generator=generator, dtype=torch.float64)
    back = _FORWARD[ndim](y, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    return _relative(forward, y, x, back[(..., *(slice(0, size) for size in sizes))])


def _relative(forward: Tensor, y: Tensor, x: Tensor, back: Tensor) -> float:
    """Return `|<forward, y> - <x, back>| / (|forward| |y|)`."""
    difference = (forward * y).sum() - (x * back).sum()
    return float(difference.abs() / (forward.norm() * y.norm()).clamp_min(1e-300))
