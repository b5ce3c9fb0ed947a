"""Equivariance: shift the input, and see by how much the output fails to shift with it."""

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
    """Along one axis: `errors[i]` is how far the output is from the shifted one when the input shifts by `shifts[i]`.

    Root mean square, in units of the output's own variation over positions: 0 is perfect, 1 is as wrong as its mean.
    Measured on inputs of `shape` `(C, *S)`.
    `period` is the shift from which on the network repeats itself: at its multiples the error is rounding.
    """

    axis: int
    stride: float
    period: int
    shifts: tuple[int, ...]
    errors: tuple[float, ...]
    shape: tuple[int, ...] = ()

    @property
    def at_multiples(self) -> float:
        """The largest error at multiples of the period, which should be rounding."""
        return max((e for d, e in zip(self.shifts, self.errors, strict=True) if d % self.period == 0), default=0.0)

    @property
    def between(self) -> float:
        """The mean error at the other shifts; zero when there are none (a network without stride)."""
        others = [e for d, e in zip(self.shifts, self.errors, strict=True) if d % self.period]
        return sum(others) / len(others) if others else 0.0


@dataclass(frozen=True)
class Equivariance:
    """Shift errors of a network per axis; `compared` are those of another one, its anti-aliased copy for instance."""

    network: str
    shape: tuple[int, ...]
    axes: tuple[ShiftErrors, ...]
    compared: tuple[ShiftErrors, ...] = ()
    names: tuple[str, str] = ("as it is", "anti-aliased")

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists, for JSON."""
        found: dict[str, Any] = {"network": self.network, "shape": list(self.shape)}
        for name, group in (("axes", self.axes), ("compared", self.compared)):
            found[name] = [
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
        return found

    def text(self) -> str:
        """One line per axis and network."""
        shapes = " and ".join(map(str, dict.fromkeys(a.shape for a in self.axes)))
        lines = [f"{self.network} on {shapes}: error of the output under shifts, in units of its own variation"]
        for name, group in zip(self.names, (self.axes, self.compared), strict=True):
            for a in group:
                label = f"{name}, axis {a.axis}" if self.compared else f"axis {a.axis}"
                lines.append(
                    f"{label}: {a.at_multiples:.1e} at multiples of {a.period}, {a.between:.3f} between (mean)"
                )
        if self.compared:
            pairs = zip(self.axes, self.compared, strict=True)
            gains = [f"{100 * (1 - b.between / a.between):.0f} %" for a, b in pairs if a.between]
            lines.append(f"error less between multiples: {', '.join(gains) or 'nothing to gain'}")
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Write error against shift, a chart per axis."""
        figure, charts = panels(len(self.axes), 5.0, 3.2)
        for chart, a, *others in zip(charts, self.axes, *([self.compared] if self.compared else []), strict=True):
            for curve, color, name in zip((a, *others), COLORS, self.names, strict=False):
                chart.plot(curve.shifts, curve.errors, color=color, marker="o", markersize=3, linewidth=1.4, label=name)
            for multiple in range(0, max(a.shifts) + 1, a.period):
                chart.axvline(multiple, color=COLORS[-1], linewidth=0.8, linestyle=":", zorder=0)
            chart.set_xlabel(f"shift along axis {a.axis} (positions); dotted: multiples of {a.period}")
            chart.set_ylabel("error / variation of the output")
            chart.set_ylim(bottom=0)
            if others:
                legend(chart, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return save(figure, path)


def equivariance(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    against: nn.Module | None = None,
    shifts: Sequence[int] | None = None,
    pictures: Tensor | None = None,
    wrap: bool = False,
    strips: bool = False,
    samples: int = 1,
    output: Output = None,
    seed: int = 0,
) -> Equivariance:
    """Measure whether a shift of the input shifts the output, for shifts from 0 to twice the period along each axis.

    A network of total stride `s` is equivariant to shifts by multiples of `s` and to no others: striding picks every
    s-th position, and a shift by less picks others. Where outputs lie `stride` input positions apart, the expected
    output of a shift that is no multiple of it is interpolated linearly between neighbors. Only outputs that no
    padding touches are compared, so the input slides over a larger picture.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)`, at least the receptive field large.
        against: a second network to set beside it, such as `antialias(network)`.
        shifts: in input positions, not negative; 0 to twice the period by default.
        pictures: inputs `(N, C, *S)`, each axis longer by the largest shift; random ones with the spectrum of natural
            pictures by default.
        wrap: roll the input around and compare all outputs: for networks whose every padding is circular.
        strips: measure each axis on a strip along it, long enough to have outputs free of padding and narrow otherwise;
            `shape` then only says at which size the network is first looked at. Cheaper than a square by far.
        samples: how many random pictures.
        output: which tensor, when the network returns several.
        seed: of the random pictures.

    Raises:
        UserError: no output is free of padding at this shape, or the network has barriers (its output then depends on
            everything that comes in or goes out at the borders).

    >>> found = equivariance(nn.Sequential(nn.Conv1d(1, 4, 3), nn.MaxPool1d(2)), (1, 64))
    >>> found.axes[0].shifts, found.axes[0].at_multiples < 1e-5 < found.axes[0].between
    ((0, 1, 2, 3, 4), True)
    """
    networks = [network] if against is None else [network, against]
    grids = [grid_of(each, shape, output=output) for each in networks]
    shapes = [tuple(shape)] * len(grids[0].axes)
    if strips:  # with room for both: an anti-aliased copy sees a little further
        rooms = [[grid.strip(index) for grid in grids] for index in range(len(shapes))]
        shapes = [tuple(max(sizes) for sizes in zip(*each, strict=True)) for each in rooms]
    measured = [
        _Plan(each, tuple(shapes), shifts, pictures, wrap, samples, output, seed).measure() for each in networks
    ]
    return Equivariance(type(network).__name__, tuple(shape), measured[0], measured[1] if against is not None else ())


@dataclass(frozen=True)
class _Plan:
    network: nn.Module
    shapes: tuple[tuple[int, ...], ...]
    shifts: Sequence[int] | None
    pictures: Tensor | None
    wrap: bool
    samples: int
    output: Output
    seed: int

    def measure(self) -> tuple[ShiftErrors, ...]:
        grids = {shape: grid_of(self.network, shape, output=self.output) for shape in dict.fromkeys(self.shapes)}
        with evaluating(self.network), torch.no_grad():
            return tuple(self._along(grids[shape], index) for index, shape in enumerate(self.shapes))

    def _along(self, grid: Grid, index: int) -> ShiftErrors:
        axis = grid.axes[index]
        if not self.wrap:
            grid.require_interior(index)
        shifts = tuple(range(2 * axis.period + 1)) if self.shifts is None else tuple(self.shifts)
        if not shifts or min(shifts) < 0:
            raise UserError(f"shifts {shifts}: give positions to the right, none of them negative")
        picture = self._picture(index, max(shifts))
        first = self._view(picture, index, 0, max(shifts))
        reference = forward(self.network, first, self.output).movedim(2 + index, -1)
        scale = max(variation(reference), 1e-30)
        errors = []
        for shift in shifts:
            moved = self._view(picture, index, shift, max(shifts))
            found = forward(self.network, moved, self.output).movedim(2 + index, -1)
            difference = self._difference(found, reference, axis, shift)
            errors.append(float(difference.double().square().mean().sqrt()) / scale)
        return ShiftErrors(index, float(axis.stride), axis.period, shifts, tuple(errors), grid.shape)

    def _picture(self, index: int, longest: int) -> Tensor:
        sizes = list(self.shapes[index])
        sizes[1 + index] += 0 if self.wrap else longest
        if self.pictures is None:
            return pictures_of_noise(self.network, self.samples, tuple(sizes), seed=self.seed)
        if any(have < need for have, need in zip(self.pictures.shape[1:], sizes, strict=True)):
            raise UserError(
                f"pictures of shape {tuple(self.pictures.shape[1:])}: shifting needs at least {tuple(sizes)}"
            )
        return self.pictures[(slice(None), *(slice(0, size) for size in sizes))].to(like(self.network))

    def _view(self, picture: Tensor, index: int, shift: int, longest: int) -> Tensor:
        if self.wrap:
            return picture.roll(shift, 2 + index)
        return picture.narrow(2 + index, longest - shift, self.shapes[index][1 + index])

    def _difference(self, found: Tensor, reference: Tensor, axis: GridAxis, shift: int) -> Tensor:
        """`found[o] - reference[o - shift / stride]` at the outputs `o` where both are known."""
        whole, part = divmod(Fraction(shift) / axis.stride, 1)
        whole, weight = int(whole), float(part)
        if self.wrap:
            expected = (1 - weight) * reference.roll(whole, -1) + weight * reference.roll(whole + 1, -1)
            return found - expected
        lo, hi = axis.interior
        lo = lo + whole + (1 if part else 0)
        if hi <= lo:
            raise UserError(
                f"{axis.inputs} positions along axis {axis.index} are too few for a shift of {shift}: "
                "no output is seen both times"
            )
        here = reference[..., lo - whole : hi - whole]
        before = reference[..., lo - whole - 1 : hi - whole - 1] if part else here
        return found[..., lo:hi] - ((1 - weight) * here + weight * before)
