"""One module's own forward pass as a graph that can be edited.

Some operations that surgery must change are not modules but functions called in a forward pass, such as
`F.avg_pool2d(x, 3)` or `x.mean((2, 3))`. The module that calls one is its owner. Only the owner is traced by torch.fx,
and only one level deep: its children stay ordinary modules, with all their control flow.

The traced module runs the edited forward pass, and is in every other respect the module that it replaces: an instance
of the same class with the same attributes, children, parameters, buffers and hooks.
"""

import copy
import inspect
from collections import Counter
from types import MethodType
from typing import Any

import torch.nn.functional as F
from torch import fx, nn
from torch.fx.node import map_arg
from torch.utils._pytree import tree_structure

from atrous.errors import UserError

DROPOUTS = {F.dropout: nn.Dropout, F.dropout1d: nn.Dropout1d, F.dropout2d: nn.Dropout2d, F.dropout3d: nn.Dropout3d}
PREFIX = "_surgery_"
"""Begins the names of modules that surgery adds to a traced module."""


class Traced(fx.GraphModule):
    """An edited forward pass in the place of a module's own."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Traced":
        new: Any = super().__deepcopy__(memo)  # fx copies the graph and what it uses; the other attributes follow
        new.__dict__.update((k, copy.deepcopy(v, memo)) for k, v in vars(self).items() if k not in vars(new))
        _set_class(new, type(self))
        return new


class _OneLevel(fx.Tracer):
    """Traces a forward pass and treats every child as one operation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def trace_owner(module: nn.Module, path: str) -> fx.GraphModule:
    """Trace the forward pass that `module` has in evaluation mode, with its optional arguments at their defaults.

    The graph module holds the same children and parameters, not copies. Where the forward pass calls dropout as a
    function, the graph has a dropout module, so that dropout still follows the mode.

    Raises:
        UserError: the forward pass cannot be traced, for example since it branches on values; names `path`.
    """
    training = module.training
    module.training = False
    try:
        graph = _OneLevel().trace(module, concrete_args=_default_arguments(module))
    except Exception as error:  # tracing runs the user's code, which may raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path or 'the network'} ({type(module).__name__}): its forward pass must be changed but cannot be "
            f"traced ({reason}): call the pool or reshape as a module there, as in nn.AdaptiveAvgPool2d"
        ) from error
    finally:
        module.training = training
    _free_arguments(graph, list(inspect.signature(module.forward).parameters))
    traced = Traced(module, graph, type(module).__name__)
    traced.training = training
    _keep_contents(module, traced)
    _keep_identity(module, traced)
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target in DROPOUTS:
            dropout = DROPOUTS[node.target](argument(node, 1, "p", 0.5))
            insert_module(traced, node, dropout, (argument(node, 0, "input"),))
    traced.recompile()
    return traced


def lost_in_training(module: nn.Module) -> str | None:
    """Return what a traced forward pass no longer does in training, since it is that of evaluation.

    None if the module does the same in both modes but for dropout, which follows the mode.

    >>> class Auxiliary(nn.Sequential):
    ...     def forward(self, x):
    ...         return (self[0](x), self[1](x)) if self.training else self[0](x)
    >>> lost_in_training(Auxiliary(nn.ReLU(), nn.Tanh()))
    'in training runs as in evaluation: without 1, and with another kind of output'
    """
    mode = module.training
    graphs = []
    try:
        for module.training in (True, False):
            graphs.append(_OneLevel().trace(module, concrete_args=_default_arguments(module)))
    except Exception:  # tracing runs the user's code, which may raise anything
        return "in training runs as in evaluation: its own forward pass in training cannot be traced to compare the two"
    finally:
        module.training = mode
    (in_training, training_output), (in_evaluation, evaluation_output) = map(_calls_and_output, graphs)
    missing = dict.fromkeys(name for name, _ in in_training - in_evaluation)
    added = [name for name in dict.fromkeys(n for n, _ in in_evaluation - in_training) if name not in missing]
    remarks = [f"{word} {', '.join(names)}" for word, names in (("without", missing), ("with", added)) if names]
    remarks += ["with another kind of output"] * (training_output != evaluation_output)
    return f"in training runs as in evaluation: {', and '.join(remarks)}" if remarks else None


def _calls_and_output(graph: fx.Graph) -> tuple[Counter[tuple[str, str]], str]:
    """Return what a forward pass calls, as (name, constant arguments), and the structure of its output.

    The constant arguments of dropouts are left out, since they hold the mode.
    """
    calls: Counter[tuple[str, str]] = Counter()
    output = ""
    for node in graph.nodes:
        constants = map_arg((node.args, node.kwargs), lambda _: None)
        if node.op == "output":
            output = str(tree_structure(node.args[0]))
        elif node.op == "call_module":
            calls[str(node.target), str(constants)] += 1
        elif node.op in ("call_function", "call_method") and not function_name(node).startswith("_assert"):
            calls[function_name(node), "" if node.target in DROPOUTS else str(constants)] += 1
    return calls, output


