"""Instances as star-convex polygons or polyhedra: every point of the border is seen from the center.

The network says of every position how likely it is near the middle of an object, and how far the border of its object
is along rays that are evenly spread over the circle (Schmidt, Weigert, Broaddus, Myers, "Cell Detection with
Star-convex Polygons", MICCAI 2018) or the sphere (Weigert et al., "Star-convex Polyhedra for 3D Object Detection and
Segmentation in Microscopy", WACV 2020). Objects are decoded from these maps by `atrous.objects.stars`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from atrous.objects.directions import MOST, RAYS, fewest
from atrous.objects.rays import distances_at
from atrous.objects.stars import Stars
from atrous.objects.steps import unit_steps
from atrous.ranks import totals
from atrous.tasks.instances import REACH, InstanceMetrics
from atrous.tasks.task import ObjectTask

PRIOR = -2.0
"""Added to the output of the probability, so that a fresh network finds nothing."""
WEIGHT = 0.5
"""Of the distances, in units of the scale. With more, a network learns the probability late."""


@dataclass(frozen=True)
class StarMaps:
    """What the network should say of a batch of crops.

    Attributes:
        probability: `(N, *S)` float32, the distance to the nearest position outside of the object, divided by the
            greatest one in the object; 0 outside.
        distances: `(n, rays)` float32, along each ray to the border of the object, in the unit of the steps, from the n
            positions in objects, in row-major order.
    """

    probability: torch.Tensor
    distances: torch.Tensor


@dataclass(frozen=True)
class StarTask(ObjectTask):
    """Star-convex objects of one or several classes in images and volumes.

    Where there are several classes, numbers say the class (`atrous.objects.kinds`).

    Attributes:
        ndim: spatial axes, 2 or 3.
        names: of the classes; none for one class.
        rays: corners of a polygon or polyhedron; 0 for as many as a plan takes.
        scale: the network's distances are in units of so many positions: about the radius of an object.
        threshold: probability from which a peak is a candidate.
        overlap: of two objects whose intersection is more than this part of the smaller area (volume), the one with the
            lower score is removed.
        smallest: objects of fewer positions are dropped.
        aspect: distances of neighboring positions along each axis, relative to each other: angles are those in the
            world, and lengths in units of the side of a square (cube) of a position's size. None where they are equal.

    >>> StarTask().out_channels, StarTask(names=("a", "b")).out_channels, StarTask(ndim=3).out_channels
    (33, 35, 97)
    """

    ndim: int = 2
    names: tuple[str, ...] = ()
    rays: int = 0
    scale: float = 10.0
    threshold: float = 0.5
    overlap: float = 0.4
    smallest: int = 1
    aspect: tuple[float, ...] = ()

    watched = ("ap50", "ap_mean")
    higher_is_better = True
    joint_loss = True
    thresholds = MappingProxyType({"threshold": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), "overlap": (0.3, 0.4, 0.5)})
    threshold_metrics = ("ap50", "ap_mean")

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "StarTask":
        """Make the task from the section `task` of a recipe; its keys stand in `options`, with `ndim` and `shape`.

        Raises:
            ValueError: a key is unknown or missing, a value does not fit, or there are neither two nor three axes.
        """
        options = {name: value for name, value in section["options"].items() if name not in ("video", "shape")}
        known = [name for name in cls.__dataclass_fields__ if name != "names"]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ValueError(
                f'options has no key {unknown[0]!r} with shape = "stars": it has shape, {", ".join(known)}'
            )
        if options.get("ndim") not in RAYS:
            raise ValueError(
                'shape = "stars" is for images and volumes: options.ndim must be 2 or 3; write shape = "votes" '
                "for others"
            )
        return cls(names=tuple(section.get("classes", ())), **options)

    def __post_init__(self) -> None:
        rays = self.rays or RAYS[self.ndim]
        if rays != int(rays) or not fewest(self.ndim) <= rays <= MOST:
            raise ValueError(f"rays is {rays}: give a whole number from {fewest(self.ndim)} to {MOST}")
        if self.scale <= 0:
            raise ValueError(f"scale is {self.scale}: it is a distance, give a number above 0")
        if not (0 < self.threshold < 1 and 0 < self.overlap < 1):
            raise ValueError("threshold and overlap lie between 0 and 1")
        unit_steps(self.aspect, self.ndim)
        object.__setattr__(self, "rays", int(rays))
        object.__setattr__(self, "aspect", tuple(self.aspect))

    @property
    def steps(self) -> tuple[float, ...]:
        """Length of a step from a position to the next along each axis, in the unit of the lengths."""
        return unit_steps(self.aspect, self.ndim)

    @property
    def kinds(self) -> int:
        """Number of classes."""
        return max(1, len(self.names))

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """The probability of an object, where there are several classes one for each, and the rays."""
        return 1 + self._class_maps + self.rays

    @property
    def _class_maps(self) -> int:
        return self.kinds if self.kinds > 1 else 0

    @property
    def decoder(self) -> Stars:
        """What makes objects of the maps."""
        return Stars(
            threshold=self.threshold, overlap=self.overlap, reach=REACH * self.scale / self.steps[0], rays=self.rays,
            classes=self.kinds, smallest=self.smallest, steps=self.steps,
        )  # fmt: skip

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the probability, L1 of the distances weighted by it, and cross-entropy of the classes.

        Args:
            output: `(N, 1 + classes if several + rays, *S)`.
            target: numbers of objects `(N, *S)` int64.
        """
        maps, inside = encode(target, self.rays, self.steps), target > 0
        logits, classes, rays = output.split([1, self._class_maps, self.rays], dim=1)
        entropy = F.binary_cross_entropy_with_logits(logits[:, 0].float() + PRIOR, maps.probability, reduction="sum")
        # Distances count in objects only: the many maps are read there, and copied nowhere else.
        rays, weights = rays.movedim(1, -1)[inside].float(), maps.probability[inside]
        away = (1 + rays - maps.distances / self.scale).abs().mean(dim=1)
        of_classes = entropy.new_zeros(())
        if self._class_maps:
            each = F.cross_entropy(classes.float(), classes_of(target, self.kinds), reduction="none")
            of_classes = (each * maps.probability).sum()
        entropy, positions, away, of_classes, mass = totals(
            entropy, maps.probability.numel(), (away * weights).sum(), of_classes, maps.probability.sum()
        )
        return entropy / positions + (WEIGHT * away + of_classes) / mass.clamp_min(1)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return where candidates may be, `(N, *S)` uint8; objects are decided for the whole input."""
        return ((output[:, 0].float() + PRIOR).sigmoid() > self.threshold).to(torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return dense maps `(N, out_channels, *S)`: probabilities of object and classes, distances along rays."""
        logits, classes, rays = output.float().split([1, self._class_maps, self.rays], dim=1)
        distances = ((1 + rays) * self.scale).clamp_min(0)
        return torch.cat([(logits + PRIOR).sigmoid(), classes.softmax(dim=1), distances], dim=1)

    def metrics(self, *, full: bool = True) -> InstanceMetrics:
        """Metrics of objects; quick ones are given the network's output."""
        return InstanceMetrics(self, activated=full)


