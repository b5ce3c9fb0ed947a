"""Detection: boxes of objects of several classes, without anchors.

Every `stride`-th position says how well it could place a box of each class, and how far away the faces of that box are
(Tian et al., "FCOS", ICCV 2019). The score to learn is the overlap of the proposed box with the true one (Li et al.,
"Generalized focal loss", NeurIPS 2020), and falls off from the center of the object (Liu et al.,
"Training-time-friendly network for real-time object detection", AAAI 2020), so that one number tells the class, the
center and the quality of the box. Boxes are decoded from these maps by `atrous.objects.boxes`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from atrous.objects.boxes import DenseBoxes, LatticeBoxes, find_boxes, lattice
from atrous.ranks import totals
from atrous.tasks.detection_metrics import DetectionScores
from atrous.tasks.found_metrics import FoundMetrics, rows_and_classes
from atrous.tasks.task import ObjectTask

REACH = 20
"""A box reaches so many scales from the position that proposes it, at most."""
SPREAD = 0.3
"""The score falls off over this part of half a side of the box."""
FAINT = 0.1
"""Positions at which it has fallen below this have nothing to learn of the object."""
PRIOR = -4.0
"""Added to the outputs of the classes, so that a fresh network finds nothing (Lin et al., "Focal loss", ICCV 2017)."""
UNIT = math.log(math.e - 1)
"""Added to the outputs of the distances: softplus of it is 1, so that a fresh network proposes boxes of the scale."""
LEAST = 0.02
"""Average precision counts boxes from this score."""
THIN = 1e-3
"""No half of a side is taken for less, in positions."""
LIGHTEST, HEAVIEST = 0.25, 4.0
"""Weights of the positions of large and of small objects."""


@dataclass(frozen=True)
class DetectionMaps:
    """What the network should say of one crop at the positions `(*L)` that propose boxes.

    Attributes:
        near: `(K, *L)` float32, for each class 1 at the center of an object, falling off to 0 inside of it.
        owner: `(*L)` int64, the box that a position should propose: the one whose center is nearest, in units of its
            size; -1 where it should propose none.
        weight: `(*L)` float32, more where the owner is smaller than the scale or its class rare, less where it is
            larger or its class common.
    """

    near: torch.Tensor
    owner: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class DetectionTask(ObjectTask):
    """Boxes of several classes.

    Attributes:
        classes: names.
        scale: per axis, half of a typical side of a box, in positions; the network's distances are in units of it.
        stride: per axis, every how many positions propose boxes.
        threshold: score from which a box is shown and written. Average precision counts lower scores too.
        overlap: of two boxes of a class that overlap more than this (intersection over union), the one with the lower
            score is removed.
        class_weights: how much the boxes of each class count in the loss; None for equal ones.

    >>> DetectionTask(("red", "white"), scale=(20.0, 20.0), stride=(4, 4)).out_channels
    6
    """

    classes: tuple[str, ...]
    scale: tuple[float, ...]
    stride: tuple[int, ...]
    threshold: float = 0.3
    overlap: float = 0.6
    class_weights: tuple[float, ...] | None = None

    watched = ("map", "map50")
    higher_is_better = True
    joint_loss = True
    found = "boxes"
    thresholds = MappingProxyType({"threshold": ()})  # metrics know the best score: none is tried
    threshold_metrics = ("f1_score",)

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "DetectionTask":
        """Make the task from the section `task` of a recipe; its keys stand in `options`.

        Raises:
            ValueError: a key is unknown or missing, or a value does not fit.
        """
        options = {name: value for name, value in section["options"].items() if name not in ("video", "rotated")}
        known = [name for name in cls.__dataclass_fields__ if name not in ("classes", "class_weights")]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ValueError(f"options has no key {unknown[0]!r}: it has {', '.join(known)}")
        for name in ("scale", "stride"):
            if not isinstance(options.get(name), Sequence):
                raise ValueError(f"options needs {name}, a list with one number for each axis")
            options[name] = tuple(options[name])
        weights = section.get("class_weights")
        return cls(tuple(section["classes"]), **options, class_weights=None if weights is None else tuple(weights))

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("detection needs classes: name at least one")
        if self.class_weights is not None and len(self.class_weights) != len(self.classes):
            raise ValueError(f"{len(self.class_weights)} class weights for {len(self.classes)} classes")
        if len(self.scale) != len(self.stride) or not 1 <= len(self.scale) <= 3:
            raise ValueError(f"scale {self.scale} and stride {self.stride}: give one number for each of 1 to 3 axes")
        if min(self.scale) <= 0 or min(self.stride) < 1 or any(int(step) != step for step in self.stride):
            raise ValueError(f"scale {self.scale} must be above 0, stride {self.stride} whole numbers from 1")
        if not (0 < self.threshold < 1 and 0 < self.overlap < 1):
            raise ValueError("threshold and overlap lie between 0 and 1")

    @property
    def ndim(self) -> int:
        """Spatial axes."""
        return len(self.scale)

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """A score for each class, and the distances to the low and to the high faces."""
        return len(self.classes) + 2 * self.ndim

    @property
    def decoder(self) -> LatticeBoxes:
        """What makes boxes of the maps."""
        return DenseBoxes(
            len(self.classes), self.threshold, self.overlap, REACH * max(self.scale), stride=self.stride
        )  # fmt: skip

    @property
    def lenient(self) -> LatticeBoxes:
        """The same for average precision, which needs boxes of low scores too."""
        return replace(self.decoder, threshold=min(LEAST, self.threshold))

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Quality focal loss of the scores, and 1 - generalized IoU of the boxes (Rezatofighi et al., CVPR 2019).

        With s the score of a position and y its truth (nearness to the center times the overlap of the two boxes) the
        first is |y - s|^2 times their cross-entropy.

        Args:
            output: `(N, K + 2 * ndim, *S)`.
            target: `(m, 2 + 2 * ndim)`: the number of the crop, the corners and the class of each box; a negative class
                marks an area that counts for nothing.
        """
        axes = [lattice(size, step) for size, step in zip(output.shape[2:], self.stride, strict=True)]
        every = tuple(slice(axis.start, None, axis.step) for axis in axes)
        output = output[(slice(None), slice(None), *every)].float()
        centers = [torch.arange(axis.start, axis.stop, axis.step, device=output.device) + 0.5 for axis in axes]
        scores, boxes, total = output.new_zeros(()), output.new_zeros(()), output.new_zeros(())
        for number, crop in enumerate(output):
            rows = target[target[:, 0] == number, 1:].float()
            of_scores, of_boxes, weight = self._crop_loss(crop, rows, centers)
            scores, boxes, total = scores + of_scores, boxes + of_boxes, total + weight
        scores, boxes, total = totals(scores, boxes, total)
        return (scores + 2 * boxes) / total.clamp_min(1)

    def _crop_loss(
        self, output: torch.Tensor, rows: torch.Tensor, centers: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The sums of both losses over the positions of one crop, and the sum of the weights."""
        count, void = len(self.classes), rows[:, -1] < 0
        objects, classes = rows[~void, :-1], rows[~void, -1].long()
        maps = encode(objects, classes, centers, self)
        owned = maps.owner >= 0
        owner = maps.owner[owned]
        places = torch.stack(torch.meshgrid(*centers, indexing="ij"), dim=-1)[owned]  # (p, ndim)
        iou, lost = self.compare(output[count:][:, owned], places, objects[owner])
        truth = torch.zeros_like(output[:count])
        own = classes[owner]
        near = maps.near[:, owned].gather(0, own[None])[0]
        truth[:, owned] = torch.zeros_like(truth[:, owned]).scatter(0, own[None], (near * iou.detach())[None])
        logits = output[:count] + PRIOR
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        weight = maps.weight * ~self._in_void(rows[void, :-1], centers, maps.owner)
        scores = ((truth - logits.sigmoid()).square() * entropy * weight).sum()
        importance = maps.weight[owned] * near
        return scores, (importance * lost).sum(), importance.sum()

    def compare(
        self, numbers: torch.Tensor, places: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how much proposed boxes overlap the true ones (intersection over union), and what they lose, `(p,)`.

        Args:
            numbers: `(c, p)`, the output without the classes at some positions.
            places: `(p, ndim)`, where these are.
            boxes: `(p, m)`, the box that each should propose.
        """
        reach = F.softplus(numbers + UNIT).T * numbers.new_tensor(self.scale).repeat(2)
        proposed = torch.cat([places - reach[:, : self.ndim], places + reach[:, self.ndim :]], dim=1)
        iou, giou = overlap_and_giou(proposed, boxes)
        return iou, 1 - giou

    def fall(self, boxes: torch.Tensor, centers: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how far positions are from the centers of boxes, and half the sides of the boxes.

        Args:
            boxes: `(m, 2 * ndim)`.
            centers: per axis, the coordinates `(L_a,)` of the positions that propose boxes.

        Returns:
            The sum over the axes of (d / h)^2, `(m, *L)`, as `encode` explains; and h, `(m, ndim)`.
        """
        low, high = boxes.chunk(2, dim=1)
        half, fall = ((high - low) / 2).clamp_min(THIN), boxes.new_zeros((len(boxes), *map(len, centers)))
        for axis, places in enumerate(centers):
            away = (places - (low + high)[:, axis, None] / 2).abs() - self.stride[axis] / 2  # (m, L_a)
            fall = fall + (away.clamp_min(0) / half[:, axis, None]).square().reshape(
                len(boxes), *(len(places) if a == axis else 1 for a in range(self.ndim))
            )
        return fall, half

    def covers(self, box: torch.Tensor, centers: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return which positions `(*L)` lie in a box `(2 * ndim,)`."""
        within = torch.ones([len(axis) for axis in centers], dtype=torch.bool, device=box.device)
        for axis, places in enumerate(centers):
            between = (places >= box[axis]) & (places <= box[self.ndim + axis])
            within &= between.reshape(*(len(places) if a == axis else 1 for a in range(self.ndim)))
        return within

    def _in_void(self, boxes: torch.Tensor, centers: Sequence[torch.Tensor], owner: torch.Tensor) -> torch.Tensor:
        """Where positions `(*L)` without an owner lie in one of some boxes `(m, ...)` that count for nothing."""
        covered = torch.zeros_like(owner, dtype=torch.bool)
        for box in boxes:
            covered |= self.covers(box, centers)
        return covered & (owner < 0)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return where a class is beyond the threshold, `(N, *S)` uint8; boxes are decided for the whole input."""
        best = output[:, : len(self.classes)].float().amax(1) + PRIOR
        return (best.sigmoid() > self.threshold).to(torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return dense maps `(N, K + 2 * ndim, *S)`: a score for each class, and distances in positions."""
        output, count = output.float(), len(self.classes)
        unit = output.new_tensor(self.scale).repeat(2).reshape(-1, *(1,) * self.ndim)
        return torch.cat([(output[:, :count] + PRIOR).sigmoid(), F.softplus(output[:, count:] + UNIT) * unit], dim=1)

    def metrics(self, *, full: bool = True) -> "DetectionMetrics":
        """Average precision; quick metrics are given the network's output."""
        return DetectionMetrics(self, full)


class DetectionMetrics(FoundMetrics):
    """Compares the boxes of each image with the true ones."""

    def __init__(self, task: DetectionTask, full: bool) -> None:
        super().__init__(task, DetectionScores(task.classes, task.ndim, full), activated=full)
        self._decoder = task.lenient

    def answer(self, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return corners, classes and scores."""
        found = find_boxes(maps, self._decoder)
        return self._decoder.corners(found), found.classes, found.scores

    def truth(self, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return corners and classes of a target, whose last column is the class."""
        return rows_and_classes(target)

    def count(self, name: str, answer: tuple[Any, Any, Any], truth: tuple[Any, Any]) -> None:
        """Count one image: corners, classes and scores of what was found, corners and classes of the true boxes."""
        self._scores.add(name, answer, truth)


@torch.no_grad()
def encode(
    boxes: torch.Tensor, classes: torch.Tensor, centers: Sequence[torch.Tensor], task: DetectionTask
) -> DetectionMaps:
    """Return what positions should say of boxes.

    With d the distance of a position from the center of a box along an axis, less half a stride, and h half the side of
    the box, the score falls off as exp(-sum (d / (`SPREAD` h))^2 / 2). A position within half a stride of the center
    has 1, so that every box has one that does.

    The weight of a box's positions is the square root of (positions of a box of the scale / positions of this box),
    times that of its class.

    Args:
        boxes: `(m, ...)` float32, corners.
        classes: `(m,)` int64.
        centers: per axis, the coordinates `(L_a,)` of the positions that propose boxes.
        task: has the classes, the scale and the stride.
    """
    size = tuple(len(axis) for axis in centers)
    near = boxes.new_zeros((len(task.classes), *size))
    if not len(boxes):
        return DetectionMaps(near, boxes.new_full(size, -1).long(), boxes.new_ones(size))
    fall, half = task.fall(boxes, centers)
    each = torch.exp(-fall / (2 * SPREAD**2))
    each = torch.where(each < FAINT, torch.zeros_like(each), each)
    best, owner = each.max(dim=0)
    for number in classes.unique().tolist():
        near[number] = each[classes == number].amax(dim=0)
    typical = boxes.new_tensor(task.scale)
    weights = (typical / half).prod(dim=1).sqrt().clamp(LIGHTEST, HEAVIEST)
    if task.class_weights is not None:
        weights = weights * weights.new_tensor(task.class_weights)[classes]
    owned = best > 0
    weight = torch.where(owned, weights[owner], torch.ones_like(best))
    return DetectionMaps(near, torch.where(owned, owner, torch.full_like(owner, -1)), weight)


def overlap_and_giou(boxes: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the intersection over union and the generalized one of boxes row by row, both `(n,)`.

    Args:
        boxes: `(n, 2 * ndim)`, the low corner, then the high one; no side is negative.
        others: the same.
    """
    (low, high), (other_low, other_high) = (part.chunk(2, dim=1) for part in (boxes, others))
    common = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp_min(0).prod(dim=1)
    union = (high - low).prod(dim=1) + (other_high - other_low).prod(dim=1) - common
    around = (torch.maximum(high, other_high) - torch.minimum(low, other_low)).prod(dim=1)
    iou = common / union.clamp_min(1e-7)
    return iou, iou - (around - union) / around.clamp_min(1e-7)
