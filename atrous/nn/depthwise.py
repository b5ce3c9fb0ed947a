"""Depthwise convolutions whose backward pass keeps up with their forward pass on a CPU.

oneDNN runs a depthwise convolution's forward pass in bfloat16 at memory speed, but two of its backward passes fall to
reference kernels, 10 to 30 times slower: the weight gradient of 5x5 kernels, and the input gradient of strided kernels.
An EfficientNet spends half of its training step there. The gradients are the same numbers by another road:

- weight gradient, kernels larger than 3: the float32 kernel (more exact as well);
- dilation d at stride 1: d * d undilated convolutions of grids of every d-th position, in one batch;
- input gradient at stride s: write the gradient on a grid of zeros at every s-th place; the input gradient is then the
  stride-1 convolution of it with the flipped kernel (Dumoulin & Visin 2016, "A guide to convolution arithmetic", 4.6).

`benchmarks/depthwise.py` prints what it gains.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class _Depthwise(torch.autograd.Function):
    """2-D depthwise convolution, no bias, dilation 1: `(N, C, H, W)` with weight `(C, 1, k, k)`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        for_input = _input_gradient(grad, x, weight, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        for_weight = _weight_gradient(grad, x, weight, ctx.stride, ctx.padding) if ctx.needs_input_grad[1] else None
        return for_input, for_weight, None, None


def _aten_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int, index: int
) -> torch.Tensor:
    mask = [index == 0, index == 1, False]
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], weight.shape[0], mask
    )[index]


def _input_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    if stride == 1:
        return _aten_gradient(grad, x, weight, stride, padding, 0)
    kernel = weight.shape[-1]
    lead = kernel - 1 - padding
    height, width = (size + kernel - 1 for size in x.shape[2:])
    zeros = grad.new_zeros(grad.shape[0], height, width, grad.shape[1]).permute(0, 3, 1, 2)
    rows, columns = grad.shape[2:]
    zeros[:, :, lead : lead + stride * rows : stride, lead : lead + stride * columns : stride] = grad
    return F.conv2d(zeros, weight.flip(2, 3), groups=weight.shape[0])


def _weight_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    if weight.shape[-1] <= 3:
        return _aten_gradient(grad, x, weight, stride, padding, 1)
    return _aten_gradient(grad.float(), x.float(), weight.float(), stride, padding, 1).to(weight.dtype)


def depthwise_conv2d(x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """Depthwise convolution of `(N, C, H, W)` with `(C, 1, k, k)`; under CPU autocast in its dtype.

    >>> x = torch.ones(1, 2, 4, 4)
    >>> depthwise_conv2d(x, torch.ones(2, 1, 3, 3), 2, 1).shape
    torch.Size([1, 2, 2, 2])
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
    return _Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-any-return]


def dilated_depthwise_conv2d(
    x: torch.Tensor, weight: torch.Tensor, dilation: int, padding: int | None = None
) -> torch.Tensor:
    """Depthwise convolution of `(N, C, H, W)` with `(C, 1, k, k)`, dilated, at stride 1.

    `padding` is in positions of the kernel, which are `dilation` apart; when None, that which keeps the size (odd k).

    Positions only ever meet those that are `dilation` apart: each of the `dilation ** 2` grids of such positions is
    convolved by itself, undilated, all in one batch.

    >>> x = torch.arange(5.0).reshape(1, 1, 1, 5)
    >>> dilated_depthwise_conv2d(x, torch.ones(1, 1, 3, 3), 2).flatten().tolist()
    [2.0, 4.0, 6.0, 4.0, 6.0]
    """
    n, c, height, width = x.shape
    padding = weight.shape[-1] // 2 if padding is None else padding
    gain = 2 * padding + 1 - weight.shape[-1]
    rows, columns = -(-height // dilation), -(-width // dilation)
    x = F.pad(x, [0, columns * dilation - width, 0, rows * dilation - height])
    grids = x.permute(0, 2, 3, 1).reshape(n, rows, dilation, columns, dilation, c).permute(2, 4, 0, 1, 3, 5)
    grids = grids.reshape(-1, rows, columns, c).permute(0, 3, 1, 2)
    y = depthwise_conv2d(grids, weight, 1, padding).permute(0, 2, 3, 1)
    rows, columns = rows + gain, columns + gain
    y = y.reshape(dilation, dilation, n, rows, columns, c).permute(2, 3, 0, 4, 1, 5)
    y = y.reshape(n, rows * dilation, columns * dilation, c).permute(0, 3, 1, 2)
    return y[:, :, : height + dilation * gain, : width + dilation * gain]


def _keeps_size(module: nn.Conv2d) -> bool:
    """Dilated and padded to the same size: what a stride that became dilation leaves."""
    same = tuple(dilation * (k - 1) // 2 for dilation, k in zip(module.dilation, module.kernel_size, strict=True))
    return module.kernel_size[0] % 2 == 1 and tuple(module.padding) == same


def _own_padding(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """How a convolution pads by itself before it convolves: one on a finer grid (surgery), or timm's "same".

    Classes are known by name, since timm takes seconds to import.
    """
    kind = type(module)
    if kind.__module__ == "atrous.surgery.window":
        return module.padded  # type: ignore[return-value]
    if (kind.__module__, kind.__name__) == ("timm.layers.conv2d_same", "Conv2dSame"):
        from timm.layers.padding import pad_same

        return lambda x: pad_same(x, list(module.kernel_size), list(module.stride), list(module.dilation))  # type: ignore[arg-type]
    return None


def _is_plain_depthwise(module: nn.Module) -> bool:
    pads_itself = _own_padding(module) is not None
    return (
        isinstance(module, nn.Conv2d)
        and (type(module) is nn.Conv2d or pads_itself)
        and 1 < module.groups == module.in_channels == module.out_channels
        and module.bias is None
        and module.padding_mode == "zeros"
        and len(set(module.kernel_size)) == 1
        and len(set(module.stride)) == 1
        and not isinstance(module.padding, str)
        and len(set(module.padding)) == 1
        and _is_done(module, pads_itself)
    )


def _is_done(module: nn.Conv2d, pads_itself: bool) -> bool:
    """Dilated ones at stride 1 alone; others with padding narrower than the kernel, as the input gradient needs it."""
    if tuple(module.dilation) == (1, 1):
        return pads_itself or int(module.padding[0]) < module.kernel_size[0]
    return len(set(module.dilation)) == 1 and module.stride[0] == 1 and (pads_itself or _keeps_size(module))


def _forward(module: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    pad = _own_padding(module)
    if pad is not None:
        x = pad(x)
    if module.dilation[0] > 1:
        return dilated_depthwise_conv2d(x, module.weight, module.dilation[0], None if pad is None else 0)
    return depthwise_conv2d(x, module.weight, module.stride[0], 0 if pad is not None else int(module.padding[0]))


@contextmanager
def fast_depthwise(network: nn.Module) -> Iterator[int]:
    """Within the block, run the depthwise convolutions of `network` with the fast backward pass; yield how many.

    The network is left as it was found. Only plain 2-D ones on a CPU take part; all others run as always.
    """
    chosen = [m for m in network.modules() if _is_plain_depthwise(m) and m.weight.device.type == "cpu"]  # type: ignore[union-attr]
    for module in chosen:
        module.forward = MethodType(_forward, module)
    try:
        yield len(chosen)
    finally:
        for module in chosen:
            del module.forward
