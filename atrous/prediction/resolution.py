"""At which resolution a whole slide is labeled: the level of its pyramid that fits the training data."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from atrous.data.formats import Header, open_level
from atrous.data.preprocess import SPACINGS_DIFFER
from atrous.data.resized import Resized
from atrous.data.source import Source

NEAR = 1.02
"""Levels whose pixels are within this factor of the training data's are said to be alike."""


def open_slide(path: Path, levels: Sequence[Header], spacing: Sequence[float]) -> tuple[Source, Header, str]:
    """Open a slide at the resolution of the training data.

    The level whose pixels are nearest in size is read, if it is within a factor of 1.25. Else the next finer level is
    resampled as it is read. A slide that is coarser than the training data is read at its finest level.

    Args:
        path: the slide.
        levels: header of each level, from `read_pyramid`.
        spacing: distance of neighboring pixels in the training data, per axis, in micrometers; empty where unknown.

    Returns:
        The source `(C, H, W)`, its header, and what was chosen, in one line; "" where there was no choice.
    """
    finest = levels[0]
    if finest.spacing is None or len(spacing) != 2:
        missing = "the training data do not say" if finest.spacing is not None else "the slide does not say"
        line = f"its finest level is read: {missing} how far apart pixels are (spacing in dataset.toml)"
        return open_level(path, 0), finest, line if len(levels) > 1 else ""
    factors = [_factor(level, spacing) for level in levels]
    number = min(range(len(levels)), key=lambda n: abs(math.log(factors[n])))
    if 1 / SPACINGS_DIFFER <= factors[number] <= SPACINGS_DIFFER or factors[0] > 1:
        return open_level(path, number), levels[number], _said(levels[number], number, len(levels), spacing)
    number = max(n for n, factor in enumerate(factors) if factor <= 1)
    level = levels[number]
    assert level.spacing is not None
    size = tuple(
        max(1, round(n * apart / wanted)) for n, apart, wanted in zip(level.size, level.spacing, spacing, strict=True)
    )
    extent = zip(level.size, level.spacing, size, strict=True)
    header = replace(level, shape=(level.channels, *size), spacing=tuple(n * s / made for n, s, made in extent))
    line = (
        f"level {number} of {len(levels)} ({_distance(level.spacing)} µm per pixel) is resampled to "
        f"{_distance(spacing)} µm, as the training data"
    )
    return Resized(open_level(path, number), size), header, line


def _factor(level: Header, spacing: Sequence[float]) -> float:
    """How many times larger the pixels of a level are than those of the training data."""
    assert level.spacing is not None
    return math.sqrt(math.prod(level.spacing) / math.prod(spacing))


def _said(level: Header, number: int, count: int, spacing: Sequence[float]) -> str:
    assert level.spacing is not None
    if count == 1:
        return ""
    line = f"level {number} of {count} is read ({_distance(level.spacing)} µm per pixel)"
    trained = f"the training data have {_distance(spacing)} µm"
    return line if 1 / NEAR < _factor(level, spacing) < NEAR else f"{line}; {trained}"


def _distance(spacing: Sequence[float]) -> str:
    return " x ".join(dict.fromkeys(f"{distance:.3g}" for distance in spacing))
