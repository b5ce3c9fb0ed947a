"""Metrics of videos: region similarity J and boundary accuracy F (DAVIS), and flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.labels import IGNORE

__all__ = ["VideoMetrics", "VideoScores", "boundary_f", "contour", "flicker_counts", "region_j", "video_metrics"]

TOLERANCE = 0.008
"""Greatest distance at which a contour counts as found, as a share of the frame's diagonal (DAVIS)."""


@dataclass(frozen=True, eq=False)
class VideoMetrics:
    """Metrics of one video.

    Attributes:
        region: `(K,)` J of each class, averaged over frames; nan for the background and for a class that never occurs.
        boundary: `(K,)` F of each class, likewise.
        steady: number of pixels whose true label is the same in the next frame, summed over frames.
        flicker: number of those pixels whose predicted label is another one in the next frame.
    """

    region: np.ndarray
    boundary: np.ndarray
    steady: int
    flicker: int


@dataclass(frozen=True, eq=False)
class VideoScores:
    """Metrics of several videos.

    Attributes:
        videos: the metrics of each video, by its name.
    """

    videos: dict[str, VideoMetrics]

    @property
    def region(self) -> np.ndarray:
        """J of each class, averaged over videos, `(K,)`."""
        return _mean([metrics.region for metrics in self.videos.values()])

    @property
    def boundary(self) -> np.ndarray:
        """F of each class, averaged over videos, `(K,)`."""
        return _mean([metrics.boundary for metrics in self.videos.values()])

    @property
    def flicker(self) -> float:
        """Share of the pixels with a steady true label whose predicted label changes; nan for videos of one frame."""
        steady = sum(metrics.steady for metrics in self.videos.values())
        return sum(metrics.flicker for metrics in self.videos.values()) / steady if steady else math.nan


def video_metrics(truth: np.ndarray, prediction: np.ndarray, classes: int) -> VideoMetrics:
    """Return J, F and flicker of one video.

    J and F are those of Perazzi et al. 2016 ("A benchmark dataset and evaluation methodology for video object
    segmentation", section 4): J is the intersection over union of two masks, F is the F1 of their contours. Both are
    averaged over the frames that have labels. Where a class is absent from the truth and the prediction of a frame,
    both are 1, as in the authors' code. Class 0 is the background and has neither.

    Flicker counts pixels whose true label is the same in two consecutive frames, but whose predicted label changes,
    whether right or wrong. (The video consistency of Miao et al. 2021, "VSPW", asks for right labels too.)

    Args:
        truth: `(T, H, W)` labels, `IGNORE` where nothing counts.
        prediction: `(T, H, W)` labels.
        classes: number of classes K.

    >>> truth = np.zeros((2, 6, 6), np.uint8)
    >>> truth[:, 2:4, 2:4] = 1
    >>> metrics = video_metrics(truth, truth, 2)
    >>> float(metrics.region[1]), float(metrics.boundary[1]), metrics.steady, metrics.flicker
    (1.0, 1.0, 36, 0)
    """
    prediction = np.where(truth == IGNORE, IGNORE, prediction)
    frames: list[list[tuple[float, float]]] = []  # (J, F) of each frame and class
    for true, predicted in zip(truth, prediction, strict=True):
        if (true != IGNORE).any():
            frames.append([_frame(true == label, predicted == label) for label in range(1, classes)])
    means = np.full((classes, 2), math.nan)
    if frames:
        means[1:] = np.mean(frames, axis=0)
    for label in range(1, classes):
        if not (truth == label).any() and not (prediction == label).any():
            means[label] = math.nan
    steady, flicker = flicker_counts(truth, prediction)
    return VideoMetrics(means[:, 0], means[:, 1], steady, flicker)


def region_j(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the intersection over union of two boolean masks `(*S)`; 1 if both are empty.

    >>> region_j(np.array([1, 1, 0], bool), np.array([1, 0, 0], bool))
    0.5
    """
    union = np.count_nonzero(truth | prediction)
    return float(np.count_nonzero(truth & prediction) / union) if union else 1.0


def boundary_f(truth: np.ndarray, prediction: np.ndarray, ratio: float = TOLERANCE) -> float:
    """Return the F1 of the contours of two boolean masks `(H, W)`.

    A contour point counts as found if the other contour has a point within the tolerance, which is `ratio` of the
    frame's diagonal, rounded up. This approximates the bipartite matching of Martin et al. 2004 by morphology, as DAVIS
    does. F is 0 if one of the contours is empty, and 1 if both are.
    """
    true, predicted = contour(truth), contour(prediction)
    if not true.any() or not predicted.any():
        return float(not true.any() and not predicted.any())
    reach = math.ceil(ratio * math.hypot(*truth.shape))
    precision = _within(true, reach)[predicted].mean()
    recall = _within(predicted, reach)[true].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def contour(mask: np.ndarray) -> np.ndarray:
    """Mark the pixels of a boolean mask `(H, W)` that differ from the pixel right, below, or right and below.

    These pixels form a contour that is one pixel wide. They lie on either side of the mask's edge.

    >>> contour(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, 1:] != mask[:, :-1]
    edge[:-1] |= mask[1:] != mask[:-1]
    edge[:-1, :-1] |= mask[1:, 1:] != mask[:-1, :-1]
    return edge


def flicker_counts(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int]:
    """Count pixels whose true label stays from one frame to the next, and those whose predicted label then changes.

    Both label maps are `(T, H, W)`; pixels that are void in the truth do not count.
    """
    steady = changed = 0
    for frame in range(1, len(truth)):
        stays = (truth[frame] == truth[frame - 1]) & (truth[frame] != IGNORE)
        steady += int(np.count_nonzero(stays))
        changed += int(np.count_nonzero(stays & (prediction[frame] != prediction[frame - 1])))
    return steady, changed


def _frame(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    return region_j(truth, prediction), boundary_f(truth, prediction)


def _within(points: np.ndarray, reach: int) -> np.ndarray:
    """Mark the pixels `(H, W)` that lie at most `reach` pixels from a marked one."""
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(np.logical_not(points))
    return np.asarray(distance) <= reach


def _mean(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Average `(K,)` over the videos, leaving out nan."""
    values = np.array(rows)
    known = ~np.isnan(values)
    counts = known.sum(0)
    return np.divide(np.where(known, values, 0).sum(0), counts, out=np.full(len(counts), math.nan), where=counts > 0)
