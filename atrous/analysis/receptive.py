"""The receptive field: the box that one output can depend on, and the much smaller part that matters."""

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

_DECADES = 4


@dataclass(frozen=True)
class ReceptiveField:
    """What the output at `position` sees of an input `(C, *S)`.

    `box` is the theoretical field per axis, `[lo, hi)` in input positions; it may reach beyond the input. `energy`
    `(*S)` holds each position's share of the squared gradient of that output; it sums to 1. `effective` is, per axis,
    the length of the shortest interval around the median that holds 95 % of it. `share` is how much of the box (the
    part within the input) the fewest positions that hold 95 % of the energy take. `outside` is the energy beyond the
    box: what comes through `barriers`, which see everything, and zero without them.
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
        """The theoretical receptive field per axis."""
        return tuple(hi - lo for lo, hi in self.box)

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists, for JSON; without the map."""
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
        """The sizes as a table."""
        lines = [f"{self.network}: the output at {self.position} on an input of {self.shape}"]
        for axis, ((lo, hi), effective) in enumerate(zip(self.box, self.effective, strict=True)):
            lines.append(
                f"axis {axis}     can see {hi - lo} positions, {lo} to {hi - 1}; 95 % of it comes from {effective}"
            )
        lines.append(f"share      {100 * self.share:.1f} % of the box hold 95 % of the gradient's energy")
        if self.barriers:
            seen = f"{100 * self.outside:.2g} % of the energy comes from outside the box"
            lines.append(f"barriers   {', '.join(self.barriers[:4])}: these see the whole input; {seen}")
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Write the energy over four decades, with the box (middle planes in 3-D), or as a curve in 1-D."""
        if self.energy.ndim == 1:
            return self._draw_curve(path)
        # decades below the strongest, so that what is weak is seen too
        bright = np.log10(np.maximum(self.energy / self.energy.max(), 10.0**-_DECADES)) + _DECADES
        maps = planes(bright)
        figure, axes = panels(len(maps), 4.4, 4.2)
        for each, (title, plane, kept) in zip(axes, maps, strict=True):
            image(each, plane)
            outline(each, [self.box[a] for a in kept])
            for a, set_limits in zip(kept, (each.set_ylim, each.set_xlim), strict=True):
                margin = 3 + self.size[a] // 12
                lo, hi = self.box[a][0] - margin, self.box[a][1] + margin
                set_limits((hi, lo) if a == kept[0] else (lo, hi))
            size = " x ".join(str(self.size[a]) for a in kept)
            each.set_title(f"{title}\nbox {size}; 95 % of the gradient in {100 * self.share:.1f} % of it".strip())
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
    """The theoretical and the effective receptive field of one output of any network.

    The box follows from the exported graph. The effective field is the squared gradient of the output at `position`
    with respect to the input, summed over channels, its sign chosen at random per output channel so that none cancels
    another, and averaged over inputs (Luo, Li, Urtasun and Zemel 2016, "Understanding the effective receptive
    field").

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)` of random inputs, as in the paper normal ones; not needed with `pictures`.
        pictures: inputs `(N, C, *S)` to average over, in place of random ones.
        position: of the output looked at; its middle by default.
        samples: how many random inputs, or passes over `pictures`.
        output: which tensor, when the network returns several.
        seed: of all that is random.

    Raises:
        UserError: the network cannot run on this shape, or not within this machine's memory, has no grid, or no output
            at `position`.

    >>> found = receptive_field(nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3)), (1, 21))
    >>> found.position, found.box, round(float(found.energy.sum()), 6)
    ((8,), ((8, 13),), 1.0)
    """
    if pictures is not None:
        shape = tuple(pictures.shape[1:])
    if shape is None:
        raise UserError("give the shape of the input, or pictures")
    grid = grid_of(network, shape, output=output)
    at = tuple(axis.outputs // 2 for axis in grid.axes) if position is None else tuple(position)
    if len(at) != len(grid.axes) or any(not 0 <= o < a.outputs for o, a in zip(at, grid.axes, strict=False)):
        raise UserError(f"position {at}: the output has the shape {grid.output_shape}")
    count = 1 if pictures is None else len(pictures)
    mend = "give a smaller shape (the field may reach beyond it)"
    require_memory(network, count * grid.numbers, shape, mend)  # the gradient needs what every convolution made
    energy = _energy(network, shape, pictures, at, samples, output, seed)
    box = tuple(axis.span(o) for axis, o in zip(grid.axes, at, strict=True))
    within = energy[tuple(slice(max(lo, 0), max(hi, 0)) for lo, hi in box)]
    ordered = np.sort(energy.ravel())[::-1]
    needed = int(np.searchsorted(np.cumsum(ordered), 0.95)) + 1
    return ReceptiveField(
        type(network).__name__,
        tuple(shape),
        at,
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
    at: tuple[int, ...],
    samples: int,
    output: Output,
    seed: int,
) -> np.ndarray:
    kind, generator = like(network), torch.Generator().manual_seed(seed)
    total = np.zeros(shape[1:])
    with evaluating(network):
        for _ in range(samples):
            drawn = torch.randn(1, *shape, generator=generator)
            x = (raw_units(network, drawn) if pictures is None else pictures).to(kind).detach().requires_grad_(True)
            with torch.enable_grad():
                y = forward(network, x, output)[(..., *at)]
                signs = torch.randint(0, 2, y.shape, generator=generator).to(y) * 2 - 1
                (gradient,) = torch.autograd.grad((y * signs).sum(), x)
            total += gradient.double().square().sum((0, 1)).cpu().numpy()
    if total.sum() == 0:
        raise UserError(
            f"{type(network).__name__}: the output at {at} does not depend on the input (its gradient is zero)"
        )
    return total / total.sum()


def _interval(energy: np.ndarray) -> int:
    """Length of the shortest interval that holds 95 % of a distribution over positions."""
    total = np.concatenate([[0.0], np.cumsum(energy)])
    ends = np.searchsorted(total, total[:-1] + 0.95 * total[-1] - 1e-12)
    lengths = [end - start for start, end in enumerate(ends) if end < total.size]
    return int(min(lengths))
