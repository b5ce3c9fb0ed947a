"""Every operator on a box: given the rows that the rule asks for, exactly the wanted output rows."""

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from atrous.geometry.graph import Op, Ref
from atrous.stream.compute import fast, rearrange, resize, sliding
from atrous.stream.span import Span

SIZED = {*resize.KERNELS, "expand"}
CONVOLUTIONS = {f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)}
KERNELS = {**sliding.KERNELS, **resize.KERNELS, **rearrange.KERNELS}


def compute(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """The rows `[lo, hi)` of every span of the value of `op`.

    `tensors` holds its inputs, narrowed along every span to the rows that the span's reads name; along axes without a
    span they are complete, and so is the result. Padding is added at the true border only.
    """
    if any(span.dim >= 0 and span.hi <= span.lo for span in spans):
        return _nothing(op, tensors, spans)
    kernel = KERNELS.get(op.kind)
    if kernel is not None and spans:
        return kernel(op, tensors, spans)
    return whole(op, tensors)


def on_window(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """The operator as it stands, on a window of rows that it takes for the whole; `spans` are those of other axes.

    Sizes come from the operator's shape, which is that of its value on the window.
    """
    if op.kind in SIZED:
        return KERNELS[op.kind](op, tensors, spans)
    return compute(op, tensors, spans)


def _nothing(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """No rows along some axis: where others read padding only."""
    sizes, like = list(op.shape), next(iter(tensors.values()))
    for span in spans:
        if span.dim >= 0:
            sizes[span.dim] = span.hi - span.lo
    floating = next((t for t in tensors.values() if t.is_floating_point()), like)
    return torch.empty(sizes, dtype=floating.dtype if op.dtype.is_floating_point else op.dtype, device=like.device)


def whole(op: Op, tensors: dict[int, Tensor]) -> Tensor:
    """The operator as it stands, on the tensors given."""
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
