"""Convolutions over enlarged values, written as transposed convolutions over the values themselves.

A U-Net's decoder repeats every row and column of a value (nearest interpolation by a factor `f`) and convolves the
result with a kernel `w` of `k` taps. Several taps then meet the same number:

    y[o] = sum over t of w[t] up[o - p + t],    up[u] = x[floor(u / f)]    (padding p, one dimension).

Row `i` of `x` stands at `u = f*i + j` with `0 <= j < f`, where tap `t` adds to `o = f*i + j + p - t`. So this is a
transposed convolution of stride `f` and padding `k - 1 - p`, whose kernel has `k + f - 1` taps:

    W[m] = sum of w[t] over all t and j with j - t + k - 1 = m.

For k = 3 and f = 2 an output takes 2 taps in each dimension instead of 3, 4 instead of 9 in two dimensions, and the
enlarged value is never made. Where the enlarged value is joined with others along the channels, as a decoder joins it
with what it skipped, the convolution is the sum of one over each part.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.lower import CONVOLUTIONS, prune
from atrous.geometry.parts import in_parts
from atrous.geometry.rules.resize import MODES, resizes
from atrous.geometry.rules.sliding import each

LARGEST = 4
"""The largest factor: the channels of all positions that an input row turns into are computed together."""


def on_small_grid(graph: Graph) -> Graph:
    """Return the graph of the same function in which convolutions of enlarged values are transposed convolutions.

    That is so where the value is enlarged by 2 or 4 (nearest), nothing else reads it, and the convolution has constant
    weights, no stride, no dilation and no groups. Other operators stay as they are.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> network = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv1d(2, 4, 3, padding=1))
    >>> graph = on_small_grid(export_graph(network, (2, 32)))
    >>> [op.kind for op in graph.ops if op.kind != "constant"], graph.ops[graph.output].shape
    (['input', 'conv_transpose1d'], (1, 4, 64))
    """
    readers = graph.readers()
    chosen = [op.index for op in graph.ops if _parts(op, graph.ops, readers)]
    if not chosen:
        return graph
    places = {i: _parts(graph.ops[i], graph.ops, readers) for i in chosen}
    names = iter(places.values())  # in the order in which the convolutions are replaced
    return prune(in_parts(graph, chosen, lambda op, ops: _append_parts(op, ops, next(names))))


def spread(weight: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Return the kernel `(C, K, *m)` of the transposed convolution that stands for enlarging and convolving.

    `weight` is that of the convolution, `(K, C, *k)`; the value is enlarged by one factor per dimension.

    >>> spread(torch.tensor([[[1.0, 10.0, 100.0]]]), (2,)).tolist()
    [[[100.0, 110.0, 11.0, 1.0]]]
    """
    kernel = weight.transpose(0, 1).double()
    for k, factor in enumerate(factors):
        dim = 2 + k
        sizes = list(kernel.shape)
        sizes[dim] += factor - 1
        total = kernel.new_zeros(sizes)
        for j in range(factor):  # m = j - t + k - 1: the taps backwards, once from each row j on
            total.narrow(dim, j, kernel.shape[dim]).add_(kernel.flip(dim))
        kernel = total
    return kernel.to(weight.dtype)


def _parts(op: Op, ops: tuple[Op, ...], readers: dict[int, list[int]]) -> list[bool]:
    """Return which parts of a convolution's input are enlarged for it alone; an empty list when it is to stay.

    An input that is not joined has one part.
    """
    if op.kind not in CONVOLUTIONS or not _simple(op, ops):
        return []
    source = ops[op.arguments["input"].index]
    parts, reader = [source.index], op.index
    if source.kind == "cat" and readers[source.index] == [op.index] and _joins_channels(source):
        parts, reader = [ref.index for ref in source.args[0]], source.index
    found = [_factors(ops[i], ops, readers[i] == [reader]) is not None for i in parts]
    return found if any(found) and len(set(parts)) == len(parts) else []


def _simple(op: Op, ops: tuple[Op, ...]) -> bool:
    """Return whether a convolution has constant weights, no stride, no dilation, no groups, and more than one tap."""
    a = op.arguments
    n = len(op.shape) - 2
    weight = ops[a["weight"].index]
    if weight.tensor is None or (a["bias"] is not None and ops[a["bias"].index].tensor is None):
        return False
    if isinstance(a["padding"], str) or len(weight.shape) != n + 2 or not weight.dtype.is_floating_point:
        return False
    taps, pads = weight.shape[2:], each(a["padding"], n)
    ones = each(a["stride"], n, 1) == each(a["dilation"], n, 1) == (1,) * n
    return ones and a["groups"] == 1 and min(taps) > 1 and all(p < k for p, k in zip(pads, taps, strict=True))


