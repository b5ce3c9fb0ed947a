"""What borders do: how far in, and by how much, the padding changes outputs."""

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
_ROUNDING = 1e-4  # of the output's variation in float32: less is not called a change


@dataclass(frozen=True)
class BoundaryEffect:
    """What one way of padding does to the outputs of a crop.

    `effect` `(*S')` is the root mean square change of each output against the one that has the real surroundings, in
    units of the output's variation over positions. `reach` is, per axis and side, how many outputs in from the border
    one changes at all; `distrust` `(*S')` marks those that change by more than `threshold`.
    """

    mode: str
    effect: np.ndarray
    reach: tuple[tuple[int, int], ...]
    threshold: float

    @property
    def distrust(self) -> np.ndarray:
        """The outputs not to be trusted, `(*S')` bool."""
        return self.effect > self.threshold

    @property
    def at_border(self) -> float:
        """The mean effect on the outermost outputs."""
        rim = np.ones(self.effect.shape, bool)
        rim[(slice(1, -1),) * self.effect.ndim] = False
        return float(np.sqrt(np.square(self.effect[rim]).mean()))


@dataclass(frozen=True)
class Boundary:
    """The effect of each padding on a crop `(C, *S)`; `bound` is the reach per axis and side that geometry proves."""

    network: str
    shape: tuple[int, ...]
    stride: tuple[float, ...]
    bound: tuple[tuple[int, int], ...]
    effects: tuple[BoundaryEffect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists, for JSON; without the maps."""
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
        """One line per padding."""
        lines = [f"{self.network}, crops of {self.shape}: outputs that change with what lies around the crop"]
        for axis, (before, after) in enumerate(self.bound):
            lines.append(f"axis {axis}: at most {before} outputs from the first and {after} from the last (geometry)")
        for e in self.effects:
            reach = ", ".join(f"{before} and {after}" for before, after in e.reach)
            lines.append(
                f"{e.mode:<10} reaches {reach} outputs in; change at the rim {e.at_border:.3f} of the variation; "
                f"{100 * e.distrust.mean():.1f} % of outputs change by more than {e.threshold:g}"
            )
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Write the map of each padding (middle planes in 3-D) and, beside them, change against distance."""
        maps = [(e.mode, plane) for e in self.effects for plane in self._planes(e)]
        figure, charts = panels(len(maps) + 1, 3.3, 3.3)
        top = max(float(e.effect.max()) for e in self.effects) or 1.0
        for chart, (mode, (title, plane, kept)) in zip(charts[:-1], maps, strict=True):
            image(chart, plane, top=top)
            inner = [(self.bound[a][0], self.effects[0].effect.shape[a] - self.bound[a][1]) for a in kept]
            if all(lo < hi for lo, hi in inner):
                outline(chart, inner, style="--")
            chart.set_title(f"{mode} {title}".strip())
            chart.set_xticks([])
            chart.set_yticks([])
        for e, color in zip(self.effects, COLORS, strict=False):
            profile = _profile(e.effect, self.bound)
            charts[-1].plot(np.arange(len(profile)), profile, color=color, linewidth=1.5, label=e.mode)
        charts[-1].axvline(self.bound[0][0], color=COLORS[-1], linestyle="--", linewidth=1)
        charts[-1].set_xlabel("outputs in from the first; dashed: geometry")
        charts[-1].set_ylabel("change / variation")
        charts[-1].set_ylim(bottom=0)
        legend(charts[-1])
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
    """Measure what the padding of a network does, for several ways of padding its convolutions.

    The network runs on a crop, and on the crop with so much of its surroundings that geometry proves the outputs of the
    crop to be free of padding. The difference is what padding does. Convolutions (`nn.Conv1d` to `nn.Conv3d`) of a copy
    pad by each mode in turn; max pools keep ignoring what they pad, and what the network pads by itself stays.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`.
        shape: of the crop, `(C, *S)`, multiples of the network's period.
        modes: of zeros, reflect, replicate, circular; all four by default.
        pictures: `(N, C, *S)`, large enough for crop and surroundings; random ones with the spectrum of natural
            pictures by default.
        threshold: a change above it, in units of the output's variation, is to be distrusted.
        samples: how many random pictures.
        output: which tensor, when the network returns several.
        seed: of the random pictures.

    Raises:
        UserError: the network has barriers (surroundings then change every output, padded or not), no output of the
            crop is free of its borders, its sizes are no multiples of the period, the pictures are too small, or crop
            and surroundings need more memory than there is.

    >>> found = boundary(nn.Conv1d(1, 2, 5, padding=2), (1, 32), modes=("zeros", "replicate"))
    >>> found.bound, [effect.reach for effect in found.effects]
    (((2, 2),), [((2, 2),), ((2, 2),)])
    """
    wanted = tuple(MODES if modes is None else modes)
    if not wanted or set(wanted) - set(MODES):
        raise UserError(f"modes {wanted}: choose of {', '.join(MODES)}")
    grid = grid_of(network, shape, output=output)
    grid.require_interior()
    for axis in grid.axes:
        if axis.inputs % axis.period:
            raise UserError(
                f"shape {shape}: axis {axis.index} must be a multiple of the network's period, {axis.period}"
            )
    margins = [(-(-before // a.period) * a.period, after) for a in grid.axes for before, after in (a.overhang,)]
    around = [-(-after // a.period) * a.period for a, (_, after) in zip(grid.axes, margins, strict=True)]
    sizes = [a.inputs + m[0] + n for a, m, n in zip(grid.axes, margins, around, strict=True)]
    count = samples if pictures is None else len(pictures)
    larger = math.prod(sizes) / math.prod(shape[1:])
    mend = "give fewer samples, or a network with a smaller receptive field"
    require_memory(network, count * larger * grid.widest, (shape[0], *sizes), mend)
    whole = _pictures(network, (shape[0], *sizes), pictures, samples, seed)
    crop = whole[(..., *(slice(m[0], m[0] + a.inputs) for a, m in zip(grid.axes, margins, strict=True)))]
    with torch.no_grad():
        plain = zero_padded(network)
        with evaluating(plain):
            wide = forward(plain, whole, output)
        starts = [int(m[0] / a.stride) for a, m in zip(grid.axes, margins, strict=True)]
        truth = wide[(..., *(slice(s, s + a.outputs) for s, a in zip(starts, grid.axes, strict=True)))]
        effects = tuple(_effect(network, mode, crop, truth, grid, threshold, output) for mode in wanted)
    bound = tuple((a.interior[0], a.outputs - a.interior[1]) for a in grid.axes)
    return Boundary(type(network).__name__, tuple(shape), tuple(float(a.stride) for a in grid.axes), bound, effects)


def _pictures(network: nn.Module, shape: tuple[int, ...], pictures: Tensor | None, samples: int, seed: int) -> Tensor:
    if pictures is None:
        return pictures_of_noise(network, samples, shape, seed=seed)
    have = tuple(pictures.shape[1:])
    if have[0] != shape[0] or any(a < b for a, b in zip(have, shape, strict=True)):
        raise UserError(f"pictures of shape {have}: the crop with its surroundings takes {shape}")
    offsets = [(a - b) // 2 for a, b in zip(have[1:], shape[1:], strict=True)]
    return pictures[(..., *(slice(o, o + size) for o, size in zip(offsets, shape[1:], strict=True)))].to(like(network))


def _effect(
    network: nn.Module, mode: str, crop: Tensor, truth: Tensor, grid: Grid, threshold: float, output: Output
) -> BoundaryEffect:
    same = padding_modes(network) <= {mode}
    padded = network if same else padded_with(network, mode)
    with evaluating(padded):
        found = forward(padded, crop, output)
    scale = max(variation(truth), 1e-30)
    effect = ((found - truth).double().square().mean((0, 1)).sqrt() / scale).cpu().numpy()
    largest = float(truth.abs().max()) / scale  # rounding grows with the numbers, not with their variation
    rounding = max(_ROUNDING, 1e-6 * largest) if truth.dtype == torch.float32 else 1e-10 * max(1.0, largest)
    return BoundaryEffect(mode, effect, _reach(effect > rounding, grid), threshold)


def _reach(changed: np.ndarray, grid: Grid) -> tuple[tuple[int, int], ...]:
    """Per axis and side, how far in outputs change, looking only at those that the other axes' borders leave alone."""
    found = []
    for axis in grid.axes:
        others = tuple(slice(None) if a is axis else slice(*a.interior) for a in grid.axes)
        line = np.any(changed[others], axis=tuple(a.index for a in grid.axes if a is not axis))
        middle = sum(axis.interior) // 2
        first, last = np.flatnonzero(line[:middle]), np.flatnonzero(line[middle:])
        found.append((int(first[-1]) + 1 if len(first) else 0, len(line) - middle - int(last[0]) if len(last) else 0))
    return tuple(found)


def _profile(effect: np.ndarray, bound: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Root mean square change against distance from the first output along axis 0, up to the middle."""
    inner = [slice(lo, effect.shape[a + 1] - hi) for a, (lo, hi) in enumerate(bound[1:])]
    lines = np.square(effect[(slice(None), *inner)]).reshape(effect.shape[0], -1)
    return np.sqrt(lines.mean(1))[: effect.shape[0] // 2]
