"""torch's own operators, called in the way that is fastest on processors.

All values are laid out channels last: the numbers of one row lie together in memory.

1-D: torch's `conv1d` copies every input into a blocked layout and every output back, and `conv_transpose1d` builds a
matrix of columns (im2col). The same operators in 2-D, with a height of 1 and channels last, do neither: they are 1.4 to
2 times faster, transposed ones 3 to 15 times (`python -m benchmarks.lines`).

3-D: for float32 inputs with few channels `conv3d` builds a matrix of columns as large as the input times the kernel;
oneDNN's own kernel needs none and is 10 times faster.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Ints = Sequence[int]


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    """Return `conv1d`, `conv2d` or `conv3d` of `x` `(N, C, *S)`, by the dimensions of `weight` `(K, C/groups, *k)`.

    >>> x, w = torch.randn(1, 4, 50), torch.randn(6, 4, 5)
    >>> out = convolve(x, w, None, [2], [1], [1], 1)
    >>> bool((out - F.conv1d(x, w, stride=2, padding=1)).abs().max() < 1e-5)
    True
    """
    n = weight.dim() - 2
    if n == 1 and x.dim() == 3 and x.device.type == "cpu":
        flat = F.conv2d(_lifted(x), _lifted(weight), bias, (1, *stride), (0, *padding), (1, *dilation), groups)
        return flat.squeeze(2)
    if n == 3 and x.dim() == 5 and _onednn(x):
        return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    return function(x, weight, bias, stride, padding, dilation, groups)


def convolve_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> Tensor:
    """Return `conv_transpose1d`, `conv_transpose2d` or `conv_transpose3d`, by the dimensions of the weight.

    `x` is `(N, C, *S)` and `weight` `(C, K/groups, *k)`. In 1-D, without groups and dilation, it is computed by phases;
    rows that no input row adds to, which a large output padding asks for, are left to torch.

    >>> x, w = torch.randn(1, 4, 50), torch.randn(4, 6, 2)
    >>> out = convolve_transposed(x, w, None, [2], [0], [0], 1, [1])
    >>> bool((out - F.conv_transpose1d(x, w, stride=2)).abs().max() < 1e-5)
    True
    """
    n = weight.dim() - 2
    if n == 1 and x.dim() == 3 and x.device.type == "cpu" and groups == 1 and tuple(dilation) == (1,):
        length = (x.shape[2] - 1) * stride[0] - 2 * padding[0] + weight.shape[2] + output_padding[0]
        if output_padding[0] <= -weight.shape[2] % stride[0] + padding[0]:
            return _by_phases(x, weight, bias, stride[0])[..., padding[0] : padding[0] + length]
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    return function(x, weight, bias, stride, padding, output_padding, groups, dilation)


def _by_phases(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Compute a 1-D transposed convolution without padding as one convolution with `stride` outputs (Shi et al. 2016).

    Input row `i` adds `x[i] weight[:, :, t]` to output row `i * stride + t`. Write an output row as `q * stride + r`
    with phase `0 <= r < stride`. It then is

        y[q * stride + r] = sum over j of x[q - j] weight[:, :, j * stride + r],

    for each phase `r` a convolution over `x` with `taps = ceil(k / stride)` taps. All phases together are one
    convolution with `stride * K` channels. Channels last, its output `(N, stride * K, L)` has the phases of a row in
    the order of the output rows, so that a view makes `(N, K, L * stride)` of it.

    oneDNN's own kernel for 1-D keeps a scratchpad for every length that it has met, which this avoids.
    """
    taps = -(-weight.shape[2] // stride)
    phases = F.pad(weight, (0, taps * stride - weight.shape[2])).unflatten(2, (taps, stride))  # (C, K, taps, stride)
    kernel = phases.flip(2).permute(3, 1, 0, 2).flatten(0, 1)  # (stride * K, C, taps)
    repeated = None if bias is None else bias.repeat(stride)
    out = convolve(x, kernel, repeated, [1], [taps - 1], [1], 1)  # (N, stride * K, L + taps - 1)
    return out.transpose(1, 2).reshape(len(x), -1, weight.shape[1]).transpose(1, 2)


def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool) -> Tensor:
    """Return `max_pool1d`, `max_pool2d` or `max_pool3d`, by the length of `kernel`.

    >>> x = torch.randn(1, 4, 50)
    >>> bool((max_pool(x, [3], [2], [1], [1], False) == F.max_pool1d(x, 3, 2, 1)).all())
    True
    """
    if len(kernel) == 1 and x.dim() == 3:
        flat = F.max_pool2d(_lifted(x), (1, *kernel), (1, *stride), (0, *padding), (1, *dilation), ceil)
        return flat.squeeze(2)
    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    return function(x, kernel, stride, padding, dilation, ceil)


def average_pool(x: Tensor, kernel: Ints, stride: Ints) -> Tensor:
    """Return `avg_pool1d`, `avg_pool2d` or `avg_pool3d` without padding, by the length of `kernel`."""
    if len(kernel) == 1 and x.dim() == 3:
        return F.avg_pool2d(_lifted(x), (1, *kernel), (1, *stride)).squeeze(2)
    function: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    return function(x, kernel, stride)


def join(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Return `torch.cat` of the tensors; 1-D values that are channels last stay so, and are joined without a copy more.

    >>> rows = [torch.randn(1, 9, 4).transpose(1, 2), torch.randn(1, 3, 4).transpose(1, 2)]
    >>> join(rows, 2).shape, join(rows, 2).stride(1)
    (torch.Size([1, 4, 12]), 1)
    """
    if all(rows_last(t) for t in tensors):
        place = None if out is None else out.transpose(1, 2)
        return torch.cat([t.transpose(1, 2) for t in tensors], (0, 2, 1)[dim], out=place).transpose(1, 2)
    return torch.cat(list(tensors), dim, out=out)


def rows_last(x: Tensor) -> bool:
    """Whether `(N, C, L)` lies in memory as `(N, L, C)`, that is channels last."""
    return x.dim() == 3 and not x.is_contiguous() and x.transpose(1, 2).is_contiguous()


def _lifted(x: Tensor) -> Tensor:
    """Return `(A, B, L)` as `(A, B, 1, L)` channels last: a view where it is channels last already, else a copy."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _onednn(x: Tensor) -> bool:
    """Whether oneDNN's kernel can be called by name; tracers and compilers know the usual operator only."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        and not torch.compiler.is_compiling()
    )
