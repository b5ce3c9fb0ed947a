"""The walk from a classifier's last map to its scores: every module and function on the way becomes one on maps."""

from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from atrous.errors import UserError
from atrous.surgery.certificate import Change
from atrous.surgery.dense import (
    Layout,
    Step,
    Tied,
    adaptive,
    dense_linear,
    dense_norm,
    fresh,
    is_map,
    linear_on_map,
    point,
    slides,
    step_by_value,
    works_densely,
)
from atrous.surgery.owner import argument, function_name, in_training, trace_owner

ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
Lies = Layout | None
"""How a value lies in the map; None for a value that is what it was."""


class Head:
    """What is known while walking; `changes` collects what was done, by module, `remarks` what training lost."""

    def __init__(self, ndim: int):
        self.ndim = ndim
        self.changes: list[Change] = []
        self.remarks: list[Change] = []
        self.tied: Tied = {}

    def module(
        self, module: nn.Module, path: str, values: list[Any], lies: list[Lies], kwargs: dict[str, Any]
    ) -> tuple[nn.Module, Lies]:
        """One call of a module: what stands in its place, and how its output lies."""
        after = module(*map(fresh, values), **kwargs)
        layout = next((lay for lay in lies if lay is not None), None)
        if layout is None and is_map(after, self.ndim) and not _squashes(module):
            return module, None
        step = self._leaf(module, values[0], after, layout) if len(values) == 1 and not kwargs else None
        if step is not None:
            self.changes.append(Change(path, step.what))
            return step.module or nn.Identity(), step.layout
        if layout is not None and not kwargs and works_densely(module, values, lies, after):
            return module, Layout(layout.window, after.dim() == 2, layout.spread)
        if layout is None and len(values) == 1 and not kwargs and slides(module, values[0], after, self.ndim):
            return module, point(self.ndim, False)
        if not list(module.children()) and list(module.parameters()):
            raise refusal(path, module, "does not work on maps, position by position")
        return self._owner(module, path, values, lies, kwargs)

    def _leaf(self, module: nn.Module, before: Tensor, after: Any, layout: Lies) -> Step | None:
        """The step that a module is as a whole."""
        if isinstance(module, nn.Linear) and layout is not None and layout.flat:
            kernel = "x".join(map(str, layout.window))
            return Step(dense_linear(module, layout, self.tied), point(self.ndim, True), f"convolution of {kernel}")
        if layout is not None and (step := dense_norm(module, layout)) is not None:
            return step
        if isinstance(module, ADAPTIVE) and layout is None and is_map(after, self.ndim):
            return adaptive(tuple(after.shape[2:]), before, after)
        return None if list(module.parameters()) else step_by_value(before, after, layout, self.ndim)

    def _owner(
        self, module: nn.Module, path: str, values: list[Any], lies: list[Lies], kwargs: dict[str, Any]
    ) -> tuple[nn.Module, Lies]:
        """A module's own forward pass; it stays what it is unless a function called in it must change."""
        walk = Walk(self, module, path, values, lies, kwargs)
        for node in list(walk.traced.graph.nodes):
            if node.op in ("call_module", "call_function", "call_method") and walk.concerns(node):
                walk.module(node) if node.op == "call_module" else walk.function(node)
        for target, new in walk.replaced.items():
            module.set_submodule(target, new)
            walk.traced.set_submodule(target, new)
        output = next(n for n in reversed(walk.traced.graph.nodes) if n.op == "output").args[0]
        if not isinstance(output, fx.Node):
            raise refusal(path, module, "returns several values")
        if walk.edited:
            self.remarks += [Change(path, said)] if (said := in_training(module)) else []
            walk.traced.graph.eliminate_dead_code()
            walk.traced.recompile()
        return (walk.traced if walk.edited else module), walk.lies.get(output)


