"""A network's grid, derived from its graph: strides, periods, and which outputs do not depend on padding."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import nn

from atrous._nd import CONV
from atrous.analysis.probe import Output, shared_copy
from atrous.errors import UserError
from atrous.geometry.axis import Axis, period, strides
from atrous.geometry.exportable import require_network
from atrous.geometry.field import value_spans
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.layout import followed
from atrous.geometry.lower import CONVOLUTIONS, TRANSPOSED, lower

_FAR = (4096, 65536)  # positions added to an input so that its middle is far from the border; only shapes are computed
_NARROW = 128  # width of a strip along the axes that are not measured, in positions


@dataclass(frozen=True)
class GridAxis:
    """One spatial axis of a network at one input shape.

    Attributes:
        index: number of the axis, counted from 0.
        inputs: input positions along the axis.
        outputs: output positions along the axis.
        stride: input positions per output position.
        period: smallest shift of the input that moves every value inside the network by a whole number of positions.
        spans: `spans[r]` is the input interval `[lo, hi)` that output r depends on, as if the input went on beyond its
            ends. The interval of output `r + k * len(spans)` is the same, shifted by `k * period`.
        interior: interval `[lo, hi)` of the outputs that do not depend on padding of any layer.
    """

    index: int
    inputs: int
    outputs: int
    stride: Fraction
    period: int
    spans: tuple[tuple[int, int], ...]
    interior: tuple[int, int]

    def span(self, position: int) -> tuple[int, int]:
        """Return the input interval `[lo, hi)` that one output depends on; it may reach beyond the input."""
        periods, r = divmod(position, len(self.spans))
        lo, hi = self.spans[r]
        return lo + periods * self.period, hi + periods * self.period

    @property
    def receptive_field(self) -> int:
        """Largest number of input positions that one output depends on."""
        return max(hi - lo for lo, hi in self.spans)

    @property
    def overhang(self) -> tuple[int, int]:
        """How far the outputs reach beyond the input: positions before its first and after its last one."""
        spans = [self.span(o) for o in range(self.outputs)]
        return max(0, -min(lo for lo, _ in spans)), max(0, max(hi for _, hi in spans) - self.inputs)


@dataclass(frozen=True)
class Grid:
    """The spatial axes of a network at one input shape.

    Attributes:
        shape: `(C, *S)` of the input.
        output_shape: `(K, *S')` of the output.
        axes: one entry per spatial axis.
        barriers: names of the modules that need the whole input before they can go on, such as global pooling.
        numbers: how many values all convolutions together compute for one input.
        widest: how many values the convolution with the largest output computes.
    """

    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    axes: tuple[GridAxis, ...]
    barriers: tuple[str, ...]
    numbers: int
    widest: int

    def strip(self, index: int) -> tuple[int, ...]:
        """Return a shape that is `roomy` along axis `index` and narrow along the others, so that it is cheap to run."""
        sizes = [
            room if axis.index == index else min(room, math.ceil(_NARROW / axis.period) * axis.period)
            for axis, room in zip(self.axes, self.roomy[1:], strict=True)
        ]
        return (self.shape[0], *sizes)

    def require_interior(self, *axes: int) -> None:
        """Raise UserError unless each of these axes (all by default) has an output that does not depend on padding."""
        if self.barriers:
            raise UserError(f"{self.barriers[0]} needs the whole input, so every output depends on the borders")
        for axis in [a for a in self.axes if a.index in axes or not axes]:
            if axis.interior[1] <= axis.interior[0]:
                raise UserError(
                    f"shape {_times(self.shape)}: every output along axis {axis.index} depends on padding, since the "
                    f"receptive field has {axis.receptive_field} positions: give at least {_times(self.roomy)}"
                )

    @property
    def roomy(self) -> tuple[int, ...]:
        """A shape with outputs that do not depend on padding: per axis the receptive field plus five periods."""
        sizes = [math.ceil(a.receptive_field / a.period + 5) * a.period for a in self.axes]
        return (self.shape[0], *sizes)


def grid_of(network: nn.Module, shape: tuple[int, ...], *, output: Output = None) -> Grid:
    """Return the grid of a network for inputs of shape `(C, *S)`.

    The network is exported twice: at `shape`, and at a shape so large that outputs in its middle do not depend on the
    border. The large one gives strides and spans. Both together give the interior. Nothing is computed but shapes.
    Convolutions that do not pad with zeros are treated as if they did.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)`.
        output: which tensor to use if the network returns several.

    Raises:
        UserError: the network cannot be exported at this shape, or it has no output positions along an axis.

    >>> grid = grid_of(nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.MaxPool1d(2), nn.Conv1d(1, 1, 3)), (1, 32))
    >>> axis = grid.axes[0]
    >>> axis.stride, axis.period, axis.receptive_field, axis.outputs, axis.interior, axis.overhang
    (Fraction(2, 1), 2, 8, 14, (1, 13), (1, 1))
    """
    require_network(network)
    plain = zero_padded(network)
    axes = _followed(lower(export_graph(plain, shape, output=output)))
    graph = axes[0].graph
    far = _far_graph(plain, shape, [period(axis) for axis in axes], output)
    if [op.kind for op in far[0].graph.ops] != [op.kind for op in graph.ops]:
        raise UserError(
            f"{graph.network}: runs different operators at a shape larger than {_times(shape)}: try another shape"
        )
    grid_axes = tuple(_grid_axis(axis, distant) for axis, distant in zip(axes, far, strict=True))
    barriers = dict.fromkeys(op.module for axis in axes for op in axis.barriers)
    sizes = [op.numel for op in graph.ops if op.kind in CONVOLUTIONS | TRANSPOSED]
    output_shape = graph.ops[graph.output].shape[1:]
    return Grid(tuple(shape), output_shape, grid_axes, tuple(barriers), sum(sizes), max(sizes, default=0))


def zero_padded(network: nn.Module) -> nn.Module:
    """Return a copy whose convolutions pad with zeros and which shares all tensors; the network itself if all do so."""
    return network if padding_modes(network) <= {"zeros"} else padded_with(network, "zeros")


def padded_with(network: nn.Module, mode: str) -> nn.Module:
    """Return a copy that shares all tensors and whose convolutions pad by zeros, reflect, replicate or circular."""
    copied = shared_copy(network)
    for module in copied.modules():
        if isinstance(module, tuple(CONV.values())):
            module.padding_mode = mode  # pyright: ignore
    return copied


def padding_modes(network: nn.Module) -> set[str]:
    """Return the padding modes of those convolutions of the network that pad."""
    modules: list[Any] = [m for m in network.modules() if isinstance(m, tuple(CONV.values()))]
    return {m.padding_mode for m in modules if any(m._reversed_padding_repeated_twice)}


def _followed(graph: Graph) -> list[Axis]:
    """Follow every spatial axis through the graph; raise UserError if one does not reach the output."""
    _, axes, refused = followed(graph)
    if refused:
        raise refused[min(refused)]
    return [axes[index] for index in range(graph.ndim)]


def _far_graph(network: nn.Module, shape: tuple[int, ...], periods: list[int], output: Output) -> list[Axis]:
    """Export the network with an input so large that its middle does not depend on the border."""
    for far in _FAR:
        sizes = [size + math.ceil(far / step) * step for size, step in zip(shape[1:], periods, strict=True)]
        axes = _followed(lower(export_graph(network, (shape[0], *sizes), output=output)))
        if all(_far_enough(axis) for axis in axes):
            return axes
    raise UserError(
        f"{type(network).__name__}: one output depends on more than {_FAR[-1]} positions, or on the whole input"
    )


def _far_enough(axis: Axis) -> bool:
    """Whether the middle output depends only on positions within the input and within every value of the graph."""
    spans = value_spans(axis, axis.length(axis.graph.output) // 2)
    return axis.graph.output in strides(axis) and all(
        lo > 0 and hi < axis.length(value) for value, (lo, hi) in spans.items()
    )


def _grid_axis(axis: Axis, far: Axis) -> GridAxis:
    """Describe one axis, given the same axis of the large input, `far`.

    The network repeats itself: outputs `o` and `o + repeat` depend on intervals that are one period apart, in the input
    and in every value inside the network. So the spans of `repeat` outputs in the middle of `far` are enough. Output
    `k * repeat + r` is free of padding if, for every value of the graph, the span of output r shifted by k periods lies
    within that value. `first` and `last` hold the smallest and the largest such output for each r.
    """
    graph, steps = axis.graph, strides(far)
    input_period = period(far)
    stride = steps[far.graph.output]
    repeat = max(1, int(input_period / stride))  # outputs per period
    middle = far.length(far.graph.output) // 2 // repeat  # the period in the middle of `far`
    fields, first, last = [], [], []
    for r in range(repeat):
        spans = value_spans(far, middle * repeat + r)
        lo, hi = spans[0]
        fields.append((lo - middle * input_period, hi - middle * input_period))
        low, high = -(10**9), 10**9  # the range of k
        for value, (lo, hi) in spans.items():
            step = int(input_period / steps[value])  # positions of this value per period
            low = max(low, math.ceil((middle * step - lo) / step))
            high = min(high, (axis.length(value) + middle * step - hi) // step)
        first.append(low * repeat + r)
        last.append(high * repeat + r)
    outputs = axis.length(graph.output)
    interior = (max(0, max(first) - repeat + 1), min(outputs, min(last) + repeat))
    return GridAxis(axis.index, axis.length(0), outputs, stride, input_period, tuple(fields), interior)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
