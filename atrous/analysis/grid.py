"""What geometry knows of a network's grid: strides, periods, and which outputs no border touches."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import nn

from atrous._nd import CONV
from atrous.analysis.probe import Output, shared_copy
from atrous.errors import UserError
from atrous.geometry.axis import Axis, period, strides
from atrous.geometry.field import value_spans
from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.lower import CONVOLUTIONS, TRANSPOSED, lower
from atrous.geometry.plan import follow_axes

_FAR = (4096, 65536)  # positions added to see outputs that no border is near; nothing of that size is computed
_NARROW = 128  # positions of a strip along the axes that are not looked at


@dataclass(frozen=True)
class GridAxis:
    """One spatial axis of a network.

    `stride` is input positions per output position. A shift of the input by `period` positions moves every value
    inside the network by whole positions. `spans[r]` is the input interval `[lo, hi)` that output `r` depends on,
    padding included, as if the input had no ends; those of output `r + k * len(spans)` lie `k * period` further on.
    `interior` is the interval of outputs that touch no padding, at any depth.
    """

    index: int
    inputs: int
    outputs: int
    stride: Fraction
    period: int
    spans: tuple[tuple[int, int], ...]
    interior: tuple[int, int]

    def span(self, o: int) -> tuple[int, int]:
        """The input interval `[lo, hi)` of output `o`, padding included."""
        turns, r = divmod(o, len(self.spans))
        lo, hi = self.spans[r]
        return lo + turns * self.period, hi + turns * self.period

    @property
    def receptive_field(self) -> int:
        """Input positions that one output depends on, at most."""
        return max(hi - lo for lo, hi in self.spans)

    @property
    def overhang(self) -> tuple[int, int]:
        """How many positions outside the input, before and after it, its outputs would need."""
        spans = [self.span(o) for o in range(self.outputs)]
        return max(0, -min(lo for lo, _ in spans)), max(0, max(hi for _, hi in spans) - self.inputs)


@dataclass(frozen=True)
class Grid:
    """The axes of one network at one input shape `(C, *S)`, and its barriers by module name.

    `numbers` is how many its convolutions make of one input, together, and `widest` how many the one that makes most.
    """

    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    axes: tuple[GridAxis, ...]
    barriers: tuple[str, ...]
    numbers: int
    widest: int

    def strip(self, index: int) -> tuple[int, ...]:
        """A shape with room along axis `index`, and along the others only enough for some outputs: cheap to run."""
        sizes = [
            room if axis.index == index else min(room, math.ceil(_NARROW / axis.period) * axis.period)
            for axis, room in zip(self.axes, self.roomy[1:], strict=True)
        ]
        return (self.shape[0], *sizes)

    def require_interior(self, *axes: int) -> None:
        """Raise a `UserError` unless some output of every axis (or of these) is free of padding."""
        if self.barriers:
            raise UserError(f"{self.barriers[0]} needs the whole input, so no output is free of its borders")
        for axis in [a for a in self.axes if a.index in axes or not axes]:
            if axis.interior[1] <= axis.interior[0]:
                raise UserError(
                    f"shape {_times(self.shape)}: no output along axis {axis.index} is free of padding, since one "
                    f"depends on {axis.receptive_field} positions: give at least {_times(self.roomy)}"
                )

    @property
    def roomy(self) -> tuple[int, ...]:
        """A shape that has outputs free of padding along every axis: a receptive field and five periods."""
        sizes = [math.ceil(a.receptive_field / a.period + 5) * a.period for a in self.axes]
        return (self.shape[0], *sizes)


def grid_of(network: nn.Module, shape: tuple[int, ...], *, output: Output = None) -> Grid:
    """The grid of `network` for inputs `(C, *S)`. Convolutions that pad otherwise than with zeros count as if they did.

    Raises:
        UserError: the network cannot be exported at this shape, or an axis cannot be followed to the output.

    >>> grid = grid_of(nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.MaxPool1d(2), nn.Conv1d(1, 1, 3)), (1, 32))
    >>> axis = grid.axes[0]
    >>> axis.stride, axis.period, axis.receptive_field, axis.outputs, axis.interior, axis.overhang
    (Fraction(2, 1), 2, 8, 14, (1, 13), (1, 1))
    """
    plain = zero_padded(network)
    here = lower(export_graph(plain, shape, output=output))
    axes = _followed(here)
    far = _far_graph(plain, shape, [period(axis) for axis in axes], output)
    if [op.kind for op in far[0].graph.ops] != [op.kind for op in here.ops]:
        raise UserError(f"{here.network}: runs other operators on other sizes than {_times(shape)}: try another shape")
    found = tuple(_grid_axis(axis, distant) for axis, distant in zip(axes, far, strict=True))
    barriers = dict.fromkeys(op.module for axis in axes for op in axis.barriers)
    sizes = [op.numel for op in here.ops if op.kind in CONVOLUTIONS | TRANSPOSED]
    output_shape = here.ops[here.output].shape[1:]
    return Grid(tuple(shape), output_shape, found, tuple(barriers), sum(sizes), max(sizes, default=0))


def zero_padded(network: nn.Module) -> nn.Module:
    """A copy, its tensors shared, whose convolutions pad with zeros; the network itself where they all do already."""
    return network if padding_modes(network) <= {"zeros"} else padded_with(network, "zeros")


def padded_with(network: nn.Module, mode: str) -> nn.Module:
    """A copy, its tensors shared, whose convolutions pad by `mode`: zeros, reflect, replicate or circular."""
    copied = shared_copy(network)
    for module in copied.modules():
        if isinstance(module, tuple(CONV.values())):
            module.padding_mode = mode  # pyright: ignore
    return copied


def padding_modes(network: nn.Module) -> set[str]:
    """How the network's convolutions pad, those that do."""
    modules: list[Any] = [m for m in network.modules() if isinstance(m, tuple(CONV.values()))]
    return {m.padding_mode for m in modules if any(m._reversed_padding_repeated_twice)}


