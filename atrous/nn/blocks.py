"""What nearly every network here is made of: the convolution block, input normalization, and linear resizing."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import BATCH_NORM, CONV, LINEAR, per_axis


def conv_norm_act(
    ndim: int,
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, ...] = 3,
    *,
    stride: int | tuple[int, ...] = 1,
    dilation: int | tuple[int, ...] = 1,
    act: bool = True,
) -> nn.Sequential:
    """Build a convolution without bias, a batch norm and, if `act`, a ReLU.

    It maps `(N, inputs, *S)` to `(N, outputs, *ceil(S / stride))`: padding of `dilation * (kernel // 2)` on either side
    keeps the size at stride 1.

    Raises:
        ValueError: a kernel is even.

    >>> conv_norm_act(1, 4, 8, stride=2)(torch.zeros(1, 4, 33)).shape
    torch.Size([1, 8, 17])
    """
    kernels, dilations = per_axis(kernel, ndim), per_axis(dilation, ndim)
    if any(k % 2 == 0 for k in kernels):
        raise ValueError(f"kernel {kernels} is even: 'same' padding would shift the grid by half a position")
    padding = tuple(d * (k // 2) for k, d in zip(kernels, dilations, strict=True))
    convolution = CONV[ndim](
        inputs, outputs, kernels, stride=per_axis(stride, ndim), padding=padding, dilation=dilations, bias=False
    )
    layers: list[nn.Module] = [convolution, BATCH_NORM[ndim](outputs)]
    if act:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def initialize(module: nn.Module) -> nn.Module:
    """Initialize all convolutions for ReLU networks (He et al. 2015), in place, and batch norms as the identity.

    Returns the module, so that calls can be nested.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    return module


class Normalize(nn.Module):
    """`(x - mean) / std` per channel of `(N, C, *S)`, in float32: with it a network reads raw values.

    Mean and standard deviation are buffers, so they are saved with the weights.

    >>> Normalize([2.0], [4.0], ndim=1)(torch.full((1, 1, 3), 10.0)).tolist()
    [[[2.0, 2.0, 2.0]]]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], ndim: int) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"{len(mean)} means for {len(std)} standard deviations")
        if min(std) <= 0:
            raise ValueError(f"standard deviations must be positive, got {list(std)}")
        shape = (1, -1, *[1] * ndim)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize raw values `(N, C, *S)` of any dtype."""
        return (x.to(self.mean.dtype) - self.mean) / self.std  # type: ignore[operator]


def resize(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resize `(N, C, *S)` to `(N, C, *size)` by linear interpolation, half-pixel centers (`align_corners=False`).

    >>> resize(torch.zeros(1, 2, 4, 4), (8, 7)).shape
    torch.Size([1, 2, 8, 7])
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode=LINEAR[x.ndim - 2], align_corners=False)
