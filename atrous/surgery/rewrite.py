"""Edits of operators, made where the user's modules stand."""

import copy
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import fx, nn

from atrous.geometry.graph import Graph, Op
from atrous.geometry.rules.rearrange import PADS
from atrous.surgery.certificate import Change, replace_module
from atrous.surgery.edits import CONVS, POOLS, Edit, is_zero_or_lowest, refusal, value_of_pad
from atrous.surgery.owner import (
    argument,
    function_name,
    in_training,
    insert_module,
    is_fixed,
    tensor_input,
    trace_owner,
)
from atrous.surgery.padding import pads_by_itself, settled
from atrous.surgery.window import CoarseGrid, DilatedAvgPool, DilatedMaxPool, OnWindows, Window, dilate_conv

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
FAMILIES = (
    r"(max|avg)_pool\dd(_with_indices)?|adaptive_(avg|max)_pool\dd|mean|amax|amin",
    r"pad|constant_pad_nd",
    r"sum",
    r"max|min",
    r"var|std",
)
"""Names of one family stand for each other, in the order of the calls: ATen writes some of these as others."""


def rewrite(network: nn.Module, graph: Graph, edits: Sequence[Edit]) -> tuple[nn.Module, list[Change], list[Change]]:
    """Make the edits in `network`; returns it (a traced one where its own forward pass had to change), what was done,
    and what the traced ones no longer do in training.

    Raises:
        UserError: an operator's module cannot be changed; or one module is used on grids that differ.
    """
    by_module: dict[str, list[Edit]] = defaultdict(list)
    for edit in edits:
        by_module[edit.op.module].append(edit)
    changes, remarks = [], []
    for path in sorted(by_module, key=lambda p: (-p.count(".") if p else 1, p)):  # children before their owners
        module, own = network.get_submodule(path), by_module[path]
        new = _rewritten(module, path, graph, own)
        if new is not module and path == "":
            network = new
        elif new is not module:
            _replace_everywhere(network, path, module, new)
        changes += [(edit.op.index, Change(path, text)) for edit, text in _said(own)]
        if new is not module and isinstance(new, fx.GraphModule) and (more := in_training(module)):
            remarks.append(Change(path, more))
        if isinstance(new, fx.GraphModule) and (fixed := [str(n.target) for n in new.graph.nodes if is_fixed(n)]):
            changes.append(
                (own[-1].op.index, Change(path, f"takes {', '.join(fixed)} by the default, in training too"))
            )
    return network, [change for _, change in sorted(changes, key=lambda pair: pair[0])], remarks


def _said(edits: Sequence[Edit]) -> list[tuple[Edit, str]]:
    return list({str(edit): (edit, str(edit)) for edit in reversed(edits)}.values())


def _replace_everywhere(network: nn.Module, path: str, old: nn.Module, new: nn.Module) -> None:
    """A module may be registered under several names."""
    replace_module(network, path, new)
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):
            if child is old and parent is not new and not (isinstance(new, nn.Sequential) and parent is new):
                parent._modules[name] = new


def _rewritten(module: nn.Module, path: str, graph: Graph, edits: list[Edit]) -> nn.Module:
    inside = [op for op in graph.ops if op.module == path and op.kind not in ("input", "constant")]
    edits = _on_its_own_grid(module, edits)
    first = edits[0]
    alike = all(
        (e.windows, e.rates, e.dims, e.amounts) == (first.windows, first.rates, first.dims, first.amounts)
        for e in edits
    )
    belongs = {e.op.index for e in edits} | {e.pad.index for e in edits if e.pad is not None}
    alone = all(op.index in belongs for op in inside)
    if isinstance(module, CONVOLUTIONS) and first.op.kind in CONVS:
        if not alike or len(_calls(graph, inside, first.op)) > len(edits):
            raise refusal(first.op, "it is used several times, on grids that differ")
        _convolution(module, graph, first, alone)
        return module
    leaf = not list(module.children()) and not list(module.parameters())
    if leaf and alike and (alone or (first.rates and len(edits) == len(_of_family(inside, first.op)))):
        return _leaf(module, first)
    return _owner(module, path, inside, edits)


def _on_its_own_grid(module: nn.Module, edits: list[Edit]) -> list[Edit]:
    """The edits of a module that is on a finer grid already: its windows say how it pads, at any length."""
    if not isinstance(module, OnWindows | DilatedMaxPool):
        return edits
    finer = []
    for edit in edits:
        pairs = zip(module.windows, edit.windows, strict=True)
        windows = tuple(replace(w, rate=w.rate * e.rate, fine_stride=e.fine_stride) for w, e in pairs)
        finer.append(replace(edit, windows=windows, others=()))
    return finer


def _calls(graph: Graph, inside: list[Op], like: Op) -> list[Op]:
    """The convolutions by weights of this shape that a module does: as many as it is called."""
    shape = graph.ops[like.arguments["weight"].index].shape
    return [op for op in inside if op.kind == like.kind and graph.ops[op.arguments["weight"].index].shape == shape]