def encode(target: torch.Tensor, rays: int, steps: Sequence[float] = ()) -> StarMaps:
    """Return what the network should say of numbered objects `(N, *S)` int64; 0 is background.

    What lies outside of the crop is no part of an object. `steps` are the lengths of a step along each axis; none for 1
    along all.
    """
    crops, steps = target.cpu().numpy(), steps or (1.0,) * (target.ndim - 1)
    parts = [distances_at(numbers, np.argwhere(numbers > 0), rays, steps) for numbers in crops]
    distances = torch.from_numpy(np.concatenate(parts))
    probability = torch.from_numpy(np.stack([_object_probability(numbers, steps) for numbers in crops]))
    return StarMaps(probability.to(target.device), distances.to(target.device))


def _object_probability(numbers: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """The distance to the nearest position outside of the own object over the object's greatest, `(*S)` float32."""
    from scipy import ndimage  # imported here: `atrous --help` must not wait for it

    if numbers.max(initial=0) > numbers.size:
        numbers = np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape) + (numbers.min() > 0)
    probability = np.zeros(numbers.shape, np.float32)
    for number, window in enumerate(ndimage.find_objects(numbers), 1):
        if window is None:
            continue
        own = numbers[window] == number
        distance = np.asarray(ndimage.distance_transform_edt(np.pad(own, 1), sampling=steps))
        distance = distance[(slice(1, -1),) * own.ndim]
        probability[window][own] = (distance / distance.max())[own]
    return probability


def classes_of(target: torch.Tensor, kinds: int) -> torch.Tensor:
    """Return the classes `(N, *S)` int64 that numbers say; 0 in the background, where they do not count."""
    return torch.where(target > 0, (target - 1) % kinds, torch.zeros_like(target))
