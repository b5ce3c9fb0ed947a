"""Metrics of a segmentation, counted image by image in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from atrous.labels import IGNORE
from atrous.tasks.bootstrap import bootstrap_miou, image_miou
from atrous.tasks.boundary import boundary_counts
from atrous.tasks.calibration import BINS, Reliability, calibration_counts
from atrous.tasks.events import EventScores, event_counts
from atrous.tasks.scores import Scores
from atrous.tasks.surface import SurfaceScores, surface_metrics
from atrous.tasks.task import NotFinite
from atrous.tasks.video import VideoMetrics, VideoScores, video_metrics

SAMPLES = {1: "recording", 2: "image", 3: "volume"}
"""What one sample is called, by its number of axes."""

__all__ = ["SegmentationMetrics"]


class SegmentationMetrics:
    """Counts correct and wrong positions (pixels, voxels, samples) of one image after another.

    Call `update` for each image and then `result`, which turns the counts into `Scores`. Memory does not grow with the
    size of the images: 3 numbers per class are kept of each image (for the bootstrap interval and for the list of the
    worst images). One confusion matrix, the counts of the boundary bands and the calibration bins are kept for all
    images together. Images may have 1, 2 or 3 axes and differ in size.

    Args:
        classes: names of the K classes, in label order.
        boundary: whether to measure boundary IoU. Validation during training leaves it out to save time.
        calibration: whether to measure the calibration error. Validation during training leaves it out as well.
        tolerance: greatest distance at which surfaces (of volumes) and onsets and offsets (of signals) count as found,
            in the unit of the spacing. If it is given, they are measured on every image that has a spacing.
        video: whether the first of three axes is time. J, F and flicker are then measured, and boundary IoU is that of
            single frames.

    Raises:
        ValueError: there are fewer than 2 or more than 255 classes, or two have the same name.

    >>> metrics = SegmentationMetrics(["background", "cell"])
    >>> probabilities = torch.tensor([[0.9, 0.8, 0.4, 0.3], [0.1, 0.2, 0.6, 0.7]])
    >>> metrics.update("a", probabilities, torch.tensor([0, 0, 0, 1], dtype=torch.uint8))
    >>> scores = metrics.result(seconds=0.1)
    >>> scores.confusion
    array([[2, 1],
           [0, 1]])
    >>> round(scores.miou, 4)
    0.5833
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        boundary: bool = True,
        calibration: bool = True,
        tolerance: float | None = None,
        video: bool = False,
    ):
        if not 2 <= len(classes) <= IGNORE:
            raise ValueError(f"{len(classes)} classes: uint8 labels hold 2 to {IGNORE}, because {IGNORE} is void")
        if len(set(classes)) < len(classes):
            raise ValueError(f"two classes have the same name: {', '.join(classes)}")
        self.classes = tuple(classes)
        k = len(self.classes)
        self._counts: dict[str, np.ndarray] = {}
        self._confusion = np.zeros((k, k), np.int64)
        self._boundary = np.zeros((2, k), np.int64) if boundary else None
        self._calibration = np.zeros((3, BINS)) if calibration else None
        self._tolerance = tolerance
        self._surfaces: list[np.ndarray] = []
        self._events: list[np.ndarray] = []
        self._video = video
        self._videos: dict[str, VideoMetrics] = {}
        self._ndim = 2

    @torch.no_grad()
    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
        labels: torch.Tensor | None = None,
    ) -> None:
        """Count one image.

        Args:
            name: name of the image.
            probabilities: `(K, *S)` floats on any device. Only their order matters when calibration is not measured.
            target: `(*S)` uint8 labels, classes 0..K-1 and `IGNORE` where nothing counts (void).
            spacing: distance of neighboring positions along each axis, for surfaces, onsets and offsets.
            labels: `(*S)` uint8, where the answer is not the most probable class of each position. Calibration is
                measured on the most probable classes all the same.

        Raises:
            ValueError: the shapes do not fit, a label is not a class, an output is not finite at a position that
                counts, or an image of this name was counted before. The image is then not counted.
        """
        self._check(name, probabilities, target)
        k, target = len(self.classes), target.to(probabilities.device)
        top, probable = probabilities.max(dim=0)
        prediction = probable if labels is None else labels.to(probabilities.device).long()
        pairs = target.long() * k + prediction
        by_label = torch.bincount(pairs.flatten(), minlength=256 * k).view(256, k).cpu().numpy()
        if by_label[k:IGNORE].any():
            label = k + int(by_label[k:IGNORE].any(1).argmax())
            raise ValueError(f"{name}: label {label} in the truth, but there are {k} classes (and {IGNORE} for void)")
        counted = target != IGNORE
        if not torch.isfinite(top.masked_fill(~counted, 0).sum(dtype=torch.float32)):
            raise NotFinite(name)
        confusion, self._ndim = by_label[:k], target.ndim
        if self._boundary is not None:
            labels = prediction.to(torch.uint8).masked_fill_(~counted, IGNORE)
            for true, predicted in zip(target, labels, strict=True) if self._video else [(target, labels)]:
                self._boundary += boundary_counts(true, predicted, k).cpu().numpy()
        if self._video:
            self._videos[name] = video_metrics(target.cpu().numpy(), prediction.to(torch.uint8).cpu().numpy(), k)
        if self._calibration is not None:
            self._calibration += calibration_counts(top, probable == target, counted).cpu().numpy()
        if self._tolerance is not None and spacing is not None:
            self._measure_distances(target.cpu().numpy(), prediction.cpu().numpy(), spacing, self._tolerance)
        self._confusion += confusion
        self._counts[name] = np.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])

    def result(self, seconds: float, tta: str = "none") -> Scores:
        """Return the metrics of all images counted so far.

        Args:
            seconds: how long the evaluation took; `Scores` keeps it.
            tta: name of the test-time augmentation that was used; `Scores` keeps it.

        Raises:
            ValueError: no image was counted.
        """
        if not self._counts:
            raise ValueError("no image was counted")
        # Sorted by name, so that the interval does not depend on the order in which images were counted.
        counts = np.stack([self._counts[name] for name in sorted(self._counts)])
        tolerance = self._tolerance or 0.0
        return Scores(
            classes=self.classes,
            confusion=self._confusion.copy(),
            per_image={name: image_miou(own) for name, own in self._counts.items()},
            miou_ci95=bootstrap_miou(counts),
            seconds=seconds,
            tta=tta,
            boundary=None if self._boundary is None else self._boundary.copy(),
            reliability=None if self._calibration is None else Reliability.of(self._calibration.copy()),
            case_dice=_case_dice(counts),
            surface=SurfaceScores.of(tolerance, self._surfaces) if self._surfaces else None,
            events=EventScores(tolerance, np.sum(self._events, axis=0)) if self._events else None,
            video=VideoScores(dict(self._videos)) if self._videos else None,
            sample="video" if self._video else SAMPLES[self._ndim],
        )

    def _measure_distances(
        self, truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...], tolerance: float
    ) -> None:
        """Compare the onsets and offsets of a signal `(L,)`, or the surfaces of a volume `(D, H, W)`."""
        k = len(self.classes)
        if truth.ndim == 1:
            samples = tolerance / spacing[0] + 1e-6  # a distance of exactly the tolerance counts, despite rounding
            self._events.append(event_counts(truth, prediction, k, samples))
        elif truth.ndim == 3:
            prediction = np.where(truth == IGNORE, IGNORE, prediction)
            self._surfaces.append(surface_metrics(truth, prediction, k, spacing, tolerance))

    def _check(self, name: str, probabilities: torch.Tensor, target: torch.Tensor) -> None:
        expected = (len(self.classes), *target.shape)
        if tuple(probabilities.shape) != expected:
            raise ValueError(f"{name}: probabilities are {tuple(probabilities.shape)}, but the truth needs {expected}")
        if target.dtype != torch.uint8:
            raise ValueError(f"{name}: the truth is {target.dtype}: convert it to torch.uint8")
        if name in self._counts:
            raise ValueError(f"{name}: an image of this name was counted before: give every image a name of its own")


def _case_dice(counts: np.ndarray) -> np.ndarray:
    """Average the Dice coefficient of each class over images; counts `(N, 3, K)` give `(K,)`.

    Images in which the class is neither true nor predicted are left out.
    """
    correct, total = 2 * counts[:, 0], counts[:, 1] + counts[:, 2]
    dice = np.divide(correct, total, out=np.zeros(correct.shape), where=total > 0)
    images = (total > 0).sum(0)
    return np.divide(dice.sum(0), images, out=np.full(len(images), math.nan), where=images > 0)
