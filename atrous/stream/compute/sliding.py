"""Convolutions, transposed convolutions, pools and unpooling on a part of the rows.

A convolution or pool with kernel k, stride s, dilation d and padding p reads, for output row `o`, input rows
`o s - p` to `o s - p + d (k - 1)`. Geometry cuts the input to the rows that lie within the whole input. What the
windows of the wanted rows reach beyond it, before the first or after the last input row, is the padding that is added
here; inside the input nothing is added. A transposed convolution is the other way round: input row `i` adds to output
rows `i s - p` to `i s - p + d (k - 1)`, and the wanted rows are cut out of all that its input rows add to.

`spans` lists the cut axes. In the loops below, `k` counts the spatial dimensions from the first, `n` of them, and
`rank - n + k` is the dimension in the tensor.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.maps import Sliding
from atrous.geometry.rules.sliding import dimensions, each, window
from atrous.stream.compute import fast
from atrous.stream.compute.packed import can_pack, packed_kernel, with_kernel
from atrous.stream.rows import InputPiece, OutputSpan

FEWEST = 8
"""Channels from which on a packed weight gains: for the 3 of an image oneDNN has a faster kernel, without packing."""


def overhang(w: Sliding, lo: int, hi: int, length: int) -> tuple[int, int]:
    """Return how many rows the windows of outputs `[lo, hi)` reach before the first and after the last input row."""
    before = min(max(0, -w.first(lo)), w.last(hi - 1) - w.first(lo))
    after = min(max(0, w.last(hi - 1) - length), w.last(hi - 1) - w.first(lo) - before)
    return before, after


def extended(x: Tensor, pads: dict[int, tuple[int, int]], value: float = 0.0) -> Tensor:
    """Return `x` with rows of `value` added before and after, per dimension; a negative number cuts rows off."""
    pads = {dim: pair for dim, pair in pads.items() if pair != (0, 0)}
    if not pads:
        return x
    if x.numel() == 0:
        sizes = [n + sum(pads.get(d, (0, 0))) for d, n in enumerate(x.shape)]
        return x.new_full(sizes, value)
    if fast.rows_last(x):
        return extended(x.transpose(1, 2), {(0, 2, 1)[dim]: pair for dim, pair in pads.items()}, value).transpose(1, 2)
    first = min(pads)
    flat: list[int] = []
    for dim in range(x.dim() - 1, first - 1, -1):
        flat.extend(pads.get(dim, (0, 0)))
    return F.pad(x, flat, value=value)


def _spatial(spans: tuple[OutputSpan, ...], rank: int, n: int) -> dict[int, OutputSpan]:
    """Return the spans by their place among the last `n` dimensions; a span along the batch needs no padding."""
    return {s.dim - (rank - n): s for s in spans if s.dim >= rank - n}


def _own_pads(op: Op, windows: list[Sliding], shape: torch.Size) -> list[tuple[int, int]]:
    """Return the padding, before and after, that the operator adds in each spatial dimension that is not cut."""
    if op.arguments["padding"] == "same":
        return [(w.padding, w.reach - w.padding) for w in windows]
    return [(w.padding, w.padding) for w in windows]


def convolution(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Convolve, with padding only where windows reach beyond the whole input."""
    a = op.arguments
    weight = tensors[a["weight"].index]
    x = tensors[a["input"].index].to(
        weight.dtype
    )  # another type where masks or numbers are convolved and the run computes in a lower one
    bias = None if a["bias"] is None else tensors[a["bias"].index]
    windows = window(op, tuple(weight.shape))
    n, rank = len(windows), x.dim()
    pads = _own_pads(op, windows, x.shape)
    for k, span in _spatial(spans, rank, n).items():
        pads[k] = overhang(windows[k], span.lo, span.hi, span.pieces[a["input"].index].length)
    x = extended(x, {rank - n + k: p for k, p in enumerate(pads) if p[0] != p[1]})
    padding = [p[0] if p[0] == p[1] else 0 for p in pads]
    return fast.convolve(
        x, weight, bias, [w.stride for w in windows], padding, [w.dilation for w in windows], a["groups"]
    )


