"""Boundary IoU: how well contours agree, counted for all classes of an N-d label map at once."""

from __future__ import annotations

import math

import torch

__all__ = ["band_width", "boundary_band", "boundary_counts"]


def band_width(shape: tuple[int, ...], ratio: float = 0.02) -> int:
    """Width d of the band along a contour, in positions: `ratio` of the grid's diagonal, at least 1.

    >>> band_width((360, 480))
    12
    """
    return max(1, round(ratio * math.hypot(*shape)))


def boundary_band(label: torch.Tensor, d: int) -> torch.Tensor:
    """Positions of a label map `(*S)` within `d` of a contour of their own class, as booleans `(*S)`.

    A mask minus its erosion by a cube of side 2d + 1 is its inner band (Cheng et al. 2021, "Boundary IoU", G_d in G).
    A position survives the erosion of its own class' mask exactly where all labels of its window are one, so two
    running extrema of the label map serve all classes together. As in the authors' code, a mask that is cut by the
    border of the grid has a contour there.

    >>> boundary_band(torch.tensor([0, 0, 0, 0, 1, 1, 1], dtype=torch.uint8), 1)
    tensor([ True, False, False,  True,  True, False,  True])
    """
    band = torch.ones(label.shape, dtype=torch.bool, device=label.device)
    if min(label.shape) <= 2 * d:
        return band
    low = high = label
    for axis in range(label.ndim):
        low = _running(torch.minimum, low, axis, 2 * d + 1)
        high = _running(torch.maximum, high, axis, 2 * d + 1)
    band[(slice(d, -d),) * label.ndim] = low != high
    return band


def boundary_counts(truth: torch.Tensor, prediction: torch.Tensor, classes: int, d: int | None = None) -> torch.Tensor:
    """Intersection and union of the inner bands per class, int64 `(2, classes)`.

    `truth` and `prediction` are uint8 label maps `(*S)`; labels from `classes` up (void, 255) belong to no class.
    Sum the counts over images, then divide: that is boundary IoU.

    >>> truth = torch.tensor([0, 0, 0, 0, 1, 1, 1], dtype=torch.uint8)
    >>> boundary_counts(truth, truth.roll(1), classes=2, d=1)
    tensor([[0, 1],
            [4, 4]])
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {tuple(truth.shape)} and prediction {tuple(prediction.shape)} differ in shape")
    d = band_width(tuple(truth.shape)) if d is None else d
    in_truth, in_prediction = boundary_band(truth, d), boundary_band(prediction, d)
    both = in_truth & in_prediction & (truth == prediction)
    shared, of_truth, of_prediction = (
        torch.bincount(torch.where(band, labels, 255).flatten(), minlength=256)[:classes]
        for band, labels in ((both, truth), (in_truth, truth), (in_prediction, prediction))
    )
    return torch.stack([shared, of_truth + of_prediction - shared])


def _running(extremum, values: torch.Tensor, axis: int, window: int) -> torch.Tensor:
    """Extrema over every whole window along `axis`, by doubling: log2(window) passes over the array."""
    width = 1
    while width < window:
        step = min(width, window - width)
        length = values.shape[axis] - step
        values = extremum(values.narrow(axis, 0, length), values.narrow(axis, step, length))
        width += step
    return values
