"""Mean IoU of one image, and the bootstrap confidence interval of the mean IoU of a data set.

The interval tells how much the mean IoU would change if other images had been tested.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["bootstrap_miou", "image_miou"]

_CHUNK = 2**22  # entries of the weight matrix (resamples x images) that are held in memory at a time


def image_miou(counts: np.ndarray) -> float:
    """Return the mean IoU of one image over the classes that occur in its truth; nan if the truth has none.

    Args:
        counts: `(3, K)`, for each class the number of correct, true and predicted positions (pixels, voxels, samples).

    >>> image_miou(np.array([[8, 2, 0], [10, 2, 0], [8, 4, 0]]))
    0.65
    """
    correct, true, predicted = counts
    present = true > 0
    if not present.any():
        return math.nan
    return float((correct[present] / (true + predicted - correct)[present]).mean())


def bootstrap_miou(counts: np.ndarray, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the data set's mean IoU (Efron 1979, "Bootstrap methods").

    Each resample draws as many images as there are, with replacement. It sums their counts and then divides, in the
    same way as the data set's mean IoU. The interval reaches from the 2.5th to the 97.5th percentile of the resamples.

    Args:
        counts: `(N, 3, K)`, for each of N images and K classes the number of correct, true and predicted positions.
            Mean IoU depends on nothing else in the confusion matrix.
        resamples: number of resamples.
        seed: random seed.

    Returns:
        Lower and upper bound; both nan if there are fewer than two images.

    >>> first = np.array([[8, 2], [10, 2], [8, 4]])
    >>> second = np.array([[6, 6], [6, 6], [6, 6]])
    >>> low, high = bootstrap_miou(np.stack([first, second]))
    >>> round(low, 2), round(high, 2)
    (0.65, 1.0)
    """
    images, _, classes = counts.shape
    if images < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    flat = counts.reshape(images, 3 * classes).astype(np.float64)
    rows = max(1, _CHUNK // images)
    mious = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        # weights (size, N): how often each resample drew each image. `weights @ flat` sums the drawn images' counts.
        draws = rng.integers(images, size=(size, images)) + images * np.arange(size)[:, None]
        weights = np.bincount(draws.ravel(), minlength=size * images).reshape(size, images)
        correct, true, predicted = np.moveaxis((weights @ flat).reshape(size, 3, classes), 1, 0)
        union = true + predicted - correct
        seen = union > 0
        iou = np.divide(correct, union, out=np.zeros_like(correct), where=seen)
        mious.append(iou.sum(1) / np.maximum(seen.sum(1), 1))
    low, high = np.percentile(np.concatenate(mious), [2.5, 97.5])
    return float(low), float(high)