def transposed(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Compute all rows that the given input rows add to, and cut out the wanted ones.

    Input rows `[lo, hi)` add to output rows `lo s - p` to `(hi - 1) s - p + d (k - 1)`: to `full` of them in each
    dimension, of which `counts` from `firsts` on are wanted. The operator is called without padding in dimensions that
    are cut. Wanted rows that no input row adds to (gaps at the end, output padding) are zeros. The bias is added last
    where rows are cut or added.
    """
    a = op.arguments
    source = a["input"].index
    weight = tensors[a["weight"].index]
    x = tensors[source].to(weight.dtype)
    bias = None if a["bias"] is None else tensors[a["bias"].index]
    n, rank = weight.dim() - 2, x.dim()
    stride, padding, dilation, extra = (
        list(each(a[k], n, d)) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0))
    )
    lengths = x.shape[rank - n :]
    full = [(lengths[k] - 1) * stride[k] + dilation[k] * (weight.shape[2 + k] - 1) + 1 for k in range(n)]
    firsts, counts = list(padding), [full[k] - 2 * padding[k] + extra[k] for k in range(n)]
    for k, span in _spatial(spans, rank, n).items():
        start = span.pieces[source].lo * stride[k] - padding[k]  # the output row that `full` begins with
        padding[k] = extra[k] = 0
        firsts[k], counts[k] = span.lo - start, span.hi - span.lo
    if x.numel() == 0:  # nothing adds to these rows
        sizes = [x.shape[0], weight.shape[1] * a["groups"], *op.shape[2:]]
        for span in spans:
            sizes[span.dim] = span.hi - span.lo
        out = x.new_zeros(sizes)
        return out if bias is None else out + bias.reshape(-1, *(1,) * n)
    fits = fast.phases_fit(x, weight, stride, a["groups"], dilation)
    if fits and all(fast.within(*row) for row in zip(lengths, stride, weight.shape[2:], firsts, counts, strict=True)):
        return fast.by_phases(x, weight, bias, stride, firsts, counts)
    cuts = {rank - n + k: (-firsts[k], firsts[k] + counts[k] - full[k]) for k in _spatial(spans, rank, n)}
    exact = all(cut == (0, 0) for cut in cuts.values())
    out = fast.convolve_transposed(x, weight, bias if exact else None, stride, padding, extra, a["groups"], dilation)
    if exact:
        return out
    out = extended(out, cuts)
    return out if bias is None else out + bias.reshape(-1, *(1,) * n)


def packed_weight(op: Op, weight: Tensor, x: Tensor) -> Tensor:
    """Return the weight of a convolution, transposed or not, packed for inputs like `x` where that is possible.

    Convolutions with the result compute the same.
    """
    a, n = op.arguments, weight.dim() - 2
    fits = x.dim() == n + 2 and x.device.type == "cpu" and x.numel() > 0 and x.shape[1] >= FEWEST
    if not fits or not can_pack(weight.dtype):
        return weight
    kernel, sizes, groups = weight, list(x.shape), a["groups"]
    stride, dilation = list(each(a["stride"], n, 1)), list(each(a["dilation"], n, 1))
    if "transpose" in op.kind:
        if not fast.phases_fit(x, weight, stride, groups, dilation):
            return weight
        kernel = fast.phase_kernel(weight, stride)
        stride, padding = [1] * n, [k - 1 for k in kernel.shape[2:]]
    else:
        padding = [w.padding for w in window(op, tuple(weight.shape))]
    if n == 1:
        kernel, sizes = fast.lifted(kernel), [*sizes[:2], 1, *sizes[2:]]
        stride, padding, dilation = [1, *stride], [0, *padding], [1, *dilation]
    return with_kernel(weight, packed_kernel(kernel, stride, padding, dilation, groups, sizes))


def max_pool(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Take the maximum; windows that reach beyond the whole input read minus infinity there."""
    return _max_pool(op, tensors, spans)[0]


def _max_pool(
    op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]
) -> tuple[Tensor, Tensor, dict[int, int]]:
    """Return the maxima, their positions in the padded input, and how many rows were added before each dimension."""
    x = tensors[op.inputs[0]]
    windows = window(op)
    n, rank = len(windows), x.dim()
    padding = [w.padding for w in windows]
    pads = {}
    for k, span in _spatial(spans, rank, n).items():
        padding[k] = 0
        pads[rank - n + k] = overhang(windows[k], span.lo, span.hi, span.pieces[op.inputs[0]].length)
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    x = extended(x, pads, lowest)
    kernel, stride, dilation = ([getattr(w, k) for w in windows] for k in ("kernel", "stride", "dilation"))
    before, ceil = {d: first for d, (first, _) in pads.items()}, op.arguments["ceil_mode"]
    if op.item is None:
        values = fast.max_pool(x, kernel, stride, padding, dilation, ceil)
        return values, values, before
    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    values, indices = function(x, kernel, stride, padding, dilation, ceil, return_indices=True)
    return values, indices, before


