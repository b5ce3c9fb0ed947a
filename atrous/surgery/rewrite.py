"""Edits of operators, carried out in the modules that run them.

An exported graph names for every operator the user's module that ran it. That module is changed in one of four ways:

- A convolution is changed in place, so that it keeps its name and parameters (`_edit_convolution`).
- A module that is nothing but the operator, such as a pool, is replaced (`_replace_leaf`).
- A module that was made one operator runs on each phase of the grid (`phases.run_on_phases`).
- A module whose forward pass calls the operator as a function is traced, and the call is replaced
  (`_edit_forward_pass`).
"""

import copy
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import fx, nn

from atrous._nd import CONV, MAX_POOL
from atrous.geometry.graph import Graph, Op
from atrous.geometry.rules.rearrange import PADS
from atrous.surgery.certificate import Change, replace_module
from atrous.surgery.edits import CONVS, POOLS, Edit, pads_as_usual, refusal, value_of_pad
from atrous.surgery.owner import (
    add_module,
    argument,
    function_name,
    insert_module,
    is_ignored,
    lost_in_training,
    tensor_input,
    trace_owner,
)
from atrous.surgery.padding import runs_torchs_forward, settle_windows
from atrous.surgery.phases import run_on_phases
from atrous.surgery.window import CoarseGrid, DilatedAvgPool, DilatedMaxPool, FineWindow, OnWindows, dilate_conv

CONVOLUTIONS = tuple(CONV.values())
CONSTANT_PADS = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d}
FAMILIES = (
    r"(max|avg)_pool\dd(_with_indices)?|adaptive_(avg|max)_pool\dd|mean|amax|amin",
    r"pad|constant_pad_nd",
    r"sum",
    r"max|min",
    r"var|std",
    r"(linalg_)?(vector_|matrix_)?norm",
)
"""The exported graph may name an operator differently than the call in the forward pass: `adaptive_avg_pool2d` to one
position is `mean` there. Names of one family are matched with each other, in the order of the calls."""


def rewrite(network: nn.Module, graph: Graph, edits: Sequence[Edit]) -> tuple[nn.Module, list[Change], list[Change]]:
    """Carry the edits out in `network`, in place.

    Returns:
        The network (another module, if its own forward pass had to be traced); what was done, in graph order; and what
        traced modules no longer do in training.

    Raises:
        UserError: a module cannot be changed, or is used several times on grids that differ.
    """
    by_module: dict[str, list[Edit]] = defaultdict(list)
    for edit in edits:
        by_module[edit.op.module].append(edit)
    changes: list[tuple[int, Change]] = []
    remarks: list[Change] = []
    for path in sorted(by_module, key=lambda p: (-p.count(".") if p else 1, p)):  # children before their owners
        module, own_edits = network.get_submodule(path), by_module[path]
        new = _rewritten(module, path, graph, own_edits)
        if new is not module and path == "":
            network = new
        elif new is not module:
            _replace_everywhere(network, path, module, new)
        changes += [(edit.op.index, Change(path, text)) for edit, text in _descriptions(own_edits)]
        if new is not module and isinstance(new, fx.GraphModule) and (remark := lost_in_training(module)):
            remarks.append(Change(path, remark))
        if isinstance(new, fx.GraphModule):
            ignored = [str(n.target) for n in new.graph.nodes if is_ignored(n)]
            if ignored:
                text = f"takes {', '.join(ignored)} by the default, in training too"
                changes.append((own_edits[-1].op.index, Change(path, text)))
    return network, [change for _, change in sorted(changes, key=lambda pair: pair[0])], remarks


def _descriptions(edits: Sequence[Edit]) -> list[tuple[Edit, str]]:
    """Return the edits in words, each text once, with the first edit that it describes."""
    return list({str(edit): (edit, str(edit)) for edit in reversed(edits)}.values())


def _replace_everywhere(network: nn.Module, path: str, old: nn.Module, new: nn.Module) -> None:
    """Replace a module under every name that it is registered under, except inside of `new`, which may hold it."""
    replace_module(network, path, new)
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):
            if child is old and parent is not new:
                parent._modules[name] = new


