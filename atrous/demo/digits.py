"""Digit scenes: images of any size with handwritten digits in random places, and their exact labels.

The digits are the 1797 glyphs of 8x8 pixels that come with scikit-learn (E. Alpaydin, C. Kaynak, "Optical Recognition
of Handwritten Digits", UCI 1998), so nothing is downloaded. Each split has glyphs of its own: no glyph of a test scene
occurs in a training scene, although the same people wrote both.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from atrous.color import default_palette
from atrous.data.formats import write_label
from atrous.errors import UserError
from atrous.files import replacing

CLASSES = ("background", *(f"digit {d}" for d in range(10)))
"""Class names; digit `d` is label `d + 1`."""

PALETTE = default_palette(len(CLASSES))
SPLITS = ("train", "val", "test")
SIZES = (32.0, 64.0)
"""Smallest and largest height of a digit in pixels; heights are drawn log-uniformly."""
MOST_TURN = 15.0
"""Largest rotation in degrees, small enough that a 6 does not become a 9."""

_NOISE = 7.0  # standard deviation, gray levels
_INK = 0.45  # a pixel gets the label of the digit if the enlarged glyph exceeds this share of full ink
_CELL = 2000.0  # pixels per attempt to place a digit
_RANGES = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}  # shares of the glyphs


@dataclass(frozen=True)
class _Glyphs:
    images: np.ndarray  # (N, 8, 8) float32 in 0..1
    digits: np.ndarray  # (N,)


@dataclass(frozen=True)
class _Scene:
    """A scene that is being composed."""

    canvas: np.ndarray  # (C, H, W) float32 gray levels
    label: np.ndarray  # (H, W) uint8
    taken: np.ndarray  # (H, W) bool, the boxes of digits that were placed
    rng: np.random.Generator


@functools.cache
def _glyphs(split: str) -> _Glyphs:
    """Return the glyphs of one split. Splits are disjoint and have the same proportions of the ten digits."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images, digits = np.asarray(bunch["images"], dtype=np.float32) / 16.0, np.asarray(bunch["target"])
    low, high = _RANGES[split]
    chosen = []
    for digit in range(10):
        order = np.random.default_rng(digit).permutation(np.flatnonzero(digits == digit))
        chosen.append(order[round(low * len(order)) : round(high * len(order))])
    indices = np.sort(np.concatenate(chosen))
    return _Glyphs(images[indices], digits[indices])


