"""torch's own operators, called in the way that is fastest on processors.

All values are laid out channels last: the numbers of one row lie together in memory.

1-D: torch's `conv1d` copies every input into a blocked layout and every output back, and `conv_transpose1d` builds a
matrix of columns (im2col). The same operators in 2-D, with a height of 1 and channels last, do neither: they are 1.4 to
2 times faster, transposed ones 3 to 15 times (`python -m benchmarks.lines`).

3-D: for float32 inputs with few channels `conv3d` builds a matrix of columns as large as the input times the kernel;
oneDNN's own kernel needs none and is 10 times faster.

Transposed convolutions are computed by phases (`by_phases`): one convolution without stride and a copy.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.stream.compute.packed import PackedWeight, run_packed

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
    kernel = weight.kernel if isinstance(weight, PackedWeight) else None
    if n == 1 and x.dim() == 3 and x.device.type == "cpu":
        kernel = lifted(weight) if kernel is None else kernel
        return _convolve(lifted(x), kernel, bias, (1, *stride), (0, *padding), (1, *dilation), groups).squeeze(2)
    return _convolve(x, weight if kernel is None else kernel, bias, stride, padding, dilation, groups)


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    """Call the kernel that fits the weight: packed, of a volume, or any other."""
    if weight.is_mkldnn:
        return run_packed(x, weight, bias, stride, padding, dilation, groups)
    n = weight.dim() - 2
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

    `x` is `(N, C, *S)` and `weight` `(C, K/groups, *k)`. Without groups and dilation it is computed by phases; rows
    that no input row adds to, which a large output padding asks for, are left to torch.

    >>> x, w = torch.randn(1, 4, 50), torch.randn(4, 6, 2)
    >>> out = convolve_transposed(x, w, None, [2], [0], [0], 1, [1])
    >>> bool((out - F.conv_transpose1d(x, w, stride=2)).abs().max() < 1e-5)
    True
    """
    if phases_fit(x, weight, stride, groups, dilation):
        kernel, sizes = weight.shape[2:], x.shape[2:]
        counts = [
            (n - 1) * s - 2 * p + k + e
            for n, s, p, k, e in zip(sizes, stride, padding, kernel, output_padding, strict=True)
        ]
        if all(within(*place) for place in zip(sizes, stride, kernel, padding, counts, strict=True)):
            return by_phases(x, weight, bias, stride, padding, counts)
    n = weight.dim() - 2
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    return function(x, weight, bias, stride, padding, output_padding, groups, dilation)


def phases_fit(x: Tensor, weight: Tensor, stride: Ints, groups: int, dilation: Ints) -> bool:
    """Return whether a transposed convolution can be computed by phases, on a processor."""
    fits = x.device.type == "cpu" and groups == 1 and set(dilation) == {1} and x.dim() == weight.dim()
    return fits and (weight.dim() == 3 or (max(stride) > 1 and not _compiling()))