def _joins_channels(op: Op) -> bool:
    return op.arguments["dim"] % len(op.shape) == 1


def _factors(op: Op, ops: tuple[Op, ...], read_once: bool) -> tuple[int, ...] | None:
    """Return by which factors a value repeats the rows of its input, or None if it is not such a value.

    ATen must take the row that the factor says, to the last one: the lengths must have that ratio.
    """
    if not read_once or not MODES.get(op.kind, ("", 0))[0].startswith("nearest"):
        return None
    shape = ops[op.inputs[0]].shape
    steps = resizes(op, shape)
    factors = tuple(step.power for step in steps)
    exact = all(step.outputs == step.length * step.power for step in steps)
    known = exact and all(2 <= f <= LARGEST for f in factors) and len(shape) == len(factors) + 2 and shape[1] > 0
    return factors if known else None


def _append_parts(conv: Op, ops: list[Op], enlarged: list[bool]) -> None:
    """Append the convolution as a sum: one transposed convolution for each enlarged part, one convolution of the rest.

    The convolution's arguments refer to `ops`. The bias goes to the convolution of the rest, if there is one.
    """
    a = conv.arguments
    source, weight = ops[a["input"].index], ops[a["weight"].index].tensor
    assert weight is not None
    parts = [ref.index for ref in source.args[0]] if len(enlarged) > 1 or source.kind == "cat" else [source.index]
    places = torch.tensor([0, *(ops[i].shape[1] for i in parts)]).cumsum(0).tolist()
    bias, total = a["bias"], None
    rest = [k for k, up in enumerate(enlarged) if not up and ops[parts[k]].shape[1] > 0]  # some join no channels
    last = [k for k, up in enumerate(enlarged) if up][-1]
    for k, up in enumerate(enlarged):
        if up:
            own_bias = bias if k == last and not rest else None
            kernel = weight[:, places[k] : places[k + 1]]
            total = _sum(conv, ops, total, _transposed(conv, ops, ops[parts[k]], kernel, own_bias))
    if rest:
        value = Ref(parts[rest[0]]) if len(rest) == 1 else _joined(source, ops, [parts[k] for k in rest])
        kernel = _constant(conv, ops, torch.cat([weight[:, places[k] : places[k + 1]] for k in rest], 1))
        ops.append(dataclasses.replace(conv, index=len(ops), args=(value, kernel, bias, *conv.args[3:])))
        _sum(conv, ops, total, Ref(len(ops) - 1))


def _transposed(conv: Op, ops: list[Op], up: Op, kernel: Tensor, bias: Ref | None) -> Ref:
    """Append the transposed convolution of the value that `up` enlarges."""
    n = len(conv.shape) - 2
    small = ops[up.inputs[0]]
    factors = tuple(out // own for out, own in zip(up.shape[2:], small.shape[2:], strict=True))
    pads = each(conv.arguments["padding"], n)
    padding = [k - 1 - p for k, p in zip(kernel.shape[2:], pads, strict=True)]
    weight = _constant(conv, ops, spread(kernel, factors))
    kind = f"conv_transpose{n}d"
    overloads: Any = getattr(torch.ops.aten, kind)
    target = overloads.default if n == 1 else overloads.input
    args = (Ref(small.index), weight, bias, list(factors), padding, [0] * n, 1, [1] * n)
    return _add(conv, ops, kind, target, args)


def _joined(source: Op, ops: list[Op], parts: list[int]) -> Ref:
    """Append the parts joined along the channels."""
    channels = sum(ops[i].shape[1] for i in parts)
    shape = (source.shape[0], channels, *source.shape[2:])
    index = len(ops)
    ops.append(dataclasses.replace(source, index=index, args=([Ref(i) for i in parts], 1), kwargs={}, shape=shape))
    return Ref(index)


def _sum(conv: Op, ops: list[Op], total: Ref | None, part: Ref) -> Ref:
    """Append the sum of what there is and one part more."""
    return part if total is None else _add(conv, ops, "add", torch.ops.aten.add.Tensor, (total, part))


def _add(conv: Op, ops: list[Op], kind: str, target: Any, args: tuple[Any, ...]) -> Ref:
    ops.append(dataclasses.replace(conv, index=len(ops), kind=kind, target=target, args=args, kwargs={}, item=None))
    return Ref(len(ops) - 1)


def _constant(conv: Op, ops: list[Op], tensor: Tensor) -> Ref:
    tensor = tensor.contiguous()
    name = f"{conv.module}.weight"
    ops.append(Op(len(ops), "constant", name, tuple(tensor.shape), tensor.dtype, tensor=tensor))
    return Ref(len(ops) - 1)
