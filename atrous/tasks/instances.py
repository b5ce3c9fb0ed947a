"""Instances: objects of any shape, each with a number.

The network says of every position whether it belongs to an object, how near it is to the center of one, and where the
center of its own object lies (Cheng et al., "Panoptic-DeepLab", CVPR 2020). Objects are decoded from these maps by
`atrous.objects.votes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from atrous.objects.assemble import assemble
from atrous.objects.kinds import with_classes
from atrous.objects.steps import unit_steps
from atrous.objects.votes import Votes
from atrous.ranks import totals
from atrous.tasks.found_metrics import FoundMetrics
from atrous.tasks.instance_metrics import InstanceScores
from atrous.tasks.task import ObjectTask

REACH = 20
"""The center of an object lies within so many scales of each of its positions, along every axis."""
SPREAD = 0.3
"""The heat around a center falls off over this part of the object's radius."""
HEAVIEST = 4.0
"""Positions of small objects weigh at most so many times as much as those of the typical one."""
AROUND = 3
"""Background so many steps of length 1 from an object weighs as much as the object, so that it does not grow."""


@dataclass(frozen=True)
class InstanceMaps:
    """What the network should say of a batch of crops.

    Attributes:
        inside: `(N, *S)` float32, 1 in objects.
        heat: `(N, K, *S)` float32, 1 at the center of each object of the class, falling off inside of it.
        offsets: `(N, ndim, *S)` float32, from each position to the center of its object, in positions; 0 outside.
        radius: `(N, *S)` float32, that of a ball of the object's size; 0 outside.
    """

    inside: torch.Tensor
    heat: torch.Tensor
    offsets: torch.Tensor
    radius: torch.Tensor


