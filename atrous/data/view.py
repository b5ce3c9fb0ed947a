"""A view: an affine look at one sample (`cut.py` cuts images and targets by it)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """An affine look at one sample.

    Attributes:
        index: which sample.
        center: the position in the sample that the center of the crop shows, `(ndim,)`; position 0 spans 0 to 1.
        matrix: `(ndim, ndim)`; maps an offset from the center of the crop to an offset from `center` in the sample.
    """

    index: int
    center: np.ndarray
    matrix: np.ndarray

    def to_crop(self, points: np.ndarray, crop: Sequence[int]) -> np.ndarray:
        """Map points `(n, ndim)` of the sample to where the crop shows them, `(n, ndim)`.

        >>> view = View(0, np.array([10.0, 10.0]), np.eye(2))
        >>> view.to_crop(np.array([[9.0, 11.0]]), (8, 8)).tolist()
        [[3.0, 5.0]]
        """
        inverse = np.linalg.inv(self.matrix)
        return (points - self.center) @ inverse.T + np.asarray(crop) / 2
