"""Measure how far from the border, and by how much, padding changes a network's outputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.analysis.drawing import COLORS, image, legend, outline, panels, planes, save
from atrous.analysis.grid import Grid, grid_of, padded_with, padding_modes, zero_padded
from atrous.analysis.probe import (
    Output,
    evaluating,
    forward,
    like,
    pictures_of_noise,
    require_memory,
    variation,
)
from atrous.errors import UserError

MODES = ("zeros", "reflect", "replicate", "circular")
_ROUNDING = 1e-4  # a float32 change below this share of the output's variation counts as rounding


@dataclass(frozen=True)
class BoundaryEffect:
    """How one padding mode changes the outputs of a crop.

    Attributes:
        mode: "zeros", "reflect", "replicate" or "circular".
        effect: `(*S')`, root mean square difference of each output to the output with the real surroundings instead of
            padding, in units of the output's variation over positions (`probe.variation`).
        reach: per axis, how many outputs from the first and from the last one change at all.
        threshold: effect above which an output should not be trusted.
    """

    mode: str
    effect: np.ndarray
    reach: tuple[tuple[int, int], ...]
    threshold: float

    @property
    def distrust(self) -> np.ndarray:
        """Which outputs should not be trusted: booleans `(*S')`, effect above the threshold."""
        return self.effect > self.threshold

    @property
    def at_border(self) -> float:
        """Root mean square effect on the outermost outputs."""
        rim = np.ones(self.effect.shape, bool)
        rim[(slice(1, -1),) * self.effect.ndim] = False
        return float(np.sqrt(np.square(self.effect[rim]).mean()))


@dataclass(frozen=True)
class Boundary:
    """How each padding mode changes the outputs of a crop.

    Attributes:
        network: name of the network's class.
        shape: `(C, *S)` of the crop.
        stride: input positions per output position, per axis.
        bound: per axis, how many outputs from the first and from the last one can depend on padding, derived from the
            network's graph. The measured reach cannot be larger.
        effects: one per padding mode.
    """

    network: str
    shape: tuple[int, ...]
    stride: tuple[float, ...]
    bound: tuple[tuple[int, int], ...]
    effects: tuple[BoundaryEffect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON, without the maps."""
        return {
            "network": self.network,
            "shape": list(self.shape),
            "stride": list(self.stride),
            "bound": [list(side) for side in self.bound],
            "modes": {
                e.mode: {
                    "reach": [list(side) for side in e.reach],
                    "at_border": e.at_border,
                    "distrusted": float(e.distrust.mean()),
                    "threshold": e.threshold,
                }
                for e in self.effects
            },
        }

    def text(self) -> str:
        """Return one line per padding mode."""
        lines = [f"{self.network}, crops of {self.shape}: outputs that change with what lies around the crop"]
        for axis, (before, after) in enumerate(self.bound):
            lines.append(f"axis {axis}: padding can change the first {before} and the last {after} outputs (geometry)")
        for e in self.effects:
            reach = ", ".join(f"{before} and {after}" for before, after in e.reach)
            lines.append(
                f"{e.mode:<10} reaches {reach} outputs; change at the border {e.at_border:.3f} of the variation; "
                f"{100 * e.distrust.mean():.1f} % of outputs change by more than {e.threshold:g}"
            )
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the change by distance from the border, and a map for each padding mode (middle planes in 3-D)."""
        maps = [(e.mode, plane) for e in self.effects for plane in self._planes(e)]
        figure, charts = panels(len(maps) + 1, 3.3, 3.3, columns=min(len(maps) + 1, 3))
        top = max(float(e.effect.max()) for e in self.effects) or 1.0
        for chart, (mode, (title, plane, plane_axes)) in zip(charts[1:], maps, strict=True):
            image(chart, plane, top=top)
            inner = [(self.bound[a][0], self.effects[0].effect.shape[a] - self.bound[a][1]) for a in plane_axes]
            if all(lo < hi for lo, hi in inner):
                outline(chart, inner, style="--")
            chart.set_title(f"{mode} {title}".strip())
            chart.set_xticks([])
            chart.set_yticks([])
        for e, color in zip(self.effects, COLORS, strict=False):
            profile = _profile(e.effect, self.bound)
            charts[0].plot(np.arange(len(profile)), profile, color=color, linewidth=1.5, label=e.mode)
        charts[0].axvline(self.bound[0][0], color=COLORS[-1], linestyle="--", linewidth=1)
        charts[0].set_xlabel("outputs in from the first; dashed: geometry")
        charts[0].set_ylabel("change / variation")
        charts[0].locator_params(axis="x", integer=True)
        charts[0].set_ylim(bottom=0)
        charts[0].set_box_aspect(1 if maps else None)  # as large as the maps beside it
        legend(charts[0])
        return save(figure, path)

    def _planes(self, effect: BoundaryEffect) -> list[tuple[str, np.ndarray, tuple[int, ...]]]:
        return [] if effect.effect.ndim == 1 else planes(effect.effect)


def boundary(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    modes: Sequence[str] | None = None,
    pictures: Tensor | None = None,
    threshold: float = 0.1,
    samples: int = 4,
    output: Output = None,
    seed: int = 0,
) -> Boundary:
    """Measure how padding changes a network's outputs, for several padding modes of its convolutions.

    The network runs on a crop, where it pads. It also runs on the crop with its surroundings, which are so large that
    no output of the crop depends on padding (this follows from the network's graph). The difference is the effect of
    padding. It is measured for each mode on a copy whose convolutions (`nn.Conv1d` to `nn.Conv3d`) pad in that mode.
    Max pools ignore their padding in every copy, and functions that pad in a forward pass are left as they are.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: `(C, *S)` of the crop; sizes must be multiples of the network's period.
        modes: some of "zeros", "reflect", "replicate", "circular"; all four by default.
        pictures: `(N, C, *S)`, large enough for the crop and its surroundings. By default random pictures with the
            spectrum of natural ones.
        threshold: effect above which an output should not be trusted, in units of the output's variation.
        samples: number of random pictures.
        output: which tensor to use if the network returns several.
        seed: random seed of the pictures.

    Raises:
        UserError: the network has barriers (then the surroundings change every output, with or without padding), every
            output of the crop depends on padding, a size is not a multiple of the period, the pictures are too small,
            or the crop and its surroundings need more memory than the machine has.

    >>> result = boundary(nn.Conv1d(1, 2, 5, padding=2), (1, 32), modes=("zeros", "replicate"))
    >>> result.bound, [effect.reach for effect in result.effects]
    (((2, 2),), [((2, 2),), ((2, 2),)])
    """
    modes = tuple(MODES if modes is None else modes)
    if not modes or set(modes) - set(MODES):
        raise UserError(f"modes {modes}: choose from {', '.join(MODES)}")
    grid = grid_of(network, shape, output=output)
    grid.require_interior()
    for axis in grid.axes:
        if axis.inputs % axis.period:
            raise UserError(
                f"shape {shape}: axis {axis.index} must be a multiple of the network's period, {axis.period}"
            )
    # Surroundings before and after the crop, per axis: at least the overhang, the outputs' reach outside of the crop.
    # The part before is rounded up to whole periods, so that the outputs of the crop lie on the same grid.
    margins = [(-(-before // a.period) * a.period, after) for a in grid.axes for before, after in (a.overhang,)]
    around = [-(-after // a.period) * a.period for a, (_, after) in zip(grid.axes, margins, strict=True)]
    sizes = [a.inputs + m[0] + n for a, m, n in zip(grid.axes, margins, around, strict=True)]
    count = samples if pictures is None else len(pictures)
    larger = math.prod(sizes) / math.prod(shape[1:])
    remedy = "give fewer samples, or a network with a smaller receptive field"
    require_memory(network, count * larger * grid.widest, (shape[0], *sizes), remedy)
    whole = _pictures(network, (shape[0], *sizes), pictures, samples, seed)
    crop = whole[(..., *(slice(m[0], m[0] + a.inputs) for a, m in zip(grid.axes, margins, strict=True)))]
    with torch.no_grad():
        plain = zero_padded(network)
        with evaluating(plain):
            wide = forward(plain, whole, output)
        starts = [int(m[0] / a.stride) for a, m in zip(grid.axes, margins, strict=True)]
        truth = wide[(..., *(slice(s, s + a.outputs) for s, a in zip(starts, grid.axes, strict=True)))]
        effects = tuple(_effect(network, mode, crop, truth, grid, threshold, output) for mode in modes)
    bound = tuple((a.interior[0], a.outputs - a.interior[1]) for a in grid.axes)
    return Boundary(type(network).__name__, tuple(shape), tuple(float(a.stride) for a in grid.axes), bound, effects)


def _pictures(network: nn.Module, shape: tuple[int, ...], pictures: Tensor | None, samples: int, seed: int) -> Tensor:
    """Return the middle of the pictures, or random ones, of shape `(N, *shape)`."""
    if pictures is None:
        return pictures_of_noise(network, samples, shape, seed=seed)
    size = tuple(pictures.shape[1:])
    if size[0] != shape[0] or any(a < b for a, b in zip(size, shape, strict=True)):
        raise UserError(f"pictures of shape {size}: the crop with its surroundings needs at least {shape}")
    offsets = [(a - b) // 2 for a, b in zip(size[1:], shape[1:], strict=True)]
    return pictures[(..., *(slice(o, o + length) for o, length in zip(offsets, shape[1:], strict=True)))].to(
        like(network)
    )


def _effect(
    network: nn.Module, mode: str, crop: Tensor, truth: Tensor, grid: Grid, threshold: float, output: Output
) -> BoundaryEffect:
    """Compare the outputs of the padded crop `(N, C, *S)` with those that have real surroundings, `(N, K, *S')`."""
    same = padding_modes(network) <= {mode}
    padded = network if same else padded_with(network, mode)
    with evaluating(padded):
        result = forward(padded, crop, output)
    scale = max(variation(truth), 1e-30)
    effect = ((result - truth).double().square().mean((0, 1)).sqrt() / scale).cpu().numpy()
    largest = float(truth.abs().max()) / scale  # rounding errors grow with the values, not with their variation
    rounding = max(_ROUNDING, 1e-6 * largest) if truth.dtype == torch.float32 else 1e-10 * max(1.0, largest)
    return BoundaryEffect(mode, effect, _reach(effect > rounding, grid), threshold)


def _reach(changed: np.ndarray, grid: Grid) -> tuple[tuple[int, int], ...]:
    """Return per axis how many outputs from the first and from the last one change, given booleans `(*S')`.

    Along each axis only those outputs are used that the borders of the other axes cannot reach.
    """
    reach = []
    for axis in grid.axes:
        others = tuple(slice(None) if a is axis else slice(*a.interior) for a in grid.axes)
        line = np.any(changed[others], axis=tuple(a.index for a in grid.axes if a is not axis))
        middle = sum(axis.interior) // 2
        first, last = np.flatnonzero(line[:middle]), np.flatnonzero(line[middle:])
        reach.append((int(first[-1]) + 1 if len(first) else 0, len(line) - middle - int(last[0]) if len(last) else 0))
    return tuple(reach)


def _profile(effect: np.ndarray, bound: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return the root mean square change by distance from the first output along axis 0, up to the middle."""
    inner = [slice(lo, effect.shape[a + 1] - hi) for a, (lo, hi) in enumerate(bound[1:])]
    lines = np.square(effect[(slice(None), *inner)]).reshape(effect.shape[0], -1)
    return np.sqrt(lines.mean(1))[: effect.shape[0] // 2]
