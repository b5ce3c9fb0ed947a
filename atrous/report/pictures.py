"""Turn images and label maps of 1, 2 or 3 axes into pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atrous.color import ERROR, VOID, Palette, default_palette
from atrous.labels import IGNORE

__all__ = [
    "banded",
    "beside",
    "boxed",
    "busiest",
    "channel_scales",
    "colorize",
    "errors",
    "flat",
    "flat_labels",
    "numbered",
    "outlined_boxes",
    "overlay",
    "resized",
    "signal",
    "to_rgb",
    "upright",
]

_GAP = 4  # pixels between the planes of a volume
_MARGIN = 226  # gray of the gap, lighter than that of void
_TRACK = 48  # height of a 1-D label map in pixels
_COLORS = 12  # of numbers
_WIDTH = 960  # largest width of a 1-D array in pixels


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Convert an image `(C, *S)` of any type and number of channels to colors, uint8 `(*S, 3)`.

    One channel gives gray and two give red and green. Of more channels the first three are shown (the fourth of four is
    usually opacity). uint8 values stay as they are. Booleans become black and white. All other types are stretched
    from the 1st to the 99th percentile of each channel; values that are not finite become black.

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


def channel_scales(image: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return for each channel that `to_rgb` shows of an image `(C, *S)` the values that become 0 and 255.

    None are returned for images whose values are shown as they are, and for channels without any two values.

    >>> channel_scales(np.arange(101, dtype=np.uint16).reshape(1, 101))
    ((1.0, 99.0),)
    >>> channel_scales(np.zeros((1, 4), np.uint8))
    ()
    """
    if image.dtype in (np.uint8, np.bool_):
        return ()
    scales = [_limits(channel, (1, 99)) for channel in image[:3]]
    return tuple(scale for scale in scales if scale is not None) if all(scales) else ()


def colorize(label: np.ndarray, palette: Palette) -> np.ndarray:
    """Convert a label map `(*S)` to colors, uint8 `(*S, 3)`: class i gets color i of the palette, void gets gray.

    >>> colorize(np.array([0, 1, 255]), ((0, 0, 0), (9, 8, 7))).tolist()
    [[0, 0, 0], [9, 8, 7], [150, 150, 150]]
    """
    table = np.full((256, 3), VOID, np.uint8)
    table[: len(palette)] = palette
    return table[label]


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Palette, alpha: float = 0.5, bare: int | None = None
) -> np.ndarray:
    """Paint a label map over its image, and return colors, uint8 `(*S, 3)`. Void stays unpainted.

    Args:
        image: `(C, *S)`.
        label: `(*S)` labels.
        palette: one color per class.
        alpha: weight of the label's color, from 0 (only the image) to 1 (only the label map).
        bare: a class that stays unpainted, such as the background.

    Raises:
        ValueError: image and label map differ in size.
    """
    if image.shape[1:] != label.shape:
        raise ValueError(f"image {image.shape} and label map {label.shape} differ in size")
    below = to_rgb(image)
    mixed = (1 - alpha) * below + alpha * colorize(label, palette)
    painted = (label != IGNORE) & (label != (IGNORE if bare is None else bare))
    return np.where(painted[..., None], np.rint(mixed).astype(np.uint8), below)