def _rewritten(module: nn.Module, path: str, graph: Graph, edits: list[Edit]) -> nn.Module:
    """Carry out all edits of one module; return what stands in its place (itself, if it was changed in place)."""
    if edits[0].phases:  # its operators are one, so that it has no other edit
        run_on_phases(module, edits[0].phases)
        return module
    own_ops = [op for op in graph.ops if op.module == path and op.kind not in ("input", "constant")]
    edits = _on_original_grid(module, edits)
    first = edits[0]
    alike = all(_what(edit) == _what(first) for edit in edits)
    edited = {e.op.index for e in edits} | {e.pad.index for e in edits if e.pad is not None}
    runs_nothing_else = all(op.index in edited for op in own_ops)
    if isinstance(module, CONVOLUTIONS) and first.op.kind in CONVS:
        if not alike or _count_calls(graph, own_ops, first.op) > len(edits):
            raise refusal(first.op, "it is used several times, on grids that differ")
        _edit_convolution(module, graph, first, runs_nothing_else)
        return module
    is_leaf = not list(module.children()) and not list(module.parameters())
    every_pool = first.rates and len(edits) == len(_of_family(own_ops, first.op))
    if is_leaf and alike and (runs_nothing_else or every_pool):
        return _replace_leaf(module, first)
    return _edit_forward_pass(module, path, own_ops, edits)


def _what(edit: Edit) -> tuple[Any, ...]:
    """Return the parts of an edit that say what is done, without where."""
    return edit.windows, edit.rates, edit.dims, edit.amounts


def _on_original_grid(module: nn.Module, edits: list[Edit]) -> list[Edit]:
    """Return the edits of a module that was dilated before with windows relative to its original grid.

    Such a module knows how it pads at any length, which the graph shows at one length only.
    """
    if not isinstance(module, OnWindows | DilatedMaxPool):
        return edits
    combined = []
    for edit in edits:
        pairs = zip(module.windows, edit.windows, strict=True)
        windows = tuple(replace(w, rate=w.rate * e.rate, fine_stride=e.fine_stride) for w, e in pairs)
        combined.append(replace(edit, windows=windows, others=()))
    return combined


def _count_calls(graph: Graph, own_ops: list[Op], like: Op) -> int:
    """Return how often a convolution is called: the operators with weights of the same shape."""
    shape = graph.ops[like.arguments["weight"].index].shape
    return sum(op.kind == like.kind and graph.ops[op.arguments["weight"].index].shape == shape for op in own_ops)


def _edit_convolution(module: nn.Module, graph: Graph, edit: Edit, runs_nothing_else: bool) -> None:
    """Put a convolution module on its finer grid, in place."""
    op = edit.op
    plain = all(w.plain for w in edit.windows) and edit.pad is None
    weight = graph.ops[op.arguments["weight"].index].tensor
    if not plain and not (runs_nothing_else and weight is not None and weight.shape == module.weight.shape):
        raise refusal(op, f"{type(module).__name__} does more than to convolve, and its padding would have to change")
    if edit.pad is not None and not pads_as_usual(edit.pad, op.kind):
        raise refusal(op, "it pads by a constant other than zero")
    conv: Any = module
    dilated_before = isinstance(module, OnWindows)
    windows, pads_itself = edit.windows, edit.pad is not None or dilated_before
    if runs_nothing_else and not runs_torchs_forward(module) and not dilated_before:

        def build(windows: tuple[FineWindow, ...]) -> nn.Module:
            trial = copy.copy(conv)  # shares the parameters
            dilate_conv(trial, windows, pads_itself=pads_itself)
            return trial

        windows = settle_windows(module, edit, conv.in_channels, build)
    dilate_conv(conv, windows, pads_itself=pads_itself)


