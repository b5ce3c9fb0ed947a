"""Every operator on a box: given the rows that the rule asks for, exactly the wanted output rows."""

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from atrous.geometry.graph import Op, Ref
from atrous.stream.compute import rearrange, resize, sliding
from atrous.stream.span import Span

KERNELS = {**sliding.KERNELS, **resize.KERNELS, **rearrange.KERNELS}


def compute(op: Op, tensors: dict[int, Tensor], spans: tuple[Span, ...]) -> Tensor:
    """The rows `[lo, hi)` of every span of the value of `op`.

    `tensors` holds its inputs, narrowed along every span to the rows that the span's reads name; along axes without a
    span they are complete, and so is the result. Padding is added at the true border only.
    """
    kernel = KERNELS.get(op.kind)
    if kernel is not None and spans:
        return kernel(op, tensors, spans)
    return whole(op, tensors)


def whole(op: Op, tensors: dict[int, Tensor]) -> Tensor:
    """The operator as it stands, on the tensors given."""
    args, kwargs = tree_map(lambda a: tensors[a.index] if isinstance(a, Ref) else a, (op.args, op.kwargs))
    assert op.target is not None
    if op.kind == "view":
        return args[0].reshape(op.shape)
    if op.kind == "relu":
        return torch.relu(args[0])
    result = op.target(*args, **kwargs)
    return result if op.item is None else result[op.item]
