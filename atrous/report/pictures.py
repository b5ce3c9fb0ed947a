"""Images and label maps of 1, 2 or 3 axes as pictures that a person can look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from atrous.color import ERROR, VOID, Palette
from atrous.labels import IGNORE

__all__ = ["banded", "busiest", "colorize", "errors", "flat", "overlay", "resized", "signal", "to_rgb", "upright"]

_GAP = 4  # pixels between the planes of a volume
_MARGIN = 226  # their grey, lighter than that of void
_TRACK = 48  # pixels that a 1-D label map is high
_WIDTH = 960  # pixels that a 1-D array is wide at most


def to_rgb(image: np.ndarray) -> np.ndarray:
    """An image `(C, *S)` of any type and number of channels as uint8 `(*S, 3)`.

    One channel gives grey, two give red and green, of more the first three are shown (the fourth of four is opacity, as
    a rule). uint8 is shown as it is, booleans as black and white; anything else is stretched between the 1st and the
    99th percentile of each channel, values that are not finite being black.

    >>> to_rgb(np.arange(101, dtype=np.uint16).reshape(1, 101))[[0, 1, 50, 100], 0]
    array([  0,   0, 127, 255], dtype=uint8)
    """
    channels = image[:3]
    if image.dtype == np.bool_:
        channels = channels.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        channels = np.stack([_stretched(channel) for channel in channels])
    if len(channels) == 1:
        channels = np.repeat(channels, 3, axis=0)
    elif len(channels) == 2:
        channels = np.concatenate([channels, np.zeros_like(channels[:1])])
    return np.ascontiguousarray(np.moveaxis(channels, 0, -1))


def colorize(label: np.ndarray, palette: Palette) -> np.ndarray:
    """A label map `(*S)` as uint8 `(*S, 3)`: class i in color i of the palette, everything else (void) grey.

    >>> colorize(np.array([0, 1, 255]), ((0, 0, 0), (9, 8, 7))).tolist()
    [[0, 0, 0], [9, 8, 7], [150, 150, 150]]
    """
    table = np.full((256, 3), VOID, np.uint8)
    table[: len(palette)] = palette
    return table[label]


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Palette, alpha: float = 0.5, bare: int | None = None
) -> np.ndarray:
    """An image `(C, *S)` with its label map `(*S)` painted over it, uint8 `(*S, 3)`; void stays unpainted.

    `alpha` is the weight of the paint, 0 (image alone) to 1 (label map alone); `bare` a class that stays unpainted too.
    """
    if image.shape[1:] != label.shape:
        raise ValueError(f"image {image.shape} and label map {label.shape} differ in size")
    below = to_rgb(image)
    mixed = (1 - alpha) * below + alpha * colorize(label, palette)
    painted = (label != IGNORE) & (label != (IGNORE if bare is None else bare))
    return np.where(painted[..., None], np.rint(mixed).astype(np.uint8), below)


def errors(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Where a prediction is wrong, uint8 `(*S, 3)`: errors red, void grey, what is right a dim grey image."""
    shade = to_rgb(image).mean(-1, keepdims=True) * 0.35
    picture = np.repeat(shade.astype(np.uint8), 3, axis=-1)
    picture[truth != prediction] = ERROR
    picture[truth == IGNORE] = VOID
    return picture


