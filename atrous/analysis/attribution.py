"""Attribution: which input positions make a network predict a class in a region of its output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous._nd import CONV, LINEAR, per_axis
from atrous.analysis.drawing import COLORS, image, outline, panels, planes, save
from atrous.analysis.probe import Output, evaluating, forward, like
from atrous.errors import UserError

METHODS = ("gradients", "integrated", "grad-cam", "occlusion")
Region = Sequence[tuple[int, int]]
"""Half-open intervals `[lo, hi)` of output positions, one per axis."""


@dataclass(frozen=True)
class AttributionSettings:
    """Settings of the single attribution methods.

    Attributes:
        steps: number of quadrature points of integrated gradients.
        layer: name of the module whose feature maps Grad-CAM weights. By default the last convolution among those with
            the coarsest grid.
        patch: side of the patch that occlusion covers, in positions; an eighth of the input by default.
    """

    steps: int = 32
    layer: str | None = None
    patch: int | tuple[int, ...] | None = None


@dataclass(frozen=True)
class Attribution:
    """Which positions of one input make the network predict one class in a region of the output.

    Attributes:
        method: the method, one of `METHODS`.
        target: output channel of the class.
        region: `[lo, hi)` per axis, in output positions.
        score: mean output of the channel over the region.
        values: `(*S)`, the attribution of each input position. Gradients: root of the sum of squares over channels.
            Other methods: signed, summed over channels.
        picture: `(*S)`, the input averaged over channels, for drawing.
        completeness: for integrated gradients only, the relative error
            `|sum(values) - (score - baseline score)| / |score - baseline score|`, which is 0 in theory.
    """

    method: str
    target: int
    region: tuple[tuple[int, int], ...]
    score: float
    values: np.ndarray
    picture: np.ndarray
    completeness: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists for JSON, without the maps."""
        return {
            "method": self.method,
            "target": self.target,
            "region": [list(side) for side in self.region],
            "score": self.score,
            "completeness": self.completeness,
            "strongest": [int(i) for i in np.unravel_index(np.abs(self.values).argmax(), self.values.shape)],
            "box_95": [list(side) for side in self._box()],
        }

    def text(self) -> str:
        """Return the question and the positions with the largest attribution."""
        facts = self.to_dict()
        lines = [
            f"{self.method}: output channel {self.target}, mean {self.score:.4g} over {self.region}",
            f"strongest at {tuple(facts['strongest'])}; 95 % of the attribution lies within {tuple(self._box())}",
        ]
        if self.completeness is not None:
            lines.append(f"completeness error: {self.completeness:.1e} of the score minus the baseline score")
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the input and the attribution side by side: maps in 2-D, three middle planes in 3-D, curves in 1-D.

        If the attribution fills a small part of a map only, both show that part, and the axes say where it lies.
        """
        if self.values.ndim == 1:
            return self._draw_curve(path)
        pairs = list(zip(planes(self.picture), planes(self.values), strict=True))
        figure, charts = panels(2 * len(pairs), 3.6, 3.8)
        signed = bool(self.values.min() < 0)
        for i, ((title, plane, _), (_, values, _)) in enumerate(pairs):
            image(charts[2 * i], plane - plane.min(), color="gray")
            charts[2 * i].set_title(f"input {title}".strip())
            shown = np.sign(values) * np.sqrt(np.abs(values))
            image(charts[2 * i + 1], shown, signed=signed)
            if (
                all(a == b for a, b in zip(self.picture.shape, self.values.shape, strict=True))
                and len(self.region) == 2
            ):
                outline(charts[2 * i], self.region, COLORS[1])
            charts[2 * i + 1].set_title(f"{self.method}, channel {self.target}")
            part = part_with_values(values, self.region if len(self.region) == 2 else ())
            for chart in charts[2 * i : 2 * i + 2]:
                if part is None or plane.shape != values.shape:
                    chart.set_xticks([])
                    chart.set_yticks([])
                else:
                    (top, bottom), (left, right) = part
                    chart.set_xlim(left - 0.5, right - 0.5)
                    chart.set_ylim(bottom - 0.5, top - 0.5)
        return save(figure, path)

    def _draw_curve(self, path: Path | str) -> Path:
        figure, charts = panels(2, 5.0, 2.8)
        charts[0].plot(self.picture, color=COLORS[-1], linewidth=1)
        charts[0].set_title("input")
        charts[1].plot(self.values, color=COLORS[0], linewidth=1)
        charts[1].set_title(f"{self.method}, channel {self.target}")
        return save(figure, path)

    def _box(self) -> list[tuple[int, int]]:
        """Return per axis the interval between the 2.5 % and 97.5 % quantiles of the absolute values."""
        box, weight = [], np.abs(self.values)
        for axis in range(weight.ndim):
            total = np.cumsum(weight.sum(tuple(a for a in range(weight.ndim) if a != axis)))
            ends = np.searchsorted(total, [0.025 * total[-1], 0.975 * total[-1]])
            box.append((int(ends[0]), int(ends[1]) + 1))
        return box


def part_with_values(
    values: np.ndarray, region: Sequence[tuple[int, int]] = ()
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the square of rows and columns `[lo, hi)` that holds what a map shows and the region; None for most of it.

    Values below 4 % of the largest are too pale to be seen: the map draws square roots. The square leaves a margin of a
    quarter of its side, and is None where it would be larger than two thirds of the map.

    >>> values = np.zeros((90, 90))
    >>> values[40:50, 70:76] = 1
    >>> part_with_values(values), part_with_values(np.ones((90, 90)))
    (((37, 53), (65, 81)), None)
    """
    seen = np.argwhere(np.abs(values) > 0.04 * np.abs(values).max())
    if not len(seen):
        return None
    sides = []
    for axis in range(2):
        ends = [int(seen[:, axis].min()), int(seen[:, axis].max()) + 1, *(region[axis] if len(region) == 2 else ())]
        sides.append((min(ends), max(ends)))
    side = round(1.6 * max(hi - lo for lo, hi in sides))
    if side > 2 / 3 * min(values.shape):
        return None
    starts = [
        min(max(0, (lo + hi - side) // 2), length - side) for (lo, hi), length in zip(sides, values.shape, strict=True)
    ]
    return (starts[0], starts[0] + side), (starts[1], starts[1] + side)


def attribute(
    network: nn.Module,
    picture: Tensor | np.ndarray,
    *,
    target: int,
    region: Region | None = None,
    method: str = "integrated",
    baseline: float | Tensor = 0.0,
    settings: AttributionSettings | None = None,
    output: Output = None,
) -> Attribution:
    """Find which positions of an input make the network predict class `target` in `region`.

    The score that is explained is the mean of output channel `target` over `region`. The methods, with x the input,
    b the baseline and f the score:

    - "gradients" (Simonyan et al. 2014): the gradient of f at x.
    - "integrated" gradients (Sundararajan, Taly and Yan 2017): `(x - b)` times the gradient's mean over the line from b
      to x, computed by Gauss-Legendre quadrature. The values add up to `f(x) - f(b)`.
    - "grad-cam" (Selvaraju et al. 2017): feature maps of one layer, weighted by their mean gradient and summed;
      negative values are set to 0.
    - "occlusion" (Zeiler and Fergus 2014): how much f falls when a patch is covered with b, for patches everywhere.

    Args:
        network: any module `(N, C, *S) -> (N, K, *S')`, or a classifier `(N, C, *S) -> (N, K)`.
        picture: one input `(C, *S)`.
        target: output channel of the class to explain.
        region: `[lo, hi)` per axis in output positions; the whole output by default. A classifier's region is `()`.
        method: one of the methods above.
        baseline: the input that stands for "nothing": a number, or a tensor that broadcasts to `(C, *S)`.
        settings: settings of the single methods.
        output: which tensor to use if the network returns several.

    Raises:
        UserError: the method, the layer or the class does not exist, or the region is empty or reaches outside of the
            output.

    >>> network = nn.Conv1d(1, 1, 1, bias=False)
    >>> nn.init.constant_(network.weight, 2.0).shape
    torch.Size([1, 1, 1])
    >>> attribute(network, torch.arange(4.0)[None], target=0, region=[(2, 4)]).values.round(5).tolist()
    [0.0, 0.0, 2.0, 3.0]
    """
    if method not in METHODS:
        raise UserError(f"method {method!r}: choose from {', '.join(METHODS)}")
    settings = settings or AttributionSettings()
    x = torch.as_tensor(picture).to(like(network))[None]
    empty = torch.as_tensor(baseline).to(x).expand(x.shape[1:])[None].contiguous()
    completeness = None
    with evaluating(network):
        with torch.no_grad():
            shape = tuple(forward(network, x, output).shape)
        where = _checked(shape, target, region)

        def score(values: Tensor) -> Tensor:
            part = forward(network, values, output)[(slice(None), target, *(slice(lo, hi) for lo, hi in where))]
            return part.flatten(1).mean(1) if part.ndim > 1 else part

        with torch.no_grad():
            total, baseline_score = float(score(x)), float(score(empty))
        if method == "gradients":
            values = _gradient(score, x).square().sum(1).sqrt()
        elif method == "integrated":
            values = _integrated(score, x, empty, settings.steps)
            gain = total - baseline_score
            completeness = abs(float(values.sum()) - gain) / max(abs(gain), 1e-30)
        elif method == "grad-cam":
            values = _grad_cam(network, score, x, settings.layer)
        else:
            values = _occlusion(score, x, empty, settings.patch)
    flat = x[0].double().mean(0).cpu().numpy()
    return Attribution(method, target, where, total, values[0].double().cpu().numpy(), flat, completeness)


def strongest_class(
    network: nn.Module, picture: Tensor | np.ndarray, region: Region | None = None, *, output: Output = None
) -> int:
    """Return the output channel with the largest mean over a region (the whole output by default).

    For a classifier this is the class that it predicts. Arguments are those of `attribute`.

    >>> network = nn.Conv1d(1, 3, 1)
    >>> network.bias.data = torch.tensor([0.0, 9.0, 0.0])
    >>> strongest_class(network, torch.zeros(1, 5))
    1
    """
    with evaluating(network), torch.no_grad():
        result = forward(network, torch.as_tensor(picture).to(like(network))[None], output)
    where = _checked(tuple(result.shape), 0, region)
    part = result[(0, slice(None), *(slice(lo, hi) for lo, hi in where))]
    return int((part.flatten(1).mean(1) if part.ndim > 1 else part).argmax())


def _checked(shape: tuple[int, ...], target: int, region: Region | None) -> tuple[tuple[int, int], ...]:
    """Return the region, or the whole of an output of this shape; raise UserError if target or region do not fit."""
    if len(shape) < 2:
        raise UserError(f"the network's output has the shape {shape}, not (N, K) or (N, K, *S): it has no classes")
    if not 0 <= target < shape[1]:
        raise UserError(f"class {target}: the network has output channels 0 to {shape[1] - 1}")
    if region is None:
        return tuple((0, size) for size in shape[2:])
    if len(region) != len(shape) - 2 or any(
        not 0 <= lo < hi <= size for (lo, hi), size in zip(region, shape[2:], strict=False)
    ):
        raise UserError(f"region {tuple(region)}: give [lo, hi) per axis within the output's {shape[2:]}")
    return tuple((int(lo), int(hi)) for lo, hi in region)


def _gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the gradient `(1, C, *S)` of the score at x `(1, C, *S)`."""
    x = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        return torch.autograd.grad(score(x).sum(), x)[0]


def _integrated(score: Callable[[Tensor], Tensor], x: Tensor, empty: Tensor, steps: int) -> Tensor:
    """Return integrated gradients `(1, *S)`: `(x - b) * sum_i w_i gradient(b + p_i (x - b))`, summed over channels."""
    if steps < 1:
        raise UserError(f"{steps} steps: give at least one")
    points, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(x)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        total += float(weight) * _gradient(score, empty + float(point) * (x - empty))
    return ((x - empty) * total).sum(1)


def _grad_cam(network: nn.Module, score: Callable[[Tensor], Tensor], x: Tensor, layer: str | None) -> Tensor:
    """Return the Grad-CAM map `(1, *S)` of x `(1, C, *S)`, interpolated linearly to the grid of the input."""
    modules = dict(network.named_modules())
    if layer is not None and layer not in modules:
        raise UserError(f"layer {layer!r}: the network has no such module (named_modules() lists them)")
    names = [layer] if layer is not None else [n for n, m in modules.items() if isinstance(m, tuple(CONV.values()))]
    maps: list[Tensor] = []
    ndim = x.ndim - 2

    def keep(module: nn.Module, inputs: Any, result: Any) -> Any:
        if not isinstance(result, Tensor):
            return result
        # the network goes on with a copy, so that an in-place activation does not overwrite the map that is kept
        maps.append(result)
        return result.clone()

    handles = [modules[name].register_forward_hook(keep) for name in names]
    try:
        with torch.enable_grad():
            value = score(x.detach().clone().requires_grad_(True)).sum()
    finally:
        for handle in handles:
            handle.remove()
    maps = [m for m in maps if m.ndim == x.ndim]
    if not maps:
        raise UserError("Grad-CAM: the layer has no feature maps (N, K, *S): name another layer")
    features = _coarsest(maps)
    (gradient,) = torch.autograd.grad(value, features, allow_unused=True)
    if gradient is None:
        raise UserError("Grad-CAM: the score does not depend on this layer: name another layer")
    weights = gradient.mean(tuple(range(2, x.ndim)), keepdim=True)
    cam = (weights * features).sum(1, keepdim=True).relu().detach()
    return F.interpolate(cam, size=x.shape[2:], mode=LINEAR[ndim], align_corners=False)[:, 0]


def _coarsest(maps: list[Tensor]) -> Tensor:
    """Return the last of the maps `(1, K, *S)` with the fewest positions.

    Maps with a single position (of a squeeze-excitation gate, for example) are left out if there are larger ones,
    because they do not tell where something is.
    """
    sizes = [m[0, 0].numel() for m in maps]
    spread = [size for size in sizes if size > 1] or sizes
    return [m for m, size in zip(maps, sizes, strict=True) if size == min(spread)][-1]


@torch.no_grad()
def _occlusion(
    score: Callable[[Tensor], Tensor], x: Tensor, empty: Tensor, patch: int | tuple[int, ...] | None
) -> Tensor:
    """Return, for each position `(1, *S)`, the mean fall of the score over the covered patches that contain it."""
    sizes = tuple(x.shape[2:])
    sides = tuple(max(1, size // 8) for size in sizes) if patch is None else per_axis(patch, len(sizes))
    if any(not 1 <= side <= size for side, size in zip(sides, sizes, strict=True)):
        raise UserError(f"patch {sides}: give sides of at least 1 that fit into the input, {sizes}")
    starts = [
        sorted({*range(0, size - side, max(1, side // 2)), size - side})
        for size, side in zip(sizes, sides, strict=True)
    ]
    whole = float(score(x))
    total, count = torch.zeros(sizes, dtype=torch.float64), torch.zeros(sizes, dtype=torch.float64)
    for corner in np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, len(sizes)).tolist():
        part = tuple(slice(start, start + side) for start, side in zip(corner, sides, strict=True))
        covered = x.clone()
        covered[(..., *part)] = empty[(..., *part)]
        total[part] += whole - float(score(covered))
        count[part] += 1
    return (total / count)[None]
