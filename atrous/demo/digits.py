"""Digit scenes: pictures of any size, strewn with handwritten digits like chalk on a board, with exact labels.

The glyphs are the 1797 digits of 8x8 pixels that come with scikit-learn (E. Alpaydin, C. Kaynak, "Optical Recognition
of Handwritten Digits", UCI 1998), so nothing is downloaded. Each split draws from glyphs of its own: a test scene
shows digits that no training scene has shown, written by the same hands.
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
"""Height of a digit in pixels, least and most; drawn log-uniformly."""
MOST_TURN = 15.0
"""Largest rotation in degrees, small enough that a 6 is no 9."""

_NOISE = 7.0  # standard deviation, gray levels
_INK = 0.45  # a position is labeled where the upsampled glyph exceeds this share of full ink
_CELL = 2000.0  # positions per attempt to place a digit
_SHARES = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}


@dataclass(frozen=True)
class _Glyphs:
    images: np.ndarray  # (N, 8, 8) float32 in 0..1
    digits: np.ndarray  # (N,)


@dataclass(frozen=True)
class _Scene:
    """What is drawn on: gray levels `(C, H, W)`, labels and the places taken `(H, W)`, and the source of chance."""

    canvas: np.ndarray
    label: np.ndarray
    taken: np.ndarray
    rng: np.random.Generator


@functools.cache
def _glyphs(split: str) -> _Glyphs:
    """The glyphs of one split; splits are disjoint and equally rich in every digit."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images, digits = np.asarray(bunch["images"], dtype=np.float32) / 16.0, np.asarray(bunch["target"])
    low, high = _SHARES[split]
    chosen = []
    for digit in range(10):
        places = np.flatnonzero(digits == digit)
        order = np.random.default_rng(digit).permutation(places)
        chosen.append(order[round(low * len(order)) : round(high * len(order))])
    places = np.sort(np.concatenate(chosen))
    return _Glyphs(images[places], digits[places])


