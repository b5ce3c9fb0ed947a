"""Rewrite a graph into fewer kinds of operators, for which the rules are written.

- Identities (dropout in evaluation mode, `clone`) are left out.
- Overloads of one operator become the one that has a rule: `var_mean` becomes `var` and `mean`, and `max` of two values
  becomes `maximum`.
- Batch norm with stored statistics becomes `affine`: `y = x * scale + shift` per channel. If it follows a convolution
  that nothing else reads, it is folded into it: `W' = W * scale`, `b' = b * scale + shift`.
- Norms that compute statistics of their input (group, instance and unstored batch norm) become `moments`, a barrier
  that gives scale and shift, two `row`s that take these, and the same `affine`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from atrous.geometry.graph import Graph, Op, Ref
from atrous.geometry.joined import part_by_part

IDENTITIES = {
    "clone",
    "contiguous",
    "alias",
    "detach",
    "dropout",
    "lift_fresh_copy",
    "feature_dropout",
    "alpha_dropout",
}
FILLED = {
    **dict.fromkeys(("zeros", "new_zeros", "empty", "new_empty"), 0.0),
    **dict.fromkeys(("ones", "new_ones"), 1.0),
    **dict.fromkeys(("full", "new_full"), None),
}
"""Operators whose value is one number everywhere and reads nothing. None: the number is an argument."""

PAIRS = {"var_mean": ("var", "mean"), "std_mean": ("std", "mean"), "aminmax": ("amin", "amax")}
"""Operators with two results, and the operator that gives each result alone."""

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
TRANSPOSED = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}


def per_channel(vector: Tensor, like: Tensor) -> Tensor:
    """Return a vector `(C,)` in the shape `(1, C, 1, ...)` that broadcasts over `like` `(N, C, *S)`."""
    return vector.reshape(1, -1, *(1,) * (like.dim() - 2))


def affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return `x * scale + shift` for `x` `(N, C, *S)`, with one scale and shift per channel, `(C,)` each."""
    return torch.addcmul(per_channel(shift, x), x, per_channel(scale, x))


