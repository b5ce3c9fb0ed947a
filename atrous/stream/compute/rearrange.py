"""Views, pads, slices and shuffles on a box: their sizes follow the box."""

import torch
from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.rules.rearrange import pad_map, pad_mode, pad_pairs
from atrous.stream.compute.sliding import extended
from atrous.stream.span import Span


def view(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Sizes of the axes from the box; then cut to the wanted rows."""
    x = tensors[op.inputs[0]]
    sizes = list(op.shape)
    for span in spans:
        if span.dim >= 0:
            piece = span.pieces[op.inputs[0]]
            sizes[span.dim] = (piece.hi - piece.lo) // piece.map.rows_per_output
    return _cut(x.reshape(sizes), op, spans)


def _cut(x: Tensor, op: Op, spans: tuple[Span, ...]) -> Tensor:
    for span in spans:
        piece = span.pieces[op.inputs[0]]
        if piece.map.rows_per_output != 1:
            x = x.narrow(span.dim, span.lo - piece.lo // piece.map.rows_per_output, span.hi - span.lo)
    return x


def shuffle(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Pixel shuffle or unshuffle of whole input rows, then cut."""
    x, a = tensors[op.inputs[0]], op.arguments
    if op.kind == "pixel_shuffle":
        return _cut(torch.pixel_shuffle(x, a["upscale_factor"]), op, spans)
    return _cut(torch.pixel_unshuffle(x, a["downscale_factor"]), op, spans)


def expand(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Sizes of the axes from the box."""
    sizes = list(op.shape)
    for span in spans:
        sizes[span.dim] = span.hi - span.lo
    return tensors[op.inputs[0]].expand(sizes)


def repeat(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """A vector is repeated as often as the box has rows."""
    x, repeats = tensors[op.inputs[0]], list(op.arguments["repeats"])
    for span in spans:
        if span.pieces[op.inputs[0]].map.is_broadcast:
            repeats[span.dim] = span.hi - span.lo
    return x.repeat(repeats)


def repeat_interleave(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Whole input rows, then cut."""
    a = op.arguments
    return _cut(tensors[op.inputs[0]].repeat_interleave(a["repeats"], a["dim"]), op, spans)


def pad(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Constants or copies of rows, where the box holds padding."""
    source = op.inputs[0]
    x, mode = tensors[source], pad_mode(op)
    pairs = {d: p for d, p in pad_pairs(op).items() if p != (0, 0)}
    by_dim = {s.dim: s for s in spans}
    if mode == "constant":
        for dim, span in by_dim.items():
            before = pairs.get(dim, (0, 0))[0]
            piece = span.pieces[source]
            if piece.hi == piece.lo:
                pairs[dim] = (span.hi - span.lo, 0)
            else:
                pairs[dim] = (piece.lo + before - span.lo, span.hi - piece.hi - before)
        return extended(x, pairs, op.arguments.get("value") or 0.0)
    for dim, (before, after) in pairs.items():
        span = by_dim.get(dim)
        start, length = (0, x.shape[dim]) if span is None else (span.pieces[source].lo, span.pieces[source].length)
        step = pad_map(mode, before, after, length)
        lo, hi = (0, op.shape[dim]) if span is None else (span.lo, span.hi)
        rows = [step.source_row(o) - start for o in range(lo, hi)]
        if rows != list(range(x.shape[dim])):
            x = x.index_select(dim, torch.tensor(rows, device=x.device))
    return x


def slices(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Along an axis the box is already cut out, and only thinned; along others as it stands."""
    x, a = tensors[op.inputs[0]], op.arguments
    dim = a["dim"] % x.dim()
    if any(s.dim == dim for s in spans):
        return x[(slice(None),) * dim + (slice(None, None, a["step"]),)]
    start, stop, step = slice(a["start"], a["end"], a["step"]).indices(x.shape[dim])
    return x[(slice(None),) * dim + (slice(start, stop, step),)]


def split(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Along an axis the part is already cut out."""
    x, a = tensors[op.inputs[0]], op.arguments
    dim = a["dim"] % x.dim()
    item = op.item or 0
    if op.kind == "unbind":
        return x.select(dim, item)
    if any(s.dim == dim for s in spans):
        return x
    sizes = a.get("split_sizes") or a["split_size"]
    start = item * sizes if isinstance(sizes, int) else sum(sizes[:item])
    return x.narrow(dim, start, op.shape[dim])


def squeeze(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """Only the dimensions that are one in the whole input go, not an axis of which the box holds one row."""
    x = tensors[op.inputs[0]]
    kept = {s.pieces[op.inputs[0]].dim for s in spans}
    asked = op.arguments.get("dim", list(range(x.dim())))
    dims = {d % x.dim() for d in ([asked] if isinstance(asked, int) else asked)} - kept
    return x.squeeze(tuple(sorted(d for d in dims if x.shape[d] == 1)))


KERNELS = {
    **dict.fromkeys(
        ("pad", "constant_pad_nd", *(f"{m}_pad{n}d" for m in ("reflection", "replication") for n in (1, 2, 3))), pad
    ),
    **dict.fromkeys(("view", "flatten", "unflatten"), view),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle),
    **dict.fromkeys(("split", "split_with_sizes", "unbind"), split),
    "slice": slices,
    "repeat": repeat,
    "repeat_interleave": repeat_interleave,
    "expand": expand,
    "squeeze": squeeze,
}