def digit_scene(
    shape: tuple[int, int] = (256, 256), seed: int = 0, channels: int = 3, split: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Compose one scene.

    It has a smooth background with shading; then lines, blobs and parts of digits as clutter; then digits of random
    position, size, rotation and contrast, which are always lighter than the background; then noise. The same arguments
    give the same scene.

    Args:
        shape: `(H, W)` in pixels, at least 16 each.
        seed: random seed; every seed gives another scene.
        channels: 1 or 3.
        split: `train`, `val` or `test`, the split whose glyphs are used.

    Returns:
        The image, uint8 `(channels, H, W)`, and its label, uint8 `(H, W)`: 0 is background, `d + 1` is digit `d`.

    Raises:
        UserError: the shape, the number of channels or the split is not one of these.

    >>> image, label = digit_scene((64, 96), seed=3)
    >>> image.shape, label.shape, label.dtype
    ((3, 64, 96), (64, 96), dtype('uint8'))
    """
    if min(shape) < 16 or channels not in (1, 3) or split not in SPLITS:
        request = f"shape {shape}, {channels} channels, split {split}"
        raise UserError(f"digit scene of {request}: give 16x16 or more, 1 or 3 channels, and one of {SPLITS}")
    rng = np.random.default_rng([seed, SPLITS.index(split), *shape])
    glyphs = _glyphs(split)
    scene = _Scene(_background(shape, channels, rng), np.zeros(shape, np.uint8), np.zeros(shape, bool), rng)
    _draw_clutter(scene.canvas, rng)
    for _ in range(max(1, round(shape[0] * shape[1] / _CELL))):
        pick = int(rng.integers(len(glyphs.digits)))
        _place_digit(scene, glyphs.images[pick], int(glyphs.digits[pick]))
    if not scene.label.any():  # the scene was too small for the digits tried: add one that is as large as the scene
        pick = int(rng.integers(len(glyphs.digits)))
        ink = _stretched(glyphs.images[pick], min(shape) - 2, 0.0)[: shape[0] - 2, : shape[1] - 2]
        _paint(scene, ink, (1, 1), int(glyphs.digits[pick]))
    noisy = scene.canvas
    for i in range(channels):
        noisy[i] += _NOISE * rng.standard_normal(size=shape, dtype=np.float32)
    np.rint(noisy, out=noisy)
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8), scene.label


def write_digit_scenes(
    folder: Path | str,
    *,
    train: int = 48,
    val: int = 8,
    test: int = 12,
    size: tuple[int, int] = (256, 256),
    seed: int = 0,
    channels: int = 3,
) -> Path:
    """Write a data set of digit scenes: `images/SPLIT/*.png`, `masks/SPLIT/*.png` and `dataset.toml`.

    Everything is written to a temporary folder that is then renamed, so that a crash leaves no incomplete data set.

    Args:
        folder: folder to create; it must not exist.
        train: number of training scenes.
        val: number of validation scenes.
        test: number of test scenes.
        size: `(H, W)` of each scene in pixels.
        seed: first seed; scene `i` of a split has seed `seed + i`.
        channels: 1 or 3.

    Returns:
        The folder.

    Raises:
        UserError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise UserError(f"{folder}: exists already: remove it or give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as beside:
        beside.mkdir()
        for split, count in zip(SPLITS, (train, val, test), strict=True):
            for kind in ("images", "masks") if count else ():
                (beside / kind / split).mkdir(parents=True)
            for i in range(count):
                image, label = digit_scene(size, seed + i, channels, split)
                name = f"{split}_{i:04d}.png"
                write_picture(beside / "images" / split / name, image)
                _write_mask(beside / "masks" / split / name, label)
        (beside / "dataset.toml").write_text(_description(), encoding="utf-8")
    return folder


def write_picture(path: Path | str, image: np.ndarray) -> None:
    """Write a uint8 image `(C, H, W)` with one or three channels as PNG."""
    from PIL import Image

    with replacing(path) as beside:
        Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(beside, format="PNG")


def _write_mask(path: Path, label: np.ndarray) -> None:
    write_label(path, label, PALETTE)


def _description() -> str:
    """Return the text of `dataset.toml`."""
    names = ", ".join(f'"{name}"' for name in CLASSES)
    colors = ", ".join(f"[{r}, {g}, {b}]" for r, g, b in PALETTE)
    return f'task = "semantic"\nclasses = [{names}]\npalette = [{colors}]\n'


def _background(shape: tuple[int, int], channels: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth shading around a middle gray, `(channels, H, W)` float32."""
    base = rng.uniform(95, 160)
    shade = _smooth(shape, 96, rng) * 22
    canvas = np.empty((channels, *shape), dtype=np.float32)
    for channel in canvas:
        tint = rng.uniform(-14, 14) if channels > 1 else 0.0
        own = _smooth(shape, 160, rng) * 9 if channels > 1 else 0.0
        channel[:] = base + tint + shade + own
    return canvas


def _smooth(shape: tuple[int, int], period: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise `(H, W)` with a deviation of about 1: coarse random values, interpolated linearly."""
    coarse = rng.normal(0, 1, size=tuple(size // period + 3 for size in shape))
    coarse = np.asarray(ndimage.zoom(coarse, 4, order=3, mode="nearest"))
    rows, cols = (_weights(shape[axis], period / 4, coarse.shape[axis]) for axis in (0, 1))
    return (rows @ coarse @ cols.T).astype(np.float32)


def _weights(size: int, step: float, count: int) -> np.ndarray:
    """Return the matrix `(size, count)` that interpolates linearly from a grid with this step to pixels."""
    position = np.minimum(np.arange(size) / step, count - 1.001)
    low = position.astype(int)
    matrix = np.zeros((size, count))
    matrix[np.arange(size), low] = 1 - (position - low)
    matrix[np.arange(size), low + 1] = position - low
    return matrix


def _draw_clutter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Draw lines and soft blobs on a canvas `(C, H, W)`: clutter with the contrast or the size of digits."""
    shape = canvas.shape[1:]
    area = shape[0] * shape[1]
    for _ in range(rng.poisson(area / 9000)):
        length, width = rng.uniform(25, 110), rng.uniform(0.8, 2.0)
        angle, center = rng.uniform(0, np.pi), (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
        _blend(canvas, _stroke(length, width, angle), center, _color(canvas, rng, 25, 60))
    for _ in range(rng.poisson(area / 14000)):
        radius, center = rng.uniform(5, 26), (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
        _blend(canvas, _blob(radius), center, _color(canvas, rng, 15, 40))


def _stroke(length: float, width: float, angle: float) -> np.ndarray:
    """Draw a straight line with soft edges on the smallest square that holds it, values 0..1."""
    reach = int(length / 2 + width + 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    distance = np.sqrt(np.maximum(np.abs(along) - length / 2, 0) ** 2 + across**2)
    return np.clip(width - distance + 0.5, 0, 1)


def _blob(radius: float) -> np.ndarray:
    """Draw a Gaussian blob on a square, values 0..1."""
    reach = int(2 * radius + 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    return np.exp(-(x**2 + y**2) / (2 * (radius / 1.5) ** 2))


def _color(canvas: np.ndarray, rng: np.random.Generator, least: float, most: float, sign: float = 0) -> np.ndarray:
    """Draw a color difference `(C,)` of `least` to `most` gray levels; one sign for all channels, random if 0."""
    return (
        (sign or rng.choice((-1.0, 1.0))) * rng.uniform(least, most) * rng.uniform(0.75, 1.25, size=len(canvas))
    ).astype(np.float32)


def _blend(canvas: np.ndarray, ink: np.ndarray, center: tuple[float, float], color: np.ndarray) -> None:
    """Add `color * ink` to a canvas `(C, H, W)` around `center`; parts beyond the border are cut off."""
    top, left = int(center[0]) - ink.shape[0] // 2, int(center[1]) - ink.shape[1] // 2
    rows, cols = slice(max(top, 0), top + ink.shape[0]), slice(max(left, 0), left + ink.shape[1])
    target = canvas[:, rows, cols]
    part = ink[max(-top, 0) :, max(-left, 0) :][: target.shape[1], : target.shape[2]]
    target += color[:, None, None] * part


def _place_digit(scene: _Scene, glyph: np.ndarray, digit: int) -> None:
    """Draw one digit in a free place, if six tries find one; in 6 % of the cases only its top third, as clutter."""
    rng, shape = scene.rng, scene.label.shape
    height = float(np.exp(rng.uniform(*np.log(SIZES))))
    ink = _stretched(glyph, height, rng.uniform(-MOST_TURN, MOST_TURN))
    if any(size >= limit for size, limit in zip(ink.shape, shape, strict=True)):
        return
    fragment = rng.random() < 0.06
    for _ in range(6):
        top, left = (int(rng.integers(limit - size)) for size, limit in zip(ink.shape, shape, strict=True))
        box = (slice(top, top + ink.shape[0]), slice(left, left + ink.shape[1]))
        if not scene.taken[box].any():
            break
    else:
        return
    scene.taken[box] = True
    if fragment:
        ink[ink.shape[0] // 3 :] = 0
        center = (top + ink.shape[0] // 2, left + ink.shape[1] // 2)
        _blend(scene.canvas, ink, center, _color(scene.canvas, rng, 30, 60))
    else:
        _paint(scene, ink, (top, left), digit)


def _paint(scene: _Scene, ink: np.ndarray, corner: tuple[int, int], digit: int) -> None:
    """Draw the digit with a contrast well above the noise, and set its label where the ink is dense."""
    box = (slice(corner[0], corner[0] + ink.shape[0]), slice(corner[1], corner[1] + ink.shape[1]))
    color = _color(scene.canvas, scene.rng, 55, 95, sign=1)
    scene.canvas[(slice(None), *box)] += color[:, None, None] * ink
    scene.label[box][ink > _INK] = digit + 1


def _stretched(glyph: np.ndarray, height: float, degrees: float) -> np.ndarray:
    """Enlarge an 8x8 glyph to `height` pixels by a cubic spline, rotate it and sharpen its edges; values 0..1."""
    glyph, scale = np.pad(glyph, 1), height / 8.0  # with a margin, so that strokes at the edge end softly
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    side = int(np.ceil(1.25 * height * (abs(np.cos(turn)) + abs(np.sin(turn)))))
    matrix = rotation / scale
    offset = np.array([4.5, 4.5]) - matrix @ (np.array([side - 1, side - 1]) / 2)
    warp: Any = ndimage.affine_transform  # its type stubs do not allow an array as offset
    ink = warp(glyph, matrix, offset, output_shape=(side, side), order=3, mode="constant")
    sharpened = np.clip((ink - 0.2) / 0.5, 0, 1).astype(np.float32)
    return _tight(sharpened)


def _tight(ink: np.ndarray) -> np.ndarray:
    """Cut off empty rows and columns at the borders."""
    rows, cols = np.flatnonzero(ink.max(axis=1) > 0.02), np.flatnonzero(ink.max(axis=0) > 0.02)
    return ink[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
