"""The network as a list of operators: exported at the true input shape, on tensors without data.

At the true shape every size-dependent pad, crop and `size=` resize is a constant, and nothing is allocated: the example
input is one number, expanded with stride zero.
"""

import inspect
import logging
import operator
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path, tree_map, tree_unflatten

from atrous.errors import UserError

RECURRENT = 1000  # positions
EXPORTING = threading.RLock()  # the mode of a network, and torch's tracer, are of one thread at a time


@dataclass(frozen=True)
class Ref:
    """An argument that is the value of another operator."""

    index: int


@dataclass(frozen=True)
class Op:
    """One operator and the value that it makes; its index in `Graph.ops` is the value's name.

    `kind` is "input", "constant" (a parameter, a buffer), or the name of the ATen operator without overload.
    `item` picks one result of an operator that returns several. `module` is the user's name of the module.
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
        """The values read, each once, in the order of the arguments."""
        return tuple(dict.fromkeys(refs((self.args, self.kwargs))))

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name, defaults filled in."""
        return bind(self.target, self.args, self.kwargs)

    @cached_property
    def numel(self) -> int:
        """How many numbers the value holds."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class Graph:
    """The operators of one network at one input shape, in an order in which they can run.

    `ops[0]` is the input `(1, C, *S)`; `output` is the index of the output. `network` is the class name.
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
        """How many spatial axes the input has."""
        return len(self.ops[0].shape) - 2

    def readers(self) -> dict[int, list[int]]:
        """For every value the operators that read it."""
        found: dict[int, list[int]] = {op.index: [] for op in self.ops}
        for op in self.ops:
            for i in op.inputs:
                found[i].append(op.index)
        return found

    @property
    def parameters(self) -> int:
        """How many numbers the constants hold."""
        return sum(op.numel for op in self.ops if op.kind == "constant")