class Walk:
    """One forward pass as a graph, the classifier's value of every node, and how each lies in the map."""

    def __init__(
        self, head: Head, module: nn.Module, path: str, values: list[Any], lies: list[Lies], kwargs: dict[str, Any]
    ):
        self.head, self.path, self.ndim = head, path, head.ndim
        self.traced = trace_owner(module, path)
        self.values = _run(self.traced, values, kwargs)
        places = [n for n in self.traced.graph.nodes if n.op == "placeholder"]
        self.lies: dict[fx.Node, Lies] = dict(zip(places, lies, strict=False))
        self.replaced: dict[str, nn.Module] = {}
        self.edited = False

    def concerns(self, node: fx.Node) -> bool:
        """Whether a node belongs to the head: it reads a value that lies in the map, or is where the map ends."""
        if not isinstance(self.values[node], Tensor):
            return False
        if any(self.lies.get(n) is not None for n in node.all_input_nodes):
            return True
        maps_in = any(is_map(self.values.get(n), self.ndim) for n in node.all_input_nodes)
        return maps_in and (self._fixes(node) or not self._returns(node))

    def _fixes(self, node: fx.Node) -> bool:
        """Whether the output is a map of a fixed size, whatever the input's."""
        if not is_map(self.values[node], self.ndim):
            return False
        if node.op == "call_module":
            return _squashes(self.traced.get_submodule(str(node.target)))
        return "adaptive_avg" in function_name(node)

    def _returns(self, node: fx.Node) -> bool:
        """Whether the value is a map, or one is made with it later (squeeze-and-excitation)."""
        seen, todo = set(), [node]
        while todo:
            now = todo.pop()
            if is_map(self.values.get(now), self.ndim):
                return True
            seen.add(now)
            todo += [user for user in now.users if user not in seen and isinstance(self.values.get(user), Tensor)]
        return False

    def module(self, node: fx.Node) -> None:
        """A call of a child."""
        child = self.traced.get_submodule(str(node.target))
        if node.kwargs:
            raise refusal(self.path, self.traced, f"calls {node.target} with arguments by name")
        values = [self.values.get(a, a) if isinstance(a, fx.Node) else a for a in node.args]
        lies = [self.lies.get(a) if isinstance(a, fx.Node) else None for a in node.args]
        named = f"{self.path}.{node.target}".removeprefix(".")
        new, self.lies[node] = self.head.module(child, named, values, lies, {})
        if new is not child:
            self.replaced[str(node.target)] = new

    def function(self, node: fx.Node) -> None:
        """A function or method called in the forward pass itself."""
        source: Any = next(n for n in node.all_input_nodes if isinstance(self.values[n], Tensor))
        before, after = self.values[source], self.values[node]
        layout = next((lay for n in node.all_input_nodes if (lay := self.lies.get(n)) is not None), None)
        name = function_name(node)
        step = step_by_value(before, after, layout, self.ndim)
        if step is None and layout is None and self._fixes(node):
            step = adaptive(tuple(after.shape[2:]), before, after)
        if step is not None:
            number = sum(n.startswith("_surgery_") for n in self.traced._modules)
            self.traced.add_module(f"_surgery_{number}", (step.module or nn.Identity()).train(self.traced.training))
            with self.traced.graph.inserting_before(node):
                new = self.traced.graph.call_module(f"_surgery_{number}", (source,))
            self._swap(node, new, step.layout, f"{name}: {step.what}")
        elif name == "linear" and layout is not None and layout.flat:
            args = (source, argument(node, 1, "weight"), argument(node, 2, "bias"), layout.window, layout.spread)
            with self.traced.graph.inserting_before(node):
                new = self.traced.graph.call_function(linear_on_map, args)
            self._swap(node, new, point(self.ndim, True), f"linear: convolution of {'x'.join(map(str, layout.window))}")
        elif layout is None:
            raise refusal(self.path, self.traced, f"ends the map by {name}, which is no mean, maximum or flatten")
        else:
            self._as_it_is(node, name, layout, after)

    def _as_it_is(self, node: fx.Node, name: str, layout: Layout, after: Tensor) -> None:
        """A function that does on maps what it did on vectors, or nothing does."""
        inputs = node.all_input_nodes

        def run(*tensors: Any) -> Any:
            given = dict(zip(inputs, tensors, strict=True))
            args, kwargs = map_arg(node.args, given.__getitem__), map_arg(node.kwargs, given.__getitem__)
            called: Any = getattr(args[0], str(node.target)) if node.op == "call_method" else node.target
            return called(*args[node.op == "call_method" :], **kwargs)

        values = [self.values[n] for n in inputs]
        if not works_densely(run, values, [self.lies.get(n) for n in inputs], after):
            raise refusal(self.path, self.traced, f"{name} does not work on maps, position by position")
        self.lies[node] = Layout(layout.window, after.dim() == 2, layout.spread)

    def _swap(self, node: fx.Node, new: fx.Node, layout: Layout, what: str) -> None:
        self.values[new], self.lies[new] = self.values[node], layout
        node.replace_all_uses_with(new)
        self.traced.graph.erase_node(node)
        self.head.changes.append(Change(self.path, what))
        self.edited = True


def _squashes(module: nn.Module) -> bool:
    """Whether a module pools to a fixed size of more than one position somewhere."""
    sizes = [m.output_size for m in module.modules() if isinstance(m, ADAPTIVE)]
    return any(s not in (1, None) and set(s if isinstance(s, tuple) else (s,)) != {1} for s in sizes)


def _run(traced: fx.GraphModule, values: list[Any], kwargs: dict[str, Any]) -> dict[fx.Node, Any]:
    """The value of every node."""

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            found[n] = super().run_node(n)
            # an operator in place must not change what was recorded
            kept[n] = found[n].clone() if isinstance(found[n], Tensor) else found[n]
            return found[n]

    found: dict[fx.Node, Any] = {}
    kept: dict[fx.Node, Any] = {}
    traced.eval()
    Recorder(traced).run(*map(fresh, values), **kwargs)
    return kept


def refusal(path: str, module: nn.Module, reason: str) -> UserError:
    """Why the classifier is not converted, naming the module."""
    return UserError(f"{path or 'the network'} ({type(module).__name__}): {reason}: its head cannot be slid over a map")
