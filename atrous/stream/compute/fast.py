"""The framework's own operators on the road that is fast on processors: one layout, in which rows lie together.

In 1-D torch's convolutions copy every input into a blocked layout and every output back, and its transposed ones build
a matrix of columns; as 2-D ones with a height of 1 and channels last they do neither (1.4 to 2 times faster, transposed
ones 3 to 15 times, `python -m benchmarks.lines`). In 3-D it takes a matrix of columns, as large as the input times the
kernel, for float32 inputs with few channels, where oneDNN needs none (10 times slower).
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
    """`conv1d`, `conv2d` or `conv3d`, by the dimensions of the weight.

    >>> x, w = torch.randn(1, 4, 50), torch.randn(6, 4, 5)
    >>> found = convolve(x, w, None, [2], [1], [1], 1)
    >>> bool((found - F.conv1d(x, w, stride=2, padding=1)).abs().max() < 1e-5)
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
    """`conv_transpose1d`, `conv_transpose2d` or `conv_transpose3d`, by the dimensions of the weight.

    >>> x, w = torch.randn(1, 4, 50), torch.randn(4, 6, 2)
    >>> found = convolve_transposed(x, w, None, [2], [0], [0], 1, [1])
    >>> bool((found - F.conv_transpose1d(x, w, stride=2)).abs().max() < 1e-5)
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
    """A transposed convolution without padding as a convolution that gives `stride` rows at once (Shi et al. 2016).

    Output row `q * stride + r` is `sum_j x[q - j] weight[:, :, j * stride + r]`: a convolution over `x` for each `r`,
    and with the rows of `x` together in memory the phases `r` lie in the order of the rows. oneDNN's own kernel for
    lines keeps a scratchpad for every length that it has met.
    """
    taps = -(-weight.shape[2] // stride)
    phases = F.pad(weight, (0, taps * stride - weight.shape[2])).unflatten(2, (taps, stride))
    kernel = phases.flip(2).permute(3, 1, 0, 2).flatten(0, 1)
    repeated = None if bias is None else bias.repeat(stride)
    found = convolve(x, kernel, repeated, [1], [taps - 1], [1], 1)
    return found.transpose(1, 2).reshape(len(x), -1, weight.shape[1]).transpose(1, 2)


def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool) -> Tensor:
    """`max_pool1d`, `max_pool2d` or `max_pool3d`, by the length of `kernel`.

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
    """`avg_pool1d`, `avg_pool2d` or `avg_pool3d` without padding, by the length of `kernel`."""
    if len(kernel) == 1 and x.dim() == 3:
        return F.avg_pool2d(_lifted(x), (1, *kernel), (1, *stride)).squeeze(2)
    function: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    return function(x, kernel, stride)


def join(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """`torch.cat`; 1-D values whose rows lie together are joined as they lie.

    >>> rows = [torch.randn(1, 9, 4).transpose(1, 2), torch.randn(1, 3, 4).transpose(1, 2)]
    >>> join(rows, 2).shape, join(rows, 2).stride(1)
    (torch.Size([1, 4, 12]), 1)
    """
    if all(rows_last(t) for t in tensors):
        place = None if out is None else out.transpose(1, 2)
        return torch.cat([t.transpose(1, 2) for t in tensors], (0, 2, 1)[dim], out=place).transpose(1, 2)
    return torch.cat(list(tensors), dim, out=out)


def rows_last(x: Tensor) -> bool:
    """Whether `(N, C, L)` lies in memory as `(N, L, C)`."""
    return x.dim() == 3 and not x.is_contiguous() and x.transpose(1, 2).is_contiguous()


def _lifted(x: Tensor) -> Tensor:
    """`(A, B, L)` as `(A, B, 1, L)`, channels last: a view where its rows lie together."""
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