def errors(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Draw where a prediction `(*S)` is wrong, as colors, uint8 `(*S, 3)`.

    Errors are red, void is gray, and correct positions show the image `(C, *S)` in dark gray.
    """
    shade = to_rgb(image).mean(-1, keepdims=True) * 0.35
    picture = np.repeat(shade.astype(np.uint8), 3, axis=-1)
    picture[truth != prediction] = ERROR
    picture[truth == IGNORE] = VOID
    return picture


def upright(affine: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Return the axes of a volume `(K, J, I)` to mirror so that pictures show it as radiologists expect it.

    The head and the front of the body are then up, and the right side of the body is on the left. `affine` is the 4 x 4
    matrix of NIfTI, from voxels to a world whose axes point to the right, the front and the head of the patient.

    >>> upright([[-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 3.0, 0], [0, 0, 0, 1]])
    (0, 1)
    """
    axes = np.asarray(affine)[:3, :3]
    main = np.abs(axes).argmax(0)
    return tuple(sorted(2 - column for column in range(3) if axes[main[column], column] > 0))


def boxed(picture: np.ndarray, boxes: np.ndarray, colors: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Draw the outlines of boxes on a picture `(H, W, 3)` uint8, the smaller ones over the larger ones.

    Args:
        picture: stays as it is; the result is a copy.
        boxes: `(n, 4)`: the first row and column of each, then where it ends.
        colors: one for each box.
    """
    drawn = Image.fromarray(picture)
    pen, width = ImageDraw.Draw(drawn), max(1, round(max(picture.shape[:2]) / 400))
    for number in np.argsort(-((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])), kind="stable"):
        top, left, bottom, right = boxes[number]
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=tuple(colors[number]), width=width)
    return np.array(drawn)


def numbered(picture: np.ndarray, boxes: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Draw boxes with their numbers on a picture `(H, W, 3)` uint8: white on the color of the number.

    A number stands above its box, or below the upper side where there is no room, and never outside of the picture. Its
    height is a 20th of the picture's, at least 13 pixels.

    Args:
        picture: stays as it is; the result is a copy.
        boxes: `(n, 4)`: the first row and column of each, then where it ends.
        numbers: of each box, from 1; a number has the same color in every picture.
    """
    palette = default_palette(_COLORS + 1)[1:]
    colors = [palette[(number - 1) % _COLORS] for number in numbers]
    drawn = Image.fromarray(boxed(picture, boxes, colors))
    pen, (height, width) = ImageDraw.Draw(drawn), picture.shape[:2]
    font = ImageFont.load_default(max(13, height // 20))
    for (top, left, _, _), number, color in zip(boxes.tolist(), numbers, colors, strict=True):
        text = str(number)
        _, above, across, below = pen.textbbox((0, 0), text, font=font)
        wide, tall = int(across) + 4, int(below - above) + 4
        row = top - tall if top >= tall else top
        row, column = max(0, min(row, height - tall)), max(0, min(left, width - wide))
        dark = tuple(part // 2 for part in color)  # white is legible on it
        pen.rectangle((column, row, column + wide - 1, row + tall - 1), fill=dark)
        pen.text((column + 2, row + 2 - above), text, fill=(255, 255, 255), font=font)
    return np.array(drawn)


def outlined_boxes(picture: np.ndarray, corners: np.ndarray, colors: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Draw the outlines of rotated boxes on a picture `(H, W, 3)` uint8, the smaller ones over the larger ones.

    Args:
        picture: stays as it is; the result is a copy.
        corners: `(n, 4, 2)`: row and column of the corners of each, one side after the other.
        colors: one for each box.
    """
    drawn = Image.fromarray(picture)
    pen, width = ImageDraw.Draw(drawn), max(1, round(max(picture.shape[:2]) / 400))
    one, other = (np.linalg.norm(corners[:, k] - corners[:, 0], axis=1) for k in (1, 3))
    for number in np.argsort(-one * other, kind="stable"):
        ring = [(x - 0.5, y - 0.5) for y, x in corners[number].tolist()]  # the middle of the first pixel is 0.5
        pen.line([*ring, *ring[:2]], fill=tuple(colors[number]), width=width, joint="curve")
    return np.array(drawn)


def busiest(label: np.ndarray) -> tuple[int, ...]:
    """Return, for each axis of a label map `(*S)`, the index of the plane with the most labelled positions.

    Positions of class 0 and void do not count. If there are no others, the middle of the grid is returned.

    >>> busiest(np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 255, 0]]))
    (1, 1)
    """
    labelled = (label != 0) & (label != IGNORE)
    if not labelled.any():
        return tuple(n // 2 for n in label.shape)
    axes = range(label.ndim)
    return tuple(int(labelled.sum(tuple(a for a in axes if a != axis)).argmax()) for axis in axes)


def flat(
    picture: np.ndarray, center: tuple[int, ...] | None = None, spacing: tuple[float, ...] | None = None
) -> np.ndarray:
    """Turn colors on a grid, `(*S, 3)`, into one flat picture `(height, width, 3)`.

    A 1-D grid becomes a band, a 2-D grid stays as it is. Of a 3-D grid, three orthogonal planes are joined: the plane
    of axes 1 and 2 on the top left, of axes 1 and 0 on its right, and of axes 0 and 2 below.

    Args:
        picture: `(*S, 3)`, 1 to 3 spatial axes.
        center: the point of a 3-D grid through which the planes go; the middle by default.
        spacing: distance of neighboring voxels along each axis. Axes with a larger distance are enlarged by a whole
            factor, at most 8, so that the picture has about the real proportions.

    Raises:
        ValueError: there are more than 3 axes.
    """
    ndim = picture.ndim - 1
    if ndim == 1:
        thinned = picture[_thinned(len(picture))]
        return np.repeat(thinned[None], _TRACK, axis=0)
    if ndim == 2:
        return picture
    if ndim != 3:
        raise ValueError(f"a grid of 1 to 3 axes can be drawn, not {ndim}")
    z, y, x = center if center is not None else tuple(n // 2 for n in picture.shape[:3])
    spacing = spacing or (1.0, 1.0, 1.0)
    factors = [min(max(1, round(a / min(spacing))), 8) for a in spacing]
    front = picture[z].repeat(factors[1], 0).repeat(factors[2], 1)
    side = picture[:, :, x].swapaxes(0, 1).repeat(factors[1], 0).repeat(factors[0], 1)
    below = picture[:, y].repeat(factors[0], 0).repeat(factors[2], 1)
    (height, width), depth = front.shape[:2], len(below)
    canvas = np.full((height + _GAP + depth, width + _GAP + depth, 3), _MARGIN, np.uint8)
    canvas[:height, :width] = front
    canvas[:height, width + _GAP :] = side
    canvas[height + _GAP :, :width] = below
    return canvas


def flat_labels(
    label: np.ndarray, center: tuple[int, ...] | None = None, spacing: tuple[float, ...] | None = None
) -> np.ndarray:
    """Arrange a label map `(*S)` uint8 as `flat` arranges its colors: `(height, width)` uint8, void in the gaps.

    A 1-D map becomes one row.

    >>> flat_labels(np.full((2, 2, 2), 7, np.uint8))[0].tolist()
    [7, 7, 255, 255, 255, 255, 7, 7]
    """
    if label.ndim == 1:
        return label[_thinned(len(label))][None]
    known = np.ones_like(label)
    planes = flat(np.stack([label, known, known], axis=-1), center, spacing)
    return np.where(planes[..., 1] == 1, planes[..., 0], np.uint8(IGNORE))


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Join pictures `(height, width, 3)` of one height, one beside the other.

    >>> beside([np.zeros((5, 6, 3), np.uint8)] * 3).shape
    (5, 26, 3)
    """
    gap = np.full((len(pictures[0]), _GAP, 3), _MARGIN, np.uint8)
    joined = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(joined[1:], axis=1)


def banded(image: np.ndarray, label: np.ndarray, palette: Palette) -> np.ndarray:
    """Draw a signal `(C, L)` as curves over light bands in the colors of its labels `(L,)`, uint8 `(height, width, 3)`.

    >>> curves = banded(np.sin(np.arange(200.0))[None], np.zeros(200, np.uint8), ((255, 0, 0),))
    >>> curves.shape
    (96, 200, 3)
    """
    curves = signal(image, 2 * _TRACK)
    samples = _thinned(label.shape[0])
    tint = 255 - (255 - colorize(label[samples], palette).astype(int)) * 2 // 5
    return np.where(curves < 128, curves, tint[None].astype(np.uint8))


def signal(image: np.ndarray, track: int = _TRACK, scale: np.ndarray | None = None) -> np.ndarray:
    """Draw a signal `(C, L)` as curves, one below the other and `track` pixels high, uint8 `(height, width, 3)`.

    Each column of pixels shows the range from the smallest to the largest value of its part of the signal, extended so
    that it touches the range of the column before. It is gray where no value of its part is known.

    Args:
        image: the signal.
        track: height of a curve.
        scale: the values `(C, 2)` at the bottom and at the top of each curve; its least and greatest one if None.
    """
    parts = min(image.shape[1], _WIDTH)
    edges = np.linspace(0, image.shape[1], parts + 1).astype(int)[:-1]
    rows = []
    for number, channel in enumerate(image):
        if scale is None:
            level = _stretched(channel, (0, 100)).astype(int) * (track - 5) // 255
        else:
            bottom, top = scale[number]
            share = (np.where(np.isfinite(channel), channel, bottom) - bottom) / (top - bottom if top > bottom else 1.0)
            level = (np.clip(share, 0, 1) * (track - 5)).astype(int)
        low, high = np.minimum.reduceat(level, edges), np.maximum.reduceat(level, edges)
        before_low, before_high = np.append(low[0], low[:-1]), np.append(high[0], high[:-1])
        low, high = np.minimum(low, before_high), np.maximum(high, before_low)
        height = np.arange(track)[::-1, None] - 2
        drawn = np.where((height >= low) & (height <= high + 1), 30, 250).astype(np.uint8)
        known = np.logical_or.reduceat(np.isfinite(channel), edges)
        rows.append(np.where(known, drawn, np.uint8(VOID[0])))
    return np.repeat(np.concatenate(rows)[..., None], 3, axis=-1)


def png_bytes(picture: np.ndarray) -> bytes:
    """Return a picture `(height, width, 3)` uint8 as the content of a PNG file."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG")
    return encoded.getvalue()


def resized(picture: np.ndarray, limit: int, smooth: bool = True) -> np.ndarray:
    """Resize a picture `(height, width, 3)` so that its longer side is at most `limit` pixels.

    Small pictures are enlarged by a whole factor. Large ones are shrunk: `smooth` averages neighboring pixels, for
    images; without it single pixels are kept, so that label maps keep their colors.
    """
    height, width = picture.shape[:2]
    factor = limit / max(height, width)
    if factor >= 2:
        return picture.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    if factor >= 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    method = Image.Resampling.BOX if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size, method))


def _stretched(channel: np.ndarray, percentiles: tuple[float, float] = (1, 99)) -> np.ndarray:
    """Map a channel `(*S)` linearly to uint8, so that these percentiles become 0 and 255."""
    limits = _limits(channel, percentiles)
    if limits is None:
        return np.zeros(channel.shape, np.uint8)
    low, high = limits
    level = (np.where(np.isfinite(channel), channel, low).astype(np.float64) - low) / (high - low)
    return (np.clip(level, 0, 1) * 255).astype(np.uint8)


def _limits(channel: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float] | None:
    """These percentiles of the finite values of a channel; None where they are equal, or no value is finite."""
    known = channel[np.isfinite(channel)]
    if not known.size:
        return None
    low, high = (float(value) for value in np.percentile(known, percentiles))
    return None if low == high else (low, high)


def _thinned(length: int) -> np.ndarray:
    """Return at most `_WIDTH` indices, evenly spread over an array of this length."""
    return np.linspace(0, length - 1, min(length, _WIDTH)).round().astype(int)
