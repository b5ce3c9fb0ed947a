"""Counting: how many points there are, and where.

For each class the network gives a density, whose sum over any part of the input is the number of points in it
(Lempitsky & Zisserman, "Learning to count objects in images", NIPS 2010), and a heat map, whose peaks are the points.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from atrous._nd import AVG_POOL
from atrous.objects.points import PointPeaks
from atrous.objects.steps import unit_steps
from atrous.ranks import totals
from atrous.tasks.point_metrics import PointMetrics
from atrous.tasks.points import PointTask, bumps, heat_loss, heat_of, point_options

BLOCKS = (4.0, 16.0)
"""The number of points is compared in blocks of so many deviations of the density, and in whole crops."""


@dataclass(frozen=True)
class CountingTask(PointTask):
    """Points of one or several classes that are counted.

    Attributes:
        ndim: spatial axes.
        names: of the classes.
        sigma: deviation of the density around a point.
        spread: deviation of the heat around a point.
        apart: of two points of a class that are closer than this, the one with less heat is removed.
        threshold: heat from which a peak is a point.
        distance: see `PointTask`.
        heat_weight: weight of the heat map in the loss.
        count_weight: weight of the number of points in blocks in the loss.
        aspect: see `PointTask`.

    >>> CountingTask(ndim=2, names=("cell",)).out_channels
    2
    """

    ndim: int
    names: tuple[str, ...] = ("object",)
    sigma: float = 3.0
    spread: float = 2.0
    apart: float = 2.0
    threshold: float = 0.3
    distance: float = 4.0
    heat_weight: float = 0.5
    count_weight: float = 1.0
    aspect: tuple[float, ...] = ()

    watched = ("count_mae", "f1")
    higher_is_better = False
    joint_loss = True
    thresholds = MappingProxyType({"threshold": (0.1, 0.15, 0.2, 0.3, 0.4, 0.5)})
    threshold_metrics = ("f1",)

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "CountingTask":
        """Make the task from the section `task` of a recipe; its keys stand in `options`.

        Raises:
            ValueError: a key is unknown or missing, or a value does not fit.
        """
        return cls(**point_options(section, cls.__dataclass_fields__, "counting"))

    def __post_init__(self) -> None:
        if min(self.sigma, self.spread, self.apart, self.distance) <= 0:
            raise ValueError("sigma, spread, apart and distance are distances: give numbers above 0")
        unit_steps(self.aspect, self.ndim)
        object.__setattr__(self, "aspect", tuple(self.aspect))

    @property
    def dense(self) -> int:  # type: ignore[override]
        """A density for each class."""
        return len(self.names)

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """A density and a heat map for each class."""
        return 2 * len(self.names)

    @property
    def decoder(self) -> PointPeaks:
        """What makes points of the heat maps."""
        count = len(self.names)
        return PointPeaks(
            classes=count, first=count, threshold=self.threshold, apart=self.apart, steps=self.steps
        )  # fmt: skip

    @property
    def unit(self) -> float:
        """The greatest density of a point that stands alone: the unit of the network's output."""
        return 1 / (math.sqrt(2 * math.pi) * self.sigma) ** self.ndim

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Squared error of the density, error of the count in blocks and whole crops, and cross-entropy of the heat.

        Args:
            output: `(N, 2 * K, *S)`.
            target: points `(m, ndim + 2)`: the number of the crop, the place, the class.
        """
        output, classes, shape = output.float(), len(self.names), (len(output), *output.shape[2:])
        density = bumps(target, shape, classes, self.sigma, mass=True, steps=self.steps) / self.unit
        given = output[:, :classes]
        error, mass, count = totals((given - density).square().sum(), density.sum(), density.numel())
        squared = error / (mass + 0.01 * count)
        heat = bumps(target, shape, classes, self.spread, mass=False, steps=self.steps)
        return (
            squared
            + self.count_weight * self._count_loss(given * self.unit, density * self.unit)
            + self.heat_weight * heat_loss(output[:, classes:], heat)
        )

    def _count_loss(self, given: torch.Tensor, density: torch.Tensor) -> torch.Tensor:
        """The error of the number of points in blocks and in whole crops, in units of its natural deviation.

        Counts vary by the square root of their mean. In blocks the error is squared: most small blocks have no point,
        and a sum of absolute errors is least at the median, so a network that is not sure would count too few.
        """
        losses = []
        for side in BLOCKS:
            sides = (side * self.sigma / step for step in self.steps)
            size = [min(n, max(1, round(length))) for n, length in zip(density.shape[2:], sides, strict=True)]
            found, true = (AVG_POOL[self.ndim](size)(maps) * math.prod(size) for maps in (given, density))
            error, mass, count = totals((found - true).square().sum(), true.sum(), true.numel())
            losses.append((error / count) / (mass / count + 0.1))
        found, true = given.flatten(2).sum(2), density.flatten(2).sum(2)
        error, mass, count = totals((found - true).abs().sum(), true.sum(), true.numel())
        losses.append((error / count) / (mass / count + 0.1).sqrt())
        return torch.stack(losses).mean()

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return where the heat of points is, `(N, *S)` uint8: 0 for nowhere, else 1 plus the class."""
        heat, best = heat_of(output[:, len(self.names) :]).max(dim=1)
        return torch.where(heat > self.threshold, best + 1, 0).to(torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return dense maps `(N, 2 * K, *S)`: the densities, points per position, then the heat."""
        output, classes = output.float(), len(self.names)
        return torch.cat([output[:, :classes] * self.unit, heat_of(output[:, classes:])], dim=1)

    def metrics(self, *, full: bool = True) -> PointMetrics:
        """Metrics of counts and points; quick ones are given the network's output."""
        return PointMetrics(self, activated=full)
