"""One module's own forward pass as an editable graph, its children left as they are.

Only a module that calls the operator to be changed as a function (`F.avg_pool2d(x, 3)`, `x.mean((2, 3))`) is traced,
and only one level deep: its children, with all their control flow, stay ordinary modules.
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


class Traced(fx.GraphModule):
    """An edited forward pass in place of a module's own, with all else that the module is and holds."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Traced":
        new: Any = super().__deepcopy__(memo)
        new.__dict__.update((k, copy.deepcopy(v, memo)) for k, v in vars(self).items() if k not in vars(new))
        _be(new, type(self))
        return new


class _OneLevel(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def trace_owner(module: nn.Module, path: str) -> fx.GraphModule:
    """The forward pass of `module`, in evaluation mode, as a graph module that holds the same children and parameters.

    A dropout that is called as a function becomes a module, so that the mode still counts.

    Raises:
        UserError: the forward pass branches on values or sizes.
    """
    training = module.training
    module.training = False
    try:
        graph = _OneLevel().trace(module, concrete_args=_defaults(module))
    except Exception as error:  # tracing runs the user's code, which may raise anything
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path or 'the network'} ({type(module).__name__}): its forward pass must be changed but cannot be "
            f"traced ({first}): call the pool or reshape as a module there, as in nn.AdaptiveAvgPool2d"
        ) from error
    finally:
        module.training = training
    _free_arguments(graph, list(inspect.signature(module.forward).parameters))
    traced = Traced(module, graph, type(module).__name__)
    traced.training = training
    _keep_everything(module, traced)
    _stay_what_it_was(module, traced)
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target in DROPOUTS:
            p = node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5)
            insert_module(traced, node, DROPOUTS[node.target](p), (node.args[0],))
    return traced


def in_training(module: nn.Module) -> str | None:
    """What a traced forward pass no longer does in training; None when only dropouts tell the modes apart.

    >>> class Auxiliary(nn.Sequential):
    ...     def forward(self, x):
    ...         return (self[0](x), self[1](x)) if self.training else self[0](x)
    >>> in_training(Auxiliary(nn.ReLU(), nn.Tanh()))
    'in training runs as in evaluation: without 1, and with another kind of output'
    """
    training = module.training
    try:
        graphs = []
        for module.training in (True, False):
            graphs.append(_OneLevel().trace(module, concrete_args=_defaults(module)))
    except Exception:  # tracing runs the user's code, which may raise anything
        return "in training runs as in evaluation: its own forward pass in training cannot be traced to compare the two"
    finally:
        module.training = training
    (more, some), (fewer, other) = (_does(graph) for graph in graphs)
    said = []
    lost, gained = (dict.fromkeys(name for name, _ in calls) for calls in (more - fewer, fewer - more))
    for word, names in (("without", [*lost]), ("with", [name for name in gained if name not in lost])):
        if names:
            said.append(f"{word} {', '.join(names)}")
    said += ["with another kind of output"] * (some != other)
    return f"in training runs as in evaluation: {', and '.join(said)}" if said else None


def _does(graph: fx.Graph) -> tuple[Counter[tuple[str, str]], str]:
    """What a forward pass calls, with which fixed arguments (but of dropouts), and how its output is made up."""
    found: Counter[tuple[str, str]] = Counter()
    output = ""
    for node in graph.nodes:
        fixed = map_arg((node.args, node.kwargs), lambda _: None)
        if node.op == "output":
            output = str(tree_structure(node.args[0]))
        elif node.op == "call_module":
            found[str(node.target), str(fixed)] += 1
        elif node.op in ("call_function", "call_method") and not function_name(node).startswith("_assert"):
            found[function_name(node), "" if node.target in DROPOUTS else str(fixed)] += 1
    return found, output


def _defaults(module: nn.Module) -> dict[str, Any]:
    """Arguments with a default keep it."""
    arguments = inspect.signature(module.forward).parameters.values()
    return {a.name: a.default for a in arguments if a.default is not inspect.Parameter.empty}


def _free_arguments(graph: fx.Graph, names: list[str]) -> None:
    """Arguments with a default keep it, whatever is passed (a rate of stochastic depth, say), under their own names.

    fx would check at run time that they have the value that they were traced with.
    """
    for node in [n for n in graph.nodes if function_name(n) in ("_assert", "_assert_is_none")]:
        inputs = node.all_input_nodes
        graph.erase_node(node)
        for each in [n for n in inputs if not n.users and n.op != "placeholder"]:
            graph.erase_node(each)
    places = [n for n in graph.nodes if n.op == "placeholder"]
    for node, name in zip(places, names, strict=False):
        if is_fixed(node):
            node.target = name


def is_fixed(node: fx.Node) -> bool:
    """Whether it is an argument that the traced forward pass takes and does not read."""
    return node.op == "placeholder" and bool(node.args) and not node.users


def _keep_everything(module: nn.Module, traced: fx.GraphModule) -> None:
    """Children, parameters and buffers that evaluation does not use (auxiliary heads), in the order of the original."""
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


def _stay_what_it_was(module: nn.Module, traced: Traced) -> None:
    """The class, so methods and `isinstance`, and the attributes of the original."""
    _be(traced, type(module))
    for name, value in vars(module).items():
        own = isinstance(value, MethodType) and value.__self__ is module
        vars(traced).setdefault(name, MethodType(value.__func__, traced) if own else value)


def _be(traced: Traced, kind: type) -> None:
    """Make it an instance of `kind` too; of a module that was traced before that is the class that it had then."""
    kind = next(k for k in kind.__mro__ if not issubclass(k, fx.GraphModule))
    # fx looks for this name to tell the class that it makes for every instance, which holds the forward pass
    traced.__class__ = type(kind.__name__, (Traced, kind), {"__module__": __name__, "__qualname__": "GraphModuleImpl"})
    traced.recompile()


def insert_module(traced: fx.GraphModule, node: fx.Node, new: nn.Module, args: tuple[Any, ...]) -> fx.Node:
    """Replace `node` by a call of `new`, a module without parameters that is registered under a new name."""
    number = sum(name.startswith("_surgery_") for name in traced._modules)
    name = f"_surgery_{number}"
    traced.add_module(name, new.train(traced.training))
    with traced.graph.inserting_before(node):
        call = traced.graph.call_module(name, args)
    node.replace_all_uses_with(call)
    traced.graph.erase_node(node)
    return call


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """An argument of a call, given by position or by name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def tensor_input(node: fx.Node) -> fx.Node | None:
    """The first argument of a call where it is the value of another node."""
    first = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    return first if isinstance(first, fx.Node) else None


def function_name(node: fx.Node) -> str:
    """What a call is named in torch: `mean` for `torch.mean(x)` and `x.mean()` alike; empty for modules."""
    if node.op == "call_method":
        return str(node.target)
    return getattr(node.target, "__name__", str(node.target)) if node.op == "call_function" else ""
