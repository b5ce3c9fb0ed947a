"""A coarser grid by antialiased bicubic interpolation, as MATLAB's `imresize` makes it for super-resolution.

The kernel is that of Keys 1981 ("Cubic convolution interpolation for digital image processing") with a = -1/2, as wide
as the new distance of positions, so that what the coarser grid cannot hold is left out.
"""

from functools import lru_cache

import numpy as np


def downscaled(values: np.ndarray, factor: int, greatest: float | None = None) -> np.ndarray:
    """Return values `(C, *S)` on a grid that is coarser by `factor` along each axis, `(C, *ceil(S / factor))` float32.

    At the borders the values are mirrored.

    Args:
        values: `(C, *S)`.
        factor: how many positions along an axis become one.
        greatest: of images of whole numbers, the greatest that their type holds, such as 255. The kernel has negative
            parts, so that the result could lie outside of 0 to `greatest`: as `imresize` does with such images, it is
            cut off there and rounded, halves upward, after each axis, the first axis first. None for other images.

    >>> downscaled(np.full((1, 7, 9), 3.0), 3).shape
    (1, 3, 3)
    >>> edge = np.array([[0, 0, 0, 0, 255, 255, 255, 255]], np.uint8)
    >>> downscaled(edge, 2).round().tolist(), downscaled(edge, 2, 255).tolist()
    ([[-3.0, 17.0, 238.0, 258.0]], [[0.0, 17.0, 238.0, 255.0]])
    """
    result = np.asarray(values, np.float32)
    for axis in range(1, result.ndim):
        places, weights = _weights(result.shape[axis], factor)
        moved = np.moveaxis(result, axis, -1)
        result = np.moveaxis(np.einsum("...op,op->...o", moved[..., places], weights, optimize=True), -1, axis)
        if greatest is not None:
            result = np.floor(np.clip(result, 0, greatest) + np.float32(0.5))
    return np.ascontiguousarray(result, np.float32)


def cubic(distance: np.ndarray) -> np.ndarray:
    """Return Keys' kernel with a = -1/2 at some distances, in positions."""
    x = np.abs(distance)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


@lru_cache(maxsize=64)
def _weights(length: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """For each new position the old ones that it is made of `(n, p)`, and their weights `(n, p)` float32."""
    count, reach = -(-length // factor), 2 * factor
    middle = (np.arange(count) + 0.5) * factor - 0.5
    first = np.floor(middle - reach).astype(int)
    places = first[:, None] + np.arange(2 * reach + 2)
    weights = cubic((middle[:, None] - places) / factor)
    weights /= weights.sum(axis=1, keepdims=True)
    period = np.concatenate([np.arange(length), np.arange(length)[::-1]])  # mirrored, the outermost value twice
    return period[places % (2 * length)], weights.astype(np.float32)