def moments(x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Return scale and shift `(2, C)` by which group norm maps `x` `(1, C, *S)`, from its statistics over all
    positions.
    """
    grouped = x.double().reshape(groups, -1)
    mean, var = grouped.mean(1), grouped.var(1, correction=0)
    return scale_and_shift(mean, var, x.shape[1], weight, bias, eps).to(x.dtype)


def scale_and_shift(
    mean: Tensor, var: Tensor, channels: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Return scale and shift `(2, C)` in float64 that normalize `channels` in groups with this mean and variance
    `(G,)`.

    `scale = weight / sqrt(var + eps)` and `shift = bias - mean * scale`, each group's numbers for all its channels.
    """
    group_size = channels // mean.numel()
    scale = (var + eps).rsqrt().repeat_interleave(group_size)
    if weight is not None:
        scale = scale * weight.double()
    shift = -mean.repeat_interleave(group_size) * scale
    if bias is not None:
        shift = shift + bias.double()
    return torch.stack([scale, shift])


def stored(mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Return scale and shift `(2, C)` of a norm with stored mean and variance `(C,)`."""
    return scale_and_shift(mean.double(), var.double(), mean.numel(), weight, bias, eps).to(mean.dtype)


def copied(like: Tensor, values: Tensor) -> Tensor:
    """Return values in the shape and type of another tensor, as `copy` does, which has no gradient in torch."""
    return values.to(like.dtype).expand_as(like)


def row(table: Tensor, index: int) -> Tensor:
    """Return one row of a table."""
    return table[index]


def lower(graph: Graph, *, fold: bool = True, differentiable: bool = False) -> Graph:
    """Return a graph of the same function with fewer kinds of operators, as the head of this file says.

    What the output does not depend on is left out. With `fold` false, norms are not folded into convolutions. With
    `differentiable`, nothing is computed from parameters here, so that all constants are the network's own, and
    `detach` stays an operator: the graph has the gradients of the network, too.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Dropout(), nn.GroupNorm(2, 4))
    >>> [op.kind for op in lower(export_graph(net, (2, 32))).ops if op.kind not in ("input", "constant")]
    ['conv1d', 'moments', 'row', 'row', 'affine']
    """
    writer = _Writer(graph, fold, differentiable)
    for op in graph.ops:
        writer.write(op)
    return prune(part_by_part(Graph(tuple(writer.ops), writer.new_index[graph.output], graph.network)))


def prune(graph: Graph) -> Graph:
    """Return the graph without the operators that the output does not depend on, numbered anew. The input stays."""
    needed, todo = {0}, [graph.output]
    while todo:
        i = todo.pop()
        needed.add(i)
        todo.extend(j for j in graph.ops[i].inputs if j not in needed)
    new_index = {old: new for new, old in enumerate(sorted(needed))}
    ops = []
    for old in sorted(needed):
        op = graph.ops[old]
        args, kwargs = (_renumbered(tree, new_index) for tree in (op.args, op.kwargs))
        ops.append(dataclasses.replace(op, index=new_index[old], args=args, kwargs=kwargs))
    return Graph(tuple(ops), new_index[graph.output], graph.network)


def filled(shape: tuple[int, ...], value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a tensor of this shape that is `value` everywhere and takes the memory of one number."""
    return torch.full((), value, dtype=dtype, device=device).expand(shape)


def simplified(op: Op, device: torch.device) -> Op:
    """Return the same operator under the name that has a rule. `device` is where a constant value is computed."""
    if not isinstance(op.target, torch._ops.OpOverload):
        return op
    a, aten = op.arguments, cast(Any, torch.ops.aten)
    if op.kind in ("_unsafe_view", "reshape"):
        return dataclasses.replace(op, kind="view")
    if op.kind in ("max", "min") and "other" in a:
        kind = {"max": "maximum", "min": "minimum"}[op.kind]
        return dataclasses.replace(op, kind=kind, target=getattr(aten, kind).default)
    if op.kind == "norm":
        order = 2.0 if a["p"] is None else a["p"]
        args = (a["self"], order, a.get("dim"), a.get("keepdim", False))
        target = aten.linalg_vector_norm.default
        return dataclasses.replace(op, kind="linalg_vector_norm", target=target, args=args, kwargs={})
    if op.kind in FILLED:
        value = a["fill_value"] if FILLED[op.kind] is None else FILLED[op.kind]
        return dataclasses.replace(
            op, kind="filled", target=filled, args=(op.shape, value, op.dtype, device), kwargs={}
        )
    return _statistic(op) if op.kind in ("var", "std", *PAIRS) else op


def _statistic(op: Op) -> Op:
    """Return one result of `var`, `std`, `var_mean`, `std_mean` or `aminmax` as an operator that has a rule."""
    a, aten = op.arguments, cast(Any, torch.ops.aten)
    kind = PAIRS[op.kind][op.item or 0] if op.kind in PAIRS else op.kind
    dim = [a["dim"]] if isinstance(a.get("dim"), int) else a.get("dim")
    args: tuple[Any, ...] = (a["self"], dim or [])
    kwargs: dict[str, Any] = {"keepdim": bool(a.get("keepdim", False))}
    if kind in ("var", "std"):
        target = getattr(aten, kind).correction
        args = (a["self"], dim)
        kwargs["correction"] = a["correction"] if "correction" in a else int(a.get("unbiased", True))
    else:
        target = aten.mean.dim if kind == "mean" else getattr(aten, kind).default
    return dataclasses.replace(op, kind=kind, target=target, args=args, kwargs=kwargs, item=None)


def _renumbered(tree: Any, new_index: dict[int, int]) -> Any:
    """Return nested arguments with every `Ref` moved to the new index of its value."""
    return tree_map(lambda a: Ref(new_index[a.index]) if isinstance(a, Ref) else a, tree)


class _Writer:
    """Writes the operators of the new graph. `new_index` says which of them has the value of an operator of the old
    one.
    """

    def __init__(self, graph: Graph, fold: bool, differentiable: bool):
        self.graph, self.fold, self.differentiable = graph, fold, differentiable
        self.readers = graph.readers()
        self.device = next((op.tensor.device for op in graph.ops if op.tensor is not None), torch.device("cpu"))
        self.ops: list[Op] = []
        self.new_index: dict[int, int] = {}

    def add(self, like: Op, kind: str, target: Callable[..., Any] | None, args: tuple[Any, ...], **changes: Any) -> int:
        """Append an operator with the module, shape and type of `like` but for `changes`, and return its index."""
        index = len(self.ops)
        self.ops.append(
            dataclasses.replace(like, index=index, kind=kind, target=target, args=args, kwargs={}, item=None, **changes)
        )
        return index

    def constant(self, name: str, tensor: Tensor) -> Ref:
        """Append a constant."""
        self.ops.append(Op(len(self.ops), "constant", name, tuple(tensor.shape), tensor.dtype, tensor=tensor))
        return Ref(len(self.ops) - 1)

    def tensor(self, arg: Any) -> Tensor | None:
        """Return the numbers of an argument that is a constant, and None if it is computed or not given."""
        return None if arg is None else self.graph.ops[arg.index].tensor

    def write(self, op: Op) -> None:
        """Append what takes the place of an operator of the old graph."""
        kind = op.kind
        stops = kind == "detach" and self.differentiable
        if (kind in IDENTITIES and not stops) or (kind in ("_to_copy", "to") and self._same(op)):
            source = op.args[0].index
            self.new_index[op.index] = self.new_index[source]
        elif (
            kind in ("_native_batch_norm_legit_no_training", "batch_norm", "cudnn_batch_norm") and self._stored(op)
        ) or (kind == "instance_norm" and not op.arguments["use_input_stats"]):
            self._stored_norm(op)
        elif kind == "index_put" and self._writes_one_value(op):
            self._masked(op)
        elif op.shape[:1] != (1,):
            self._copy(op)  # the statistics below are those of one image, and a batch of several images shares none
        elif kind in ("group_norm", "instance_norm", "_native_batch_norm_legit", "batch_norm", "native_group_norm"):
            self._statistics_norm(op)
        elif kind == "layer_norm" and len(op.shape) > 2 and tuple(op.arguments["normalized_shape"]) == op.shape[1:]:
            self._whole_layer_norm(op)
        else:
            self._copy(op)

    def _copy(self, op: Op) -> None:
        """Append the operator itself."""
        op = simplified(op, self.device)
        if op.kind == "copy" and self.differentiable:
            op = dataclasses.replace(op, target=copied, args=op.args[:2], kwargs={})
        args, kwargs = (_renumbered(tree, self.new_index) for tree in (op.args, op.kwargs))
        self.new_index[op.index] = len(self.ops)
        self.ops.append(dataclasses.replace(op, index=len(self.ops), args=args, kwargs=kwargs))

    def _writes_one_value(self, op: Op) -> bool:
        """Return whether `x[mask] = value` writes the same value wherever the mask is true."""
        a = op.arguments
        indices = [i for i in a["indices"] if i is not None]
        masks = [i for i in indices if self.graph.ops[i.index].dtype == torch.bool]
        if a["accumulate"] or len(indices) != 1 or not masks:
            return False
        value, mask = self.graph.ops[a["values"].index], self.graph.ops[masks[0].index]
        behind = len(op.shape) - len(a["indices"][: a["indices"].index(masks[0])]) - len(mask.shape)
        return value.numel == 1 or len(value.shape) <= behind

    def _masked(self, op: Op) -> None:
        """Append `x[mask] = value` as a choice between two values: `where(mask, value, x)`.

        A mask over some dimensions of `x` gets dimensions of one in the place of the others.
        """
        a, aten = op.arguments, torch.ops.aten
        front = next(d for d, i in enumerate(a["indices"]) if i is not None)
        mask = self.graph.ops[a["indices"][front].index]
        shape = (*(1,) * front, *mask.shape, *(1,) * (len(op.shape) - front - len(mask.shape)))
        ref = Ref(self.new_index[mask.index])
        if shape != mask.shape:
            ref = Ref(self.add(op, "view", aten.view.default, (ref, list(shape)), shape=shape, dtype=mask.dtype))
        refs = (Ref(self.new_index[a[name].index]) for name in ("values", "self"))
        self.new_index[op.index] = self.add(op, "where", aten.where.self, (ref, *refs))

    def _same(self, op: Op) -> bool:
        """Return whether a conversion changes nothing."""
        source = self.graph.ops[op.args[0].index]
        return source.dtype == op.dtype and source.shape == op.shape

    def _stored(self, op: Op) -> bool:
        """Return whether a batch norm uses stored statistics."""
        return op.arguments.get("running_mean") is not None and not op.arguments.get("training", False)

    def _stored_norm(self, op: Op) -> None:
        """Append a norm with stored statistics: computed in the graph, folded into a convolution, or as `affine`."""
        a = op.arguments
        arguments = tuple(a[name] for name in ("running_mean", "running_var", "weight", "bias"))
        mean, var, weight, bias = (self.tensor(arg) for arg in arguments)
        if self.differentiable or mean is None or var is None or not self._constant(arguments):
            refs = [None if arg is None else Ref(self.new_index[arg.index]) for arg in arguments]
            table = self.add(op, "stored", stored, (*refs, a["eps"]), shape=(2, op.shape[1]))
            self.new_index[op.index] = self._affine(op, table)
            return
        scale, shift = scale_and_shift(mean.double(), var.double(), mean.numel(), weight, bias, a["eps"])
        source = self.graph.ops[op.args[0].index]
        only_reader = self.readers[source.index] == [op.index]
        if self.fold and only_reader and source.kind in CONVOLUTIONS | TRANSPOSED and self._constant(source.args[1:3]):
            self._fold(op, source, scale, shift)
            return
        refs = [self.constant(f"{op.module}.{n}", t.to(mean.dtype)) for n, t in (("scale", scale), ("shift", shift))]
        self.new_index[op.index] = self.add(op, "affine", affine, (Ref(self.new_index[source.index]), *refs))

    def _constant(self, args: tuple[Any, ...]) -> bool:
        """Return whether arguments are constants, and not computed (by weight norm or another parametrization)."""
        return all(a is None or self.graph.ops[a.index].tensor is not None for a in args)

    def _fold(self, op: Op, conv: Op, scale: Tensor, shift: Tensor) -> None:
        """Append the convolution again with the norm in its weight and bias. `scale` and `shift` are `(C_out,)`.

        A convolution's weight is `(C_out, C_in / groups, *k)`, a transposed one's `(C_in, C_out / groups, *k)`: group
        `g` of its input channels makes the output channels of group `g`.
        """
        written = self.ops[self.new_index[conv.index]]
        weight, bias = self.tensor(conv.args[1]), self.tensor(conv.args[2] if len(conv.args) > 2 else None)
        assert weight is not None
        if conv.kind in CONVOLUTIONS:
            folded = weight.double() * scale.reshape(-1, *(1,) * (weight.dim() - 1))
        else:
            groups = conv.arguments["groups"]
            ones = (1,) * (weight.dim() - 2)
            folded = weight.double().reshape(groups, -1, *weight.shape[1:]) * scale.reshape(groups, 1, -1, *ones)
        offset = shift if bias is None else bias.double() * scale + shift
        new_weight = self.constant(f"{conv.module}.weight", folded.reshape(weight.shape).to(weight.dtype))
        new_bias = self.constant(f"{conv.module}.bias", offset.to(weight.dtype))
        rest = written.args[3:]
        index = self.add(written, conv.kind, conv.target, (written.args[0], new_weight, new_bias, *rest))
        self.ops[index] = dataclasses.replace(self.ops[index], kwargs=written.kwargs)
        self.new_index[op.index] = index

    def _statistics_norm(self, op: Op) -> None:
        """Append a norm in groups of channels; instance norm and unstored batch norm have one channel per group."""
        a = op.arguments
        channels = op.shape[1]
        groups = a.get("num_groups") or a.get("group") or channels
        weight, bias = (Ref(self.new_index[a[n].index]) if a.get(n) is not None else None for n in ("weight", "bias"))
        self.new_index[op.index] = self._normalized(op, groups, weight, bias)

    def _whole_layer_norm(self, op: Op) -> None:
        """Append a layer norm over channels and positions: group norm with one group, then a weight and bias per
        position.
        """
        index = self._normalized(op, 1, None, None)
        for name, target in (("weight", torch.ops.aten.mul.Tensor), ("bias", torch.ops.aten.add.Tensor)):
            argument = op.arguments[name]
            if argument is not None:
                kind = "mul" if name == "weight" else "add"
                index = self.add(op, kind, target, (Ref(index), Ref(self.new_index[argument.index])))
        self.new_index[op.index] = index

    def _normalized(self, op: Op, groups: int, weight: Ref | None, bias: Ref | None) -> int:
        """Append `moments` and the affine map by them, and return the index of the result."""
        source, channels, a = Ref(self.new_index[op.args[0].index]), op.shape[1], op.arguments
        table = self.add(op, "moments", moments, (source, groups, weight, bias, a["eps"]), shape=(2, channels))
        return self._affine(op, table)

    def _affine(self, op: Op, table: int) -> int:
        """Append the affine map of the norm's input by a table `(2, C)` of scale and shift, and return its index."""
        rows = [Ref(self.add(op, "row", row, (Ref(table), i), shape=(op.shape[1],))) for i in range(2)]
        return self.add(op, "affine", affine, (Ref(self.new_index[op.args[0].index]), *rows))
