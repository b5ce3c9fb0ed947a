"""Strides become dilation: a finer output grid from the same weights, equal to the original on the coarse grid.

The layer that lost its stride is not itself dilated; everything after it is, by as much (Yu and Koltun, "Multi-scale
context aggregation by dilated convolutions", ICLR 2016; Long, Shelhamer and Darrell, CVPR 2015, section 3.1, where the
same values come from shift-and-stitch).

The steps:

1. Export the network, and read the stride of every value off the graph: input positions per position of the value.
2. A value at stride `s` moves to stride `gcd(s, output_stride)`. Its rate is the quotient: fine positions per coarse
   position. The rate depends on the stride alone, so branches that met before meet again.
3. Find the operators that these rates change (`edits.find_edits`).
4. An operator may have no form on a finer grid by itself, such as attention over positions. If a module around it maps
   a grid to a grid of the same size, that module becomes one operator, which runs on each phase of the finer grid
   (`collapse.collapsed`). Then steps 1 to 3 are taken again.
5. Change the operators where the user's modules run them (`rewrite.rewrite`).
6. Compare the outputs on the coarse grid, at several input sizes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Refused, strides
from atrous.geometry.exportable import require_computable
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.lower import lower
from atrous.geometry.rules import follow
from atrous.surgery.certificate import (
    Change,
    Converted,
    Pairs,
    certified,
    evaluating,
    example,
    first_channels,
    proven_error,
    tensors,
)
from atrous.surgery.collapse import collapsed
from atrous.surgery.copies import copied, narrowed, type_remark, widened
from atrous.surgery.edits import INSTEAD, Edit, NotFiner, Rates, find_edits
from atrous.surgery.rewrite import rewrite

NEAR = 64
"""Other sizes than the given one are tried at about this length, where the network runs on that."""


class _Summed(nn.Module):
    """A network whose outputs are summed to one number each, so that one graph holds every path to every output."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([t.sum() for t in tensors(self.network(x))])


def dilate(network: nn.Module, output_stride: int, *, shape: Sequence[int] | None = None) -> Converted:
    """Return the network with no output coarser than `output_stride`, and the same function on the coarse grid.

    Every output `new` of the result has the original's values at `new[..., ::r, ::r]`, borders included, where `r` is
    the original's stride divided by the new one. Weights and their names stay. Global pools average over the coarse
    grid only, so squeeze-and-excitation stays the same function too. A module with attention or a norm over positions
    that keeps the size of its map runs on each phase of the finer grid by itself. An output that is fine enough is not
    touched.

    Args:
        network: an encoder that returns one map or several, or any network that never resizes a map to a finer grid.
        output_stride: input positions per output position of the result, per axis.
        shape: an input `(C, *S)` to export at and compare on, large enough for the network. When None: 96 positions
            per axis, and the channels of the first convolution. Other lengths, which leave a remainder at every stride
            within the network, are compared too, where the network runs on them.

    Raises:
        UserError: the network holds an operator that has no exact form on a finer grid (resizing after a stride, a
            reflecting padding and a stride in one module); the message names its module.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
    >>> converted = dilate(network, 1)
    >>> x = torch.randn(1, 3, 64, 64)
    >>> fine, coarse = converted.network(x), network(x)
    >>> fine.shape[2:], bool(torch.allclose(fine[..., ::4, ::4], coarse, atol=1e-5))
    (torch.Size([64, 64]), True)
    >>> [change.what for change in converted.certificate.changes]
    ['stride 2 -> 1', 'stride 2 -> 1, dilation 1 -> 2', 'dilation 1 -> 4']
    """
    if output_stride < 1:
        raise UserError(f"output_stride={output_stride}: give a whole number of input positions, at least 1")
    require_computable(network)
    if shape is None:
        channels, ndim = first_channels(network)
        shape = (channels, *(96,) * ndim)
    shape, original = tuple(shape), widened(network)
    plan = plan_dilation(original, shape, output_stride)
    result, changes, remarks = rewrite(copied(original), plan.graph, plan.edits)
    # Each entry lists sizes of which the first that the network runs on is compared.
    sizes = [[shape], [(shape[0], *(s + 2 * i + 1 for i, s in enumerate(shape[1:])))]]
    if changes:
        sizes += other_sizes(shape, plan.strides)
    else:
        changes = [Change("", f"nothing: it is nowhere coarser than {output_stride}")]
    errors = _errors(original, result, plan.output_rates, sizes)
    worst = max(errors, key=lambda size: errors[size])
    steps = ", ".join("x".join(map(str, r)) for r in dict.fromkeys(plan.output_rates.values()))
    return certified(
        f"dilate to output stride {output_stride}",
        network,
        narrowed(result, network),
        max_error=errors[worst],
        where=f" on an input of {'x'.join(map(str, worst))}",
        compared=f"{len(plan.output_rates)} outputs, borders included, with every {steps}-th position of the result's"
        + type_remark(network),
        shapes=tuple(errors),
        changes=tuple(changes),
        remarks=tuple(remarks),
    )


