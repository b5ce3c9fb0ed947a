"""The network as a list of operators, exported at the true input shape on tensors without data.

`torch.export` runs the network once and records every operator of ATen that it calls. At the true input shape every
pad, crop and resize whose size depends on the input's is a constant. No memory is needed for that: the example input is
one number, expanded to the shape with stride zero.
"""

import inspect
import operator
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path, tree_leaves, tree_map, tree_unflatten

from atrous.errors import UserError
from atrous.geometry.exportable import DECIDED, exporting, require_network
from atrous.geometry.functional import functional_form, is_functional, is_same, written_anew

RECURRENT = 1000
"""Positions up to which a network with recurrent layers is exported."""

COMPOSED = (
    *("linalg_norm", "linalg_matrix_norm", "tile", "diff", "gradient", "cosine_similarity", "pairwise_distance"),
    *("take_along_dim", "kron", "rot90"),
)
"""Operators of ATen that are written in terms of others, which have rules: each is exported as those."""

EXPORTING = threading.RLock()
"""Held while a network is exported: only one thread at a time may change its mode and use the tracer of torch.

Meanwhile the network's parameters are replaced by ones without numbers, so others that look at them wait too.
"""


@dataclass(frozen=True)
class Ref:
    """An argument that is the value of another operator."""

    index: int


@dataclass(frozen=True)
class Op:
    """One operator and the value that it computes. Other operators refer to the value by `index`, its place in
    `Graph.ops`.

    `kind` is "input", "constant" (a parameter or a buffer, whose numbers are `tensor`), or the name of the ATen
    operator without its overload. `module` is the name that the user's network has for the module, or for the constant.
    `shape` and `dtype` are those of the value. `target` is the function with arguments `args` and `kwargs`, in which
    other values stand as `Ref`; `item` picks one result of a function that returns several.
    """

    index: int
    kind: str
    module: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    target: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    item: int | None = None
    tensor: Tensor | None = None

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """The indices of the values that it reads, each once, in the order of the arguments."""
        return tuple(dict.fromkeys(refs((self.args, self.kwargs))))

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name, with defaults filled in."""
        return bind(self.target, self.args, self.kwargs)

    @cached_property
    def numel(self) -> int:
        """The number of numbers in the value."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class Graph:
    """The operators of one network at one input shape, in an order in which they can run.

    `ops[0]` is the input `(1, C, *S)`, `output` is the index of the output, and `network` the class name of the
    network.
    """

    ops: tuple[Op, ...]
    output: int
    network: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The input shape `(C, *S)`, without the batch axis."""
        return self.ops[0].shape[1:]

    @property
    def ndim(self) -> int:
        """The number of spatial axes of the input."""
        return len(self.ops[0].shape) - 2

    def readers(self) -> dict[int, list[int]]:
        """Return for every value the operators that read it."""
        readers: dict[int, list[int]] = {op.index: [] for op in self.ops}
        for op in self.ops:
            for i in op.inputs:
                readers[i].append(op.index)
        return readers

    @cached_property
    def weights(self) -> frozenset[int]:
        """The values from which the weights of a layer are made: what it reads beside its first argument.

        They hold no positions of the grid, whatever their shape: a kernel `(1, 1, 5, 5)` that is spread over the
        channels has 5 rows as an image may have. What was computed by a layer itself is not among them.
        """
        found: set[int] = set()
        todo = [i for op in self.ops if _is_layer(op.kind) for i in op.inputs if i != op.inputs[0]]
        while todo:
            i = todo.pop()
            if i not in found and not _is_layer(self.ops[i].kind):
                found.add(i)
                todo.extend(self.ops[i].inputs)
        return frozenset(found)

    @property
    def parameters(self) -> int:
        """The number of numbers in all constants."""
        return sum(op.numel for op in self.ops if op.kind == "constant")


def _is_layer(kind: str) -> bool:
    """Return whether an operator has weights beside its input."""
    return kind.startswith("conv") or kind.endswith("_norm") or kind in ("linear", "prelu", "_prelu_kernel", "affine")


def refs(tree: Any) -> Iterator[int]:
    """Yield the index of every `Ref` in nested tuples, lists and dicts."""
    if isinstance(tree, Ref):
        yield tree.index
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from refs(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from refs(item)


def bind(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments by name, for an ATen overload (by its schema) or for a Python function."""
    if isinstance(target, torch._ops.OpOverload):
        bound = {}
        for i, argument in enumerate(target._schema.arguments):
            if i < len(args) and not argument.kwarg_only:
                bound[argument.name] = args[i]
            else:
                bound[argument.name] = kwargs.get(argument.name, argument.default_value)
        return bound
    signature = inspect.signature(cast(Callable[..., Any], target)).bind(*args, **kwargs)
    signature.apply_defaults()
    return dict(signature.arguments)


