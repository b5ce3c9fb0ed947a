"""Semantic segmentation: one class at every position."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from atrous.labels import IGNORE
from atrous.tasks.cross_entropy import CrossEntropyOptions
from atrous.tasks.losses import PLAIN, summed_segmentation_loss
from atrous.tasks.metrics import SegmentationMetrics
from atrous.tasks.summed import SummedLoss


@dataclass(frozen=True)
class Semantic:
    """One of `classes` at every position, by softmax.

    Attributes:
        classes: names, in label order.
        class_weights: of the cross-entropy, one per class, or None for equal ones.
        dice: weight of the soft Dice loss beside the cross-entropy.
        tolerance: within which surfaces (of volumes) and onsets and offsets (of signals) count as found, in the unit
            of the spacing; None leaves these figures out.
        video: whether the first axis is time: contours are then those of frames.
        temperature: what outputs are divided by before the softmax (`atrous.tasks.temperature`).
        options: how the cross-entropy differs from the plain one.
        least: of signals: samples, per class, of the shortest interval in the labels (`atrous.objects.intervals`);
            empty: each sample gets its most probable class. `decode` is pointwise and does not know it.

    >>> task = Semantic(("background", "cell"))
    >>> task.out_channels, task.decode(torch.tensor([[[0.0, 3.0], [1.0, 2.0]]])).tolist()
    (2, [[1, 0]])
    """

    classes: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    dice: float = 1.0
    tolerance: float | None = None
    video: bool = False
    temperature: float = 1.0
    options: CrossEntropyOptions = PLAIN
    least: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= IGNORE:
            raise ValueError(f"{len(self.classes)} classes: name 2 to {IGNORE}, the background being one")
        if self.class_weights is not None and len(self.class_weights) != len(self.classes):
            raise ValueError(f"{len(self.class_weights)} class weights for {len(self.classes)} classes")
        if self.least and (len(self.least) != len(self.classes) or min(self.least) < 1):
            raise ValueError(f"least lengths are {self.least}: give {len(self.classes)}, one per class, of 1 or more")

    watched = ("miou", "pixel_accuracy")
    higher_is_better = True
    bits = False
    """Labels are class numbers, not sets of classes."""

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "Semantic":
        """Make the task from the section `task` of a recipe; `options.video` says that the first axis is time."""
        weights = section["class_weights"]
        return cls(
            tuple(section["classes"]),
            None if weights is None else tuple(weights),
            section["dice"],
            section["tolerance"],
            bool(section["options"].get("video", False)),
            options=CrossEntropyOptions(*(section.get(key, 0.0) for key in ("smoothing", "focal", "boundary"))),
        )

    @property
    def out_channels(self) -> int:
        """One channel per class."""
        return len(self.classes)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross-entropy plus soft Dice; void left out."""
        return self.summed_loss()(output, target)

    def summed_loss(self) -> SummedLoss:
        """The same by its sums over positions."""
        return summed_segmentation_loss(class_weights=self.class_weights, dice=self.dice, options=self.options)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """The class of the greatest output."""
        return output.argmax(1).to(torch.uint8)

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Softmax over the classes, at the temperature."""
        return (output.float() / self.temperature).softmax(1)

    def metrics(self, *, full: bool = True) -> SegmentationMetrics:
        """Confusion-based figures; with boundary IoU, calibration, surfaces and events when `full`."""
        tolerance = self.tolerance if full else None
        return SegmentationMetrics(
            self.classes, boundary=full, calibration=full, tolerance=tolerance, video=self.video and full
        )
