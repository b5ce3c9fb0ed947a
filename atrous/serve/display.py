"""From values to what a screen shows: a window of values and a color for each channel, added up."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from atrous.errors import UserError

MOST = 16
"""Channels that are shown together at most."""
WHITE = (255, 255, 255)
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255), (255, 255, 0))
"""Colors of channels that are no colors themselves: fluorescence, bands."""
PERCENTILES = (0.5, 99.5)
"""Of the values of a channel, where the window begins and ends at first."""
GAMMAS = (0.05, 20.0)
"""The least and the largest exponent."""
_SHOWN = re.compile(r"(\d{1,6}):([-+.\deE]{1,24}):([-+.\deE]{1,24}):([0-9a-fA-F]{6})(?::([.\d]{1,12}))?")


@dataclass(frozen=True)
class Shown:
    """One channel on the screen.

    Attributes:
        channel: its number.
        low: the value that is black.
        high: the value that has the full color.
        color: red, green and blue.
        gamma: exponent of the brightness between black and the full color; below 1, dark values are brighter.
    """

    channel: int
    low: float
    high: float
    color: tuple[int, int, int] = WHITE
    gamma: float = 1.0

    def text(self) -> str:
        """Return what `parse_shown` reads.

        >>> Shown(0, 0.0, 255.0, (255, 0, 0)).text()
        '0:0:255:ff0000'
        """
        gamma = "" if self.gamma == 1 else f":{self.gamma:g}"
        return f"{self.channel}:{self.low:g}:{self.high:g}:{bytes(self.color).hex()}{gamma}"


def parse_shown(text: str, channels: int) -> tuple[Shown, ...]:
    """Read which channels are shown, in which window and color.

    Args:
        text: for each channel `NUMBER:LOW:HIGH:RRGGBB`, and `:GAMMA` if that is not 1; separated by commas.
        channels: how many there are.

    Raises:
        UserError: it is written otherwise, or names a channel that is not there.

    >>> parse_shown("0:0:255:ff0000,2:10:20:0000ff", 3)[1]
    Shown(channel=2, low=10.0, high=20.0, color=(0, 0, 255), gamma=1.0)
    """
    parts = text.split(",") if text else []
    if len(parts) > MOST:
        raise UserError(f"channels: {len(parts)} of them: show {MOST} at most")
    shown = []
    for part in parts:
        match = _SHOWN.fullmatch(part)
        try:
            if match is None:
                raise ValueError
            number, low, high, gamma = int(match[1]), float(match[2]), float(match[3]), float(match[5] or 1)
            if not GAMMAS[0] <= gamma <= GAMMAS[1]:
                raise ValueError
        except ValueError:
            form = "NUMBER:LOW:HIGH:RRGGBB or NUMBER:LOW:HIGH:RRGGBB:GAMMA"
            raise UserError(f"channels: write {form} for each, separated by commas; gamma is 0.05 to 20") from None
        if number >= channels:
            raise UserError(f"channels: there is no channel {number}: there are {channels}, counted from 0")
        red, green, blue = bytes.fromhex(match[4])
        shown.append(Shown(number, low, high, (red, green, blue), gamma))
    return tuple(shown)


def default_shown(sample: np.ndarray, kind: str) -> tuple[Shown, ...]:
    """Return how an image is shown at first, one entry for each channel up to `MOST`.

    8-bit pictures stay as they are, all others are stretched between two percentiles of what was looked at.

    Args:
        sample: some of its values `(C, n)`.
        kind: that of its header; `rgb` and the like are colors.
    """
    count = min(len(sample), MOST)
    photograph = kind.startswith(("rgb", "palette", "cmyk")) or (kind != "array" and count == 3)
    colors = [WHITE] if count == 1 else list(COLORS)
    shown = []
    for channel in range(count):
        as_stored = sample.dtype == np.uint8 and kind != "volume"
        low, high = (0.0, 255.0) if as_stored else window(sample[channel])
        shown.append(Shown(channel, low, high, colors[channel % len(colors)]))
    if photograph and count >= 3 and sample.dtype != np.uint8:  # one window for all keeps the hues
        low, high = min(one.low for one in shown[:3]), max(one.high for one in shown[:3])
        shown[:3] = [Shown(one.channel, low, high, one.color) for one in shown[:3]]
    return tuple(shown)


def window(values: np.ndarray) -> tuple[float, float]:
    """Return the window between the percentiles `PERCENTILES` of some values; values that are not finite do not count.

    >>> window(np.array([np.nan, 3.0, 3.0]))
    (3.0, 4.0)
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(f"{edge:.6g}") for edge in np.percentile(finite, PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def draw(values: np.ndarray, shown: Sequence[Shown]) -> np.ndarray:
    """Return a picture `(h, w, 3)` uint8 of values `(C, h, w)`: each channel in its window and color, added up.

    Values that are not finite are black.

    >>> draw(np.array([[[0, 128]], [[255, 0]]], np.uint8), [Shown(0, 0, 255, WHITE), Shown(1, 0, 255, (255, 0, 0))])
    array([[[255,   0,   0],
            [128, 128, 128]]], dtype=uint8)
    """
    light = np.zeros((*values.shape[1:], 3), np.float32)
    for one in shown:
        part = values[one.channel].astype(np.float32)
        scale = one.high - one.low
        part = np.clip((part - one.low) / (scale if scale > 0 else 1.0), 0, 1)
        part = np.nan_to_num(part) if one.gamma == 1 else np.nan_to_num(part) ** np.float32(one.gamma)
        for index, level in enumerate(one.color):
            if level:
                light[..., index] += part * level
    return np.rint(np.minimum(light, 255)).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    """Return a picture `(h, w, 3)`, or numbers `(h, w)`, uint8, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
