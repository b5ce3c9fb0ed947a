"""The head of a classifier, from its last map to its scores, made convolutional.

`HeadConverter` runs the classifier once at its own input size and keeps, for every value of the forward pass, the
value itself and its `MapLayout`: None while the value is still an ordinary map, and set from the first operation that
pools or flattens the map. Every operation that reads a value with a layout belongs to the head. For each, the first of
these that applies is done (`HeadConverter.module` for modules, `ForwardGraph.function` for functions):

1. It is recognized as a whole (`dense.recognize`, `dense_linear`, `dense_norm`, `adaptive_pool`) and replaced.
2. It does on maps, position by position, what it did on vectors (`works_densely`), and stays.
3. It reads the last map by one window as large as the map (`slides`), and stays.
4. It is a module with children: its own forward pass is traced, and each of its operations is treated by this list.
5. It is refused by name.
"""

import inspect
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from atrous.errors import UserError
from atrous.surgery.certificate import Change
from atrous.surgery.dense import (
    HeadReplacement,
    MapLayout,
    TiedWeights,
    adaptive_pool,
    cloned,
    dense_linear,
    dense_norm,
    is_map,
    linear_on_map,
    point_layout,
    recognize,
    slides,
    works_densely,
)
from atrous.surgery.owner import argument, function_name, insert_module, lost_in_training, trace_owner

