"""Figures of videos: region similarity J, boundary F (DAVIS), and flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from atrous.labels import IGNORE

__all__ = ["VideoFigures", "VideoScores", "boundary_f", "contour", "region_j", "video_figures"]

TOLERANCE = 0.008
"""Of the frame's diagonal, within which a contour counts as found (DAVIS)."""


@dataclass(frozen=True, eq=False)
class VideoFigures:
    """Of one video.

    region: J per class, mean over frames, `(K,)`; nan for the background and for a class that never occurs.
    boundary: F per class, likewise.
    steady: positions of neighboring frames whose true label stays.
    flicker: those of them whose predicted label changes.
    """

    region: np.ndarray
    boundary: np.ndarray
    steady: int
    flicker: int


@dataclass(frozen=True, eq=False)
class VideoScores:
    """Figures of several videos, by name."""

    videos: dict[str, VideoFigures]

    @property
    def region(self) -> np.ndarray:
        """J per class, mean over videos, `(K,)`."""
        return _mean([figures.region for figures in self.videos.values()])

    @property
    def boundary(self) -> np.ndarray:
        """F per class, mean over videos, `(K,)`."""
        return _mean([figures.boundary for figures in self.videos.values()])

    @property
    def flicker(self) -> float:
        """Share of the positions with a steady true label whose predicted label changes; nan for single frames."""
        steady = sum(figures.steady for figures in self.videos.values())
        return sum(figures.flicker for figures in self.videos.values()) / steady if steady else math.nan


def video_figures(truth: np.ndarray, prediction: np.ndarray, classes: int) -> VideoFigures:
    """Figures of one video, label maps `(T, H, W)` with `IGNORE` in the truth where nothing counts.

    J and F are those of Perazzi et al. 2016 ("A benchmark dataset and evaluation methodology for video object
    segmentation", section 4): intersection over union of the masks, and F1 of their contours, of every frame that has
    labels, then the mean over frames. Where a class is absent from a frame's truth and prediction both are 1, as in the
    authors' code. Class 0, the background, has none. Flicker is the share of positions of neighboring frames whose true
    label stays but whose predicted one changes, right or wrong (compare the video consistency of Miao et al. 2021,
    "VSPW", which asks for right labels too).

    >>> truth = np.zeros((2, 6, 6), np.uint8)
    >>> truth[:, 2:4, 2:4] = 1
    >>> found = video_figures(truth, truth, 2)
    >>> float(found.region[1]), float(found.boundary[1]), found.steady, found.flicker
    (1.0, 1.0, 36, 0)
    """
    prediction = np.where(truth == IGNORE, IGNORE, prediction)
    rows: list[list[tuple[float, float]]] = []
    for mine, other in zip(truth, prediction, strict=True):
        if (mine != IGNORE).any():
            rows.append([_frame(mine == value, other == value) for value in range(1, classes)])
    figures = np.full((classes, 2), math.nan)
    if rows:
        figures[1:] = np.mean(rows, axis=0)
    for value in range(1, classes):
        if not (truth == value).any() and not (prediction == value).any():
            figures[value] = math.nan
    steady, flicker = flicker_counts(truth, prediction)
    return VideoFigures(figures[:, 0], figures[:, 1], steady, flicker)


def region_j(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Intersection over union of two masks; 1 where both are empty.

    >>> region_j(np.array([1, 1, 0], bool), np.array([1, 0, 0], bool))
    0.5
    """
    union = np.count_nonzero(truth | prediction)
    return float(np.count_nonzero(truth & prediction) / union) if union else 1.0


def boundary_f(truth: np.ndarray, prediction: np.ndarray, ratio: float = TOLERANCE) -> float:
    """F1 of the contours of two masks `(H, W)`: a point counts as found with one of the other within the tolerance.

    The tolerance is `ratio` of the diagonal, rounded up; the bipartite matching of Martin et al. 2004 is approximated
    by morphology, as DAVIS does. An empty contour against one that is not gives 0, two empty ones 1.
    """
    mine, other = contour(truth), contour(prediction)
    if not mine.any() or not other.any():
        return float(not mine.any() and not other.any())
    reach = math.ceil(ratio * math.hypot(*truth.shape))
    precision = _within(mine, reach)[other].mean()
    recall = _within(other, reach)[mine].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def contour(mask: np.ndarray) -> np.ndarray:
    """Positions of a mask `(H, W)` that differ from their neighbor to the right, below or both: one position wide.

    >>> contour(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    right, below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    found = np.zeros(mask.shape, bool)
    found[:, :-1] |= right
    found[:-1] |= below
    found[:-1, :-1] |= mask[1:, 1:] != mask[:-1, :-1]
    return found


def flicker_counts(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int]:
    """Positions of neighboring frames with a steady true label, and those of them whose predicted label changes."""
    steady = changed = 0
    for at in range(1, len(truth)):
        stays = (truth[at] == truth[at - 1]) & (truth[at] != IGNORE)
        steady += int(np.count_nonzero(stays))
        changed += int(np.count_nonzero(stays & (prediction[at] != prediction[at - 1])))
    return steady, changed


def _frame(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    return region_j(truth, prediction), boundary_f(truth, prediction)


def _within(points: np.ndarray, reach: int) -> np.ndarray:
    """Positions at most `reach` from a point."""
    distance = ndimage.distance_transform_edt(np.logical_not(points))
    return np.asarray(distance) <= reach


def _mean(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Mean per class over the videos that have a figure."""
    values = np.array(rows)
    known = ~np.isnan(values)
    counts = known.sum(0)
    return np.divide(np.where(known, values, 0).sum(0), counts, out=np.full(len(counts), math.nan), where=counts > 0)
