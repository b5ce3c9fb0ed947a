"""One module's own forward pass as an editable graph, its children left as they are.

Only a module that calls the operator to be changed as a function (`F.avg_pool2d(x, 3)`, `x.mean((2, 3))`) is traced,
and only one level deep: its children, with all their control flow, stay ordinary modules.
"""

import inspect
from typing import Any

import torch.nn.functional as F
from torch import fx, nn

from atrous.errors import UserError

DROPOUTS = {F.dropout: nn.Dropout, F.dropout1d: nn.Dropout1d, F.dropout2d: nn.Dropout2d, F.dropout3d: nn.Dropout3d}


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
    traced = fx.GraphModule(module, graph, type(module).__name__)
    traced.training = training
    _keep_everything(module, traced)
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target in DROPOUTS:
            p = node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5)
            insert_module(traced, node, DROPOUTS[node.target](p), (node.args[0],))
    return traced


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
