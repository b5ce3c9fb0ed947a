"""Values without rows: the constants, what barriers gave, and what follows from both."""

import torch
from torch import Tensor

from atrous.geometry.axis import Axis
from atrous.geometry.exportable import require_numbers
from atrous.geometry.graph import Graph, Op
from atrous.stream.compute import whole as compute_whole


def settle(graph: Graph, axis: Axis, known: dict[int, Tensor]) -> None:
    """Add to `known` every value without rows whose inputs are all known, in the type that the constants are in."""
    cast = {
        graph.ops[i].dtype: t.dtype
        for i, t in known.items()
        if graph.ops[i].kind == "constant" and t.is_floating_point()
    }
    with torch.inference_mode():
        for op in graph.ops:
            if op.index in known or axis.streamed(op.index) or axis.along[op.index].barrier or op.kind == "input":
                continue
            if all(i in known for i in op.inputs):
                value = compute_whole(op, known)
                known[op.index] = value.to(cast.get(value.dtype, value.dtype))


def constants(graph: Graph, dtype: torch.dtype | None) -> dict[int, Tensor]:
    """Return the constants by value, in type `dtype` if given; weights of 2-D convolutions are channels last.

    Raises `UserError` for a constant on the device meta, which has a shape only.
    """
    tensors = {}
    for op in graph.ops:
        if op.kind == "constant" and op.tensor is not None:
            require_numbers(op.module, op.tensor)
            tensor = op.tensor.to(dtype) if dtype is not None and op.tensor.is_floating_point() else op.tensor
            tensors[op.index] = channels_last_weight(tensor, op, graph)
    return tensors


def channels_last_weight(tensor: Tensor, op: Op, graph: Graph) -> Tensor:
    """Return the numbers of a constant, channels last if it is the weight of a 2-D convolution."""
    is_weight = len(op.shape) == 4 and any(
        r.kind in ("conv2d", "conv_transpose2d") and r.inputs[1] == op.index for r in graph.ops if len(r.inputs) > 1
    )
    return tensor.contiguous(memory_format=torch.channels_last) if is_weight else tensor


def evaluate(graph: Graph, known: dict[int, Tensor], x: Tensor) -> Tensor:
    """Return the output for a whole input `x` `(1, C, *S)`, operator by operator.

    `known` holds the constants. Other values are freed after their last reader.
    """
    last = {i: op.index for op in graph.ops for i in op.inputs}
    values = {**known, 0: x}
    for op in graph.ops:
        if op.index not in values:
            values[op.index] = compute_whole(op, values)
        for i in op.inputs:
            if last[i] == op.index and i not in known and i != graph.output:
                values.pop(i, None)
    return values[graph.output]