@dataclass(frozen=True)
class InstanceAnswer:
    """The objects that were found in one input.

    Attributes:
        numbers: `(*S)` uint32, the object of each position, 0 for none. Where there are several classes, numbers say
            them (`atrous.objects.kinds`).
        scores: `(n,)` float32, of the objects 1 ... n.
    """

    numbers: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class InstanceTask(ObjectTask):
    """Objects of one or several classes. Where there are several, numbers say the class (`atrous.objects.kinds`).

    Attributes:
        ndim: spatial axes.
        names: of the classes; none for one class.
        scale: the network's offsets are in units of this length: about the radius of an object.
        apart: of two centers that are closer than this, the one with less heat is removed.
        astray: positions whose vote misses every center by more than this belong to no object.
        threshold: heat from which a peak is a center.
        foreground: probability from which a position belongs to an object.
        smallest: objects of fewer positions are dropped.
        aspect: distances of neighboring positions along each axis, relative to each other; none where they are equal.
            Lengths are then in units of the side of a cube of a position's volume, and not in positions.

    >>> InstanceTask(ndim=2).out_channels
    4
    """

    ndim: int
    names: tuple[str, ...] = ()
    scale: float = 10.0
    apart: float = 5.0
    astray: float = 10.0
    threshold: float = 0.4
    foreground: float = 0.5
    smallest: int = 1
    aspect: tuple[float, ...] = ()

    watched = ("ap50", "ap_mean")
    higher_is_better = True
    joint_loss = True
    thresholds = MappingProxyType({"threshold": (0.2, 0.3, 0.4, 0.5, 0.6), "foreground": (0.3, 0.4, 0.5, 0.6)})
    threshold_metrics = ("ap50", "ap_mean")

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "InstanceTask":
        """Make the task from the section `task` of a recipe; its keys stand in `options`, with `shape`.

        Raises:
            ValueError: a key is unknown or missing, or a value does not fit.
        """
        options = {name: value for name, value in section["options"].items() if name not in ("video", "shape")}
        unknown = sorted(set(options) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"options has no key {unknown[0]!r}: it has shape, {', '.join(cls.__dataclass_fields__)}")
        if "ndim" not in options:
            raise ValueError("options needs ndim, the number of axes")
        return cls(**{"names": tuple(section.get("classes", ())), **options})

    def __post_init__(self) -> None:
        if min(self.scale, self.apart, self.astray) <= 0:
            raise ValueError("scale, apart and astray are distances: give numbers above 0")
        if self.apart >= self.scale * REACH:
            raise ValueError(f"apart is {self.apart}: give less than {REACH} times scale, which is {self.scale}")
        levels = self.threshold, self.foreground
        if not all(isinstance(level, int | float) and 0 < level < 1 for level in levels):
            raise ValueError("threshold and foreground lie between 0 and 1")
        unit_steps(self.aspect, self.ndim)
        object.__setattr__(self, "aspect", tuple(self.aspect))

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """Inside, heat for each class, and one offset per axis."""
        return 1 + self.kinds + self.ndim

    @property
    def kinds(self) -> int:
        """Number of classes."""
        return max(1, len(self.names))

    @property
    def steps(self) -> tuple[float, ...]:
        """Length of a step from a position to the next along each axis, in the unit of the lengths."""
        return unit_steps(self.aspect, self.ndim)

    @property
    def decoder(self) -> Votes:
        """What makes objects of the maps."""
        return Votes(
            classes=self.kinds, threshold=self.threshold, foreground=self.foreground, apart=self.apart,
            astray=self.astray, reach=REACH * self.scale / self.steps[0], smallest=self.smallest, steps=self.steps,
        )  # fmt: skip

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross-entropy and Dice of inside, cross-entropy of the heat, and smooth L1 of the offsets.

        Metrics count objects, whatever their size: positions of small ones weigh more (`balance`).

        Args:
            output: `(N, 1 + K + ndim, *S)`.
            target: numbers of objects `(N, *S)` int64.
        """
        output, steps = output.float(), self.steps
        maps = encode(target, self.kinds, steps)
        inside, heat, offset = output.split([1, self.kinds, self.ndim], dim=1)
        inside, weight = inside[:, 0], balance(maps.radius, self.scale, steps)
        entropy = F.binary_cross_entropy_with_logits(inside, maps.inside, weight, reduction="sum")
        probability, axes = inside.sigmoid() * weight, tuple(range(1, inside.ndim))
        common = (probability * maps.inside).sum(axes)
        covered = maps.inside * weight
        dice = 1 - (2 * common + 1) / (probability.sum(axes) + covered.sum(axes) + 1)
        # Centers are few: their positions weigh more, and the sum is divided by the area of the objects.
        area, covered = covered.sum(), covered[:, None]
        each = F.binary_cross_entropy_with_logits(heat, maps.heat, reduction="none")
        peaks = (each * (0.1 + covered + 4 * maps.heat * weight[:, None])).sum()
        lengths = times(maps.offsets, steps)
        away = F.smooth_l1_loss(offset, lengths / self.scale, reduction="none", beta=0.1)
        entropy, mass, dice, crops, peaks, area, positions, offsets = totals(
            entropy, weight.sum(), dice.sum(), len(dice), peaks, area, maps.inside.numel(), (away * covered).sum()
        )
        area = area.clamp_min(1)
        return entropy / mass + dice / crops + peaks / (area + 0.1 * positions) + offsets / area

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return where objects are, `(N, *S)` uint8; which is which is decided by `objects`, for the whole input."""
        return (output[:, 0].float().sigmoid() > self.foreground).to(torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return dense maps `(N, 1 + K + ndim, *S)`: probability of inside, heat, and offsets in positions."""
        output, first = output.float(), 1 + self.kinds
        offsets = times(output[:, first:] * self.scale, [1 / step for step in self.steps])
        return torch.cat([output[:, :first].sigmoid(), offsets], dim=1)

    def metrics(self, *, full: bool = True) -> "InstanceMetrics":
        """Metrics of objects; quick ones are given the network's output."""
        return InstanceMetrics(self, activated=full)


class InstanceMetrics(FoundMetrics):
    """Compares the objects of each image with the true ones."""

    def __init__(self, task: ObjectTask, activated: bool) -> None:
        super().__init__(task, InstanceScores(names=task.names), activated)
        self._decoder, self._kinds = task.decoder, max(1, len(task.names))

    def answer(self, maps: np.ndarray) -> InstanceAnswer:
        """Return the objects that the dense maps `(K, *S)` of one image hold."""
        numbers = np.zeros(maps.shape[1:], np.uint32)
        found = assemble(maps, self._decoder, numbers).candidates
        return InstanceAnswer(with_classes(numbers, found.classes, self._kinds), found.scores)

    def truth(self, target: torch.Tensor) -> np.ndarray:
        """Return the numbers of the true objects `(*S)`."""
        return target.cpu().numpy()

    def count(self, name: str, answer: InstanceAnswer, truth: np.ndarray) -> None:
        """Count one image: the objects that were found, and the numbers of the true ones `(*S)`."""
        self._scores.add(name, truth, answer.numbers, answer.scores)


def times(values: torch.Tensor, factors: Sequence[float]) -> torch.Tensor:
    """Return channels `(N, ndim, *S)`, one for each axis, times a factor each.

    >>> times(torch.tensor([[[1.0, 2.0], [1.0, 2.0]]]), (4.0, 0.5)).tolist()
    [[[4.0, 8.0], [0.5, 1.0]]]
    """
    if set(factors) == {1.0}:
        return values
    parts = zip(values.split(1, dim=1), factors, strict=True)
    return torch.cat([part * factor for part, factor in parts], dim=1)


def encode(target: torch.Tensor, kinds: int = 1, steps: Sequence[float] = ()) -> InstanceMaps:
    """Return what the network should say of numbered objects `(N, *S)` int64 of so many classes; 0 is background.

    The center of an object is the mean of its positions. The heat is exp(-d^2 / (2 s^2)) at distance d from it, with
    s = `SPREAD` times the radius of a ball of the same size, at least 1, divided by the greatest heat in the object:
    also an object whose center lies outside of it has a peak of 1.

    Args:
        target: numbers of objects.
        kinds: number of classes.
        steps: length of a step from a position to the next along each axis, for d; none for 1 along all. Their product
            is 1, so that sizes give the radius (`unit_steps`).
    """
    ndim, inside = target.ndim - 1, target > 0
    batch = torch.arange(len(target), device=target.device).reshape(-1, *(1,) * ndim)
    own = torch.where(inside, target + batch * (target.max() + 1), torch.zeros_like(target))
    if int(own.max()) > own.numel():  # few numbers, but large ones
        own = torch.unique(own, return_inverse=True)[1]
    flat, count = own.reshape(-1), int(own.max()) + 1
    axes = [torch.arange(n, device=target.device, dtype=torch.float32) for n in target.shape[1:]]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))  # (ndim, *S)
    sizes = torch.bincount(flat, minlength=count).float()
    expanded = places[None].expand(len(target), *places.shape).transpose(0, 1).reshape(ndim, -1)
    sums = torch.zeros(ndim, count, device=target.device).index_add_(1, flat, expanded)
    offsets = (sums / sizes.clamp_min(1))[:, flat] - expanded
    volume = {1: 2.0, 2: np.pi, 3: 4 * np.pi / 3}[ndim]
    radius = (sizes / volume) ** (1 / ndim)
    spread = (SPREAD * radius).clamp_min(1)
    lengths = times(offsets[None], steps or (1.0,) * ndim)[0]
    heat = torch.exp(-(lengths**2).sum(0) / (2 * spread[flat] ** 2))
    greatest = torch.zeros(count, device=target.device).scatter_reduce_(0, flat, heat, "amax")
    heat = heat / greatest[flat].clamp_min(1e-20)
    shape, mask = tuple(target.shape), inside.reshape(-1)
    moved = (offsets * mask).reshape(ndim, *shape).transpose(0, 1)
    heat = (heat * mask).reshape(len(target), 1, *shape[1:])
    if kinds > 1:
        wanted = torch.arange(kinds, device=target.device).reshape(1, kinds, *(1,) * ndim)
        heat = heat * (((target - 1) % kinds)[:, None] == wanted)
    return InstanceMaps(inside.float(), heat, moved, (radius[flat] * mask).reshape(shape))


