"""A network exported for gradients: in its own mode, with every constant traced back to its parameter or buffer.

`stream.prepare` exports a network in evaluation mode and folds its norms into its convolutions, so that its gradients
are lost. Here nothing is folded, and each module stays in its own mode. A batch norm in training mode becomes a
barrier: the mean and the variance of each channel are taken over all positions of the input.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._pytree import tree_leaves

from atrous.errors import UserError
from atrous.geometry.axis import Axis
from atrous.geometry.exportable import exporting, require_numbers
from atrous.geometry.graph import EXPORTING, Graph, export_graph
from atrous.geometry.layout import followed, rewritten
from atrous.geometry.lower import lower
from atrous.geometry.plan import choose_axis
from atrous.geometry.rules import check_repeatable
from atrous.nn.strided import safe_strided
from atrous.stream.values import channels_last_weight


@dataclass(frozen=True)
class Differentiable:
    """The operators of a network at one input shape, and where their constants come from.

    Attributes:
        network: the module itself.
        graph: its operators, in the mode that each module was in, for inputs of `graph.shape` `(C, *S)`.
        axis: the spatial axis along which strips are taken.
        parameters: the parameter of each constant that is one.
        buffers: the name of the buffer of each constant that is one.
        norms: the batch norm whose running statistics each value of kind "moments" updates.
        modes: whether each module of the network was in training mode.
        output: the name or index of the returned tensor that was asked for.
        schedules: how earlier gradients went through the input, by their options.
    """

    network: nn.Module
    graph: Graph
    axis: Axis
    parameters: dict[int, nn.Parameter]
    buffers: dict[int, str]
    norms: dict[int, nn.Module]
    modes: tuple[bool, ...]
    output: int | str | None = None
    schedules: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """The element type that the network computes in: that of its first floating-point weight."""
        weights = (op.dtype for op in self.graph.ops if op.kind == "constant" and op.dtype.is_floating_point)
        return next(weights, torch.float32)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def dense(self) -> bool:
        """Whether the output has positions; a pooled vector has none."""
        return self.axis.streamed(self.graph.output)

    def constants(self) -> dict[int, Tensor]:
        """Return the constants by value, as they are now; a parameter that learns is a leaf of autograd."""
        tensors = {}
        for op in self.graph.ops:
            if op.kind != "constant" or op.tensor is None:
                continue
            parameter, buffer = self.parameters.get(op.index), self.buffers.get(op.index)
            tensor = op.tensor if buffer is None else self.network.get_buffer(buffer)
            tensor = require_numbers(op.module, tensor if parameter is None else parameter).detach()
            tensor = channels_last_weight(tensor, op, self.graph)
            learns = parameter is not None and parameter.requires_grad
            tensors[op.index] = tensor.detach().requires_grad_() if learns else tensor
        return tensors

    def active(self) -> set[int]:
        """Return the values that depend on a parameter that learns, so that gradients are sent through them."""
        found: set[int] = set()
        for op in self.graph.ops:
            if op.kind == "constant":
                learns = op.index in self.parameters and self.parameters[op.index].requires_grad
            else:
                learns = op.kind != "detach" and op.dtype.is_floating_point and any(i in found for i in op.inputs)
            if learns:
                found.add(op.index)
        return found

    def require_same_modes(self) -> None:
        """Raise `UserError` when a module has been put into another mode since."""
        if self.modes != tuple(module.training for module in self.network.modules()):
            raise UserError(
                f"{type(self.network).__name__}: was put into another mode (train or eval) since it was prepared: "
                "prepare it again"
            )


def prepare_gradient(
    network: nn.Module, shape: tuple[int, ...], *, axis: int | None = None, output: int | str | None = None
) -> Differentiable:
    """Export `network`, each module in its own mode, for gradients on inputs of `shape` `(C, *S)`.

    Exporting takes seconds for a large network; pass the result to `gradient` for all inputs of this shape. The weights
    are those at the time of each call of `gradient`. `axis` is the spatial axis along which strips are taken (None
    chooses), and `output` the name or index of the tensor to use when the network returns several.

    Raises `UserError` when the network cannot be exported, and `Refused` when its gradient cannot be computed strip by
    strip: an operator cannot be streamed, or draws random numbers (dropout in training mode).

    >>> ready = prepare_gradient(nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)), (1, 100))
    >>> ready.dense, ready.axis.passes
    (True, 2)
    """
    with EXPORTING:
        _require_plain_gradients(network)
        tracked = dict(_tracked(network))
        modes = tuple(module.training for module in network.modules())
        with _batch_statistics(network), safe_strided(network):
            exported = export_graph(network, tuple(shape), output=output, training=True)
            _require_known_functions(network, tuple(shape))
        parameters = dict(network.named_parameters(remove_duplicate=False))
        buffers = dict(network.named_buffers(remove_duplicate=False))
    for op in exported.ops:
        check_repeatable(op)
    graph, axes, refused = rewritten(lower(exported, fold=False, differentiable=True))
    if not axes or any(each.streamed(graph.output) for each in axes.values()):
        graph, axes, refused = followed(graph)
    chosen = axes[choose_axis(graph, axes, refused, axis)]
    constants = [op for op in graph.ops if op.kind == "constant"]
    norms = {op.index: tracked[op.module] for op in graph.ops if op.kind == "moments" and op.module in tracked}
    return Differentiable(
        network,
        graph,
        chosen,
        {op.index: parameters[op.module] for op in constants if op.module in parameters},
        {op.index: op.module for op in constants if op.module in buffers},
        norms,
        modes,
        output,
    )


def _tracked(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the batch norms in training mode that keep running statistics, by name as the graph has it."""
    for name, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, _BatchNorm) and module.training and module.running_mean is not None:
            yield name or type(module).__name__, module


