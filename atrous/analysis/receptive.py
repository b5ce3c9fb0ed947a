"""The receptive field: the box of input positions that one output can depend on, and the part of it that matters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.analysis.drawing import COLORS, image, legend, outline, panels, planes, save
from atrous.analysis.grid import grid_of
from atrous.analysis.probe import Output, evaluating, forward, like, raw_units, require_memory
from atrous.errors import UserError

_DECADES = 4  # powers of ten below the maximum that a picture shows


@dataclass(frozen=True)
class ReceptiveField:
    """The theoretical and the effective receptive field of one output.

    Attributes:
        network: name of the network's class.
        shape: `(C, *S)` of the input.
        position: the output position that was measured.
        box: the theoretical receptive field, `[lo, hi)` per axis in input positions; it may reach beyond the input.
        effective: per axis, the length of the shortest interval that holds 95 % of the energy.
        share: the smallest number of positions that together hold 95 % of the energy, divided by the number of
            positions of the box that lie within the input.
        outside: share of the energy outside of the box. It comes through barriers, which depend on the whole input, and
            is 0 without them.
        barriers: names of the modules that need the whole input before they can go on, such as global pooling.
        energy: `(*S)`, the squared gradient of the output with respect to each input position, scaled to sum to 1.
    """

    network: str
    shape: tuple[int, ...]
    position: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    effective: tuple[int, ...]
    share: float
    outside: float
    barriers: tuple[str, ...]
    energy: np.ndarray

    @property
    def size(self) -> tuple[int, ...]:
        """Size of the theoretical receptive field per axis, in input positions."""
        return tuple(hi - lo for lo, hi in self.box)

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON, without the map."""
        return {
            "network": self.network,
            "shape": list(self.shape),
            "position": list(self.position),
            "box": [list(side) for side in self.box],
            "size": list(self.size),
            "effective": list(self.effective),
            "share": self.share,
            "outside": self.outside,
            "barriers": list(self.barriers),
        }

    def text(self) -> str:
        """Return the sizes as a table."""
        lines = [f"{self.network}: the output at {self.position} on an input of {self.shape}"]
        for axis, ((lo, hi), effective) in enumerate(zip(self.box, self.effective, strict=True)):
            lines.append(
                f"axis {axis}     depends on {hi - lo} positions, {lo} to {hi - 1}; 95 % of the energy in {effective}"
            )
        lines.append(f"share      {100 * self.share:.1f} % of the box hold 95 % of the energy (squared gradient)")
        if self.barriers:
            outside = f"{100 * self.outside:.2g} % of the energy comes from outside of the box"
            lines.append(f"barriers   {', '.join(self.barriers[:4])}: these depend on the whole input; {outside}")
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the energy over four decades with the box (middle planes in 3-D), or as a curve in 1-D."""
        if self.energy.ndim == 1:
            return self._draw_curve(path)
        # on a logarithmic scale, so that weak positions are visible too
        bright = np.log10(np.maximum(self.energy / self.energy.max(), 10.0**-_DECADES)) + _DECADES
        maps = planes(bright)
        figure, axes = panels(len(maps), 4.4, 4.2)
        for chart, (title, plane, plane_axes) in zip(axes, maps, strict=True):
            image(chart, plane)
            outline(chart, [self.box[a] for a in plane_axes])
            for a, set_limits in zip(plane_axes, (chart.set_ylim, chart.set_xlim), strict=True):
                margin = 3 + self.size[a] // 12
                lo, hi = self.box[a][0] - margin, self.box[a][1] + margin
                set_limits((hi, lo) if a == plane_axes[0] else (lo, hi))
            size = " x ".join(str(self.size[a]) for a in plane_axes)
            chart.set_title(f"{title}\nbox {size}; 95 % of the gradient in {100 * self.share:.1f} % of it".strip())
        return save(figure, path)

    def _draw_curve(self, path: Path | str) -> Path:
        figure, (axes,) = panels(1, 6.4, 3.0)
        axes.fill_between(np.arange(self.energy.size), self.energy, color=COLORS[0], linewidth=0, label="energy")
        axes.axvspan(self.box[0][0] - 0.5, self.box[0][1] - 0.5, color=COLORS[1], alpha=0.12, label="box")
        axes.set_xlabel("input position")
        axes.set_ylabel("share of the energy")
        legend(axes)
        return save(figure, path)


def receptive_field(
    network: nn.Module,
    shape: tuple[int, ...] | None = None,
    *,
    pictures: Tensor | None = None,
    position: tuple[int, ...] | None = None,
    samples: int = 16,
    output: Output = None,
    seed: int = 0,
) -> ReceptiveField:
    """Measure the theoretical and the effective receptive field of one output of any network.

    The theoretical field (the box) is derived from the exported graph. The effective field (Luo, Li, Urtasun and Zemel
    2016, "Understanding the effective receptive field") is the energy

        energy[i] = sum_c (d y / d x[c, i])^2,   y = sum_k s_k output[k, position]

    averaged over inputs x, with random signs s_k, so that output channels do not cancel each other.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)` of random inputs with a normal distribution, as in the paper; not needed with `pictures`.
        pictures: `(N, C, *S)` inputs to average over instead of random ones.
        position: the output position to measure; the middle of the output by default.
        samples: number of random inputs, or of passes over `pictures` with other signs.
        output: which tensor to use if the network returns several.
        seed: random seed of inputs and signs.

    Raises:
        UserError: neither `shape` nor `pictures` is given, the network cannot run on this shape or not within this
            machine's memory, its output has no spatial axes, there is no output at `position`, or that output does not
            depend on the input.

    >>> field = receptive_field(nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3)), (1, 21))
    >>> field.position, field.box, round(float(field.energy.sum()), 6)
    ((8,), ((8, 13),), 1.0)
    """
    if pictures is not None:
        shape = tuple(pictures.shape[1:])
    if shape is None:
        raise UserError("give the shape of the input, or pictures")
    grid = grid_of(network, shape, output=output)
    position = tuple(axis.outputs // 2 for axis in grid.axes) if position is None else tuple(position)
    inside = all(0 <= o < a.outputs for o, a in zip(position, grid.axes, strict=False))
    if len(position) != len(grid.axes) or not inside:
        raise UserError(f"position {position}: give a position within the output of shape {grid.output_shape}")
    count = 1 if pictures is None else len(pictures)
    remedy = "give a smaller shape (the field may reach beyond it)"
    require_memory(network, count * grid.numbers, shape, remedy)  # the gradient needs the outputs of all convolutions
    energy = _energy(network, shape, pictures, position, samples, output, seed)
    box = tuple(axis.span(o) for axis, o in zip(grid.axes, position, strict=True))
    within = energy[tuple(slice(max(lo, 0), max(hi, 0)) for lo, hi in box)]
    ordered = np.sort(energy.ravel())[::-1]
    needed = int(np.searchsorted(np.cumsum(ordered), 0.95)) + 1
    return ReceptiveField(
        type(network).__name__,
        tuple(shape),
        position,
        box,
        tuple(_interval(energy.sum(tuple(a for a in range(energy.ndim) if a != axis))) for axis in range(energy.ndim)),
        needed / within.size,
        max(0.0, 1 - float(within.sum())),
        grid.barriers,
        energy,
    )


def _energy(
    network: nn.Module,
    shape: tuple[int, ...],
    pictures: Tensor | None,
    position: tuple[int, ...],
    samples: int,
    output: Output,
    seed: int,
) -> np.ndarray:
    """Return the energy `(*S)`, scaled to sum to 1."""
    example, generator = like(network), torch.Generator().manual_seed(seed)
    total = np.zeros(shape[1:])
    with evaluating(network):
        for _ in range(samples):
            drawn = torch.randn(1, *shape, generator=generator)
            x = (raw_units(network, drawn) if pictures is None else pictures).to(example).detach().requires_grad_(True)
            with torch.enable_grad():
                y = forward(network, x, output)[(..., *position)]
                signs = torch.randint(0, 2, y.shape, generator=generator).to(y) * 2 - 1
                (gradient,) = torch.autograd.grad((y * signs).sum(), x)
            total += gradient.double().square().sum((0, 1)).cpu().numpy()
    if total.sum() == 0:
        raise UserError(
            f"{type(network).__name__}: the output at {position} does not depend on the input (its gradient is zero)"
        )
    return total / total.sum()


def _interval(energy: np.ndarray) -> int:
    """Return the length of the shortest interval that holds 95 % of a distribution `(L,)` over positions."""
    total = np.concatenate([[0.0], np.cumsum(energy)])
    ends = np.searchsorted(total, total[:-1] + 0.95 * total[-1] - 1e-12)
    lengths = [end - start for start, end in enumerate(ends) if end < total.size]
    return int(min(lengths))
