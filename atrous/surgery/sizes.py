"""Numbers in a forward pass that depend on the size of the input, such as `x.mean((2, 3)) * x.shape[2]`.

A network that computes with such a number gives a window of a larger input another answer than the window alone. No
test at one size sees it, so the operators of two sizes are compared.
"""

from collections.abc import Sequence
from itertools import zip_longest
from numbers import Number
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from atrous.errors import UserError
from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, Op, export_graph
from atrous.geometry.lower import lower
from atrous.geometry.rules import is_pointwise

NUMBERS = ("kernel_size", "stride", "padding", "dilation", "divisor_override", "value", "fill_value")
"""Arguments of operators that are not pointwise, which say how they compute, not how large their value is."""
PADS = ("pad", "constant_pad_nd")
"""Operators that may pad each size to what the network needs."""


def require_same_numbers(network: nn.Module, axes: Sequence[Axis], shape: tuple[int, ...]) -> None:
    """Raise `UserError` if the network computes with a number that depends on the size of its input.

    Statistics of the whole input, as in squeeze-and-excitation, may be computed with one: a mean is a sum divided by
    the number of positions.

    Args:
        network: takes inputs of any size.
        axes: its operators on a larger input, followed along every spatial axis.
        shape: `(C, *S)` of a smaller input. Sizes should differ by a multiple of the strides, since padding may depend
            on the remainder.
    """
    larger = axes[0].graph
    smaller = lower(export_graph(network, shape), fold=False)
    names = {name for name, _ in network.named_modules()}
    found = [
        [(op, numbers) for op in graph.ops if (numbers := _numbers(op)) is not None] for graph in (smaller, larger)
    ]
    for one, other in zip_longest(*found):
        if one is None or other is None or (one[0].kind, one[0].module) != (other[0].kind, other[0].module):
            op = next(each[0] for each in (other, one) if each is not None)
            raise UserError(
                f"{_named(op, names, larger.network)}: runs on one of the sizes {shape[1:]} and "
                f"{larger.shape[1:]} only: the forward pass depends on the size of its input, so the network cannot be "
                "slid over a larger one"
            )
        if any(not _same(a, b) for a, b in zip_longest(one[1], other[1])) and not _is_statistic(other[0], axes):
            raise UserError(
                f"{_named(other[0], names, larger.network)}: computes with a number that depends on the size of its "
                f"input ({_differing(one[1], other[1])}, at {shape[1:]} and {larger.shape[1:]}), so the network "
                f"cannot be slid over a larger one: write the number that it is at {shape[1:]}"
            )


def _computing(graph: Graph) -> list[tuple[Op, list[Any]]]:
    """Return the operators that compute, in order, each with its numbers."""
    return [(op, numbers) for op in graph.ops if (numbers := _numbers(op)) is not None]


def _named(op: Op, names: set[str], network: str) -> str:
    """Return the module and the kind of an operator; the network itself where no module inside it runs the operator."""
    return f"{op.module if op.module in names else f'the network ({network})'}: {op.kind}"


def _numbers(op: Op) -> list[Any] | None:
    """Return the numbers, and tensors of numbers, with which an operator computes; None if it only moves values."""
    if op.kind == "constant":
        return [op.tensor]
    if is_pointwise(op):
        return [leaf for leaf in tree_leaves((op.args, op.kwargs)) if isinstance(leaf, Number)]
    if op.target is None or op.kind in PADS:
        return None
    return [
        leaf for name in NUMBERS for leaf in tree_leaves(op.arguments.get(name)) if isinstance(leaf, Number)
    ] or None


def _same(one: Any, other: Any) -> bool:
    """Return whether two numbers, or two tensors of numbers, are equal."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype
        return alike and (one.is_meta or one.data_ptr() == other.data_ptr() or bool(torch.equal(one, other)))
    return type(one) is type(other) and (one == other or str(one) == str(other))


def _differing(one: list[Any], other: list[Any]) -> str:
    """Return the first pair that differs, in words."""
    pair = next(pair for pair in zip_longest(one, other) if not _same(*pair))
    if any(isinstance(each, torch.Tensor) for each in pair):
        return "a tensor"
    return " and ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in pair)


def _is_statistic(op: Op, axes: Sequence[Axis]) -> bool:
    """Return whether the value was computed from all rows along one of the axes."""
    return any(not axis.streamed(op.index) and axis.levels[op.index] > 0 for axis in axes)
