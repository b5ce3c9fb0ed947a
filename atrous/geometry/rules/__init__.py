"""One rule per ATen operator: how it acts along one axis. What has no rule is refused."""

import torch

from atrous.geometry.axis import Along, Axis, Refused, aligned
from atrous.geometry.graph import Graph, Op
from atrous.geometry.rules import rearrange, reduce, refusals, resize, rows, sliding

RULES = {**refusals.RULES, **sliding.RULES, **resize.RULES, **rearrange.RULES, **rows.RULES, **reduce.RULES}
# a whole value becomes rows again here, a few at a time
GENERATORS = set(resize.RULES) | {"expand", "repeat"}


def along(op: Op, axis: Axis) -> Along:
    """How `op` acts along `axis`, whose entries for the operators before it are filled in. Raises `Refused`."""
    if op.kind == "input":
        return Along(2 + axis.index)
    refusals.check_repeatable(op)
    if not any(axis.streamed(i) for i in op.inputs):
        return RULES[op.kind](op, axis) if op.inputs and op.kind in GENERATORS else Along(None)
    rule = RULES.get(op.kind)
    if rule is not None:
        return rule(op, axis)
    if _pointwise(op):
        return aligned(op, axis)
    raise Refused(op, "streaming has no rule for this operator, so which rows it reads is not known")


def _pointwise(op: Op) -> bool:
    """Whether ATen marks the operator as pointwise, under this or another overload of its name."""
    if not isinstance(op.target, torch._ops.OpOverload):
        return False
    packet = op.target.overloadpacket
    overloads = [op.target, *(getattr(packet, name) for name in packet.overloads())]
    return any(torch.Tag.pointwise in overload.tags for overload in overloads)


def follow(graph: Graph, index: int) -> Axis:
    """Walk axis `index` (0 is the first spatial axis) through a lowered graph. Raises `Refused`.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> axis = follow(export_graph(nn.Conv1d(2, 4, 3, stride=2), (2, 32)), 0)
    >>> axis.length(0), axis.length(axis.graph.output), axis.passes
    (32, 15, 1)
    """
    axis = Axis(graph, index)
    for op in graph.ops:
        entry = along(op, axis)
        axis.along.append(entry)
        axis.levels.append(max((axis.levels[i] for i in op.inputs), default=0) + entry.barrier)
    return axis
