"""The frequency response of a whole linear network, measured by impulses in float64."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous._nd import per_axis
from atrous.analysis.grid import Grid, GridAxis, grid_of
from atrous.analysis.linear import ROUNDING, double_copy, operators
from atrous.analysis.probe import Output, forward, require_memory
from atrous.analysis.spectrum import wave
from atrous.errors import UserError

SIZES = {1: 256, 2: 64, 3: 16}
"""Frequencies per axis by default, by number of axes."""

_MOST_IMPULSES = 4096
_MOST_VALUES = 2**34  # that all convolutions together compute for all impulses
_UNSMOOTH = 1e-3  # a derivative that differs from small differences by more than this share is none
_STEP = 1e-6  # of those differences
_BATCH = 2**25  # values that all convolutions together compute for one batch of impulses, at most
_STORED = 2**24  # complex numbers of a response whose number of frequencies was not given


@dataclass(frozen=True)
class NetworkResponse:
    """The frequency response of a linear network.

    The wave `x[n] = a exp(2 pi i f n)`, a one number per input channel, gives the output

        y[o] = sum_q exp(2 pi i (f stride + q / Q) o) H_q(f) a,   Q = period / stride,

    along each axis. H_0 is the response at the frequency of the input. The others are **images**: waves of other
    frequencies, which exist if the outputs of one period are computed differently (Q > 1).

    Attributes:
        network: name of the network's class.
        stride: input positions per output position, per axis.
        period: shift of the input, per axis, that moves the output by whole positions and does not change it.
        frequencies: per axis, `(F,)` in cycles per input position, in the order of `torch.fft`: -1/2 to 1/2.
        values: complex `(*Q, K, C, *F)`: the image q along each axis, output and input channel, frequency.
        linear_error: how far the output of a mixture is from the mixture of outputs, relative to the largest output; of
            a linearized network how far derivatives are from small differences.
        shift_error: how far the output of a shifted input is from the shifted output, for shifts by the period.
    """

    network: str
    stride: tuple[float, ...]
    period: tuple[int, ...]
    frequencies: tuple[np.ndarray, ...]
    values: np.ndarray
    linear_error: float
    shift_error: float

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.period)

    @property
    def gain(self) -> np.ndarray:
        """Square root of output power at the input's frequency divided by input power, `(*F)`: `|H_0|` if K = C = 1.

        Input channels have independent phases: `sqrt(sum_kc |H_0[k, c]|^2 / C)`.
        """
        return np.sqrt(self._power[0])

    @property
    def images(self) -> np.ndarray:
        """The same for the power at all other frequencies together, `(*F)`; 0 without images."""
        return np.sqrt(self._power[1:].sum(0))

    @property
    def _power(self) -> np.ndarray:
        """Power of each image `(prod Q, *F)`."""
        values = self.values.reshape(-1, *self.values.shape[self.ndim :])
        return np.square(np.abs(values)).sum((1, 2)) / values.shape[2]

    @property
    def time_varying(self) -> bool:
        """Whether only shifts by whole periods, longer than one position, shift the output."""
        return max(self.period) > 1


def network_response(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    size: int | Sequence[int] | None = None,
    at: float | None = None,
    output: Output = None,
    seed: int = 0,
) -> NetworkResponse:
    """Measure the frequency response of a linear network, or of a network linearized around a constant input.

    Each operator of the network must be linear (see `linear.operators`); biases are left out. One impulse is placed at
    each position of one period, in each input channel, far from the borders. The transform of the output's responses is

        H_q(f) = 1 / Q sum_n exp(2 pi i f n) sum_o g[o, n] exp(-2 pi i (f stride + q / Q) o),

    where n runs over the positions of one period and g[o, n] is the output at o for an impulse at n. Linearity and the
    period are then checked on random inputs.

    With `at`, g is the derivative of the output at o with respect to the input at n, for the input that is `at`
    everywhere. Far from the borders such an input looks the same everywhere, and so do the derivatives. The check of
    linearity then compares the derivatives with small differences, which differ if there is no derivative: at a ReLU
    of exactly 0, or a max pool, whose window holds equal values.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`. It is copied, and computed in evaluation mode in float64.
        shape: `(C, *S)`, only used to analyze the network's graph; a small one is enough.
        size: number of frequencies, one number or one per axis; 256 in 1-D, 64 in 2-D and 16 in 3-D by default, fewer
            if the response would need too much memory.
        at: value of the constant input around which the network is linearized; None if it is linear.
        output: which tensor to use if the network returns several.
        seed: random seed of the inputs for the checks.

    Raises:
        UserError: an operator is not linear (the module is named), or there is no derivative around `at`; an operator
            needs the whole input; a shift by the period changes the output; or there are too many channels and
            positions in a period.

    >>> blur = nn.Conv1d(1, 1, 3, bias=False, padding=1)
    >>> _ = nn.init.constant_(blur.weight, 1 / 3)
    >>> response = network_response(blur, (1, 16), size=4)
    >>> response.gain.round(6).tolist(), response.period, response.images.tolist()
    ([1.0, 0.333333, 0.333333, 0.333333], (1,), [0.0, 0.0, 0.0, 0.0])
    """
    nonlinear = operators(network, shape, output=output).nonlinear if at is None else ()
    if nonlinear:
        raise UserError(nonlinear_reason(type(network).__name__, nonlinear))
    double = double_copy(network)
    grid = _roomy_grid(double, shape, output)

    def whole(x: Tensor) -> Tensor:
        return forward(double, x, output)

    with torch.no_grad():
        run = _change(whole, torch.full((1, *grid.shape), at or 0.0, dtype=torch.float64), derivative=at is not None)
        measurement = _Impulses(grid, run, seed)
        linear = measurement.linear_error() if at is None else measurement.derivative_error(whole, at)
        shift = measurement.shift_error()
        if not linear <= (ROUNDING if at is None else _UNSMOOTH):
            what = "mixtures of inputs" if at is None else f"small differences around {at:g}"
            raise UserError(
                f"{type(network).__name__}: is not linear: {what} are off by {linear:.1e}, "
                "so it has no frequency response"
            )
        if not shift <= ROUNDING:
            raise UserError(
                f"{type(network).__name__}: treats positions differently: a shift of the input by its period "
                f"{_period(grid)} changes the output by {shift:.1e}, so it has no frequency response"
            )
        counts = measurement.counts(size)
        values = measurement.transform(counts)
    frequencies = tuple(np.fft.fftfreq(count) for count in counts)
    stride = tuple(float(axis.stride) for axis in grid.axes)
    return NetworkResponse(type(network).__name__, stride, _period(grid), frequencies, values.numpy(), linear, shift)


def nonlinear_reason(network: str, nonlinear: Sequence[str]) -> str:
    """Return why a network with these operators has no frequency response, in one line."""
    return (
        f"{nonlinear[0]}: is not linear, so {network} has no frequency response: linearize it around a constant input, "
        "or take the part of the network before it"
    )


def _change(whole: Callable[[Tensor], Tensor], base: Tensor, *, derivative: bool) -> Callable[[Tensor], Tensor]:
    """Return the function of x that gives the change of the output when x is added to `base`.

    With `derivative`, it gives the derivative of the output in the direction of x instead.
    """
    if derivative:
        jvp: Any = torch.autograd.functional.jvp
        return lambda x: jvp(whole, base.expand_as(x).contiguous(), x)[1].detach()
    silence = whole(base)
    return lambda x: whole(base + x) - silence


def _period(grid: Grid) -> tuple[int, ...]:
    return tuple(axis.period for axis in grid.axes)


def _roomy_grid(network: nn.Module, shape: tuple[int, ...], output: Output) -> Grid:
    """Return the grid of an input so large that padding has no influence on the responses in its middle."""
    grid = grid_of(network, shape, output=output)
    if grid.barriers:
        raise UserError(f"{grid.barriers[0]} needs the whole input, so the network has no frequency response")
    sizes = [axis.period * (math.ceil(2 * axis.receptive_field / axis.period) + 8) for axis in grid.axes]
    large = grid_of(network, (shape[0], *sizes), output=output)
    impulses = shape[0] * math.prod(_period(grid))
    if impulses > _MOST_IMPULSES or impulses * large.numbers > _MOST_VALUES:
        raise UserError(
            f"{type(network).__name__}: needs {impulses} impulses on inputs of {' x '.join(map(str, large.shape))}, "
            f"one per channel and position of the period {_period(grid)}, which takes too long: measure a part of it"
        )
    require_memory(network, large.numbers, large.shape, "measure a part of the network")
    for axis in large.axes:
        low, high = _reached(axis)
        if low < axis.interior[0] or high > axis.interior[1]:
            raise UserError(
                f"{type(network).__name__}: padding reaches the middle of an input of {large.shape}, "
                "so the network has no frequency response"
            )
    return large


def _start(axis: GridAxis) -> int:
    """Return the position of the first impulse: a multiple of the period, in the middle."""
    return axis.inputs // (2 * axis.period) * axis.period


def _reached(axis: GridAxis) -> tuple[int, int]:
    """Return the interval `[lo, hi)` of outputs that depend on the two periods of input from `_start`."""
    start, end = _start(axis), _start(axis) + 2 * axis.period
    spans = [axis.span(o) for o in range(axis.outputs)]
    readers = [o for o, (lo, hi) in enumerate(spans) if lo < end and hi > start]
    return min(readers), max(readers) + 1


@dataclass(frozen=True)
class _Impulses:
    """Responses to impulses. `run` gives the change of the output for changes `(N, C, *S)` of the shape of `grid`."""

    grid: Grid
    run: Callable[[Tensor], Tensor]
    seed: int

    def linear_error(self) -> float:
        """Return `|run(a x + b y) - a run(x) - b run(y)|`, relative to the largest value, for random x and y."""
        generator = torch.Generator().manual_seed(self.seed)
        x, y = torch.randn(2, 1, *self.grid.shape, generator=generator, dtype=torch.float64)
        of_x, of_y, of_both = self.run(x), self.run(y), self.run(3 * x - 7 * y)
        return float((of_both - (3 * of_x - 7 * of_y)).abs().max() / of_both.abs().max().clamp_min(1e-300))

    def derivative_error(self, whole: Callable[[Tensor], Tensor], at: float) -> float:
        """Return how far `run` is from small differences of the network `whole` around `at`, for a random direction."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.randn(1, *self.grid.shape, generator=generator, dtype=torch.float64)
        base, part = torch.full_like(x, at), tuple(slice(*_reached(axis)) for axis in self.grid.axes)
        slope, value = self.run(x)[(..., *part)], whole(base)[(..., *part)]
        steps = [(whole(base + sign * _STEP * x)[(..., *part)] - value) / (sign * _STEP) for sign in (1, -1)]
        return float(max((step - slope).abs().max() for step in steps) / slope.abs().max().clamp_min(1e-300))

    def shift_error(self) -> float:
        """Return the largest relative difference between shifted outputs, for a random patch of one period."""
        generator = torch.Generator().manual_seed(self.seed)
        axes = self.grid.axes
        patch = torch.randn(self.grid.shape[0], *_period(self.grid), generator=generator, dtype=torch.float64)
        x = torch.zeros(1, *self.grid.shape, dtype=torch.float64)
        x[(0, slice(None), *(slice(_start(a), _start(a) + a.period) for a in axes))] = patch
        y = self.run(x)
        errors = [
            (self.run(x.roll(a.period, 2 + i)) - y.roll(len(a.spans), 2 + i)).abs().max() for i, a in enumerate(axes)
        ]
        return float(max(errors) / y.abs().max().clamp_min(1e-300))

    def counts(self, size: int | Sequence[int] | None) -> tuple[int, ...]:
        """Return the number of frequencies per axis: `size`, or as many as fit into little memory."""
        ndim = len(self.grid.axes)
        if size is not None:
            return per_axis(size, ndim)
        count = SIZES[ndim]
        pairs = self.grid.shape[0] * self.grid.output_shape[0] * math.prod(len(a.spans) for a in self.grid.axes)
        while count > 8 and pairs * count**ndim > _STORED:
            count //= 2
        return (count,) * ndim

    def transform(self, counts: tuple[int, ...]) -> Tensor:
        """Return the response `(*Q, K, C, *F)` at `counts` frequencies per axis."""
        axes, channels, outputs = self.grid.axes, self.grid.shape[0], self.grid.output_shape[0]
        ndim, images = len(axes), [len(axis.spans) for axis in self.grid.axes]
        transforms = [_output_waves(axis, count) for axis, count in zip(axes, counts, strict=True)]
        part = tuple(slice(*_reached(axis)) for axis in axes)
        pairs = [side for q, count in zip(images, counts, strict=True) for side in (q, count)]
        total = torch.zeros(channels, outputs, *pairs, dtype=torch.complex128)  # (C, K, Q, F, Q, F, ...)
        places = list(itertools.product(range(channels), *(range(axis.period) for axis in axes)))
        batch = max(1, min(32, _BATCH // max(1, self.grid.numbers)))
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            x = torch.zeros(len(some), *self.grid.shape, dtype=torch.float64)
            for row, (channel, *offsets) in enumerate(some):
                x[(row, channel, *(_start(a) + n for a, n in zip(axes, offsets, strict=True)))] = 1
            response: Any = self.run(x)[(slice(None), slice(None), *part)].to(torch.complex128)
            for waves in transforms:  # an axis of positions goes, and its images and frequencies come last
                response = torch.einsum("nko...,qfo->nk...qf", response, waves)
            for row, (channel, *offsets) in enumerate(some):
                total[channel] += response[row] * _input_wave(offsets, counts, images)
        order = [*range(2, 2 + 2 * ndim, 2), 1, 0, *range(3, 3 + 2 * ndim, 2)]
        return total.permute(order).contiguous() / math.prod(images)


def _output_waves(axis: GridAxis, count: int) -> Tensor:
    """Return `exp(-2 pi i (f stride + q / Q) o)` for image q, frequency f and output o, `(Q, F, O)`.

    Outputs are counted from the output that belongs to the first impulse.
    """
    images = len(axis.spans)
    low, high = _reached(axis)
    places = torch.arange(low, high) - _start(axis) // axis.period * images
    frequency = torch.fft.fftfreq(count, dtype=torch.float64)
    cycles = frequency * float(axis.stride) + torch.arange(images, dtype=torch.float64)[:, None] / images
    return wave(-cycles[..., None] * places)


def _input_wave(offsets: Sequence[int], counts: Sequence[int], images: Sequence[int]) -> Tensor:
    """Return `exp(2 pi i f n)` at the offset n of an impulse, `(1, F, 1, F, ...)`."""
    turns = torch.zeros((1,) * (2 * len(counts)), dtype=torch.float64)
    for axis, (n, count) in enumerate(zip(offsets, counts, strict=True)):
        sides = [1] * (2 * len(images))
        sides[2 * axis + 1] = count
        turns = turns + (torch.fft.fftfreq(count, dtype=torch.float64) * n).reshape(sides)
    return wave(turns)