def refs(tree: Any) -> Iterator[int]:
    """The indices of all `Ref` in nested tuples, lists and dicts."""
    if isinstance(tree, Ref):
        yield tree.index
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from refs(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from refs(item)


def bind(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, for an ATen overload (by its schema) or for a Python function."""
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


def export_graph(network: nn.Module, shape: tuple[int, ...], *, output: int | str | None = None) -> Graph:
    """The operators that `network` runs, in evaluation mode, on one input `(C, *S)` of this shape.

    The network's own Python runs once, forward hooks included, on tensors without numbers; what it keeps of them has
    none.
    A network that returns several tensors gives the one named by `output`: an index, a key, or for nested results the
    way to it as in "features.2"; the key "out" is taken by itself. The network is left as found.

    Raises `UserError` when the network cannot be exported or has no such output.

    >>> graph = export_graph(nn.Conv2d(3, 8, 3, padding=1), (3, 64, 48))
    >>> [op.kind for op in graph.ops], graph.ops[graph.output].shape
    (['input', 'constant', 'constant', 'conv2d'], (1, 8, 64, 48))
    """
    program = _export(network, tuple(shape))
    picked = _pick(program, output)
    ops: list[Op] = []
    where: dict[torch.fx.Node, Any] = {}
    constants = _constants(program)
    nodes = [n for n in program.graph.nodes if n.op in ("placeholder", "get_attr", "call_function")]
    inputs = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"}
    for node in sorted(nodes, key=lambda n: not (n.op == "placeholder" and n.name in inputs)):
        if node.op != "call_function":
            tensor = None if node.name in inputs else constants[node.name if node.op == "placeholder" else node.target]
            value = node.meta["val"] if tensor is None else tensor
            kind = "input" if tensor is None else "constant"
            ops.append(Op(len(ops), kind, node.name, tuple(value.shape), value.dtype, tensor=tensor))
            where[node] = Ref(len(ops) - 1)
            continue
        if node.target is operator.getitem:
            source, item = cast(torch.fx.Node, node.args[0]), cast(int, node.args[1])
            target, raw_args, raw_kwargs = source.target, source.args, source.kwargs
        elif not isinstance(node.meta.get("val"), torch.Tensor):
            continue  # of several results the items follow, each as an operator of its own; checks have none
        else:
            item, target, raw_args, raw_kwargs = None, node.target, node.args, node.kwargs
        args, kwargs = (
            tree_map(lambda a: where.get(a, a) if isinstance(a, torch.fx.Node) else a, t)
            for t in (raw_args, dict(raw_kwargs))
        )
        value = node.meta["val"]
        ops.append(
            Op(
                len(ops),
                _kind(target),
                _module(node),
                tuple(value.shape),
                value.dtype,
                target,  # pyright: ignore
                tuple(args),
                kwargs,
                item,
            )
        )
        where[node] = Ref(len(ops) - 1)
    return Graph(tuple(ops), where[picked].index, type(network).__name__)


@contextmanager
def exporting(network: nn.Module, shape: tuple[int, ...]) -> Iterator[None]:
    """Whatever `torch.export` raises becomes a `UserError` of one line, without the log of the tensors it traces."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{type(network).__name__}: cannot be exported at input shape {shape}: {first}: "
            "mend the network or try another size (its own forward pass may need a multiple of the stride)"
        ) from error
    finally:
        log.disabled = before


def _export(network: nn.Module, shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    _check_recurrence(network, shape)
    floating = [p for p in network.parameters() if p.is_floating_point()]
    like = floating[0] if floating else torch.empty(0)
    ones = (1,) * (len(shape) - 1)
    example = torch.empty(1, shape[0], *ones, dtype=like.dtype, device=like.device).expand(1, *shape)
    with EXPORTING, _evaluating(network), torch.no_grad(), exporting(network, shape), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the network warns of on real data it will say when it runs on them
        return torch.export.export(network, (example,), strict=False).run_decompositions({})


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _check_recurrence(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Exporting follows a recurrent layer step by step: on a long input that has no end, so the answer comes first."""
    for name, module in network.named_modules():
        if isinstance(module, nn.RNNBase) and max(shape[1:]) > RECURRENT:
            raise UserError(
                f"{name or type(network).__name__} ({type(module).__name__.lower()}): is recurrent over positions, "
                f"which cannot be streamed; networks with recurrent layers are followed up to {RECURRENT} positions"
            )


def _constants(program: torch.export.ExportedProgram) -> dict[str, Tensor]:
    tensors: dict[str, Any] = dict(program.constants)
    tensors.update(program.state_dict)
    found = {
        spec.arg.name: tensors[spec.target].detach()
        for spec in program.graph_signature.input_specs
        if spec.kind.name in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR") and spec.target in tensors
    }
    found.update({name: value.detach() for name, value in program.graph_module.named_buffers()})
    return found


def _pick(program: torch.export.ExportedProgram, output: int | str | None) -> torch.fx.Node:
    last = next(n for n in reversed(program.graph.nodes) if n.op == "output")
    nodes = {n.name: n for n in cast(tuple[Any, ...], last.args[0]) if isinstance(n, torch.fx.Node)}
    results: list[Any] = list(program.graph_signature.user_outputs)  # names of tensors; numbers and None as they are
    spec = program.call_spec.out_spec
    tree = tree_unflatten(results, spec) if spec is not None else tuple(results)
    found: dict[int | str, str] = {}
    for path, leaf in tree_flatten_with_path(tree)[0]:
        keys = [getattr(k, "key", getattr(k, "idx", getattr(k, "name", 0))) for k in path]
        if isinstance(leaf, str) and leaf in nodes:
            found[keys[0] if len(keys) == 1 else ".".join(map(str, keys)) if keys else 0] = leaf
    if output is None:
        output = "out" if "out" in found else next(iter(found)) if len(found) == 1 else None
    if output not in found:
        raise UserError(
            f"the network returns {len(found)} tensors, named {list(found)}, and output is {output!r}: "
            "choose one of them with output="
        )
    return nodes[found[cast(str, output)]]


def _kind(target: Any) -> str:
    return target._schema.name.split("::")[-1] if isinstance(target, torch._ops.OpOverload) else target.__name__


def _module(node: torch.fx.Node) -> str:
    """Where the module is registered that called `node`; layers run as a slice of a Sequential keep their own names."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(stack.values())) if stack else ("", "")
    path = re.sub(r"(^|\.)slice\([^)]*\)", "", path).lstrip(".")
    return path or str(kind).rsplit(".", 1)[-1] or node.name
