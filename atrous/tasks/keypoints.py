"""Key points: points with names, such as the corners of an eye; a heat map for each name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atrous.objects.points import PointPeaks
from atrous.objects.steps import unit_steps
from atrous.tasks.point_metrics import PointMetrics
from atrous.tasks.points import PointTask, bumps, heat_loss, heat_of, point_options


@dataclass(frozen=True)
class KeypointTask(PointTask):
    """Named points: exactly one of each name in an image, or any number.

    Attributes:
        ndim: spatial axes.
        names: of the points.
        spread: deviation of the heat around a point.
        apart: of two points of a name that are closer than this, the one with less heat is removed.
        threshold: heat from which a peak is a point.
        distance: a true point counts as found by a point of its name that lies within this.
        single: whether an image has at most one point of each name; only the best one is kept then.
        fraction: with `single`, a point counts as found within this part of the longer side of the box around the true
            points of the image, in place of `distance`; 0 for `distance`.
        aspect: see `PointTask`.

    >>> KeypointTask(ndim=2, names=("left", "right")).out_channels
    2
    """

    ndim: int
    names: tuple[str, ...] = ("object",)
    spread: float = 2.5
    apart: float = 3.0
    threshold: float = 0.3
    distance: float = 5.0
    single: bool = False
    fraction: float = 0.0
    aspect: tuple[float, ...] = ()

    watched = ("pck", "f1")
    higher_is_better = True
    joint_loss = True
    dense = 0

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "KeypointTask":
        """Make the task from the section `task` of a recipe; its keys stand in `options`.

        Raises:
            ValueError: a key is unknown or missing, or a value does not fit.
        """
        return cls(**point_options(section, cls.__dataclass_fields__, "keypoints"))

    def __post_init__(self) -> None:
        if min(self.spread, self.apart, self.distance) <= 0:
            raise ValueError("spread, apart and distance are distances: give numbers above 0")
        if self.fraction < 0 or (self.fraction and not self.single):
            raise ValueError("fraction is a part of the box around the points: give 0, or a number above 0 with single")
        unit_steps(self.aspect, self.ndim)
        object.__setattr__(self, "aspect", tuple(self.aspect))

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """A heat map for each name."""
        return len(self.names)

    @property
    def decoder(self) -> PointPeaks:
        """What makes points of the heat maps."""
        return PointPeaks(
            classes=len(self.names), threshold=self.threshold, apart=self.apart, single=self.single, steps=self.steps
        )  # fmt: skip

    def distance_of(self, truth: np.ndarray) -> float:
        """See `PointTask.distance_of`."""
        side = float((np.ptp(truth, axis=0) * self.steps).max()) if len(truth) else 0.0
        return self.fraction * side if self.fraction and side > 0 else self.distance

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the heat.

        Args:
            output: `(N, K, *S)`.
            target: points `(m, ndim + 2)`: the number of the crop, the place, the name.
        """
        shape = (len(output), *output.shape[2:])
        heat = bumps(target, shape, len(self.names), self.spread, mass=False, steps=self.steps)
        return heat_loss(output.float(), heat)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return where the heat of points is, `(N, *S)` uint8: 0 for nowhere, else 1 plus the name."""
        heat, best = heat_of(output).max(dim=1)
        return torch.where(heat > self.threshold, best + 1, 0).to(torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return the heat maps `(N, K, *S)`, from 0 to 1."""
        return heat_of(output)

    def metrics(self, *, full: bool = True) -> PointMetrics:
        """Metrics of points; quick ones are given the network's output."""
        return PointMetrics(self, activated=full)
