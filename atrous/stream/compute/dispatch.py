"""Choose how to compute an operator on a part of its rows.

Most operators act on every position alike (`relu`, `add`, a batch norm), so that they can be called on the rows that
are there. The others have a function in `sliding.py`, `resize.py` or `rearrange.py`, which is told the spans:
convolutions and pools must pad at the true border only, resizes must use positions of the whole input, views must
follow the number of rows.
"""

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from atrous.geometry.graph import Op, Ref
from atrous.stream.compute import fast, rearrange, resize, sliding
from atrous.stream.rows import OutputSpan

SIZED = {*resize.KERNELS, "expand"}
"""Operators whose own arguments hold the size of the whole output, which is wrong on a window."""
CONVOLUTIONS = {f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)}
KERNELS = {**sliding.KERNELS, **resize.KERNELS, **rearrange.KERNELS}


def compute(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Return the rows `[lo, hi)` of every span of the value of `op`.

    `tensors` holds its inputs. Along the axis of each span an input holds just the rows that the span's piece names;
    along axes without a span it is complete, and so is the result. Padding is added at the true border only.
    """
    if any(span.dim >= 0 and span.hi <= span.lo for span in spans):
        return _no_output(op, tensors, spans)
    kernel = KERNELS.get(op.kind)
    if kernel is not None and spans:
        return kernel(op, tensors, spans)
    return whole(op, tensors)


def on_window(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Return the operator's value on a window of rows that it takes for the whole input.

    `op.shape` must be the shape of the value on the window. `spans` are those of other axes than the window's.
    """
    if op.kind in SIZED:
        return KERNELS[op.kind](op, tensors, spans)
    return compute(op, tensors, spans)


def _no_output(op: Op, tensors: dict[int, Tensor], spans: tuple[OutputSpan, ...]) -> Tensor:
    """Return a result without rows: its only readers read padding."""
    sizes, first = list(op.shape), next(iter(tensors.values()))
    for span in spans:
        if span.dim >= 0:
            sizes[span.dim] = span.hi - span.lo
    floating = next((t for t in tensors.values() if t.is_floating_point()), first)
    return torch.empty(sizes, dtype=floating.dtype if op.dtype.is_floating_point else op.dtype, device=first.device)


def whole(op: Op, tensors: dict[int, Tensor]) -> Tensor:
    """Call the operator as it stands on its inputs."""
    if op.kind in CONVOLUTIONS:
        return KERNELS[op.kind](op, tensors, ())
    args, kwargs = tree_map(lambda a: tensors[a.index] if isinstance(a, Ref) else a, (op.args, op.kwargs))
    assert op.target is not None
    if op.kind == "view":
        return args[0].reshape(op.shape)
    if op.kind == "cat":
        return fast.join(*args, **kwargs)
    if op.kind == "relu":
        return torch.relu(args[0])
    result = op.target(*args, **kwargs)
    return result if op.item is None else result[op.item]