def _replace_leaf(module: nn.Module, edit: Edit) -> nn.Module:
    """Return what replaces a module without children and parameters that runs this operator alone."""
    if edit.rates:
        return nn.Sequential(CoarseGrid(edit.rates, edit.dims), module)
    if edit.windows and not runs_torchs_forward(module) and not isinstance(module, DilatedMaxPool):
        channels = 2  # a pool takes any number
        windows = settle_windows(module, edit, channels, lambda windows: _new_module(replace(edit, windows=windows)))
        return _new_module(replace(edit, windows=windows))
    return _new_module(edit)


def _new_module(edit: Edit) -> nn.Module:
    """Return a module that is the edited operator: padding, a max pool or an average pool on the finer grid."""
    op, windows = edit.op, edit.windows
    if op.kind in PADS:
        return CONSTANT_PADS[len(edit.amounts) // 2](edit.amounts, value_of_pad(op))
    if edit.pad is not None and not pads_as_usual(edit.pad, op.kind):
        raise refusal(op, f"it pads by {value_of_pad(edit.pad)} before")
    if "max" not in op.kind:
        a = op.arguments
        return DilatedAvgPool(windows, edit.pad is not None or a["count_include_pad"], a.get("divisor_override"))
    # torch's own max pool serves where its padding is enough; it allows half of the kernel at most.
    if edit.pad is None and all(w.plain and 2 * w.after * w.rate <= w.kernel for w in windows):
        kernel, stride, pad, step = zip(
            *((w.kernel, w.fine_stride, w.after * w.rate, w.step) for w in windows), strict=True
        )
        return MAX_POOL[len(windows)](kernel, stride, pad, step)  # pyright: ignore
    return DilatedMaxPool(windows)


def _family(name: str) -> str | None:
    """Return the family of an operator's name."""
    return next((family for family in FAMILIES if re.fullmatch(family, name)), None)


def _of_family(ops: Sequence[Op], like: Op) -> list[Op]:
    """Return the operators of the same family."""
    family = _family(like.kind)
    return [op for op in ops if family is not None and re.fullmatch(family, op.kind)]


def _edit_forward_pass(module: nn.Module, path: str, own_ops: list[Op], edits: list[Edit]) -> nn.Module:
    """Return a traced module in which the functions that run the edited operators are replaced.

    The calls in the forward pass are matched with the operators in the graph by family and order. If the module is
    called several times, the graph holds its operators as often, call after call: with n calls of a family in the
    forward pass, call `i` runs the operators `i, i + n, i + 2n, ...`, which must be edited alike.
    """
    traced = trace_owner(module, path)
    by_index = {edit.op.index: edit for edit in edits}
    for op in {_family(edit.op.kind): edit.op for edit in edits}.values():
        family = _family(op.kind)
        if family is None:
            raise refusal(op, f"{type(module).__name__} calls it as a function in its forward pass")
        ops = _of_family(own_ops, op)
        nodes = [n for n in traced.graph.nodes if re.fullmatch(family, function_name(n))]
        if not nodes or len(ops) % len(nodes):
            raise refusal(op, f"it is not found in the forward pass of {type(module).__name__}")
        for i, node in enumerate(nodes):
            uses = [by_index.get(o.index) for o in ops[i :: len(nodes)]]
            if len({_what(edit) if edit else None for edit in uses}) > 1:
                raise refusal(op, "it is used several times, on grids that differ")
            if uses[0] is not None:
                _edit_call(traced, node, uses[0])
    traced.graph.lint()
    traced.recompile()
    return traced


def _edit_call(traced: fx.GraphModule, node: fx.Node, edit: Edit) -> None:
    """Replace one call of a function in a traced forward pass, or let a global pool read the coarse grid."""
    source: Any = tensor_input(node)
    if source is None or edit.pad is not None:
        raise refusal(edit.op, "it is called in a way that is not understood")
    if edit.rates:
        name = add_module(traced, CoarseGrid(edit.rates, edit.dims))
        with traced.graph.inserting_before(node):
            thinned = traced.graph.call_module(name, (source,))
        node.replace_input_with(source, thinned)
        return
    if edit.op.kind in POOLS and argument(node, 6, "return_indices", False):
        raise refusal(edit.op, "its indices would count positions of the finer grid")
    insert_module(traced, node, _new_module(edit), (source,))
