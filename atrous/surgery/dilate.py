"""Strides become dilation: a finer output grid from the same weights, equal to the original on the coarse grid.

What lost its stride is not itself dilated; everything after it is, by as much (Yu and Koltun, "Multi-scale context
aggregation by dilated convolutions", ICLR 2016; Long, Shelhamer and Darrell, CVPR 2015, section 3.1: shift-and-stitch).
The stride of every value is read off the exported graph; a value at stride s lands at stride gcd(s, output_stride), so
branches that met before meet again. Each operator that reads a finer grid is changed where the user's module stands.
"""

import math
from collections.abc import Sequence
from dataclasses import replace as replaced
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused, strides
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.lower import lower
from atrous.geometry.rules import follow
from atrous.surgery.certificate import (
    Change,
    Converted,
    certified,
    evaluating,
    example,
    first_channels,
    tensors,
)
from atrous.surgery.copies import copied, in_what, narrowed, widened
from atrous.surgery.edits import Rates, find_edits
from atrous.surgery.measure import Pairs, proven_error
from atrous.surgery.rewrite import rewrite


class _Summed(nn.Module):
    """All outputs of a network in one number each, so that one graph holds every path to every output."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([t.sum() for t in tensors(self.network(x))])


def dilate(network: nn.Module, output_stride: int, *, shape: Sequence[int] | None = None) -> Converted:
    """The network with no output coarser than `output_stride`, the same function on the coarse grid, borders included.

    Every output `new` of the result has the original's values at `new[..., ::r, ::r]`, where r is the original's
    stride over the new one. Weights and their names stay. Global pools average over the coarse grid only, so
    squeeze-and-excitation too stays the same function. An output that is finer already is not touched.

    Args:
        network: an encoder that returns one map or several, or any network whose grid goes down only.
        output_stride: input positions per output position of the result, per axis.
        shape: an input `(C, *S)` to export at and compare on, large enough for the network; 96 positions per axis and
            the channels of the first convolution when None. Other lengths are compared too, where the network runs
            on them, that leave a remainder at every stride within it.

    Raises:
        UserError: the network holds what cannot be dilated exactly (resizing after a stride, attention over positions,
            reflecting padding, normalization over positions): the message names the module.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
    >>> done = dilate(network, 1)
    >>> x = torch.randn(1, 3, 64, 64)
    >>> bool(torch.allclose(done.network(x)[..., ::4, ::4], network(x), atol=1e-5)), done.network(x).shape[2:]
    (True, torch.Size([64, 64]))
    >>> [change.what for change in done.certificate.changes]
    ['stride 2 -> 1', 'stride 2 -> 1, dilation 1 -> 2', 'dilation 1 -> 4']
    """
    if output_stride < 1:
        raise UserError(f"output_stride={output_stride}: give a whole number of input positions, at least 1")
    if shape is None:
        channels, ndim = first_channels(network)
        shape = (channels, *(96,) * ndim)
    shape, proved = tuple(shape), widened(network)
    graph = lower(_joined(proved, shape), fold=False)
    axes = [_followed(graph, g) for g in range(graph.ndim)]
    along = [strides(axis) for axis in axes]
    fine = [{value: _rate(stride, output_stride) for value, stride in each.items()} for each in along]
    result, changes, remarks = rewrite(copied(proved), graph, find_edits(graph, axes, fine))
    rates = _output_rates(graph, fine)
    tried = [[shape], [(shape[0], *(s + 2 * i + 1 for i, s in enumerate(shape[1:])))]]
    if changes:
        tried += other_sizes(shape, [sorted({int(s) for s in each.values() if s.denominator == 1}) for each in along])
    else:
        changes = [Change("", f"nothing: it is nowhere coarser than {output_stride}")]
    measured = _measured(proved, result, rates, tried)
    worst = max(measured, key=lambda size: measured[size])
    steps = ", ".join("x".join(map(str, r)) for r in dict.fromkeys(rates.values()))
    return certified(
        f"dilate to output stride {output_stride}",
        network,
        narrowed(result, network),
        max_error=measured[worst],
        where=f" on an input of {'x'.join(map(str, worst))}",
        compared=f"{len(rates)} outputs, borders included, with every {steps}-th position of the result's"
        + in_what(network),
        shapes=tuple(measured),
        changes=tuple(changes),
        remarks=tuple(remarks),
    )


def other_sizes(shape: tuple[int, ...], units: list[list[int]]) -> list[list[tuple[int, ...]]]:
    """Shapes whose lengths leave a remainder at each of the strides `units` of their axis, at all or at some of them.

    Windows that step by two see an even length or an odd one, and padding is where the two differ; a length can be even
    at one stride and odd at the next. Each is about the smaller of `shape` and 64, or else, where the network does not
    run on that, about `shape`.

    >>> other_sizes((3, 96, 96), [[1, 2, 4, 8], [1, 2, 4, 8]])
    [[(3, 71, 66), (3, 103, 98)], [(3, 69, 68), (3, 101, 100)]]
    """
    offsets = []
    for each in units:
        below = each[:-1]
        these = [each[-1] - 1, sum(below[1::2]), sum(below[::2]), sum(below[-1:])]
        offsets.append([t for t in dict.fromkeys(these) if t] or [0])
    ndim, most = len(units), max(map(len, offsets))
    found = []
    for first in range(0, most, ndim):
        more = [offsets[g][(first + g) % len(offsets[g])] for g in range(ndim)]
        near = []
        for limit in (64, max(shape[1:])):
            whole = [u[-1] * max(1, min(s, limit) // u[-1]) for s, u in zip(shape[1:], units, strict=True)]
            near.append((shape[0], *(length + t for length, t in zip(whole, more, strict=True))))
        found.append(list(dict.fromkeys(near)))
    return found


def _measured(
    network: nn.Module, result: nn.Module, rates: dict[int, tuple[int, ...]], tried: list[list[tuple[int, ...]]]
) -> dict[tuple[int, ...], float]:
    """The error on the first shape of each list on which the network runs."""
    found: dict[tuple[int, ...], float] = {}
    for shapes in tried:
        shape = next((shape for shape in shapes if shape == tried[0][0] or _runs(network, shape)), None)
        if shape is not None and shape not in found:
            found[shape] = proven_error(network, result, partial(compare, rates=rates, shape=shape))
    return found


def _runs(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the network itself runs on this shape: its own forward pass may allow some sizes only."""
    try:
        with evaluating(network):
            network(example(network, shape, 1))
    except Exception:  # the user's forward pass may raise anything
        return False
    return True


