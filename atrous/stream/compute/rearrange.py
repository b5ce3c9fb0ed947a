"""Views, pads, slices and shuffles on a part of the rows.

Their arguments hold sizes of the whole input. Here sizes follow the rows that are there, which are those of the spans.
"""

import torch
from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.rules.rearrange import pad_map, pad_mode, pad_pairs
from atrous.stream.compute.sliding import extended
from atrous.stream.rows import OutputSpan


def view(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """View the input rows with as many output rows as they hold elements for, and cut out the wanted ones.

    A view may regroup the axis: an input row holds `inner` elements of it, an output row `outer`. Geometry asks for
    whole input rows, whose first and last may reach beyond the wanted output rows.
    """
    x = tensors[op.inputs[0]]
    sizes = list(op.shape)
    for span in spans:
        if span.dim >= 0:
            piece = span.pieces[op.inputs[0]]
            sizes[span.dim] = (piece.hi - piece.lo) // piece.map.rows_per_output
    return _cut(x.reshape(sizes), op, spans)


def _cut(x: Tensor, op: Op, spans: tuple[OutputSpan, ...]) -> Tensor:
    """Cut the wanted rows out of the output rows that whole input rows gave, along regrouped axes."""
    for span in spans:
        piece = span.pieces[op.inputs[0]]
        if piece.map.rows_per_output != 1:
            x = x.narrow(span.dim, span.lo - piece.lo // piece.map.rows_per_output, span.hi - span.lo)
    return x


def shuffle(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Shuffle or unshuffle whole input rows, and cut out the wanted rows."""
    x, a = tensors[op.inputs[0]], op.arguments
    if op.kind == "pixel_shuffle":
        return _cut(torch.pixel_shuffle(x, a["upscale_factor"]), op, spans)
    return _cut(torch.pixel_unshuffle(x, a["downscale_factor"]), op, spans)


def expand(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Expand to the shape of the output, with as many rows as the spans ask for."""
    sizes = list(op.shape)
    for span in spans:
        sizes[span.dim] = span.hi - span.lo
    return tensors[op.inputs[0]].expand(sizes)


def repeat(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Repeat; a value of one row is repeated as often as the spans have rows."""
    x, repeats = tensors[op.inputs[0]], list(op.arguments["repeats"])
    for span in spans:
        if span.pieces[op.inputs[0]].map.is_broadcast:
            repeats[span.dim] = span.hi - span.lo
    return x.repeat(repeats)


def repeat_interleave(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Repeat each row of whole input rows, and cut out the wanted rows."""
    a = op.arguments
    return _cut(tensors[op.inputs[0]].repeat_interleave(a["repeats"], a["dim"]), op, spans)


def pad(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Pad where the wanted rows lie beyond the border of the whole input.

    With constants: before the first input row lie as many wanted rows as the span begins before it, and so at the end
    (a negative number cuts rows off). Otherwise every wanted row is a copy of an input row, which the map names.
    """
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


def slices(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Slice; along a cut axis the rows are already cut out, and only the step is left to take."""
    x, a = tensors[op.inputs[0]], op.arguments
    dim = a["dim"] % x.dim()
    if any(s.dim == dim for s in spans):
        return x[(slice(None),) * dim + (slice(None, None, a["step"]),)]
    start, stop, step = slice(a["start"], a["end"], a["step"]).indices(x.shape[dim])
    return x[(slice(None),) * dim + (slice(start, stop, step),)]


def split(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Return one part of a split; along a cut axis the rows of the part are already cut out."""
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


def squeeze(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Take away the dimensions that have size one in the whole input, not an axis of which one row is there."""
    x = tensors[op.inputs[0]]
    cut = {s.pieces[op.inputs[0]].dim for s in spans}
    asked = op.arguments.get("dim", list(range(x.dim())))
    dims = {d % x.dim() for d in ([asked] if isinstance(asked, int) else asked)} - cut
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
