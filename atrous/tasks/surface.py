"""How far predicted surfaces lie from true ones: surface Dice, and the 95th percentile of the distances (HD95)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["SurfaceScores", "surface_distances", "surface_metrics"]


@dataclass(frozen=True, eq=False)
class SurfaceScores:
    """Surface Dice and HD95 of each class, averaged over cases; nan for a class that has no value in any case.

    Attributes:
        tolerance: greatest distance at which a surface counts as found, in the unit of the spacing (mm).
        dice: `(K,)` share of both surfaces that lies within the tolerance of the other one.
        hd95: `(K,)` 95th percentile of the distances from one surface to the other, the greater of the two directions.
    """

    tolerance: float
    dice: np.ndarray
    hd95: np.ndarray

    @classmethod
    def of(cls, tolerance: float, cases: Sequence[np.ndarray]) -> SurfaceScores:
        """Average the `surface_metrics` `(2, K)` of all cases, leaving out those that are nan."""
        stacked = np.stack(cases)
        counted = ~np.isnan(stacked)
        total = np.where(counted, stacked, 0).sum(0)
        means = np.divide(total, counted.sum(0), out=np.full(total.shape, math.nan), where=counted.any(0))
        return cls(tolerance, means[0], means[1])


def surface_metrics(
    truth: np.ndarray, prediction: np.ndarray, classes: int, spacing: Sequence[float], tolerance: float
) -> np.ndarray:
    """Return surface Dice and HD95 of each class, for one case.

    Surface Dice is that of Nikolov et al. 2021 ("Clinically applicable segmentation of head and neck anatomy"), with
    surface voxels as the elements of a surface. The first class is the background and has no values (nan). A class that
    is neither in the truth nor in the prediction has none either. A class that is in only one of them has surface Dice
    0 and no HD95.

    Args:
        truth: `(*S)` labels.
        prediction: `(*S)` labels.
        classes: number of classes K.
        spacing: distance of neighboring positions along each axis (mm).
        tolerance: greatest distance at which a surface counts as found, in the unit of `spacing`.

    Returns:
        float64 `(2, K)`: surface Dice, then HD95.

    >>> truth = np.zeros((9, 9), np.uint8); truth[2:6, 2:6] = 1
    >>> surface_metrics(truth, np.roll(truth, 1, 0), 2, spacing=(2.0, 1.0), tolerance=1.0).round(2).tolist()
    [[nan, 0.67], [nan, 2.0]]
    """
    metrics = np.full((2, classes), math.nan)
    for label in range(1, classes):
        true, predicted = truth == label, prediction == label
        if not true.any() and not predicted.any():
            continue
        if not true.any() or not predicted.any():
            metrics[0, label] = 0.0
            continue
        from_true, from_predicted = surface_distances(true, predicted, spacing)
        within = (from_true <= tolerance).sum() + (from_predicted <= tolerance).sum()
        metrics[0, label] = within / (len(from_true) + len(from_predicted))
        metrics[1, label] = max(np.percentile(from_true, 95), np.percentile(from_predicted, 95))
    return metrics


def surface_distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each surface voxel of `a` to the surface of `b`, and the reverse.

    A surface voxel is a voxel of the mask that shares a face with a voxel outside of the mask. What lies beyond the
    border of the grid counts as outside. Only the box that holds both masks is computed.

    Args:
        a: `(*S)` booleans, not all False.
        b: `(*S)` booleans, not all False.
        spacing: distance of neighboring voxels along each axis.

    Returns:
        Two arrays of distances in the unit of `spacing`, with one entry per surface voxel of `a` and of `b`.
    """
    from scipy import ndimage

    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    a, b = np.pad(a[box], 1), np.pad(b[box], 1)
    surface_a, surface_b = (np.logical_xor(mask, ndimage.binary_erosion(mask)) for mask in (a, b))
    to_a, to_b = (
        ndimage.distance_transform_edt(np.logical_not(surface), sampling=spacing) for surface in (surface_a, surface_b)
    )
    return np.asarray(to_b)[surface_a], np.asarray(to_a)[surface_b]