def upright(affine: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Axes of a volume `(K, J, I)` to mirror so that pictures show it as radiologists look at it.

    The head and the front of the body are then up, its right side is on the left. `affine` is that of NIfTI, whose
    world grows to the right, the front and the head.

    >>> upright([[-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 3.0, 0], [0, 0, 0, 1]])
    (0, 1)
    """
    axes = np.asarray(affine)[:3, :3]
    main = np.abs(axes).argmax(0)
    return tuple(sorted(2 - column for column in range(3) if axes[main[column], column] > 0))


def busiest(label: np.ndarray) -> tuple[int, ...]:
    """Per axis, the index of the plane with most positions that are neither class 0 nor void; the middle if none is.

    >>> busiest(np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 255, 0]]))
    (1, 1)
    """
    shown = (label != 0) & (label != IGNORE)
    if not shown.any():
        return tuple(n // 2 for n in label.shape)
    axes = range(label.ndim)
    return tuple(int(shown.sum(tuple(a for a in axes if a != axis)).argmax()) for axis in axes)


def flat(
    picture: np.ndarray, at: tuple[int, ...] | None = None, spacing: tuple[float, ...] | None = None
) -> np.ndarray:
    """Colors on a grid, `(*S, 3)`, as one flat picture `(height, width, 3)`.

    1-D becomes a band; 2-D stays; of 3-D the three orthogonal planes through `at` (the middle when None) are joined:
    the plane of the last two axes, right of it that of the second and first, below it that of the first and third.
    With `spacing` coarse axes of a volume are drawn out, by whole factors.
    """
    ndim = picture.ndim - 1
    if ndim == 1:
        shown = picture[_thinned(len(picture))]
        return np.repeat(shown[None], _TRACK, axis=0)
    if ndim == 2:
        return picture
    if ndim != 3:
        raise ValueError(f"a grid of 1 to 3 axes can be drawn, not {ndim}")
    z, y, x = at if at is not None else tuple(n // 2 for n in picture.shape[:3])
    apart = spacing or (1.0, 1.0, 1.0)
    f = [min(max(1, round(a / min(apart))), 8) for a in apart]
    front = picture[z].repeat(f[1], 0).repeat(f[2], 1)
    side = picture[:, :, x].swapaxes(0, 1).repeat(f[1], 0).repeat(f[0], 1)
    below = picture[:, y].repeat(f[0], 0).repeat(f[2], 1)
    (height, width), depth = front.shape[:2], len(below)
    canvas = np.full((height + _GAP + depth, width + _GAP + depth, 3), _MARGIN, np.uint8)
    canvas[:height, :width] = front
    canvas[:height, width + _GAP :] = side
    canvas[height + _GAP :, :width] = below
    return canvas


def banded(image: np.ndarray, label: np.ndarray, palette: Palette) -> np.ndarray:
    """A 1-D image `(C, L)` as curves over a light band of its labels `(L,)`, uint8 `(height, width, 3)`.

    >>> curves = banded(np.sin(np.arange(200.0))[None], np.zeros(200, np.uint8), ((255, 0, 0),))
    >>> curves.shape
    (96, 200, 3)
    """
    curves = signal(image, 2 * _TRACK)
    places = _thinned(label.shape[0])
    tint = 255 - (255 - colorize(label[places], palette).astype(int)) * 2 // 5
    return np.where(curves < 128, curves, tint[None].astype(np.uint8))


def signal(image: np.ndarray, track: int = _TRACK) -> np.ndarray:
    """A 1-D image `(C, L)` as curves, one row of `track` pixels per channel, uint8 `(height, width, 3)`.

    Each pixel column shows the range from the least to the greatest value of its part of the signal, drawn out to meet
    the column before.
    """
    parts = min(image.shape[1], _WIDTH)
    edges = np.linspace(0, image.shape[1], parts + 1).astype(int)[:-1]
    rows = []
    for channel in image:
        level = _stretched(channel, (0, 100)).astype(int) * (track - 5) // 255
        low, high = np.minimum.reduceat(level, edges), np.maximum.reduceat(level, edges)
        before_low, before_high = np.append(low[0], low[:-1]), np.append(high[0], high[:-1])
        low, high = np.minimum(low, before_high), np.maximum(high, before_low)
        height = np.arange(track)[::-1, None] - 2
        rows.append(np.where((height >= low) & (height <= high + 1), 30, 250).astype(np.uint8))
    return np.repeat(np.concatenate(rows)[..., None], 3, axis=-1)


def resized(picture: np.ndarray, limit: int, smooth: bool = True) -> np.ndarray:
    """A picture `(height, width, 3)` whose longer side is at most `limit` pixels; small ones grow by a whole factor.

    `smooth` averages when it shrinks, for images; label maps keep their colors without it.
    """
    height, width = picture.shape[:2]
    factor = limit / max(height, width)
    if factor >= 2:
        return picture.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    if factor >= 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    how = Image.Resampling.BOX if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size, how))


def _stretched(channel: np.ndarray, between: tuple[float, float] = (1, 99)) -> np.ndarray:
    finite = np.isfinite(channel)
    if not finite.any():
        return np.zeros(channel.shape, np.uint8)
    low, high = np.percentile(channel[finite], between)
    if high == low:
        return np.zeros(channel.shape, np.uint8)
    share = (np.where(finite, channel, low).astype(np.float64) - low) / (high - low)
    return (np.clip(share, 0, 1) * 255).astype(np.uint8)


def _thinned(length: int) -> np.ndarray:
    return np.linspace(0, length - 1, min(length, _WIDTH)).round().astype(int)