ADAPTIVE = (
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
ADAPTIVE_MAX = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
RESHAPES = {"flatten", "view", "reshape", "squeeze", "contiguous", "clone"}
"""Functions that keep all numbers in their order. Without a change of shape they do nothing."""
Layout = MapLayout | None
"""The layout of a value; None for a value that is what it was in the classifier."""


class HeadConverter:
    """Converts one classifier, starting with the call of `module` on the whole network.

    Attributes:
        ndim: spatial axes.
        changes: what was done so far, per module.
        remarks: what traced forward passes no longer do in training.
        tied: the weights converted so far.
    """

    def __init__(self, ndim: int):
        self.ndim = ndim
        self.changes: list[Change] = []
        self.remarks: list[Change] = []
        self.tied: TiedWeights = {}

    def module(
        self, module: nn.Module, path: str, values: list[Any], layouts: list[Layout], kwargs: dict[str, Any]
    ) -> tuple[nn.Module, Layout]:
        """Convert one call of a module.

        Args:
            module: the module; submodules of it may be replaced in place.
            path: its name in the network.
            values: its positional arguments at the classifier's input size.
            layouts: of each of `values`.
            kwargs: its keyword arguments.

        Returns:
            What stands in its place (itself, if it stays), and the layout of its output.

        Raises:
            UserError: it has no form on maps.
        """
        after = module(*map(cloned, values), **kwargs)
        layout = next((each for each in layouts if each is not None), None)
        if layout is None and is_map(after, self.ndim) and not _pools_to_fixed_size(module):
            return module, None  # still before the end of the last map
        single = len(values) == 1 and not kwargs
        replacement = self._replacement(module, values[0], after, layout) if single else None
        if replacement is not None:
            self.changes.append(Change(path, replacement.what))
            return replacement.module or nn.Identity(), replacement.layout
        if layout is not None and not kwargs and works_densely(module, values, layouts, after):
            return module, MapLayout(layout.window, after.dim() == 2, layout.spread)
        if layout is None and single and slides(module, values[0], after, self.ndim):
            return module, point_layout(self.ndim, False)
        own_code = not type(module).__module__.startswith("torch.nn.")
        if not own_code and not list(module.children()) and list(module.parameters()):
            raise head_refusal(path, module, "does not work on maps, position by position")
        return self._convert_inside(module, path, values, layouts, kwargs)

    def _replacement(self, module: nn.Module, before: Tensor, after: Any, layout: Layout) -> HeadReplacement | None:
        """Return what replaces the module as a whole; None if it is not recognized."""
        if isinstance(module, nn.Linear) and layout is not None and layout.flat:
            kernel = "x".join(map(str, layout.window))
            conv = dense_linear(module, layout, self.tied)
            return HeadReplacement(conv, point_layout(self.ndim, True), f"convolution of {kernel}")
        if layout is not None and (norm := dense_norm(module, layout)) is not None:
            return norm
        if isinstance(module, ADAPTIVE) and layout is None and is_map(after, self.ndim):
            return adaptive_pool(tuple(after.shape[2:]), before, after)
        if isinstance(module, nn.Flatten) and layout is not None and after.shape == before.shape:
            return HeadReplacement(None, layout, "left out: it changes nothing")
        return None if list(module.parameters()) else recognize(before, after, layout, self.ndim)

    def _convert_inside(
        self, module: nn.Module, path: str, values: list[Any], layouts: list[Layout], kwargs: dict[str, Any]
    ) -> tuple[nn.Module, Layout]:
        """Convert the operations of a module's own forward pass.

        The module stays what it is if only children of it are replaced. If a function that it calls must change, a
        traced forward pass takes its place.
        """
        graph = ForwardGraph(self, module, path, values, layouts, kwargs)
        for node in list(graph.traced.graph.nodes):
            if node.op in ("call_module", "call_function", "call_method") and graph.is_in_head(node):
                graph.child(node) if node.op == "call_module" else graph.function(node)
        for target, new in graph.replaced.items():
            module.set_submodule(target, new)
            graph.traced.set_submodule(target, new)
        output = next(n for n in reversed(graph.traced.graph.nodes) if n.op == "output").args[0]
        if not isinstance(output, fx.Node):
            raise head_refusal(path, module, "returns several values")
        if graph.edited:
            self.remarks += [Change(path, remark)] if (remark := lost_in_training(module)) else []
            graph.traced.graph.eliminate_dead_code()
            graph.traced.recompile()
        return (graph.traced if graph.edited else module), graph.layouts.get(output)


class ForwardGraph:
    """A module's own forward pass as a graph, with the classifier's value and the layout of every node.

    Attributes:
        traced: the forward pass; its functions are replaced in it.
        values: of each node, at the classifier's input size.
        layouts: of each node that is in the head.
        replaced: the children to be replaced, by name.
        edited: whether a function was replaced, so that the module's own forward pass no longer serves.
    """

    def __init__(
        self,
        converter: HeadConverter,
        module: nn.Module,
        path: str,
        values: list[Any],
        layouts: list[Layout],
        kwargs: dict[str, Any],
    ):
        self.converter, self.path, self.ndim = converter, path, converter.ndim
        self.traced = trace_owner(module, path)
        self.values = node_values(self.traced, values, kwargs)
        arguments = [n for n in self.traced.graph.nodes if n.op == "placeholder"]
        self.layouts: dict[fx.Node, Layout] = dict(zip(arguments, layouts, strict=False))
        self.replaced: dict[str, nn.Module] = {}
        self.edited = False

    def is_in_head(self, node: fx.Node) -> bool:
        """Whether a node must be converted: it reads a value with a layout, or the map ends at it."""
        if not isinstance(self.values[node], Tensor):
            return False
        if any(self.layouts.get(n) is not None for n in (*node.all_input_nodes, *self._sources(node))):
            return True
        maps = [v for n in self._sources(node) if is_map(v := self.values[n], self.ndim)]
        ends = self._has_fixed_size(node) or self._reduces_axes(node, maps) or not self._leads_to_map(node)
        return bool(maps) and ends

    def _sources(self, node: fx.Node) -> list[fx.Node]:
        """The tensors that a node reads. For one of several results, as in `x.max(3)[0]`, those of the operation."""
        sources = node.all_input_nodes
        if len(sources) == 1 and isinstance(self.values[sources[0]], tuple):
            sources = sources[0].all_input_nodes
        return [n for n in sources if isinstance(self.values[n], Tensor)]

    def _reduces_axes(self, node: fx.Node, maps: list[Tensor]) -> bool:
        """Whether the node leaves one position of an axis of a map, and no later map has that axis again."""
        value = self.values[node]
        if node.op == "call_module" or not is_map(value, self.ndim):
            return False
        dims = [d for d in range(2, value.dim()) if any(value.shape[d] == 1 < before.shape[d] for before in maps)]
        later = [v for n in self._later(node) if is_map(v := self.values[n], self.ndim)]
        return bool(dims) and not any(v.shape[d] > 1 for v in later for d in dims)

    def _later(self, node: fx.Node) -> set[fx.Node]:
        """The nodes whose values are computed with that of `node`."""
        seen: set[fx.Node] = set()
        todo = [node]
        while todo:
            todo = [user for current in todo for user in current.users if user not in seen]
            seen.update(todo)
        return {n for n in seen if isinstance(self.values.get(n), Tensor)}

    def _has_fixed_size(self, node: fx.Node) -> bool:
        """Whether the node's output is a map whose size does not depend on the input's."""
        if not is_map(self.values[node], self.ndim):
            return False
        if node.op == "call_module":
            return _pools_to_fixed_size(self.traced.get_submodule(str(node.target)))
        return "adaptive_avg" in function_name(node) or node.target in ADAPTIVE_MAX

    def _leads_to_map(self, node: fx.Node) -> bool:
        """Whether the node's value is a map, or a map is computed with it later, as in squeeze-and-excitation."""
        return any(is_map(self.values[n], self.ndim) for n in (node, *self._later(node)))

    def child(self, node: fx.Node) -> None:
        """Convert a call of a child module."""
        child = self.traced.get_submodule(str(node.target))
        named = bool(node.kwargs)
        if named:  # what takes its place may have other names for its arguments
            bound = inspect.signature(child.forward).bind(*node.args, **node.kwargs)
            if bound.kwargs:
                raise head_refusal(self.path, self.traced, f"calls {node.target} with arguments by name only")
            node.args, node.kwargs = bound.args, {}
        values = [self.values.get(a, a) if isinstance(a, fx.Node) else a for a in node.args]
        layouts = [self.layouts.get(a) if isinstance(a, fx.Node) else None for a in node.args]
        path = f"{self.path}.{node.target}".removeprefix(".")
        new, self.layouts[node] = self.converter.module(child, path, values, layouts, {})
        if new is not child:
            self.replaced[str(node.target)] = new
            self.edited = self.edited or named

    def function(self, node: fx.Node) -> None:
        """Convert a call of a function or method."""
        sources: list[Any] = self._sources(node)
        source = sources[0]
        before, after = self.values[source], self.values[node]
        layout = next((each for n in sources if (each := self.layouts.get(n)) is not None), None)
        name = function_name(node)
        replacement = recognize(before, after, layout, self.ndim)
        if layout is not None and name in RESHAPES and after.shape == before.shape:
            replacement = HeadReplacement(None, layout, "left out: it changes nothing")
        if replacement is None and layout is None and self._has_fixed_size(node):
            replacement = adaptive_pool(tuple(after.shape[2:]), before, after)
        if replacement is not None:
            value = self.values[node]
            new = insert_module(self.traced, node, replacement.module or nn.Identity(), (source,))
            self._record(new, value, replacement.layout, f"{name}: {replacement.what}")
        elif name == "linear" and layout is not None and layout.flat:
            args = (source, argument(node, 1, "weight"), argument(node, 2, "bias"), layout.window, layout.spread)
            with self.traced.graph.inserting_before(node):
                new = self.traced.graph.call_function(linear_on_map, args)
            node.replace_all_uses_with(new)
            self.traced.graph.erase_node(node)
            kernel = "x".join(map(str, layout.window))
            self._record(new, after, point_layout(self.ndim, True), f"linear: convolution of {kernel}")
        elif layout is None and is_map(after, self.ndim) and not self._has_fixed_size(node):
            return  # a map still
        elif layout is None:
            reason = f"ends the map by {name}, which is no mean, maximum or flatten over the axes of a map (N, C, *S)"
            raise head_refusal(self.path, self.traced, reason)
        elif source not in node.all_input_nodes:  # one of several results
            name = function_name(node.all_input_nodes[0])
            raise head_refusal(self.path, self.traced, f"{name} does not work on maps, position by position")
        else:
            self._keep(node, name, layout, after)

    def _record(self, new: fx.Node, value: Any, layout: MapLayout, what: str) -> None:
        """Note what is known of a node that replaced another one, and that it did."""
        self.values[new], self.layouts[new] = value, layout
        self.converter.changes.append(Change(self.path, what))
        self.edited = True

    def _keep(self, node: fx.Node, name: str, layout: MapLayout, after: Tensor) -> None:
        """Keep a function that does on maps what it did on vectors; refuse any other.

        The last dimension of vectors `(N, C)` is dimension 1 of maps: a function over dimension -1 is called with 1.
        """
        inputs = node.all_input_nodes
        values, layouts = [self.values[n] for n in inputs], [self.layouts.get(n) for n in inputs]
        calls = [(node.args, node.kwargs)]
        if layout.flat:
            calls.append(
                (tuple(map(_first_for_last, node.args)), {k: _first_for_last(v) for k, v in node.kwargs.items()})
            )
        for args, kwargs in calls:
            if works_densely(partial(_call, node, inputs, args, kwargs), values, layouts, after):
                self.edited = self.edited or (args, kwargs) != (node.args, node.kwargs)
                node.args, node.kwargs = args, kwargs
                self.layouts[node] = MapLayout(layout.window, after.dim() == 2, layout.spread)
                return
        raise head_refusal(self.path, self.traced, f"{name} does not work on maps, position by position")


def _call(node: fx.Node, inputs: list[fx.Node], args: Any, kwargs: Any, *tensors: Any) -> Any:
    """Call the function or method of a node with these arguments, in which `tensors` stand for its `inputs`."""
    by_node = dict(zip(inputs, tensors, strict=True))
    args, kwargs = map_arg(args, by_node.__getitem__), map_arg(kwargs, by_node.__getitem__)
    called: Any = getattr(args[0], str(node.target)) if node.op == "call_method" else node.target
    return called(*args[node.op == "call_method" :], **kwargs)


def _first_for_last(argument: Any) -> Any:
    """Return 1 for the argument -1, and any other argument as it is."""
    return 1 if type(argument) is int and argument == -1 else argument


def _pools_to_fixed_size(module: nn.Module) -> bool:
    """Whether the module holds an adaptive pool to a fixed size of more than one position."""
    sizes = [m.output_size for m in module.modules() if isinstance(m, ADAPTIVE)]
    return any(s not in (1, None) and set(s if isinstance(s, tuple) else (s,)) != {1} for s in sizes)


def node_values(traced: fx.GraphModule, values: list[Any], kwargs: dict[str, Any]) -> dict[fx.Node, Any]:
    """Run a graph in evaluation mode on these arguments; return the value of every node."""

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            recorded[n] = cloned(value)  # a copy, since a later operation may write into the value
            return value

    recorded: dict[fx.Node, Any] = {}
    traced.eval()
    Recorder(traced).run(*map(cloned, values), **kwargs)
    return recorded


def head_refusal(path: str, module: nn.Module, reason: str) -> UserError:
    """Return the error that says why a classifier is not converted, naming the module."""
    return UserError(f"{path or 'the network'} ({type(module).__name__}): {reason}: its head cannot be slid over a map")
