"""Whether an exported program can be read as it is, or must first be written in operators without side effects.

`torch.export` records the operators that a network calls, those that change a tensor in place among them. torch can run
the program again and record what it does in operators that only compute a result, which takes longer than the export.
Most programs need it for nothing but what is translated here, one operator at a time.
"""

import operator
from collections.abc import Callable, Collection
from typing import Any, cast

import torch
from torch._export.utils import _is_preservable_cia_op, _special_op_to_preserve_cia
from torch._ops import OpOverload
from torch.export.exported_program import _decompose_exported_program
from torch.fx import Node

UNKNOWN = ("lift_fresh_copy", "native_batch_norm")
"""Operators that are written anew although their schema says that they only compute a result."""

Form = tuple[Callable[..., Any], tuple[Any, ...], int | None]
"""A function, its arguments, and which of its results is meant, if it has several."""


def is_functional(program: torch.export.ExportedProgram, composed: Collection[str] = ()) -> bool:
    """Return whether every operator of a program is one of ATen that only computes its result, or has such a form.

    Args:
        program: as `torch.export.export` returns it.
        composed: names of operators that are to be written in terms of others.

    >>> def exported(function):
    ...     layer = torch.nn.Conv1d(1, 1, 3)
    ...     layer.register_forward_hook(lambda layer, inputs, output: function(output))
    ...     return torch.export.export(layer, (torch.zeros(1, 1, 9),))
    >>> is_functional(exported(torch.relu_)), is_functional(exported(lambda x: x.flatten(1)))
    (True, False)
    """
    called = [node for node in program.graph.nodes if node.op == "call_function"]
    static = all(isinstance(n, int) for node in called for n in getattr(node.meta.get("val"), "shape", ()))
    return static and all(
        node.target is operator.getitem
        or is_same(node)
        or functional_form(node) is not None
        or _only_computes(node.target, composed)
        for node in called
    )


def written_anew(
    program: torch.export.ExportedProgram, written: dict[Any, Callable[..., Any]]
) -> torch.export.ExportedProgram:
    """Return a program in operators that only compute their result, as `program.run_decompositions(written)` does.

    That method prepares each of torch's 500 composite operators to be kept as it is, which takes several times as long
    as all else. Here those are prepared that the program calls; one that is called within another is written out.

    Args:
        program: as `torch.export.export` returns it.
        written: for operators that are to be written in terms of others, functions that do so.

    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2))
    >>> program = written_anew(torch.export.export(network, (torch.ones(1, 2, 3),)), {})
    >>> [node.target.name() for node in program.graph.nodes if node.op == "call_function"]
    ['aten::view', 'aten::linear']
    """
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    called = {node.target for graph in graphs for node in graph.nodes if isinstance(node.target, OpOverload)}
    composite: dict[Any, Callable[..., Any]] = {
        target: _special_op_to_preserve_cia for target in called if _is_preservable_cia_op(target)
    }
    composite |= {target: write for target, write in written.items() if _is_preservable_cia_op(target)}
    others = {target: write for target, write in written.items() if target not in composite}
    return _decompose_exported_program(
        program,
        cia_to_decomp=composite,
        python_decomp_table=others,
        joint_loss_index=None,
        decompose_custom_triton_ops=False,
    )


def is_same(node: Node) -> bool:
    """Return whether a node gives its input: it is a change to the type that the input has."""
    if node.target is not torch.ops.aten.to.dtype or len(node.args) != 2 or node.kwargs:
        return False
    return cast(Node, node.args[0]).meta["val"].dtype == node.args[1]


def functional_form(node: Node) -> Form | None:
    """Return what a call computes as a function without side effects, as decompositions write it.

    That is known of batch norms with stored statistics, and of operators that change in place what nobody else reads.
    None for other calls.
    """
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    if target is torch.ops.aten.batch_norm.default and not node.kwargs:
        x, weight, bias, mean, var, training, momentum, eps, _ = node.args
        if training or mean is None or var is None:
            return None
        return (
            torch.ops.aten._native_batch_norm_legit_no_training.default,
            (x, weight, bias, mean, var, momentum, eps),
            0,
        )
    name = target._schema.name.removeprefix("aten::")
    changed = node.args[0] if node.args else None
    if not name.endswith("_") or not isinstance(changed, Node) or changed.op != "call_function":
        return None
    function = getattr(getattr(torch.ops.aten, name[:-1], None), target._overloadname, None)
    first, *others = target._schema.arguments
    alone = len(changed.users) == 1 and not any(other.alias_info for other in others) and first.alias_info is not None
    if function is None or not alone or _is_view(changed) or not _one_type(node):
        return None
    return function, node.args, None


def _is_view(node: Node) -> bool:
    """Whether what a node gives may lie in the memory of another value."""
    if node.target is operator.getitem:
        return True
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or functional_form(node) is not None:
        return not isinstance(target, torch._ops.OpOverload)
    aliased = any(value.alias_info is not None for value in target._schema.returns)
    return aliased or torch.Tag.maybe_aliasing_or_mutating in target.tags


def _one_type(node: Node) -> bool:
    """Whether all tensors that a call reads have one floating type, which the result then has in place and not."""
    values = [a.meta.get("val") for a in (*node.args, *node.kwargs.values()) if isinstance(a, Node)]
    types = {value.dtype if isinstance(value, torch.Tensor) else None for value in values}
    return len(types) == 1 and all(kind is not None and kind.is_floating_point for kind in types)


def _only_computes(target: object, composed: Collection[str]) -> bool:
    if not isinstance(target, torch._ops.OpOverload) or not target.name().startswith("aten::"):
        return False
    schema, name = target._schema, target._schema.name.removeprefix("aten::")
    if schema.is_mutable or torch.Tag.maybe_aliasing_or_mutating in target.tags or name in (*composed, *UNKNOWN):
        return False
    # Where nothing is changed in place, a view is its values. One that is composed of others is written as those.
    aliased = any(value.alias_info is not None for value in (*schema.arguments, *schema.returns))
    return not (aliased and torch._C._dispatch_has_kernel_for_dispatch_key(target.name(), "CompositeImplicitAutograd"))
