"""Colors for classes, as different from each other as possible."""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["BACKGROUND", "ERROR", "VOID", "Palette", "default_palette"]

Palette = tuple[tuple[int, int, int], ...]
"""One color `(red, green, blue)` in 0..255 per class, in label order."""

BACKGROUND = (38, 38, 44)
"""Color of the background class."""
VOID = (150, 150, 150)
"""Color of positions that do not count."""
ERROR = (255, 59, 48)
"""Color of wrong predictions."""


@cache
def default_palette(n: int, background: bool = True) -> Palette:
    """Return `n` distinct colors.

    Each color is the candidate that is farthest from all colors before it and from the gray of void. Distances are
    measured in Oklab, where equal distances look about equally different (Ottosson 2020). A longer palette begins with
    the colors of a shorter one.

    Args:
        n: number of colors, 1 to 256.
        background: whether class 0 is the background, which is nearly black.

    Raises:
        ValueError: `n` is less than 1 or more than 256.

    >>> default_palette(1)
    ((38, 38, 44),)
    >>> len(set(default_palette(40)))
    40
    """
    if not 1 <= n <= 256:
        raise ValueError(f"{n} colors: give 1 to 256, as many as a label map has values")
    if not background:
        return default_palette(n + 1)[1:] if n < 256 else default_palette(n)
    levels = np.arange(25, 256, 23)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    points = _oklab(candidates)
    chroma, lightness = np.hypot(points[:, 1], points[:, 2]), points[:, 0]
    colorful = (chroma > 0.08) & (chroma < 0.19) & (lightness > 0.48) & (lightness < 0.87)
    candidates, points = candidates[colorful], points[colorful]
    palette: list[tuple[int, int, int]] = [BACKGROUND]
    nearest = np.full(len(candidates), np.inf)  # distance of each candidate to the nearest color that is used
    for avoided in (VOID, BACKGROUND):
        nearest = np.minimum(nearest, _distance(points, avoided))
    while len(palette) < n:
        red, green, blue = candidates[nearest.argmax()].tolist()
        best = red, green, blue
        palette.append(best)
        nearest = np.minimum(nearest, _distance(points, best))
    return tuple(palette)


def _distance(points: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Return the distance of each Oklab point `(n, 3)` to an sRGB color, `(n,)`."""
    return np.linalg.norm(points - _oklab(np.array(color)), axis=-1)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB in 0..255, `(..., 3)`, to Oklab: lightness 0..1 and two axes of hue (B. Ottosson, 2020)."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.cbrt(linear @ to_cones.T) @ to_lab.T