@dataclass(frozen=True)
class DilationPlan:
    """What must change in a network for a finer output grid.

    Attributes:
        graph: the network with all its outputs, exported at one shape.
        strides: the whole-number strides of its values per axis, in ascending order.
        edits: what must change, in graph order.
        output_rates: for each output the fine positions per coarse position, per axis.
    """

    graph: Graph
    strides: list[list[int]]
    edits: list[Edit]
    output_rates: dict[int, tuple[int, ...]]


def plan_dilation(network: nn.Module, shape: tuple[int, ...], output_stride: int) -> DilationPlan:
    """Find out what must change so that no output is coarser than `output_stride`, at inputs of `shape (C, *S)`.

    Raises:
        UserError: an operator has no exact form on a finer grid.
    """
    graph = lower(_joint_graph(network, shape), fold=False)
    reasons: list[Refused | NotFiner] = []
    while True:
        try:
            plan = _planned(graph, output_stride)
        except (Refused, NotFiner) as reason:
            reasons.append(reason)
            smaller = collapsed(graph, reason.index, network)
            if smaller is None:
                raise _said(graph, reasons[0]) from reason
            graph = smaller
            continue
        for reason in reasons:
            if isinstance(reason, NotFiner) and not _helped(plan, reason):
                raise reason
        return plan


def _helped(plan: DilationPlan, reason: NotFiner) -> bool:
    """Whether the module that became one operator for this reason runs on phases.

    If not, its map is fine enough, but a stride within the module stays: the user wanted that to be dilated.
    """
    on_phases = [edit.op.module for edit in plan.edits if edit.phases]
    return any(reason.module == path or reason.module.startswith(f"{path}.") for path in on_phases)


def _planned(graph: Graph, output_stride: int) -> DilationPlan:
    """Return what must change in a graph; raise `Refused` or `NotFiner` for an operator without an exact form."""
    axes = [follow(graph, g) for g in range(graph.ndim)]
    strides_of_values = [strides(axis) for axis in axes]
    rates = [{value: _rate(s, output_stride) for value, s in each.items()} for each in strides_of_values]
    return DilationPlan(
        graph,
        [sorted({int(s) for s in each.values() if s.denominator == 1}) for each in strides_of_values],
        find_edits(graph, axes, rates),
        _output_rates(graph, rates),
    )


def _said(graph: Graph, reason: Refused | NotFiner) -> UserError:
    """Return the error for the user about an operator that no module around it helps."""
    if isinstance(reason, NotFiner):
        return reason
    return UserError(f"{graph.network} cannot be dilated: {reason}; {INSTEAD}")


