"""Equivariance: shift the input, and measure by how much the output fails to shift with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atrous.analysis.drawing import COLORS, legend, panels, save
from atrous.analysis.grid import Grid, GridAxis, grid_of
from atrous.analysis.probe import Output, evaluating, forward, like, pictures_of_noise, variation
from atrous.errors import UserError


@dataclass(frozen=True)
class ShiftErrors:
    """Errors of the output when the input shifts along one axis.

    Attributes:
        axis: the spatial axis, counted from 0.
        stride: input positions per output position.
        period: smallest shift of the input that moves every value inside the network by a whole number of positions. At
            its multiples the error is rounding.
        shifts: how far the input was shifted, in positions.
        errors: for each shift, the root mean square difference between the output of the shifted input and the shifted
            output, in units of the output's variation over positions (`probe.variation`). 0 is perfect. 1 is as bad as
            a constant.
        shape: `(C, *S)` of the inputs.
    """

    axis: int
    stride: float
    period: int
    shifts: tuple[int, ...]
    errors: tuple[float, ...]
    shape: tuple[int, ...] = ()

    @property
    def at_multiples(self) -> float:
        """Largest error at multiples of the period, which should be rounding."""
        return max((e for d, e in zip(self.shifts, self.errors, strict=True) if d % self.period == 0), default=0.0)

    @property
    def between(self) -> float:
        """Mean error at the other shifts; 0 if there are none (a network without stride)."""
        others = [e for d, e in zip(self.shifts, self.errors, strict=True) if d % self.period]
        return sum(others) / len(others) if others else 0.0


@dataclass(frozen=True)
class Equivariance:
    """Shift errors of a network, and of a second one it is compared with.

    Attributes:
        network: name of the network's class.
        shape: `(C, *S)` that was asked for.
        axes: errors of the network, per axis.
        compared: errors of the second network, per axis; empty if there is none.
        names: what the two networks are called in texts and charts.
    """

    network: str
    shape: tuple[int, ...]
    axes: tuple[ShiftErrors, ...]
    compared: tuple[ShiftErrors, ...] = ()
    names: tuple[str, str] = ("as it is", "anti-aliased")

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON."""
        content: dict[str, Any] = {"network": self.network, "shape": list(self.shape)}
        for name, group in (("axes", self.axes), ("compared", self.compared)):
            content[name] = [
                {
                    "axis": a.axis,
                    "shape": list(a.shape),
                    "stride": a.stride,
                    "period": a.period,
                    "shifts": list(a.shifts),
                    "errors": list(a.errors),
                    "at_multiples": a.at_multiples,
                    "between": a.between,
                }
                for a in group
            ]
        return content

    def text(self) -> str:
        """Return one line per axis and network."""
        shapes = " and ".join(map(str, dict.fromkeys(a.shape for a in self.axes)))
        lines = [f"{self.network} on {shapes}: error of the output when the input shifts, in units of its variation"]
        for name, group in zip(self.names, (self.axes, self.compared), strict=True):
            for a in group:
                label = f"{name}, axis {a.axis}" if self.compared else f"axis {a.axis}"
                lines.append(
                    f"{label}: {a.at_multiples:.1e} at multiples of {a.period}, {a.between:.3f} between (mean)"
                )
        if self.compared:
            pairs = zip(self.axes, self.compared, strict=True)
            gains = [f"{100 * (1 - b.between / a.between):.0f} %" for a, b in pairs if a.between]
            lines.append(f"reduction of the error between multiples: {', '.join(gains) or 'none, it was 0'}")
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the error against the shift, over one period: the next ones repeat it. Axes differ by their dashes.

        Axes with another period get a chart of their own.
        """
        periods = list(dict.fromkeys(a.period for a in self.axes))
        figure, charts = panels(len(periods), 6.4, 3.4)
        for chart, period in zip(charts, periods, strict=True):
            for group, color, name in zip((self.axes, self.compared), COLORS, self.names, strict=False):
                for a, dashes in zip(group, ("-", "--", ":"), strict=False):
                    if a.period == period:
                        points = [(d, e) for d, e in zip(a.shifts, a.errors, strict=True) if d <= period or period == 1]
                        label = f"{name}, axis {a.axis}" if self.compared else f"axis {a.axis}"
                        chart.plot(
                            *zip(*points, strict=True), dashes, color=color, marker="o", markersize=3, label=label
                        )
            chart.axvline(period, color=COLORS[-1], linewidth=0.8, linestyle=":", zorder=0)
            chart.set_xlabel(f"shift (positions); dotted: {period}, after which the errors repeat")
            chart.set_ylabel("error / variation of the output")
            chart.set_ylim(bottom=0)
            legend(chart, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        return save(figure, path)


def equivariance(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    against: nn.Module | None = None,
    shifts: Sequence[int] | None = None,
    pictures: Tensor | int = 1,
    wrap: bool = False,
    strips: bool = False,
    output: Output = None,
    seed: int = 0,
) -> Equivariance:
    """Measure whether a shift of the input shifts the output, for shifts from 0 to twice the period along each axis.

    A network of total stride s is equivariant only to shifts by multiples of s: striding keeps every s-th position, and
    after a smaller shift these are other positions. For a shift d, the expected output is the reference output moved by
    `d / stride` positions, interpolated linearly between neighbors if that is not a whole number. Only outputs that do
    not depend on padding are compared. The shifted inputs are therefore crops of a larger picture, not padded ones.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)` of the input, at least as large as the receptive field.
        against: a second network to compare with, such as `antialias(network)`.
        shifts: shifts in input positions, none negative; 0 to twice the period by default.
        pictures: `(N, C, *S)`, each axis longer than `shape` by the largest shift; or the number of random pictures
            to draw, with the spectrum of natural ones.
        wrap: shift by rolling the input around, and compare all outputs. Use it for networks that pad circularly.
        strips: measure each axis on a strip along it, which is just long enough to have outputs free of padding and
            narrow along the other axes. This is much faster than a square. `shape` then only serves to analyze the
            network's graph.
        output: which tensor to use if the network returns several.
        seed: random seed of the pictures.

    Raises:
        UserError: every output depends on padding at this shape, the network has barriers (its outputs then depend on
            what a shift moves in and out of the picture), a shift is negative, or the pictures are too small.

    >>> result = equivariance(nn.Sequential(nn.Conv1d(1, 4, 3), nn.MaxPool1d(2)), (1, 64))
    >>> result.axes[0].shifts, result.axes[0].at_multiples < 1e-5 < result.axes[0].between
    ((0, 1, 2, 3, 4), True)
    """
    networks = [network] if against is None else [network, against]
    grids = [grid_of(each, shape, output=output) for each in networks]
    shapes = [tuple(shape)] * len(grids[0].axes)
    if strips:  # large enough for both networks: the receptive field of an anti-aliased copy is a little larger
        rooms = [[grid.strip(index) for grid in grids] for index in range(len(shapes))]
        shapes = [tuple(max(sizes) for sizes in zip(*each, strict=True)) for each in rooms]
    measured = [_Measurement(each, tuple(shapes), shifts, pictures, wrap, output, seed).measure() for each in networks]
    return Equivariance(type(network).__name__, tuple(shape), measured[0], measured[1] if against is not None else ())


@dataclass(frozen=True)
class _Measurement:
    """Shift errors of one network; `shapes` holds the input shape `(C, *S)` for each axis, the rest as above."""

    network: nn.Module
    shapes: tuple[tuple[int, ...], ...]
    shifts: Sequence[int] | None
    pictures: Tensor | int
    wrap: bool
    output: Output
    seed: int

    def measure(self) -> tuple[ShiftErrors, ...]:
        grids = {shape: grid_of(self.network, shape, output=self.output) for shape in dict.fromkeys(self.shapes)}
        with evaluating(self.network), torch.no_grad():
            return tuple(self._along(grids[shape], index) for index, shape in enumerate(self.shapes))

    def _along(self, grid: Grid, index: int) -> ShiftErrors:
        """Measure the errors along axis `index`. Outputs are moved to `(N, K, ..., length of this axis)`."""
        axis = grid.axes[index]
        if not self.wrap:
            grid.require_interior(index)
        shifts = tuple(range(2 * axis.period + 1)) if self.shifts is None else tuple(self.shifts)
        if not shifts or min(shifts) < 0:
            raise UserError(f"shifts {shifts}: give at least one, and none that is negative")
        picture = self._picture(index, max(shifts))
        first = self._view(picture, index, 0, max(shifts))
        reference = forward(self.network, first, self.output).movedim(2 + index, -1)
        scale = max(variation(reference), 1e-30)
        errors = []
        for shift in shifts:
            moved = self._view(picture, index, shift, max(shifts))
            result = forward(self.network, moved, self.output).movedim(2 + index, -1)
            difference = self._difference(result, reference, axis, shift)
            errors.append(float(difference.double().square().mean().sqrt()) / scale)
        return ShiftErrors(index, float(axis.stride), axis.period, shifts, tuple(errors), grid.shape)

    def _picture(self, index: int, longest: int) -> Tensor:
        """Return pictures `(N, C, *S)` that leave room for the longest shift along axis `index`."""
        sizes = list(self.shapes[index])
        sizes[1 + index] += 0 if self.wrap else longest
        if isinstance(self.pictures, int):
            return pictures_of_noise(self.network, self.pictures, tuple(sizes), seed=self.seed)
        if any(size < least for size, least in zip(self.pictures.shape[1:], sizes, strict=True)):
            raise UserError(
                f"pictures of shape {tuple(self.pictures.shape[1:])}: shifting needs at least {tuple(sizes)}"
            )
        return self.pictures[(slice(None), *(slice(0, size) for size in sizes))].to(like(self.network))

    def _view(self, picture: Tensor, index: int, shift: int, longest: int) -> Tensor:
        """Return the crop of the picture whose content is shifted by `shift` positions towards higher indices."""
        if self.wrap:
            return picture.roll(shift, 2 + index)
        return picture.narrow(2 + index, longest - shift, self.shapes[index][1 + index])

    def _difference(self, result: Tensor, reference: Tensor, axis: GridAxis, shift: int) -> Tensor:
        """Return `result[o] - reference[o - shift / stride]` for the outputs o at which both are free of padding.

        With `shift / stride = whole + part`, part in [0, 1), the reference is interpolated linearly:
        `(1 - part) reference[o - whole] + part reference[o - whole - 1]`.
        """
        whole, part = divmod(Fraction(shift) / axis.stride, 1)
        whole, weight = int(whole), float(part)
        if self.wrap:
            expected = (1 - weight) * reference.roll(whole, -1) + weight * reference.roll(whole + 1, -1)
            return result - expected
        lo, hi = axis.interior
        lo = lo + whole + (1 if part else 0)
        if hi <= lo:
            raise UserError(
                f"{axis.inputs} positions along axis {axis.index} are too few for a shift of {shift}: "
                "no output is free of padding before and after it: give a larger shape"
            )
        right = reference[..., lo - whole : hi - whole]
        left = reference[..., lo - whole - 1 : hi - whole - 1] if part else right
        return result[..., lo:hi] - ((1 - weight) * right + weight * left)
