"""Boundary IoU: how well contours agree, for all classes of a 1-D, 2-D or 3-D label map at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["band_width", "boundary_band", "boundary_counts"]


def band_width(shape: tuple[int, ...], ratio: float = 0.02) -> int:
    """Return the width of the band along a contour, in positions: `ratio` of the grid's diagonal, but at least 1.

    >>> band_width((360, 480))
    12
    """
    return max(1, round(ratio * math.hypot(*shape)))


def boundary_band(label: Tensor, width: int) -> Tensor:
    """Mark the positions that lie at most `width` inside the contour of their own class's mask.

    A mask minus its erosion by a cube of side `2 * width + 1` is its inner band (Cheng et al. 2021, "Boundary IoU",
    written there as G_d intersected with G). A position survives the erosion of its own class's mask exactly if all
    labels in the cube around it are equal. That is so where the minimum of the labels in the cube equals their maximum.
    One running minimum and one running maximum therefore serve all classes. As in the authors' code, a mask that
    touches the border of the grid has a contour there.

    Args:
        label: `(*S)` labels.
        width: greatest distance from the contour, in positions.

    Returns:
        Booleans `(*S)`.

    >>> boundary_band(torch.tensor([0, 0, 0, 0, 1, 1, 1], dtype=torch.uint8), 1)
    tensor([ True, False, False,  True,  True, False,  True])
    """
    band = torch.ones(label.shape, dtype=torch.bool, device=label.device)
    if min(label.shape) <= 2 * width:
        return band
    low = high = label
    for axis in range(label.ndim):
        low = _running(torch.minimum, low, axis, 2 * width + 1)
        high = _running(torch.maximum, high, axis, 2 * width + 1)
    band[(slice(width, -width),) * label.ndim] = low != high
    return band


def boundary_counts(truth: Tensor, prediction: Tensor, classes: int, width: int | None = None) -> Tensor:
    """Count the intersection and the union of the inner bands of each class.

    Sum these counts over all images and then divide: the ratio is boundary IoU.

    Args:
        truth: `(*S)` uint8 labels. Labels of `classes` and above (such as 255, void) belong to no class.
        prediction: `(*S)` uint8 labels.
        classes: number of classes K.
        width: width of the band in positions; `band_width(S)` by default.

    Returns:
        int64 `(2, K)`: intersections, then unions.

    Raises:
        ValueError: the two label maps differ in shape.

    >>> truth = torch.tensor([0, 0, 0, 0, 1, 1, 1], dtype=torch.uint8)
    >>> boundary_counts(truth, truth.roll(1), classes=2, width=1)
    tensor([[0, 1],
            [4, 4]])
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {tuple(truth.shape)} and prediction {tuple(prediction.shape)} differ in shape")
    width = band_width(tuple(truth.shape)) if width is None else width
    true_band, predicted_band = boundary_band(truth, width), boundary_band(prediction, width)
    both = true_band & predicted_band & (truth == prediction)
    shared, true, predicted = (
        torch.bincount(torch.where(band, labels, 255).flatten(), minlength=256)[:classes]
        for band, labels in ((both, truth), (true_band, truth), (predicted_band, prediction))
    )
    return torch.stack([shared, true + predicted - shared])


def _running(extremum: Callable[[Tensor, Tensor], Tensor], values: Tensor, axis: int, window: int) -> Tensor:
    """Return the minimum or maximum of every complete window along `axis`: length L becomes L - window + 1.

    The width of the windows doubles with each pass, so that log2(window) passes suffice.
    """
    width = 1
    while width < window:
        step = min(width, window - width)
        length = values.shape[axis] - step
        values = extremum(values.narrow(axis, 0, length), values.narrow(axis, step, length))
        width += step
    return values
