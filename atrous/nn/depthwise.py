"""Depthwise convolutions whose backward pass is as fast as their forward pass on a CPU.

oneDNN runs a depthwise convolution's forward pass in bfloat16 at the speed of memory. Two of its backward passes use
reference kernels instead, which are 10 to 30 times slower: the weight gradient of 5x5 kernels, and the input gradient
of strided kernels. An EfficientNet spends half of its training step there. This module computes the same gradients by
other operations, which are fast:

- Weight gradient of kernels larger than 3: in float32, which is more exact as well.
- Dilation d at stride 1: split the map into its d * d grids of every d-th position, and convolve them undilated, as one
  batch.
- Input gradient at stride s: see `_input_gradient`.

`benchmarks/depthwise.py` prints the speed of both.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from atrous.nn.padding import pad_input, padding_rule
from atrous.nn.patched import other_forward


class _Depthwise(torch.autograd.Function):
    """2-D depthwise convolution without bias and dilation: `(N, C, H, W)` with weight `(C, 1, k, k)`."""

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
    """Return torch's own gradient of the input (`index` 0) or of the weight (`index` 1)."""
    mask = [index == 0, index == 1, False]
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], weight.shape[0], mask
    )[index]


def _input_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """Return the gradient of the input `(N, C, H, W)` from that of the output, `grad (N, C, H_out, W_out)`.

    Output `o` reads input `i = o * stride - padding + t` with tap `t`, so along each axis

        input_grad[i] = sum over t of  weight[t] * grad[(i + padding - t) / stride],

    over the taps for which the division leaves no remainder. Write `grad[o]` to place `lead + o * stride` of an array
    of `H + k - 1` zeros, with `lead = k - 1 - padding`. Then the sum is an ordinary convolution of that array, at
    stride 1, with the flipped kernel (Dumoulin & Visin 2016, "A guide to convolution arithmetic", section 4.6).
    """
    if stride == 1:
        return _aten_gradient(grad, x, weight, stride, padding, 0)
    kernel = weight.shape[-1]
    lead = kernel - 1 - padding
    height, width = (size + kernel - 1 for size in x.shape[2:])
    spread = grad.new_zeros(grad.shape[0], height, width, grad.shape[1]).permute(0, 3, 1, 2)  # channels last
    rows, columns = grad.shape[2:]
    spread[:, :, lead : lead + stride * rows : stride, lead : lead + stride * columns : stride] = grad
    return F.conv2d(spread, weight.flip(2, 3), groups=weight.shape[0])


def _weight_gradient(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """Return the gradient of the weight `(C, 1, k, k)`; for kernels larger than 3 it is computed in float32."""
    if weight.shape[-1] <= 3:
        return _aten_gradient(grad, x, weight, stride, padding, 1)
    return _aten_gradient(grad.float(), x.float(), weight.float(), stride, padding, 1).to(weight.dtype)


def depthwise_conv2d(x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """Convolve `(N, C, H, W)` depthwise with `(C, 1, k, k)`; under CPU autocast in its dtype.

    `padding` must be smaller than `k`.

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
    """Convolve `(N, C, H, W)` depthwise with `(C, 1, k, k)`, dilated, at stride 1.

    With dilation d, a tap at `i` meets positions `i + d * t` only, which have the same remainder modulo d. So the map
    falls into `d * d` grids that never meet, one per pair of remainders. Each is convolved undilated, all in one batch.

    Args:
        x: the map.
        weight: the kernels.
        dilation: positions between two taps.
        padding: in multiples of `dilation` positions; None keeps the size (odd k).

    Returns:
        `(N, C, H + gain, W + gain)` with `gain = dilation * (2 * padding + 1 - k)`.

    >>> x = torch.arange(5.0).reshape(1, 1, 1, 5)
    >>> dilated_depthwise_conv2d(x, torch.ones(1, 1, 3, 3), 2).flatten().tolist()
    [2.0, 4.0, 6.0, 4.0, 6.0]
    """
    n, c, height, width = x.shape
    padding = weight.shape[-1] // 2 if padding is None else padding
    gain = 2 * padding + 1 - weight.shape[-1]  # positions that each grid gains
    rows, columns = -(-height // dilation), -(-width // dilation)
    # 1. Make both sizes multiples of d: (N, C, rows * d, columns * d). The added zeros are cropped at the end.
    x = F.pad(x, [0, columns * dilation - width, 0, rows * dilation - height])
    # 2. (N, rows, d, columns, d, C) -> (d, d, N, rows, columns, C) -> a batch (d * d * N, C, rows, columns).
    grids = x.permute(0, 2, 3, 1).reshape(n, rows, dilation, columns, dilation, c).permute(2, 4, 0, 1, 3, 5)
    grids = grids.reshape(-1, rows, columns, c).permute(0, 3, 1, 2)
    y = depthwise_conv2d(grids, weight, 1, padding).permute(0, 2, 3, 1)
    # 3. The same steps backwards, and the crop.
    rows, columns = rows + gain, columns + gain
    y = y.reshape(dilation, dilation, n, rows, columns, c).permute(2, 3, 0, 4, 1, 5)
    y = y.reshape(n, rows * dilation, columns * dilation, c).permute(0, 3, 1, 2)
    return y[:, :, : height + dilation * gain, : width + dilation * gain]


def _keeps_size(conv: nn.Conv2d) -> bool:
    """Whether a convolution has an odd kernel and the padding that keeps the size."""
    same = tuple(dilation * (k - 1) // 2 for dilation, k in zip(conv.dilation, conv.kernel_size, strict=True))
    return conv.kernel_size[0] % 2 == 1 and tuple(conv.padding) == same


def _is_plain_depthwise(module: nn.Module) -> bool:
    """Whether the functions above compute what the module computes: a square depthwise convolution without bias."""
    pads_itself = padding_rule(module) is not None
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
        and _has_fast_window(module, pads_itself)
    )


def _has_fast_window(conv: nn.Conv2d, pads_itself: bool) -> bool:
    """Whether dilation, stride and padding are ones that the functions above take.

    A dilated convolution must have stride 1 and keep the size. Any other needs less padding than its kernel is wide
    (`lead >= 0` in `_input_gradient`). A layer that pads itself hands on a padded input, so its padding is 0.
    """
    if tuple(conv.dilation) == (1, 1):
        return pads_itself or int(conv.padding[0]) < conv.kernel_size[0]
    return len(set(conv.dilation)) == 1 and conv.stride[0] == 1 and (pads_itself or _keeps_size(conv))


def _forward(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Run a plain depthwise convolution by the functions above: `(N, C, H, W)` to `(N, C, H', W')`.

    A training moves its network to the device within `fast_depthwise`; elsewhere than on a CPU torch's own are fast.
    """
    if x.device.type != "cpu":
        plain: Any = type(conv).forward
        return plain(conv, x)
    rule = padding_rule(conv)
    if rule is not None:
        x = pad_input(rule, x)
    if conv.dilation[0] > 1:
        return dilated_depthwise_conv2d(x, conv.weight, conv.dilation[0], None if rule is None else 0)
    return depthwise_conv2d(x, conv.weight, conv.stride[0], 0 if rule is not None else int(conv.padding[0]))


@contextmanager
def fast_depthwise(network: nn.Module) -> Iterator[int]:
    """Run the depthwise convolutions of `network` with the fast backward pass within the block; yield their number.

    Only 2-D ones that `_is_plain_depthwise` accepts take part, while their input is on a CPU. Afterwards the network is
    as it was before.
    """
    chosen = [module for module in network.modules() if _is_plain_depthwise(module)]
    with other_forward(chosen, _forward) as count:
        yield count