def _convolution(module: nn.Module, graph: Graph, edit: Edit, alone: bool) -> None:
    op = edit.op
    plain = all(w.plain for w in edit.windows) and edit.pad is None
    weight = graph.ops[op.arguments["weight"].index].tensor
    bare = type(module).forward in {kind.forward for kind in CONVOLUTIONS}
    if not plain and not (alone and weight is not None and weight.shape == module.weight.shape):
        raise refusal(op, f"{type(module).__name__} does more than to convolve, and its padding would have to change")
    if edit.pad is not None and not is_zero_or_lowest(edit.pad, op.kind):
        raise refusal(op, "it pads by a constant other than zero")
    conv: Any = module
    windows, itself = edit.windows, edit.pad is not None or isinstance(module, OnWindows)
    if alone and not bare and not isinstance(module, OnWindows):

        def made(windows: tuple[Window, ...]) -> nn.Module:
            tried = copy.copy(conv)
            dilate_conv(tried, windows, pads_itself=itself)
            return tried

        windows = settled(module, edit, conv.in_channels, made)
    dilate_conv(conv, windows, pads_itself=itself)


def _leaf(module: nn.Module, edit: Edit) -> nn.Module:
    """What replaces a module that holds nothing but this operator."""
    if edit.rates:
        return nn.Sequential(CoarseGrid(edit.rates, edit.dims), module)
    if edit.windows and pads_by_itself(module) and not isinstance(module, DilatedMaxPool):
        windows = settled(module, edit, 2, lambda windows: _new(replace(edit, windows=windows)))
        return _new(replace(edit, windows=windows))
    return _new(edit)


def _new(edit: Edit) -> nn.Module:
    op, windows = edit.op, edit.windows
    if op.kind in PADS:
        pads = {2: nn.ConstantPad1d, 4: nn.ConstantPad2d, 6: nn.ConstantPad3d}
        return pads[len(edit.amounts)](edit.amounts, value_of_pad(op))
    if edit.pad is not None and not is_zero_or_lowest(edit.pad, op.kind):
        raise refusal(op, f"it pads by {value_of_pad(edit.pad)} before")
    if "max" not in op.kind:
        a = op.arguments
        return DilatedAvgPool(windows, edit.pad is not None or a["count_include_pad"], a.get("divisor_override"))
    if edit.pad is None and all(w.plain and 2 * w.after * w.rate <= w.kernel for w in windows):  # what torch allows
        kernel, stride, pad, step = zip(
            *((w.kernel, w.fine_stride, w.after * w.rate, w.step) for w in windows), strict=True
        )
        return {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[len(windows)](kernel, stride, pad, step)  # pyright: ignore
    return DilatedMaxPool(windows)


def _family(name: str) -> str | None:
    return next((f for f in FAMILIES if re.fullmatch(f, name)), None)


def _of_family(ops: Sequence[Op], like: Op) -> list[Op]:
    family = _family(like.kind)
    return [op for op in ops if family is not None and re.fullmatch(family, op.kind)]


def _owner(module: nn.Module, path: str, inside: list[Op], edits: list[Edit]) -> nn.Module:
    """Functions called in the forward pass of `module` itself, matched with the operators by kind and order."""
    traced = trace_owner(module, path)
    by_index = {edit.op.index: edit for edit in edits}
    for op in {_family(e.op.kind): e.op for e in edits}.values():
        if _family(op.kind) is None:
            raise refusal(op, f"{type(module).__name__} calls it as a function in its forward pass")
        ops = _of_family(inside, op)
        nodes = [n for n in traced.graph.nodes if re.fullmatch(_family(op.kind) or "", function_name(n))]
        if not nodes or len(ops) % len(nodes):
            raise refusal(op, f"it is not found in the forward pass of {type(module).__name__}")
        for i, node in enumerate(nodes):
            calls = [by_index.get(o.index) for o in ops[i :: len(nodes)]]
            if len({(e.windows, e.rates, e.dims, e.amounts) if e else None for e in calls}) > 1:
                raise refusal(op, "it is used several times, on grids that differ")
            if calls[0] is not None:
                _edit_node(traced, node, calls[0])
    traced.graph.lint()
    traced.recompile()
    return traced


def _edit_node(traced: fx.GraphModule, node: fx.Node, edit: Edit) -> None:
    source: Any = tensor_input(node)
    if source is None or edit.pad is not None:
        raise refusal(edit.op, "it is called in a way that is not understood")
    if edit.rates:
        number = sum(name.startswith("_surgery_") for name in traced._modules)
        traced.add_module(f"_surgery_{number}", CoarseGrid(edit.rates, edit.dims))
        with traced.graph.inserting_before(node):
            thinned = traced.graph.call_module(f"_surgery_{number}", (source,))
        node.replace_input_with(source, thinned)
        return
    if edit.op.kind in POOLS and argument(node, 6, "return_indices", False):
        raise refusal(edit.op, "its indices would count positions of the finer grid")
    insert_module(traced, node, _new(edit), (source,))