def other_sizes(shape: tuple[int, ...], units: list[list[int]]) -> list[list[tuple[int, ...]]]:
    """Return input shapes whose lengths leave a remainder at the strides of the network, at all of them or at some.

    A window that steps by two sees an even length or an odd one, and its padding differs between the two. A length can
    be even at one stride and odd at the next, so four remainders are tried per axis: odd at every stride, at every
    second one, at the others, and at the coarsest but one only.

    Args:
        shape: `(C, *S)`.
        units: the strides in the network per axis, in ascending order; each divides the next as a rule.

    Returns:
        Lists of shapes to try in order. The first shape of each is about the smaller of `S` and 64; the second, for
        networks that do not run on that, is about the largest of `S`.

    >>> other_sizes((3, 96, 96), [[1, 2, 4, 8], [1, 2, 4, 8]])
    [[(3, 71, 66), (3, 103, 98)], [(3, 69, 68), (3, 101, 100)]]
    """
    remainders = []  # per axis
    for strides_of_axis in units:
        finer = strides_of_axis[:-1]
        candidates = [strides_of_axis[-1] - 1, sum(finer[1::2]), sum(finer[::2]), sum(finer[-1:])]
        remainders.append([r for r in dict.fromkeys(candidates) if r] or [0])
    ndim, most = len(units), max(map(len, remainders))
    options = []
    for first in range(0, most, ndim):
        # Each axis takes another remainder, so that one shape tries several.
        chosen = [remainders[g][(first + g) % len(remainders[g])] for g in range(ndim)]
        shapes = []
        for limit in (NEAR, max(shape[1:])):
            # The longest multiple of the coarsest stride within the limit, plus the remainder.
            multiples = [u[-1] * max(1, min(s, limit) // u[-1]) for s, u in zip(shape[1:], units, strict=True)]
            shapes.append((shape[0], *(length + r for length, r in zip(multiples, chosen, strict=True))))
        options.append(list(dict.fromkeys(shapes)))
    return options


def _errors(
    network: nn.Module, result: nn.Module, rates: dict[int, tuple[int, ...]], sizes: list[list[tuple[int, ...]]]
) -> dict[tuple[int, ...], float]:
    """Return the error on the first shape of each list that the network runs on; it must run on the very first one."""
    errors: dict[tuple[int, ...], float] = {}
    for shapes in sizes:
        shape = next((shape for shape in shapes if shape == sizes[0][0] or _runs(network, shape)), None)
        if shape is not None and shape not in errors:
            errors[shape] = proven_error(network, result, partial(output_pairs, rates=rates, shape=shape))
    return errors


def _runs(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the original network runs on inputs `(C, *S)` of this shape; it may allow some sizes only."""
    try:
        with evaluating(network):
            network(example(network, shape, 1))
    except Exception:  # the user's forward pass may raise anything
        return False
    return True


def output_pairs(
    network: nn.Module, result: nn.Module, rates: dict[int, tuple[int, ...]], shape: tuple[int, ...]
) -> Pairs:
    """Return each output of `result` on the coarse grid, with the network's, for an input of `shape (C, *S)`.

    `rates` holds for each output the fine positions per coarse position, per axis.
    """
    x = example(network, shape, 1)
    with evaluating(network, result):
        wanted = tensors(network(x.clone()))  # the forward pass may write into its input
        try:
            outputs = tensors(result(x.clone()))
        except (RuntimeError, AssertionError) as error:  # sizes and arguments that a forward pass takes for granted
            raise UserError(
                f"{type(network).__name__}: does not run on the finer grid ({str(error).splitlines()[0]}): part of "
                "its forward pass is for one size only"
            ) from error
    if len(wanted) != len(outputs):
        raise UserError(
            f"{type(network).__name__}: returns {len(wanted)} tensors, and {len(outputs)} on the finer grid"
        )
    coarse = [(..., *(slice(None, None, r) for r in rates[i])) for i in range(len(wanted))]
    return [
        (output[index] if value.dim() > 2 else output, value)
        for value, output, index in zip(wanted, outputs, coarse, strict=True)
    ]


def _joint_graph(network: nn.Module, shape: tuple[int, ...]) -> Graph:
    """Export the network with all its outputs at `shape (C, *S)`, under the network's own names of modules."""
    try:
        graph = export_graph(_Summed(network), shape)
    except UserError as error:
        raise UserError(str(error).replace("_Summed", type(network).__name__, 1)) from error
    ops = tuple(replaced(op, module=op.module.removeprefix("network").removeprefix(".")) for op in graph.ops)
    return replaced(graph, ops=ops, network=type(network).__name__)


def _rate(stride: Fraction | None, target: int) -> int | None:
    """Return fine positions per coarse position of a value at this stride; None for a value that has no grid.

    A value at stride s moves to stride gcd(s, target), so its rate is s / gcd(s, target). A fractional stride, after a
    resize, stays.
    """
    if stride is None:
        return None
    return stride.numerator // math.gcd(stride.numerator, target) if stride.denominator == 1 else 1


def _output_rates(graph: Graph, rates: list[Rates]) -> dict[int, tuple[int, ...]]:
    """Return the rates per axis of each output of the network: the inputs of the sums that join them."""
    sums = [graph.ops[i].inputs[0] for i in graph.ops[graph.output].inputs]
    return {i: tuple(r.get(value) or 1 for r in rates) for i, value in enumerate(sums)}