def _followed(graph: Graph) -> list[Axis]:
    axes, refused = follow_axes(graph)
    for index in range(graph.ndim):
        if index in refused:
            raise refused[index]
        if not axes[index].streamed(graph.output):
            raise UserError(
                f"{graph.network}: its output has no positions along axis {index}, so it is no fully convolutional "
                "network: leave out its head, or convolutionalize it"
            )
    return [axes[index] for index in range(graph.ndim)]


def _far_graph(network: nn.Module, shape: tuple[int, ...], periods: list[int], output: Output) -> list[Axis]:
    """The same network on an input so long that its middle is free of borders."""
    for far in _FAR:
        sizes = [size + math.ceil(far / step) * step for size, step in zip(shape[1:], periods, strict=True)]
        axes = _followed(lower(export_graph(network, (shape[0], *sizes), output=output)))
        if all(_free(axis) for axis in axes):
            return axes
    raise UserError(
        f"{type(network).__name__}: one output depends on more than {_FAR[-1]} positions, or on all of them"
    )


def _free(axis: Axis) -> bool:
    spans = value_spans(axis, axis.length(axis.graph.output) // 2)
    return axis.graph.output in strides(axis) and all(
        lo > 0 and hi < axis.length(value) for value, (lo, hi) in spans.items()
    )


def _grid_axis(axis: Axis, far: Axis) -> GridAxis:
    graph, steps = axis.graph, strides(far)
    repeat_input = period(far)
    stride = steps[far.graph.output]
    repeat = max(1, int(repeat_input / stride))
    turns = far.length(far.graph.output) // 2 // repeat
    fields, first, last = [], [], []
    for r in range(repeat):
        spans = value_spans(far, turns * repeat + r)
        lo, hi = spans[0]
        fields.append((lo - turns * repeat_input, hi - turns * repeat_input))
        low, high = -(10**9), 10**9  # whole turns at which every value read lies inside
        for value, (lo, hi) in spans.items():
            step = int(repeat_input / steps[value])
            low = max(low, math.ceil((turns * step - lo) / step))
            high = min(high, (axis.length(value) + turns * step - hi) // step)
        first.append(low * repeat + r)
        last.append(high * repeat + r)
    outputs = axis.length(graph.output)
    interior = (max(0, max(first) - repeat + 1), min(outputs, min(last) + repeat))
    return GridAxis(axis.index, axis.length(0), outputs, stride, repeat_input, tuple(fields), interior)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
