"""How far predicted surfaces lie from true ones: surface Dice, and the 95th percentile of the distances (HD95)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["SurfaceScores", "surface_distances", "surface_figures"]


@dataclass(frozen=True, eq=False)
class SurfaceScores:
    """Means over cases per class, each `(K,)`; nan where no case has a figure.

    tolerance: within which a surface counts as found, in the unit of the spacing (mm).
    dice: share of both surfaces that lies within the tolerance of the other.
    hd95: distance that 95 % of each surface keep to the other, the greater of the two directions.
    """

    tolerance: float
    dice: np.ndarray
    hd95: np.ndarray

    @classmethod
    def of(cls, tolerance: float, cases: Sequence[np.ndarray]) -> SurfaceScores:
        """From `surface_figures` of every case."""
        stacked = np.stack(cases)
        counted = ~np.isnan(stacked)
        total = np.where(counted, stacked, 0).sum(0)
        means = np.divide(total, counted.sum(0), out=np.full(total.shape, math.nan), where=counted.any(0))
        return cls(tolerance, means[0], means[1])


def surface_figures(
    truth: np.ndarray, prediction: np.ndarray, classes: int, spacing: Sequence[float], tolerance: float
) -> np.ndarray:
    """Surface Dice and HD95 per class, `(2, classes)`, of two label maps `(*S)`.

    Surface Dice after Nikolov et al. 2021 ("Clinically applicable segmentation of head and neck anatomy"), with the
    voxels of the surface for its elements. The first class is the background and has none (nan). A class in neither map
    has no figures; in one alone it has surface Dice 0 and no distance.

    >>> truth = np.zeros((9, 9), np.uint8); truth[2:6, 2:6] = 1
    >>> surface_figures(truth, np.roll(truth, 1, 0), 2, spacing=(2.0, 1.0), tolerance=1.0).round(2).tolist()
    [[nan, 0.67], [nan, 2.0]]
    """
    figures = np.full((2, classes), math.nan)
    for value in range(1, classes):
        mine, other = truth == value, prediction == value
        if not mine.any() and not other.any():
            continue
        if not mine.any() or not other.any():
            figures[0, value] = 0.0
            continue
        there, back = surface_distances(mine, other, spacing)
        figures[0, value] = ((there <= tolerance).sum() + (back <= tolerance).sum()) / (len(there) + len(back))
        figures[1, value] = max(np.percentile(there, 95), np.percentile(back, 95))
    return figures


def surface_distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each surface voxel of `a` to the surface of `b`, and the reverse; masks `(*S)`, neither empty.

    A surface voxel is one of the mask that has a neighbor (by a face) outside of it, the border of the grid counting as
    outside. Only the box that holds both masks is looked at.
    """
    from scipy import ndimage

    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    a, b = np.pad(a[box], 1), np.pad(b[box], 1)
    edge_a, edge_b = (np.logical_xor(mask, ndimage.binary_erosion(mask)) for mask in (a, b))
    to_a, to_b = (ndimage.distance_transform_edt(np.logical_not(edge), sampling=spacing) for edge in (edge_a, edge_b))
    return np.asarray(to_b)[edge_a], np.asarray(to_a)[edge_b]