def _default_arguments(module: nn.Module) -> dict[str, Any]:
    """Return the optional arguments of a forward pass with their defaults."""
    arguments = inspect.signature(module.forward).parameters.values()
    return {a.name: a.default for a in arguments if a.default is not inspect.Parameter.empty}


def _free_arguments(graph: fx.Graph, names: list[str]) -> None:
    """Let a traced forward pass accept any value of the arguments that were traced at their default.

    It ignores the value: a rate of stochastic depth, for example. fx adds checks that raise for any other value than
    the default, and renames these arguments; both are undone. `names` are the arguments' names in order.
    """
    for node in [n for n in graph.nodes if function_name(n) in ("_assert", "_assert_is_none")]:
        inputs = node.all_input_nodes
        graph.erase_node(node)
        for unused in [n for n in inputs if not n.users and n.op != "placeholder"]:
            graph.erase_node(unused)
    arguments = [n for n in graph.nodes if n.op == "placeholder"]
    for node, name in zip(arguments, names, strict=False):
        if is_ignored(node):
            node.target = name


def is_ignored(node: fx.Node) -> bool:
    """Whether a node is an optional argument that the traced forward pass accepts and does not read."""
    return node.op == "placeholder" and bool(node.args) and not node.users


def _keep_contents(module: nn.Module, traced: fx.GraphModule) -> None:
    """Give the traced module all children, parameters, buffers and hooks of the original, in the same order.

    fx takes over only what evaluation uses, so auxiliary heads would be missing.
    """
    for name, child in module.named_children():
        traced.add_module(name, child)
    for name, parameter in module.named_parameters(recurse=False):
        traced.register_parameter(name, parameter)
    for name, buffer in module.named_buffers(recurse=False):
        traced.register_buffer(name, buffer, persistent=name not in module._non_persistent_buffers_set)
    order = list(module._modules)
    traced._modules = {
        name: traced._modules[name] for name in [*order, *(n for n in traced._modules if n not in order)]
    }
    traced._forward_hooks, traced._forward_pre_hooks = module._forward_hooks, module._forward_pre_hooks
    traced._forward_hooks_with_kwargs = module._forward_hooks_with_kwargs
    traced._forward_pre_hooks_with_kwargs = module._forward_pre_hooks_with_kwargs


def _keep_identity(module: nn.Module, traced: Traced) -> None:
    """Give the traced module the class and the attributes of the original; its bound methods bind to the new one."""
    _set_class(traced, type(module))
    for name, value in vars(module).items():
        is_own_method = isinstance(value, MethodType) and value.__self__ is module
        vars(traced).setdefault(name, MethodType(value.__func__, traced) if is_own_method else value)


def _set_class(traced: Traced, kind: type) -> None:
    """Make the traced module an instance of `kind`, or of the class before tracing if `kind` was made here already."""
    kind = next(k for k in kind.__mro__ if not issubclass(k, fx.GraphModule))
    # fx makes a class for every instance, which holds its forward pass, and knows such a class by this name.
    traced.__class__ = type(kind.__name__, (Traced, kind), {"__module__": __name__, "__qualname__": "GraphModuleImpl"})
    traced.recompile()


def add_module(traced: fx.GraphModule, new: nn.Module) -> str:
    """Register a module without parameters under a new name, in the mode of `traced`; return the name."""
    name = f"{PREFIX}{sum(name.startswith(PREFIX) for name in traced._modules)}"
    traced.add_module(name, new.train(traced.training))
    return name


def insert_module(traced: fx.GraphModule, node: fx.Node, new: nn.Module, args: tuple[Any, ...]) -> fx.Node:
    """Replace `node` by a call of `new`, a module without parameters, with these arguments; return the call."""
    name = add_module(traced, new)
    with traced.graph.inserting_before(node):
        call = traced.graph.call_module(name, args)
    node.replace_all_uses_with(call)
    traced.graph.erase_node(node)
    return call


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """Return an argument of a call that was passed by position or by name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def tensor_input(node: fx.Node) -> fx.Node | None:
    """Return the first argument of a call if it is the value of another node."""
    first = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    return first if isinstance(first, fx.Node) else None


def function_name(node: fx.Node) -> str:
    """Return the name of a call in torch: `mean` for `torch.mean(x)` and `x.mean()` alike; empty for other nodes."""
    if node.op == "call_method":
        return str(node.target)
    return getattr(node.target, "__name__", str(node.target)) if node.op == "call_function" else ""