def max_pool_with_indices(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Return the maxima (item 0) or their positions, numbered as in the whole input (item 1).

    torch numbers the positions of the padded part that it is given: an index is `sum over dimensions of
    coordinate * (product of the later sizes)`. The loop goes from the last dimension to the first, takes one coordinate
    off the index, moves it to where it lies in the whole input, and puts the index together with the whole sizes.
    """
    values, indices, before = _max_pool(op, tensors, spans)
    if op.item == 0:
        return values
    x = tensors[op.inputs[0]]
    n = len(window(op))
    by_dim = {s.pieces[op.inputs[0]].dim: s for s in spans}
    index, rest, scale = torch.zeros_like(indices), indices, 1
    for dim in range(x.dim() - 1, x.dim() - n - 1, -1):
        span = by_dim.get(dim)
        pads = (
            0
            if span is None
            else sum(overhang(window(op)[dim - x.dim() + n], span.lo, span.hi, span.pieces[op.inputs[0]].length))
        )
        local = x.shape[dim] + pads
        offset = 0 if span is None else span.pieces[op.inputs[0]].lo - before[dim]
        index += (rest % local + offset) * scale
        rest = rest.div(local, rounding_mode="floor")
        scale *= x.shape[dim] if span is None else span.pieces[op.inputs[0]].length
    return index


def unpool(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Write each value to the position that its index names, in zeros.

    Indices number positions of the whole output. As in `max_pool_with_indices` the loop takes the coordinates off one
    by one, from the last dimension to the first, and moves them to where they lie among the rows that can be written
    to. The wanted rows are then cut out.
    """
    x, indices = tensors[op.args[0].index], tensors[op.args[1].index]
    n = int(op.kind[-2])
    by_dim = {s.dim: s for s in spans}
    index, rest, scale = torch.zeros_like(indices), indices, 1
    channels, cuts = list(x.shape[:-n]), {}
    sizes: list[int] = []
    for dim in range(x.dim() - 1, x.dim() - n - 1, -1):
        span, length = by_dim.get(dim), op.shape[dim]
        start, size = 0, length
        if span is not None:
            start, size = _written(span.pieces[op.args[0].index], span)
            cuts[dim] = (start - span.lo, span.hi - start - size)
        index += (rest % length - start) * scale
        rest = rest.div(length, rounding_mode="floor")
        scale *= size
        sizes.insert(0, size)
    out = x.new_zeros([*channels, math.prod(sizes)])
    out.scatter_(-1, index.flatten(-n), x.flatten(-n))
    return extended(out.reshape([*channels, *sizes]), cuts)


def _written(piece: InputPiece, span: OutputSpan) -> tuple[int, int]:
    """Return the first of the output rows that the input rows of a piece can write to, and how many there are."""
    t: Any = piece.map
    if piece.hi == piece.lo:
        return span.lo, 0
    start = piece.lo * t.stride - t.padding
    return start, (piece.hi - piece.lo - 1) * t.stride + t.reach + 1


def avg_pool(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Average, with ATen's number of positions as the divisor of each window.

    The padded input is averaged over full windows of k rows. A window whose count c differs, at the border, is then
    multiplied by `k / c`, one dimension after the other.
    """
    source, a = op.inputs[0], op.arguments
    x, windows = tensors[source], window(op)
    n, rank = len(windows), tensors[source].dim()
    by_place = _spatial(spans, rank, n)
    pads, counts = {}, []
    for k, w in enumerate(windows):
        dim, span = rank - n + k, by_place.get(k)
        lo, hi = (0, op.shape[dim]) if span is None else (span.lo, span.hi)
        length = x.shape[dim] if span is None else span.pieces[source].length
        before, after = overhang(w, lo, hi, length)
        pads[dim] = (before, after if span is not None else w.last(hi - 1) - length)
        counts.append(_counts(w, lo, hi, length, a["count_include_pad"]))
    x = extended(x, pads)
    out = fast.average_pool(x, [w.kernel for w in windows], [w.stride for w in windows])
    full = math.prod(w.kernel for w in windows)
    if a.get("divisor_override"):
        return out * (full / a["divisor_override"])
    for k, (w, count) in enumerate(zip(windows, counts, strict=True)):
        if any(c != w.kernel for c in count):
            factor = torch.tensor([w.kernel / max(c, 1) for c in count], dtype=out.dtype, device=out.device)
            out = out * factor.reshape([-1 if d == rank - n + k else 1 for d in range(rank)])
    return out


def _counts(w: Sliding, lo: int, hi: int, length: int, include: bool) -> list[int]:
    """Return how many rows ATen counts in each window of output rows `[lo, hi)`: with the padding, or without."""
    border = w.padding if include else 0
    return [min(w.last(o), length + border) - max(w.first(o), -border) for o in range(lo, hi)]


def adaptive_pool(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Pool each wanted bin of a cut axis by itself, and the other dimensions by ATen."""
    source = op.inputs[0]
    x, n = tensors[source], dimensions(op)
    average = "avg" in op.kind
    by_place = _spatial(spans, x.dim(), n)
    sizes = [x.shape[d - n] if d in by_place else op.shape[d - n] for d in range(n)]
    functions: Any = (
        (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
        if average
        else (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
    )
    x = functions[n - 1](x, sizes)
    for span in spans:
        piece = span.pieces[source]
        if span.dim < 0 or piece.map.is_uniform:
            continue
        parts = [
            x.narrow(span.dim, piece.map.first(o) - piece.lo, piece.map.last(o) - piece.map.first(o))
            for o in range(span.lo, span.hi)
        ]
        x = torch.cat([p.mean(span.dim, True) if average else p.amax(span.dim, True) for p in parts], span.dim)
    return x


KERNELS = {
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed for n in (1, 2, 3)},
    **{f"max_pool{n}d": max_pool for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": max_pool_with_indices for n in (1, 2, 3)},
    **{f"avg_pool{n}d": avg_pool for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": adaptive_pool for n in (1, 2, 3) for kind in ("max", "avg")},
    **{f"max_unpool{n}d": unpool for n in (1, 2, 3)},
}
