"""Lesions of volumes: how many are found, missed and invented, and how large a class is in milliliters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrous.labels import IGNORE

__all__ = ["LesionCounter", "LesionScores", "lesion_counts"]

ML = 1000.0
"""Cubic millimeters in a milliliter."""


@dataclass(frozen=True, eq=False)
class LesionScores:
    """Detection of lesions, added up over cases, and volumes, averaged over cases; the first class has none (nan).

    Attributes:
        counts: int64 `(3, K)`: true lesions that were found, true lesions that were missed, predicted ones that are
            invented.
        true_ml: `(K,)` mean volume in the truth.
        predicted_ml: `(K,)` mean volume in the prediction.
        off_ml: `(K,)` mean over cases of the absolute difference of both.
    """

    counts: np.ndarray
    true_ml: np.ndarray
    predicted_ml: np.ndarray
    off_ml: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """Lesion-wise F1 of each class `(K,)`; nan where there is no lesion, true or predicted."""
        found, missed, invented = self.counts
        total = 2 * found + missed + invented
        return np.divide(2 * found, total, out=np.full(len(found), math.nan), where=total > 0)


class LesionCounter:
    """Counts the lesions of one case after another.

    Args:
        classes: number of classes K; the first is the background.
    """

    def __init__(self, classes: int) -> None:
        self._counts = np.zeros((3, classes), np.int64)
        self._volumes: list[np.ndarray] = []

    def update(self, truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> None:
        """Count one case.

        Args:
            truth: `(D, H, W)` labels; `IGNORE` counts for nothing, whatever is predicted there.
            prediction: `(D, H, W)` labels.
            spacing: distance of neighboring voxels along each axis, in mm.
        """
        prediction, k = np.where(truth == IGNORE, IGNORE, prediction), self._counts.shape[1]
        self._counts += lesion_counts(truth, prediction, k)
        voxel = math.prod(spacing) / ML
        sizes = [np.bincount(labels.ravel(), minlength=IGNORE + 1)[:k] for labels in (truth, prediction)]
        self._volumes.append(np.array(sizes, np.float64) * voxel)

    def result(self) -> LesionScores | None:
        """Return the scores of all cases counted so far; None without any."""
        if not self._volumes:
            return None
        volumes = np.stack(self._volumes)
        volumes[:, :, 0] = math.nan
        true, predicted = volumes.mean(0)
        return LesionScores(self._counts.copy(), true, predicted, np.abs(volumes[:, 0] - volumes[:, 1]).mean(0))


def lesion_counts(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Return how many lesions of each class are found, missed and invented, int64 `(3, K)`.

    A lesion is a connected piece of a class; voxels that share a face, an edge or a corner are connected. A true lesion
    is found if one of its voxels is predicted as its class, and missed otherwise. A predicted one that touches no true
    one is invented. The first class is the background and has none.

    >>> truth = np.array([1, 1, 0, 0, 1, 0, 0])
    >>> lesion_counts(truth, np.array([0, 1, 0, 0, 0, 0, 1]), 2)[:, 1].tolist()
    [1, 1, 1]
    """
    counts = np.zeros((3, classes), np.int64)
    for label in range(1, classes):
        true, predicted = truth == label, prediction == label
        both = true & predicted
        true_pieces, true_count = _pieces(true)
        predicted_pieces, predicted_count = _pieces(predicted)
        found, right = len(np.unique(true_pieces[both])), len(np.unique(predicted_pieces[both]))
        counts[:, label] = found, true_count - found, predicted_count - right
    return counts


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the connected pieces of a mask `(*S)` from 1 on, 0 elsewhere; return them and how many there are."""
    from scipy import ndimage

    labeled: Any = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return labeled[0], int(labeled[1])
