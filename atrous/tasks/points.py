"""Tasks whose answer are points: what a network should say of them, and what is made of what it says."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from atrous.objects.points import PointPeaks, find_points, total
from atrous.objects.steps import unit_steps
from atrous.ranks import totals
from atrous.source import Source
from atrous.tasks.task import FoundTask

SILENT = 3.0
"""This is subtracted from the logits of heat, so that a network that has learned nothing yet proposes no points."""
REACH = 3.5
"""A Gaussian is cut off so many of its deviations from a point."""


@dataclass(frozen=True)
class PointAnswer:
    """The points that were found in one input, in the order of the positions that proposed them.

    Attributes:
        places: `(n, ndim)` float64 in positions; the middle of position i is i + 0.5.
        classes: `(n,)` int64.
        scores: `(n,)` float32, from 0 to 1.
        counts: `(K,)` float64: how many points of each class there are; where a density is learned, its sum.
    """

    places: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    counts: np.ndarray


class PointTask(FoundTask):
    """A task that finds points: peaks of the dense maps, and where they are counted the sum of a density.

    Attributes:
        ndim: spatial axes.
        names: of the classes.
        distance: a true point counts as found by a point of its class that lies within this.
        aspect: distances of neighboring positions along each axis, relative to each other; none where they are equal.
            Lengths are then in units of the side of a cube (square) of a position's volume, and not in positions.
        dense: how many of the dense maps, from the first on, are the densities; 0 if none is learned.
    """

    found = "points"
    ndim: int
    names: tuple[str, ...]
    distance: float
    aspect: tuple[float, ...]
    dense: int

    @property
    def steps(self) -> tuple[float, ...]:
        """Length of a step from a position to the next along each axis, in the unit of the lengths."""
        return unit_steps(self.aspect, self.ndim)

    @property
    @abstractmethod
    def decoder(self) -> PointPeaks:
        """What makes points of the dense maps."""

    def distance_of(self, truth: np.ndarray) -> float:
        """Return within which distance the true points `(n, ndim)` of one image, in positions, count as found."""
        return self.distance

    def answer(self, maps: Source, *, rows: int = 256) -> PointAnswer:
        """Return the points of dense maps `(K, *S)`. The answer does not depend on `rows`, not even in the last bit.

        Raises:
            ValueError: a density is not finite.
        """
        found = find_points(maps, self.decoder, rows=rows)
        counts = np.bincount(found.classes, minlength=len(self.names)).astype(np.float64)
        if self.dense:
            counts = total(maps, self.dense, rows=rows)
        return PointAnswer(found.values, found.classes, found.scores, counts)


def bumps(
    points: torch.Tensor,
    shape: tuple[int, ...],
    channels: int,
    sigma: float,
    *,
    mass: bool,
    steps: Sequence[float] = (),
) -> torch.Tensor:
    """Return Gaussians around points, `(N, channels, *S)` float32.

    A density adds up Gaussians whose sum is 1 each (Lempitsky & Zisserman, "Learning to count objects in images", NIPS
    2010), of which the grid holds a part where a point is near its border or outside. A heat map has the greatest of
    the Gaussians at each position, which are 1 at their points.

    Args:
        points: `(m, ndim + 2)`: the number of the crop, the place in positions, the class. Or `(m, 2 * ndim + 2)`, with
            a second place behind the first, which differs for points in a mirror: these have no heat, and a density
            only where the second place is the nearer one (see `PointTarget.cut`).
        shape: `(N, *S)`.
        channels: number of classes.
        sigma: deviation of the Gaussians, in the unit of `steps`.
        mass: a density if true, else a heat map.
        steps: length of a step from a position to the next along each axis; none for 1 along all.

    >>> two = torch.tensor([[0.0, 9.0, 8.5, 0.0], [0.0, 20.0, 8.5, 0.0]])  # the second on the border
    >>> round(float(bumps(two, (1, 20, 20), 1, 2.0, mass=True).sum()), 3)
    1.5
    """
    count, size = shape[0], torch.tensor(shape[1:], device=points.device)
    ndim, volume = len(size), int(size.prod())
    if not mass and points.shape[1] == 2 * ndim + 2:
        points = points[(points[:, 1 : 1 + ndim] == points[:, 1 + ndim : -1]).all(1)]
    flat = torch.zeros(count * channels * volume, device=points.device)
    if len(points):
        apart = torch.tensor(steps or (1.0,) * ndim, device=points.device)
        reach = [max(1, int(np.ceil(REACH * sigma / step))) for step in steps or (1.0,) * ndim]
        sides = [torch.arange(-most, most + 1, device=points.device) for most in reach]
        window = torch.cartesian_prod(*sides).reshape(-1, ndim)  # (w, ndim)
        places = points[:, 1 : 1 + ndim]
        positions = places.floor().long()[:, None] + window  # (m, w, ndim)
        away = ((positions + 0.5 - places[:, None]) * apart).square().sum(-1)
        values = torch.exp(-away / (2 * sigma**2))
        inside = ((positions >= 0) & (positions < size)).all(-1)
        if mass:
            values = values / values.sum(1, keepdim=True)
        if mass and points.shape[1] == 2 * ndim + 2:
            to_own = ((positions + 0.5 - points[:, None, 1 + ndim : -1]) * apart).square().sum(-1)
            inside &= to_own <= away
        values = values * inside
        index = points[:, 0].long()[:, None] * channels + points[:, -1].long()[:, None]
        for axis in range(ndim):
            index = index * size[axis] + positions[..., axis].clamp(0, int(size[axis]) - 1)
        index, values = index.reshape(-1), values.reshape(-1).float()
        flat = flat.index_add(0, index, values) if mass else flat.scatter_reduce(0, index, values, "amax")
    return flat.reshape(count, channels, *shape[1:])


def heat_of(output: torch.Tensor) -> torch.Tensor:
    """Return the heat, from 0 to 1, of a network's output."""
    return (output.float() - SILENT).sigmoid()


def heat_loss(output: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of heat maps `(N, K, *S)`, in which the positions near points weigh more.

    Points are few, so the sum is divided by the heat of all points, not by the number of positions.
    """
    each = F.binary_cross_entropy_with_logits(output - SILENT, heat, reduction="none")
    # Even a perfect map has the entropy of the heat itself, which says nothing.
    least = F.binary_cross_entropy(heat, heat, reduction="none")
    weighed, mass, count = totals(((each - least) * (0.5 + 4 * heat)).sum(), heat.sum(), heat.numel())
    return weighed / (mass + 0.002 * count)


def point_options(section: Mapping[str, Any], known: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return the arguments of a task of points from the section `task` of a recipe; its keys stand in `options`.

    Raises:
        ValueError: a key is unknown or missing.
    """
    options = {name: value for name, value in section["options"].items() if name != "video"}
    keys = [name for name in known if name != "names"]
    unknown = sorted(set(options) - set(keys))
    if unknown:
        raise ValueError(f"options has no key {unknown[0]!r}: {task} has {', '.join(keys)}")
    if "ndim" not in options:
        raise ValueError("options needs ndim, the number of axes")
    return {**options, "names": tuple(section["classes"]) or ("object",)}
