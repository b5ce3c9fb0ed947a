"""Layer norms over positions: written as the statistics that they take and what follows from these.

A layer norm over `[H, W]` takes the mean and the variance of each channel over all positions. As one operator it mixes
the axis with itself and would be refused. As several it is a barrier and pointwise operators:

    y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias,    root mean square: y = x / sqrt(mean(x^2) + eps) * weight.

Statistics are taken in float64. Norms over channels alone stay one operator.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

import torch

from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.parts import in_parts

NORMS = ("layer_norm", "rms_norm")
"""Operators that can be written so."""


def with_statistics(graph: Graph, norms: Collection[int]) -> Graph:
    """Return the graph with each of the operators `norms` in its parts."""
    return in_parts(graph, norms, _append_parts)


def _append_parts(op: Op, ops: list[Op]) -> None:
    """Append the parts of one norm, whose arguments refer to `ops`."""
    a, aten = op.arguments, torch.ops.aten
    count = len(a["normalized_shape"])
    dims = list(range(len(op.shape) - count, len(op.shape)))
    reduced = (*op.shape[:-count], *(1,) * count)
    eps = torch.finfo(op.dtype).eps if a["eps"] is None else a["eps"]

    def add(kind: str, target: Any, *args: Any, shape: tuple[int, ...] = op.shape, **kwargs: Any) -> Ref:
        new = dataclasses.replace(
            op, index=len(ops), kind=kind, target=target, args=args, kwargs=kwargs, shape=shape, item=None
        )
        ops.append(new)
        return Ref(new.index)

    x = a.get("input", a.get("self"))
    if op.kind == "rms_norm":
        spread = add("mean", aten.mean.dim, add("mul", aten.mul.Tensor, x, x), dims, True, shape=reduced)
    else:
        spread = add("var", aten.var.correction, x, dims, shape=reduced, correction=0, keepdim=True)
        mean = add("mean", aten.mean.dim, x, dims, True, shape=reduced)
        x = add("sub", aten.sub.Tensor, x, mean)
    scale = add("rsqrt", aten.rsqrt.default, add("add", aten.add.Scalar, spread, eps, shape=reduced), shape=reduced)
    x = add("mul", aten.mul.Tensor, x, scale)
    if a.get("weight") is not None:
        x = add("mul", aten.mul.Tensor, x, a["weight"])
    if a.get("bias") is not None:
        add("add", aten.add.Tensor, x, a["bias"])
