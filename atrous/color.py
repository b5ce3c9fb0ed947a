"""Colors for classes that a person can tell apart."""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["BACKGROUND", "ERROR", "VOID", "Palette", "default_palette"]

Palette = tuple[tuple[int, int, int], ...]

BACKGROUND = (38, 38, 44)
VOID = (150, 150, 150)
ERROR = (255, 59, 48)


@cache
def default_palette(n: int, background: bool = True) -> Palette:
    """`n` distinct colors as `(red, green, blue)` in 0..255; the first is nearly black where it is the background.

    Each next color is the candidate farthest from all before it and from the grey of void, measured in Oklab, where
    equal distances look about equally different (Ottosson 2020). A longer palette begins with the shorter one.

    >>> default_palette(1)
    ((38, 38, 44),)
    >>> len(set(default_palette(40)))
    40
    """
    if not 1 <= n <= 256:
        raise ValueError(f"{n} colors: a label map has 1 to 256 values")
    if not background:
        return default_palette(n + 1)[1:] if n < 256 else default_palette(n)
    levels = np.arange(25, 256, 23)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    places = _oklab(candidates)
    chroma, lightness = np.hypot(places[:, 1], places[:, 2]), places[:, 0]
    colorful = (chroma > 0.08) & (chroma < 0.19) & (lightness > 0.48) & (lightness < 0.87)
    candidates, places = candidates[colorful], places[colorful]
    taken: list[tuple[int, int, int]] = [BACKGROUND]
    nearest = np.full(len(candidates), np.inf)
    for avoided in (VOID, BACKGROUND):
        nearest = np.minimum(nearest, _distance(places, avoided))
    while len(taken) < n:
        red, green, blue = candidates[nearest.argmax()].tolist()
        best = red, green, blue
        taken.append(best)
        nearest = np.minimum(nearest, _distance(places, best))
    return tuple(taken)


def _distance(places: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.linalg.norm(places - _oklab(np.array(color)), axis=-1)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """From sRGB in 0..255 to Oklab, `(..., 3)`: lightness 0..1 and two axes of hue (B. Ottosson, 2020)."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
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