def export_graph(
    network: nn.Module, shape: tuple[int, ...], *, output: int | str | None = None, training: bool = False
) -> Graph:
    """Return the operators that `network` runs, in evaluation mode, on one input of this shape `(C, *S)`.

    With `training`, every module stays in the mode that it is in, and gradients are not switched off, so that a
    `detach` stays in the graph.

    The network's own Python code runs once, forward hooks included, on tensors without numbers. The network is left as
    it was. A network that returns several tensors gives the one named by `output`: an index, a key, or for nested
    results the path to it, as in "features.2". Without `output`, the key "out" is taken if there is one.

    Raises `UserError` when the network cannot be exported or has no such output, and with `training` when it changes
    one of its buffers.

    >>> graph = export_graph(nn.Conv2d(3, 8, 3, padding=1), (3, 64, 48))
    >>> [op.kind for op in graph.ops], graph.ops[graph.output].shape
    (['input', 'constant', 'constant', 'conv2d'], (1, 8, 64, 48))
    """
    program = _export(network, tuple(shape), training)
    output_node = _output_node(program, output)
    constants, names = _constants(program), _names(program)
    input_names = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"}
    nodes = [n for n in program.graph.nodes if n.op in ("placeholder", "get_attr", "call_function")]
    nodes.sort(key=lambda n: not (n.op == "placeholder" and n.name in input_names))  # the input first
    for node in nodes:
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            reason = "runs graphs of its own, of which the values of the input may choose one"
            raise UserError(f"{_module(node)} ({_kind(node.target)}): {reason}: {DECIDED[1]}")
    ops: list[Op] = []
    ref_of: dict[torch.fx.Node, Ref] = {}
    for node in nodes:
        if is_same(node):
            ref_of[node] = ref_of[cast(torch.fx.Node, node.args[0])]
            continue
        if node.op == "call_function":
            op = _called(node, len(ops), ref_of)
        elif node.name in input_names:
            op = _stored(node.name, node.meta["val"], len(ops), None)
        else:
            name = str(node.name if node.op == "placeholder" else node.target)
            op = _stored(names.get(name, name), constants[name], len(ops), constants[name])
        if op is not None:
            ops.append(op)
            ref_of[node] = Ref(op.index)
    return Graph(tuple(ops), ref_of[output_node].index, type(network).__name__)


def _stored(name: str, value: Tensor, index: int, tensor: Tensor | None) -> Op:
    """Return the operator of the input (no tensor) or of a parameter, buffer or constant."""
    kind = "input" if tensor is None else "constant"
    return Op(index, kind, name, tuple(value.shape), value.dtype, tensor=tensor)


def _called(node: torch.fx.Node, index: int, ref_of: dict[torch.fx.Node, Ref]) -> Op | None:
    """Return the operator of a call that gives one tensor, or None.

    A call that gives several results is left out: each result that is used follows as a `getitem` node, and becomes an
    operator with that `item`. A check that gives no tensor is left out, too.
    """
    value = node.meta.get("val")
    if node.target is operator.getitem:
        call, item = cast(torch.fx.Node, node.args[0]), cast(int, node.args[1])
    elif isinstance(value, torch.Tensor):
        call, item = node, None
    else:
        return None
    target, given = cast(Callable[..., Any], call.target), call.args
    if (form := functional_form(call)) is not None:
        target, given, item = form
    args, kwargs = (
        tree_map(lambda a: ref_of.get(a, a) if isinstance(a, torch.fx.Node) else a, tree)
        for tree in (given, dict(call.kwargs))
    )
    shape, dtype = tuple(node.meta["val"].shape), node.meta["val"].dtype
    _require_known(node, target, shape, (args, kwargs))
    return Op(index, _kind(target), _module(node), shape, dtype, target, tuple(args), kwargs, item)


def _require_known(node: torch.fx.Node, target: Any, shape: tuple[Any, ...], arguments: Any) -> None:
    """Raise `UserError` for an operator whose size or arguments the values of the input decide.

    Such are `x[x > 0]`, whose size is not known before it runs, and `x.mean().item()`, which is a number of Python.
    """
    by_values = any(not isinstance(n, int) for n in shape)
    by_values |= any(isinstance(leaf, torch.fx.Node) and leaf.op == "call_function" for leaf in tree_leaves(arguments))
    if by_values:
        raise UserError(f"{_module(node)} ({_kind(target)}): {DECIDED[0]}: {DECIDED[1]}")


