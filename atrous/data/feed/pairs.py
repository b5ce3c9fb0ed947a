"""How the two images of a sample vary apart from each other in training: before and after, frame and background."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, Recoloring, draw_recoloring, recolored
from atrous.data.view import View


@dataclass(frozen=True)
class Apart:
    """How the two images of a sample vary apart from each other.

    Attributes:
        shift: in half of the crops, one of the two images is shifted by up to so many positions along each axis.
        color: whether intensities vary in each image by itself; else in both alike.
        keep: axes that are not shifted: time.
    """

    shift: float = 0.0
    color: bool = False
    keep: tuple[int, ...] = ()


@dataclass(frozen=True)
class PairShift:
    """What was drawn for one sample of two images.

    Attributes:
        image: the one that is shifted: 0, 1, or a higher number for neither.
        offset: by how many positions along each axis.
    """

    image: int
    offset: np.ndarray


def draw_shift(rng: np.random.Generator, ndim: int, apart: Apart) -> PairShift | None:
    """Draw which of two images is shifted, and by how much; None where none ever is."""
    if apart.shift <= 0:
        return None
    image = int(rng.integers(4))  # 2 and 3: neither is shifted
    offset = rng.uniform(-apart.shift, apart.shift, ndim)
    offset[list(apart.keep)] = 0.0
    return PairShift(image, offset)


def cut_shifted(values: Any, view: View, crop: tuple[int, ...], shift: PairShift | None) -> torch.Tensor:
    """Return what a view shows of two images `(2 C, *S)`, float32 `(2 C, *crop)`, one of them shifted as drawn.

    The target, which is cut by the view itself, then lies on the image that is not shifted: a network that is to give
    the same answer for both learns not to take the edges of what is shifted for a change.
    """
    if shift is None:
        return cut_values(values, view, crop, "bilinear", border=True)
    half, shifted = values.shape[0] // 2, View(view.index, view.center + shift.offset, view.matrix)
    parts = [
        cut_values(values[number * half : (number + 1) * half], shifted if number == shift.image else view, crop,
                   "bilinear", border=True)
        for number in range(2)
    ]  # fmt: skip
    return torch.cat(parts)


def cut_pair(rng: np.random.Generator, values: Any, view: View, crop: tuple[int, ...], apart: Apart) -> torch.Tensor:
    """Return what a view shows of two images `(2 C, *S)`, float32 `(2 C, *crop)`, one of them shifted by chance."""
    return cut_shifted(values, view, crop, draw_shift(rng, len(crop), apart))


def draw_pair_recoloring(
    rng: np.random.Generator, shape: tuple[int, ...], color: Color, apart: Apart
) -> tuple[Recoloring, ...]:
    """Draw how the intensities of two images of shape `(2 C, *S)` vary: one draw for both, or one for each."""
    channels, size = shape[0] // 2, shape[1:]
    if apart.color:
        return draw_recoloring(rng, (channels, *size), color), draw_recoloring(rng, (channels, *size), color)
    return (draw_recoloring(rng, (channels, 2, *size), color),)


def recolored_pair(image: torch.Tensor, drawn: tuple[Recoloring, ...], spread: float) -> torch.Tensor:
    """Vary the intensities of two images `(2 C, *S)` as drawn: both alike by one draw, each by its own of two."""
    if len(drawn) == 2:
        return torch.cat([recolored(part, own, spread) for part, own in zip(image.chunk(2), drawn, strict=True)])
    # As one image of C channels, of which each has the positions of both.
    together = image.unflatten(0, (2, -1)).transpose(0, 1)
    return recolored(together, drawn[0], spread).transpose(0, 1).flatten(0, 1)


def recolor_pair(
    rng: np.random.Generator, image: torch.Tensor, color: Color, spread: float, apart: Apart
) -> torch.Tensor:
    """Vary the intensities of two images `(2 C, *S)`, each by itself or both alike; see `recolor`."""
    return recolored_pair(image, draw_pair_recoloring(rng, tuple(image.shape), color, apart), spread)
