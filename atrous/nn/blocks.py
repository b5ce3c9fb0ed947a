"""The block that every network here is made of: convolution, batch norm, ReLU."""

from torch import nn

from atrous._nd import BATCH_NORM, CONV, per_axis


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
    """Convolution without bias, batch norm and, if `act`, ReLU; padded so that stride 1 keeps the size (odd kernels).

    Maps `(N, inputs, *S)` to `(N, outputs, *ceil(S / stride))`.

    >>> import torch
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
    """He initialization for ReLU networks (He et al. 2015), unit batch norm; in place, returned for chaining."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    return module
