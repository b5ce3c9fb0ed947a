"""Bootstrap confidence interval of the mean IoU: how much the figure hangs on the images that happened to be tested."""

from __future__ import annotations

import numpy as np

__all__ = ["bootstrap_miou"]

_CHUNK = 2**22  # draws held in memory at a time


def bootstrap_miou(margins: np.ndarray, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the data set's mean IoU, images drawn with replacement (Efron 1979).

    `margins` is `(images, 3, classes)`: per image and class the positions that are right, true and predicted, which is
    all of a confusion matrix that mean IoU depends on. Each resample sums the counts of its images first and divides
    then, like the figure itself. Fewer than two images have no interval: `(nan, nan)`.

    >>> one = np.array([[8, 2], [10, 2], [8, 4]])
    >>> other = np.array([[6, 6], [6, 6], [6, 6]])
    >>> low, high = bootstrap_miou(np.stack([one, other]))
    >>> round(low, 2), round(high, 2)
    (0.65, 1.0)
    """
    images, _, classes = margins.shape
    if images < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    flat = margins.reshape(images, 3 * classes).astype(np.float64)
    rows = max(1, _CHUNK // images)
    mious = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        draws = rng.integers(images, size=(count, images)) + images * np.arange(count)[:, None]
        weights = np.bincount(draws.ravel(), minlength=count * images).reshape(count, images)
        right, truth, predicted = np.moveaxis((weights @ flat).reshape(count, 3, classes), 1, 0)
        union = truth + predicted - right
        seen = union > 0
        iou = np.divide(right, union, out=np.zeros_like(right), where=seen)
        mious.append(iou.sum(1) / np.maximum(seen.sum(1), 1))
    low, high = np.percentile(np.concatenate(mious), [2.5, 97.5])
    return float(low), float(high)
