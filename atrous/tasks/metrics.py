"""Figures of merit of a segmentation, gathered image by image in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from atrous.labels import IGNORE
from atrous.tasks.bootstrap import bootstrap_miou
from atrous.tasks.boundary import boundary_counts
from atrous.tasks.calibration import BINS, Reliability, calibration_counts
from atrous.tasks.events import EventScores, event_counts
from atrous.tasks.scores import Scores
from atrous.tasks.surface import SurfaceScores, surface_figures
from atrous.tasks.video import VideoFigures, VideoScores, video_figures

SAMPLES = {1: "recording", 2: "image", 3: "volume"}
"""What one sample is called, by its axes."""

__all__ = ["SegmentationMetrics"]


class SegmentationMetrics:
    """Counts right and wrong positions of one image after the other; `result` turns the counts into `Scores`.

    Of each image 3 numbers per class are kept (for the bootstrap and the lists of best and worst), of all together the
    confusion matrix, the contour bands and the calibration bins. `boundary=False` and `calibration=False` leave those
    two out: quicker, for validation during training. With a `tolerance` the surfaces of volumes and the onsets and
    offsets of signals are compared too, where the spacing is known. With `video` the first of three axes is time: J, F
    and flicker are measured, and contours are those of frames. Grids may be 1-D, 2-D or 3-D and differ in size.

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
            raise ValueError(f"{len(classes)} classes: 2 to {IGNORE} fit uint8 labels with {IGNORE} for void")
        if len(set(classes)) < len(classes):
            raise ValueError(f"class names must differ from each other: {', '.join(classes)}")
        self.classes = tuple(classes)
        k = len(self.classes)
        self._margins: dict[str, np.ndarray] = {}
        self._confusion = np.zeros((k, k), np.int64)
        self._boundary = np.zeros((2, k), np.int64) if boundary else None
        self._calibration = np.zeros((3, BINS)) if calibration else None
        self._tolerance = tolerance
        self._surfaces: list[np.ndarray] = []
        self._events: list[np.ndarray] = []
        self._video = video
        self._videos: dict[str, VideoFigures] = {}
        self._ndim = 2

    @torch.no_grad()
    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count one image.

        probabilities: `(K, *S)` float, any device; only their order matters when calibration is off.
        target: `(*S)` uint8, classes 0..K-1 and `IGNORE` where nothing counts.
        spacing: distance of positions along each axis, for surfaces, onsets and offsets.
        Raises ValueError when shapes or labels do not fit, when a counted probability is not finite, and when the name
        was counted before.
        """
        self._check(name, probabilities, target)
        k, target = len(self.classes), target.to(probabilities.device)
        top, prediction = probabilities.max(dim=0)
        pairs = target.long() * k + prediction
        counts = torch.bincount(pairs.flatten(), minlength=256 * k).view(256, k).cpu().numpy()
        if counts[k:IGNORE].any():
            value = k + int(counts[k:IGNORE].any(1).argmax())
            raise ValueError(f"{name}: label {value} in the truth, but there are {k} classes (and {IGNORE} for void)")
        counted = target != IGNORE
        if not torch.isfinite(top.masked_fill(~counted, 0).sum(dtype=torch.float32)):
            raise ValueError(f"{name}: the network's output is not finite (nan or infinite)")
        confusion, self._ndim = counts[:k], target.ndim
        if self._boundary is not None:
            labels = prediction.to(torch.uint8).masked_fill_(~counted, IGNORE)
            for truth, found in zip(target, labels, strict=True) if self._video else [(target, labels)]:
                self._boundary += boundary_counts(truth, found, k).cpu().numpy()
        if self._video:
            self._videos[name] = video_figures(target.cpu().numpy(), prediction.to(torch.uint8).cpu().numpy(), k)
        if self._calibration is not None:
            self._calibration += calibration_counts(top, prediction == target, counted).cpu().numpy()
        if self._tolerance is not None and spacing is not None:
            self._compare(target.cpu().numpy(), prediction.cpu().numpy(), spacing, self._tolerance)
        self._confusion += confusion
        self._margins[name] = np.stack([confusion.diagonal(), confusion.sum(1), confusion.sum(0)])

    def result(self, seconds: float, tta: str = "none") -> Scores:
        """The figures so far; `seconds` that it took and the test-time augmentation are passed through."""
        if not self._margins:
            raise ValueError("no image was counted")
        # By name, so that the interval does not depend on the order in which images came.
        margins = np.stack([self._margins[name] for name in sorted(self._margins)])
        return Scores(
            classes=self.classes,
            confusion=self._confusion.copy(),
            per_image={name: _own_miou(margin) for name, margin in self._margins.items()},
            miou_ci95=bootstrap_miou(margins),
            seconds=seconds,
            tta=tta,
            boundary=None if self._boundary is None else self._boundary.copy(),
            reliability=None if self._calibration is None else Reliability.of(self._calibration.copy()),
            case_dice=_case_dice(margins),
            surface=SurfaceScores.of(self._tolerance or 0.0, self._surfaces) if self._surfaces else None,
            events=EventScores(self._tolerance or 0.0, np.sum(self._events, axis=0)) if self._events else None,
            video=VideoScores(dict(self._videos)) if self._videos else None,
            sample="video" if self._video else SAMPLES[self._ndim],
        )

    def _compare(self, truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...], tolerance: float) -> None:
        k = len(self.classes)
        if truth.ndim == 1:
            self._events.append(event_counts(truth, prediction, k, tolerance / spacing[0] + 1e-6))
        elif truth.ndim == 3:
            prediction = np.where(truth == IGNORE, IGNORE, prediction)
            self._surfaces.append(surface_figures(truth, prediction, k, spacing, tolerance))

    def _check(self, name: str, probabilities: torch.Tensor, target: torch.Tensor) -> None:
        expected = (len(self.classes), *target.shape)
        if tuple(probabilities.shape) != expected:
            raise ValueError(f"{name}: probabilities are {tuple(probabilities.shape)}, the truth asks for {expected}")
        if target.dtype != torch.uint8:
            raise ValueError(f"{name}: the truth is {target.dtype}, must be torch.uint8")
        if name in self._margins:
            raise ValueError(f"{name}: counted before; names must be unique")


def _case_dice(margins: np.ndarray) -> np.ndarray:
    """Mean over images of each class' Dice, `(K,)`; an image without the class, true or predicted, is left out."""
    right, whole = 2 * margins[:, 0], margins[:, 1] + margins[:, 2]
    dice = np.divide(right, whole, out=np.zeros(right.shape), where=whole > 0)
    seen = (whole > 0).sum(0)
    return np.divide(dice.sum(0), seen, out=np.full(len(seen), math.nan), where=seen > 0)


def _own_miou(margin: np.ndarray) -> float:
    right, truth, predicted = margin
    present = truth > 0
    if not present.any():
        return math.nan
    return float((right[present] / (truth + predicted - right)[present]).mean())
