"""One rule per ATen operator: how it acts along one axis. An operator without a rule is refused.

A rule is a function of an operator and an axis whose earlier operators are filled in. It returns an `Along`: which
dimension of the output is the axis, and which rows of which inputs an output row reads. It raises `Refused` when the
operator cannot be computed piece by piece along that axis. Operators that ATen marks as pointwise need no rule.
"""

import torch

from atrous.geometry.axis import Along, Axis, Refused, aligned
from atrous.geometry.graph import Graph, Op
from atrous.geometry.rules import rearrange, reduce, resize, rows, sliding

REASONS = {
    "lets positions attend to positions": (
        "scaled_dot_product_attention",
        "_native_multi_head_attention",
        "_transformer_encoder_layer_fwd",
    ),
    "is recurrent over positions": ("lstm", "gru", "rnn_tanh", "rnn_relu"),
    "cuts the grid into overlapping patches and has no rule (a convolution with fixed weights does the same)": (
        "im2col",
        "col2im",
        "unfold",
    ),
    "reads at positions that the data decide": (
        "grid_sampler",
        "grid_sampler_2d",
        "grid_sampler_3d",
        "nonzero",
        "masked_select",
        "masked_scatter",
    ),
    "resizes with antialiasing, which has no rule": ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
}
REASON_OF = {kind: reason for reason, kinds in REASONS.items() for kind in kinds}
"""Operators that cannot be computed piece by piece, each with its reason; others without a rule get a general one."""


def refuse(op: Op, axis: Axis) -> Along:
    """Raise `Refused` with the reason of the operator."""
    raise Refused(op, REASON_OF[op.kind])


RULES = {
    **dict.fromkeys(REASON_OF, refuse),
    **sliding.RULES,
    **resize.RULES,
    **rearrange.RULES,
    **rows.RULES,
    **reduce.RULES,
}
GENERATORS = set(resize.RULES) | {"expand", "repeat"}
"""Operators that can make rows out of a whole value (a pooled map), so that they are asked even if no input has rows.
"""


def along(op: Op, axis: Axis) -> Along:
    """Return how `op` acts along `axis`, whose entries for the operators before it are filled in. Raises `Refused`."""
    if op.kind == "input":
        return Along(2 + axis.index)
    check_repeatable(op)
    if not any(axis.streamed(i) for i in op.inputs):
        makes_rows = op.inputs and op.kind in GENERATORS and op.index not in axis.graph.weights
        return RULES[op.kind](op, axis) if makes_rows else Along(None)
    rule = RULES.get(op.kind)
    if rule is not None:
        return rule(op, axis)
    if is_pointwise(op):
        return aligned(op, axis)
    raise Refused(op, "streaming has no rule for this operator, so which rows it reads is not known")


def is_pointwise(op: Op) -> bool:
    """Return whether the operator computes each number from the numbers at the same place, inputs broadcast.

    ATen marks such operators, under this or another overload of the name; `rows.py` lists those that it does not mark.
    """
    if RULES.get(op.kind) is rows.pointwise:
        return True
    if not isinstance(op.target, torch._ops.OpOverload):
        return False
    packet = op.target.overloadpacket
    overloads = [op.target, *(getattr(packet, name) for name in packet.overloads())]
    return any(torch.Tag.pointwise in overload.tags for overload in overloads)


def check_repeatable(op: Op) -> None:
    """Refuse an operator that draws random numbers: no two runs of such a network agree, whole or streamed.

    Raises `Refused`.
    """
    if not isinstance(op.target, torch._ops.OpOverload) or op.kind in REASON_OF:
        return
    drawing = bool(op.arguments.get("training", op.arguments.get("train", True)))
    if drawing and torch.Tag.nondeterministic_seeded in op.target.tags:
        raise Refused(op, "draws random numbers, so the network has no one answer")


def follow(graph: Graph, index: int) -> Axis:
    """Follow spatial axis `index` (0 is the first) through a lowered graph, operator by operator. Raises `Refused`.

    A whole value that is expanded to the size of a grid becomes rows there, so that it takes no memory. That may be a
    mistake: a matrix of channels has as many dimensions. If it leads to a refusal, such values are left whole.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> axis = follow(export_graph(nn.Conv1d(2, 4, 3, stride=2), (2, 32)), 0)
    >>> axis.length(0), axis.length(axis.graph.output), axis.passes
    (32, 15, 1)
    """
    try:
        return _followed(Axis(graph, index))
    except Refused as reason:
        try:
            return _followed(Axis(graph, index, spreads=False))
        except Refused as second:
            raise max(reason, second, key=lambda refused: refused.index) from None


def _followed(axis: Axis) -> Axis:
    """Fill in how every operator acts along the axis."""
    for op in axis.graph.ops:
        entry = along(op, axis)
        axis.along.append(entry)
        axis.levels.append(max((axis.levels[i] for i in op.inputs), default=0) + entry.barrier)
    return axis