def digit_scene(
    shape: tuple[int, int] = (256, 256), seed: int = 0, channels: int = 3, split: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Compose one scene.

    A smooth background with shading; lines, blobs and scraps of digits as clutter; then digits of random place,
    size, turn and contrast, always lighter than the ground; then noise. The same arguments give the same scene.

    Args:
        shape: `(H, W)` in pixels, at least 16 each.
        seed: which scene.
        channels: 1 or 3.
        split: `train`, `val` or `test`: whose glyphs are used.

    Returns:
        The image, uint8 `(channels, H, W)`, and its label, uint8 `(H, W)`: 0 is background, `d + 1` is digit `d`.

    Raises:
        UserError: a shape, number of channels or split other than these.

    >>> image, label = digit_scene((64, 96), seed=3)
    >>> image.shape, label.shape, label.dtype
    ((3, 64, 96), (64, 96), dtype('uint8'))
    """
    if min(shape) < 16 or channels not in (1, 3) or split not in SPLITS:
        asked = f"shape {shape}, {channels} channels, split {split}"
        raise UserError(f"digit scene of {asked}: ask for 16x16 or more, 1 or 3 channels, and one of {SPLITS}")
    rng = np.random.default_rng([seed, SPLITS.index(split), *shape])
    glyphs = _glyphs(split)
    scene = _Scene(_background(shape, channels, rng), np.zeros(shape, np.uint8), np.zeros(shape, bool), rng)
    _draw_clutter(scene.canvas, rng)
    for _ in range(max(1, round(shape[0] * shape[1] / _CELL))):
        pick = int(rng.integers(len(glyphs.digits)))
        _place_digit(scene, glyphs.images[pick], int(glyphs.digits[pick]))
    if not scene.label.any():  # so small a scene that the first try did not fit: a digit as large as the scene allows
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

    Everything is written beside the folder and then renamed, so a crash leaves no half data set.

    Args:
        folder: where; must not exist.
        train: number of training scenes.
        val: number of validation scenes.
        test: number of test scenes.
        size: `(H, W)` of each.
        seed: first seed; scene `i` of a split has seed `seed + i`.
        channels: 1 or 3.

    Returns:
        The folder.

    Raises:
        UserError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise UserError(f"{folder}: exists already and is left as it is: remove it or name another folder")
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
    """Write an image `(C, H, W)` of uint8, one or three channels, as PNG."""
    from PIL import Image

    with replacing(path) as beside:
        Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(beside, format="PNG")


def _write_mask(path: Path, label: np.ndarray) -> None:
    write_label(path, label, PALETTE)


def _description() -> str:
    names = ", ".join(f'"{name}"' for name in CLASSES)
    colors = ", ".join(f"[{r}, {g}, {b}]" for r, g, b in PALETTE)
    return f'task = "semantic"\nclasses = [{names}]\npalette = [{colors}]\n'


def _background(shape: tuple[int, int], channels: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth shading about a middle gray, `(channels, H, W)` float32, in which both signs of contrast have room."""
    base = rng.uniform(95, 160)
    shade = _smooth(shape, 96, rng) * 22
    canvas = np.empty((channels, *shape), dtype=np.float32)
    for channel in canvas:
        tint = rng.uniform(-14, 14) if channels > 1 else 0.0
        own = _smooth(shape, 160, rng) * 9 if channels > 1 else 0.0
        channel[:] = base + tint + shade + own
    return canvas


def _smooth(shape: tuple[int, int], period: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of about unit size: a coarse grid of random heights, interpolated linearly and separably."""
    coarse = rng.normal(0, 1, size=tuple(size // period + 3 for size in shape))
    coarse = np.asarray(ndimage.zoom(coarse, 4, order=3, mode="nearest"))
    rows, cols = (_weights(shape[axis], period / 4, coarse.shape[axis]) for axis in (0, 1))
    return (rows @ coarse @ cols.T).astype(np.float32)


def _weights(size: int, step: float, count: int) -> np.ndarray:
    """Matrix `(size, count)` of linear interpolation from a grid of the given step."""
    place = np.minimum(np.arange(size) / step, count - 1.001)
    low = place.astype(int)
    matrix = np.zeros((size, count))
    matrix[np.arange(size), low] = 1 - (place - low)
    matrix[np.arange(size), low + 1] = place - low
    return matrix


def _draw_clutter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Strokes and soft blobs: things of a digit's contrast or size that are no digits."""
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
    """A straight line of soft edges on the smallest square that holds it, 0..1."""
    reach = int(length / 2 + width + 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    far = np.maximum(np.abs(along) - length / 2, 0) ** 2 + across**2
    return np.clip(width - np.sqrt(far) + 0.5, 0, 1)


def _blob(radius: float) -> np.ndarray:
    reach = int(2 * radius + 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    return np.exp(-(x**2 + y**2) / (2 * (radius / 1.5) ** 2))


def _color(canvas: np.ndarray, rng: np.random.Generator, least: float, most: float, sign: float = 0) -> np.ndarray:
    """What is added to each channel: `least` to `most` gray levels, of one sign for all (drawn when 0)."""
    return (
        (sign or rng.choice((-1.0, 1.0))) * rng.uniform(least, most) * rng.uniform(0.75, 1.25, size=len(canvas))
    ).astype(np.float32)


def _blend(canvas: np.ndarray, ink: np.ndarray, center: tuple[float, float], color: np.ndarray) -> None:
    """Add `color * ink` about `center`; what falls outside is cut off."""
    top, left = int(center[0]) - ink.shape[0] // 2, int(center[1]) - ink.shape[1] // 2
    rows, cols = slice(max(top, 0), top + ink.shape[0]), slice(max(left, 0), left + ink.shape[1])
    target = canvas[:, rows, cols]
    part = ink[max(-top, 0) :, max(-left, 0) :][: target.shape[1], : target.shape[2]]
    target += color[:, None, None] * part


def _place_digit(scene: _Scene, glyph: np.ndarray, digit: int) -> None:
    """Draw one digit where a few tries find room; now and then only a scrap of it, which is clutter."""
    rng, shape = scene.rng, scene.label.shape
    height = float(np.exp(rng.uniform(*np.log(SIZES))))
    ink = _stretched(glyph, height, rng.uniform(-MOST_TURN, MOST_TURN))
    if any(size >= limit for size, limit in zip(ink.shape, shape, strict=True)):
        return
    scrap = rng.random() < 0.06
    for _ in range(6):
        top, left = (int(rng.integers(limit - size)) for size, limit in zip(ink.shape, shape, strict=True))
        box = (slice(top, top + ink.shape[0]), slice(left, left + ink.shape[1]))
        if not scene.taken[box].any():
            break
    else:
        return
    scene.taken[box] = True
    if scrap:
        ink[ink.shape[0] // 3 :] = 0
        center = (top + ink.shape[0] // 2, left + ink.shape[1] // 2)
        _blend(scene.canvas, ink, center, _color(scene.canvas, rng, 30, 60))
    else:
        _paint(scene, ink, (top, left), digit)


def _paint(scene: _Scene, ink: np.ndarray, corner: tuple[int, int], digit: int) -> None:
    """Add the ink in a contrast well above the noise, and label where it is dense."""
    box = (slice(corner[0], corner[0] + ink.shape[0]), slice(corner[1], corner[1] + ink.shape[1]))
    color = _color(scene.canvas, scene.rng, 55, 95, sign=1)
    scene.canvas[(slice(None), *box)] += color[:, None, None] * ink
    scene.label[box][ink > _INK] = digit + 1


def _stretched(glyph: np.ndarray, height: float, degrees: float) -> np.ndarray:
    """The 8x8 glyph brought to `height` pixels by a cubic spline and turned, 0..1, with edges made firm."""
    glyph, scale = np.pad(glyph, 1), height / 8.0  # a margin, so that strokes at the edge end softly
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    side = int(np.ceil(1.25 * height * (abs(np.cos(turn)) + abs(np.sin(turn)))))
    matrix = rotation / scale
    offset = np.array([4.5, 4.5]) - matrix @ (np.array([side - 1, side - 1]) / 2)
    warp: Any = ndimage.affine_transform  # its stubs know no array as offset
    ink = warp(glyph, matrix, offset, output_shape=(side, side), order=3, mode="constant")
    firm = np.clip((ink - 0.2) / 0.5, 0, 1).astype(np.float32)
    return _tight(firm)


def _tight(ink: np.ndarray) -> np.ndarray:
    rows, cols = np.flatnonzero(ink.max(axis=1) > 0.02), np.flatnonzero(ink.max(axis=0) > 0.02)
    return ink[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