def compare(network: nn.Module, result: nn.Module, rates: dict[int, tuple[int, ...]], shape: tuple[int, ...]) -> Pairs:
    """Outputs of `result` on the coarse grid, and those of the network; `rates` per output and axis."""
    x = example(network, shape, 1)
    with evaluating(network, result):
        wanted = tensors(network(x.clone()))  # it may write into its input
        try:
            found = tensors(result(x.clone()))
        except (RuntimeError, AssertionError) as error:  # sizes and arguments that a forward pass takes for granted
            raise UserError(
                f"{type(network).__name__}: does not run on the finer grid ({str(error).splitlines()[0]}): part of "
                "its forward pass is for one size only"
            ) from error
    if len(wanted) != len(found):
        raise UserError(f"{type(network).__name__}: returns {len(wanted)} tensors, and {len(found)} on the finer grid")
    coarse = [(..., *(slice(None, None, r) for r in rates[i])) for i in range(len(wanted))]
    return [(b[at] if a.dim() > 2 else b, a) for a, b, at in zip(wanted, found, coarse, strict=True)]


def _joined(network: nn.Module, shape: tuple[int, ...]) -> Graph:
    try:
        graph = export_graph(_Summed(network), shape)
    except UserError as error:
        raise UserError(str(error).replace("_Summed", type(network).__name__, 1)) from error
    ops = tuple(replaced(op, module=op.module.removeprefix("network").removeprefix(".")) for op in graph.ops)
    return replaced(graph, ops=ops, network=type(network).__name__)


def _followed(graph: Graph, index: int) -> Axis:
    try:
        return follow(graph, index)
    except Refused as reason:
        raise UserError(f"{graph.network} cannot be dilated: {reason}") from reason


def _rate(stride: Fraction | None, target: int) -> int | None:
    """Fine positions per coarse one for a value at this stride; None for a value that has no grid of its own."""
    if stride is None:
        return None
    return stride.numerator // math.gcd(stride.numerator, target) if stride.denominator == 1 else 1


def _output_rates(graph: Graph, rates: list[Rates]) -> dict[int, tuple[int, ...]]:
    sums = [graph.ops[i].inputs[0] for i in graph.ops[graph.output].inputs]
    return {i: tuple(r.get(value) or 1 for r in rates) for i, value in enumerate(sums)}