def _export(network: nn.Module, shape: tuple[int, ...], training: bool) -> torch.export.ExportedProgram:
    with EXPORTING:
        require_network(network)
        _check_recurrence(network, shape)
        floating = [p for p in network.parameters() if p.is_floating_point()]
        like = floating[0] if floating else torch.empty(0)
        ones = (1,) * (len(shape) - 1)
        # one number per channel, expanded over the positions without a copy
        example = torch.empty(1, shape[0], *ones, dtype=like.dtype, device=like.device).expand(1, *shape)
        mode = nullcontext() if training else _evaluating(network)
        with mode, torch.set_grad_enabled(training), exporting(network, shape), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning of the network will come again when it runs on real data
            program = torch.export.export(network, (example,), strict=False)
            if training or not is_functional(program, COMPOSED):
                program = written_anew(program, _compositions())
            else:
                program.graph.eliminate_dead_code()  # as the decompositions do
    changed = sorted(program.graph_signature.buffers_to_mutate.values())
    if training and changed:
        raise UserError(
            f"{type(network).__name__}: its forward pass changes its buffer {changed[0]}, which cannot be followed "
            f"strip by strip: put {changed[0].rpartition('.')[0] or 'the network'} into evaluation mode (.eval())"
        )
    return program


@cache
def _compositions() -> dict[Any, Callable[..., Any]]:
    """Return how torch writes each of the operators in `COMPOSED` in terms of others."""
    known = torch.export.default_decompositions()
    return {target: write for target, write in known.items() if _kind(target) in COMPOSED}


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode, and every module back into its own mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _check_recurrence(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Raise `UserError` for a recurrent layer on a long input: the export would follow it step by step for hours."""
    for name, module in network.named_modules():
        if isinstance(module, nn.RNNBase) and max(shape[1:]) > RECURRENT:
            raise UserError(
                f"{name or type(network).__name__} ({type(module).__name__.lower()}): is recurrent over positions, "
                f"which cannot be streamed: give an input of at most {RECURRENT} positions, or take another layer"
            )


def _constants(program: torch.export.ExportedProgram) -> dict[str, Tensor]:
    """Return the parameters, buffers and constants by the name of their node."""
    tensors: dict[str, Any] = dict(program.constants)
    tensors.update(program.state_dict)
    by_name = {
        spec.arg.name: tensors[spec.target].detach()
        for spec in program.graph_signature.input_specs
        if spec.kind.name in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR") and spec.target in tensors
    }
    by_name.update({name: value.detach() for name, value in program.graph_module.named_buffers()})
    return by_name


def _names(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Return the name that the network has for each parameter, buffer and constant, by the name of its node."""
    specs = program.graph_signature.input_specs
    return {str(spec.arg.name): spec.target for spec in specs if spec.target is not None}


def _output_node(program: torch.export.ExportedProgram, output: int | str | None) -> torch.fx.Node:
    """Return the node of the result that `output` names. Raises `UserError` when there is no such result."""
    last = next(n for n in reversed(program.graph.nodes) if n.op == "output")
    nodes = {n.name: n for n in cast(tuple[Any, ...], last.args[0]) if isinstance(n, torch.fx.Node)}
    # what the network returns, with the name of its node in the place of each tensor
    results: list[Any] = list(program.graph_signature.user_outputs)
    spec = program.call_spec.out_spec
    tree = tree_unflatten(results, spec) if spec is not None else tuple(results)
    node_names: dict[int | str, str] = {}
    for path, leaf in tree_flatten_with_path(tree)[0]:
        keys = [getattr(k, "key", getattr(k, "idx", getattr(k, "name", 0))) for k in path]
        if isinstance(leaf, str) and leaf in nodes:
            node_names[keys[0] if len(keys) == 1 else ".".join(map(str, keys)) if keys else 0] = leaf
    if not node_names:
        raise UserError("the network returns no tensor: let its forward pass return one, (N, K, *S)")
    if output is None:
        output = "out" if "out" in node_names else next(iter(node_names)) if len(node_names) == 1 else None
    if output not in node_names:
        raise UserError(
            f"the network returns {len(node_names)} tensors, named {list(node_names)}, and output is {output!r}: "
            "choose one of them with output="
        )
    return nodes[node_names[cast(str, output)]]


def _kind(target: Any) -> str:
    if isinstance(target, torch._ops.HigherOrderOperator):
        return target.name()
    return target._schema.name.split("::")[-1] if isinstance(target, torch._ops.OpOverload) else target.__name__


def _module(node: torch.fx.Node) -> str:
    """Return the name of the module that called `node`, as it is registered in the network.

    A layer that runs as part of a slice of a `Sequential` has the slice in its name, which is taken out.
    """
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(stack.values())) if stack else ("", "")
    path = re.sub(r"(^|\.)slice\([^)]*\)", "", path).lstrip(".")
    return path or str(kind).rsplit(".", 1)[-1] or node.name