def balance(radius: torch.Tensor, typical: float, steps: Sequence[float] = ()) -> torch.Tensor:
    """Return how much each position weighs in the loss, `(N, *S)`: `typical` / radius, from 1 to `HEAVIEST`.

    Background near an object weighs as much as the object.

    Args:
        radius: of the object of each position `(N, *S)`, 0 outside of objects.
        typical: radius of the typical object.
        steps: length of a step from a position to the next along each axis; none for 1 along all.

    >>> balance(torch.tensor([[0.0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 30]]), 6.0)
    tensor([[1., 3., 3., 3., 3., 3., 3., 3., 1., 1., 1., 1.]])
    """
    own = torch.where(radius > 0, (typical / radius.clamp_min(1e-6)).clamp(1, HEAVIEST), torch.ones_like(radius))
    near = own
    around = [max(1, round(AROUND / step)) for step in steps or (1.0,) * (radius.ndim - 1)]
    # The greatest of a box is that of the greatest along each axis in turn.
    for axis, far in enumerate(around, start=1):
        lines = near.movedim(axis, -1)
        pooled = F.max_pool1d(lines.reshape(1, -1, lines.shape[-1]), 2 * far + 1, stride=1, padding=far)
        near = pooled.reshape(lines.shape).movedim(-1, axis)
    return torch.where(radius > 0, own, near)