def _require_plain_gradients(network: nn.Module) -> None:
    """Raise `UserError` for modules whose gradients an export does not know."""
    for name, module in network.named_modules():
        path = name or type(network).__name__
        if isinstance(module, _InstanceNorm) and module.training and module.track_running_stats:
            raise UserError(
                f"{path}: is an instance norm that updates running statistics, which has no rule: put it into "
                "evaluation mode, or create it without track_running_stats"
            )
        if module._backward_hooks or module._backward_pre_hooks:
            raise UserError(f"{path}: has a backward hook, which would not be called: remove it")
    for name, parameter in network.named_parameters():
        if parameter._backward_hooks:
            raise UserError(f"{name}: has a gradient hook, which would not be called: remove it")


@contextmanager
def _batch_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch norms in training mode take the statistics of their input without updating their running ones."""
    with ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, _BatchNorm) and module.training:
                stack.callback(_restore, module, dict(module._buffers))
                for name in ("running_mean", "running_var"):
                    module._buffers.pop(name, None)
                    module.__dict__[name] = None
                module.training = False
        yield


def _restore(module: nn.Module, buffers: dict[str, Tensor | None]) -> None:
    for name in ("running_mean", "running_var"):
        del module.__dict__[name]
    module._buffers.clear()
    module._buffers.update(buffers)
    module.training = True


def _require_known_functions(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Refuse functions with a backward pass of their own: an export knows their forward pass only.

    The network runs once, without numbers, to see which functions its gradients go through.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode  # importing it takes a while, and few need it

    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    with FakeTensorMode(allow_non_fake_inputs=True), torch.enable_grad(), exporting(network, shape):
        result = network(torch.empty(1, *shape, dtype=like.dtype, device=like.device))
    todo: list[Any] = [leaf.grad_fn for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    seen: set[Any] = set()
    while todo:
        function = todo.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if isinstance(function, torch.autograd.function.BackwardCFunction):
            raise UserError(
                f"{type(network).__name__}: {type(function).__name__.removesuffix('Backward')} has a backward pass of "
                "its own (torch.autograd.Function), which cannot be followed in strips: write it with operators of "
                "torch"
            )
        todo.extend(before for before, _ in function.next_functions)
