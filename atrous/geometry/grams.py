"""Products of channels with channels, summed over all positions: written so that they are gathered like a global pool.

Cross-covariance attention (XCiT, El-Nouby et al. 2021; EdgeNeXt, Maaz et al. 2022) lets channels attend to channels:

    scores = q k^T    with q `(..., C, positions)` and k `(..., C', positions)`,    scores `(..., C, C')`.

Each score is a sum over positions, so that it is a barrier. A barrier reads one value, and the product two. Hence both
are joined to one value of C + C' channels, and the product is one of its first channels with its last.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.parts import in_parts

GRAM = "gram"
"""The kind of the operator that multiplies the channels of a joined value."""


def gram(joined: Tensor, first: int) -> Tensor:
    """Return the product over positions of the `first` channels of `(..., channels, positions)` with the others.

    >>> gram(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 1).tolist()
    [[11.0, 17.0]]
    """
    return joined[..., :first, :] @ joined[..., first:, :].mT


def can_be_joined(graph: Graph, op: Op) -> bool:
    """Whether the two inputs of a matrix product have equal leading dimensions, so that their channels can be joined.

    A product of several image's matrices with one, for example, does not.
    """
    a, b = (graph.ops[ref.index].shape for ref in op.args[:2])
    return len(a) == len(b) >= 2 and a[:-2] == b[:-2]


def with_grams(graph: Graph, products: Collection[int]) -> Graph:
    """Return the graph with each of the matrix products `products` as a product of joined channels."""
    return in_parts(graph, products, _append_parts)


def _append_parts(op: Op, ops: list[Op]) -> None:
    """Append `a @ b` with a `(..., n, positions)` and b `(..., positions, m)` as the product of a joined value."""

    def add(kind: str, target: Any, *args: Any, shape: tuple[int, ...]) -> Ref:
        new = dataclasses.replace(
            op, index=len(ops), kind=kind, target=target, args=args, kwargs={}, shape=shape, item=None
        )
        ops.append(new)
        return Ref(new.index)

    aten = torch.ops.aten
    a, b = op.args[:2]
    *leading, n, positions = ops[a.index].shape
    m = ops[b.index].shape[-1]
    turned = add("transpose", aten.transpose.int, b, -2, -1, shape=(*leading, m, positions))
    joined = add("cat", aten.cat.default, [a, turned], -2, shape=(*leading, n + m, positions))
    add(GRAM, gram, joined, n, shape=op.shape)