def within(size: int, stride: int, kernel: int, first: int, count: int) -> bool:
    """Return whether rows `[first, first + count)` are among those that phases give for `size` input rows."""
    return first >= 0 and first + count <= (size - 1 + -(-kernel // stride)) * stride


def by_phases(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, firsts: Ints, counts: Ints) -> Tensor:
    """Compute a transposed convolution without padding as one convolution with `stride` outputs (Shi et al. 2016).

    In one dimension, input row `i` adds `x[i] weight[:, :, t]` to output row `i * stride + t`. Write an output row as
    `q * stride + r` with phase `0 <= r < stride`. It then is

        y[q * stride + r] = sum over j of x[q - j] weight[:, :, j * stride + r],

    for each phase `r` a convolution over `x` with `taps = ceil(k / stride)` taps. All phases of all dimensions together
    are one convolution with as many times `K` channels (`phase_kernel`), and a copy puts each phase in its place. Of
    the rows of each dimension, `counts` from `firsts` on are returned: what is left out is the padding.

    oneDNN's own kernel for 1-D keeps a scratchpad for every length that it has met, which this avoids.
    """
    n, channels = weight.dim() - 2, weight.shape[1]
    kernel = weight.kernel if isinstance(weight, PackedWeight) else phase_kernel(weight, stride)
    repeated = None if bias is None else bias.repeat(math.prod(stride))
    pads, inside = [], []  # the padding of each dimension, and where the wanted rows begin in what is computed
    for dim, (k, s, first, count) in enumerate(zip(weight.shape[2:], stride, firsts, counts, strict=True), 2):
        taps, size = -(-k // s), x.shape[dim]
        begin, end = first // s, -(-(first + count) // s)  # rows of the phases; row q reads x from q - taps + 1 to q
        lo, hi = max(0, begin - taps + 1), min(size, end)
        x = x.narrow(dim, lo, hi - lo)
        pads.append((max(0, taps - 1 - begin), max(0, end - size)))
        inside.append(first - begin * s)
    uneven = {dim: pair for dim, pair in enumerate(pads, 2) if pair[0] != pair[1]}
    if uneven:
        x = F.pad(x, [n for dim in range(x.dim() - 1, 1, -1) for n in uneven.get(dim, (0, 0))])
    ones, even = [1] * n, [0 if pair[0] != pair[1] else pair[0] for pair in pads]
    if n == 1:
        x, kernel = lifted(x), kernel if kernel.dim() == 4 else lifted(kernel)
        out = _convolve(x, kernel, repeated, [1, 1], [0, *even], [1, 1], 1).squeeze(2)  # (N, stride * K, phase rows)
        out = out.transpose(1, 2).reshape(len(x), -1, channels).transpose(1, 2)
        return out.narrow(2, inside[0], counts[0])
    return _arranged(_convolve(x, kernel, repeated, ones, even, ones, 1), channels, stride, inside, counts)


def phase_kernel(weight: Tensor, stride: Ints) -> Tensor:
    """Return the kernel `(phases * K, C, *taps)` of the convolution that computes all phases.

    >>> phase_kernel(torch.tensor([[[1.0, 2.0, 3.0]]]), [2]).tolist()
    [[[3.0, 1.0]], [[0.0, 2.0]]]
    """
    n = weight.dim() - 2
    taps = [-(-k // s) for k, s in zip(weight.shape[2:], stride, strict=True)]
    pads = [t * s - k for t, s, k in zip(taps, stride, weight.shape[2:], strict=True)]
    padded = F.pad(weight, [p for pad in reversed(pads) for p in (0, pad)])
    split = padded.reshape(*weight.shape[:2], *itertools.chain(*zip(taps, stride, strict=True)))
    places, phases = [2 + 2 * k for k in range(n)], [3 + 2 * k for k in range(n)]
    kernel = split.flip(places).permute(*phases, 1, 0, *places).flatten(0, n)
    return kernel.contiguous(memory_format=torch.channels_last) if n == 2 else kernel.contiguous()


def _arranged(z: Tensor, channels: int, stride: Ints, firsts: Ints, counts: Ints) -> Tensor:
    """Return rows `[first, first + count)` of each dimension of the phases `(N, phases * K, *S)`, interleaved."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    last = z.is_contiguous(memory_format=formats[z.dim()]) and not z.is_contiguous()
    layout = formats[z.dim()] if last else torch.contiguous_format
    out = torch.empty((len(z), channels, *counts), dtype=z.dtype, device=z.device, memory_format=layout)
    for number, phase in enumerate(itertools.product(*map(range, stride))):
        part, place = z.narrow(1, number * channels, channels), [slice(None)] * 2
        for dim, (r, s, first, count) in enumerate(zip(phase, stride, firsts, counts, strict=True), 2):
            start = -(-(first - r) // s)  # the first row of this phase that is wanted
            stop = -(-(first + count - r) // s)
            part = part.narrow(dim, start, stop - start)
            place.append(slice(start * s + r - first, None, s))
        out[tuple(place)].copy_(part)
    return out


def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool) -> Tensor:
    """Return `max_pool1d`, `max_pool2d` or `max_pool3d`, by the length of `kernel`.

    >>> x = torch.randn(1, 4, 50)
    >>> bool((max_pool(x, [3], [2], [1], [1], False) == F.max_pool1d(x, 3, 2, 1)).all())
    True
    """
    if len(kernel) == 1 and x.dim() == 3:
        flat = F.max_pool2d(lifted(x), (1, *kernel), (1, *stride), (0, *padding), (1, *dilation), ceil)
        return flat.squeeze(2)
    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    return function(x, kernel, stride, padding, dilation, ceil)


def average_pool(x: Tensor, kernel: Ints, stride: Ints) -> Tensor:
    """Return `avg_pool1d`, `avg_pool2d` or `avg_pool3d` without padding, by the length of `kernel`."""
    if len(kernel) == 1 and x.dim() == 3:
        return F.avg_pool2d(lifted(x), (1, *kernel), (1, *stride)).squeeze(2)
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


def lifted(x: Tensor) -> Tensor:
    """Return `(A, B, L)` as `(A, B, 1, L)` channels last: a view where it is channels last already, else a copy."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _onednn(x: Tensor) -> bool:
    """Whether oneDNN's kernel can be called by name; tracers and compilers know the usual operator only."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not _compiling()
    )


def _compiling() -> bool:
    """Whether a tracer or a compiler follows the operators."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
