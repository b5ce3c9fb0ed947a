"""How the two images of a sample vary apart from each other in training: before and after, frame and background."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, recolor
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


def cut_pair(rng: np.random.Generator, values: Any, view: View, crop: tuple[int, ...], apart: Apart) -> torch.Tensor:
    """Return what a view shows of two images `(2 C, *S)`, float32 `(2 C, *crop)`, one of them shifted by chance.

    The target, which is cut by the view itself, then lies on the image that is not shifted: a network that is to give
    the same answer for both learns not to take the edges of what is shifted for a change.
    """
    if apart.shift <= 0:
        return cut_values(values, view, crop, "bilinear", border=True)
    half, moved = values.shape[0] // 2, int(rng.integers(4))  # 2 and 3: neither is shifted
    offset = rng.uniform(-apart.shift, apart.shift, len(crop))
    offset[list(apart.keep)] = 0.0
    shifted = View(view.index, view.center + offset, view.matrix)
    parts = [
        cut_values(values[number * half : (number + 1) * half], shifted if number == moved else view, crop, "bilinear",
                   border=True)
        for number in range(2)
    ]  # fmt: skip
    return torch.cat(parts)


def recolor_pair(
    rng: np.random.Generator, image: torch.Tensor, color: Color, spread: float, apart: Apart
) -> torch.Tensor:
    """Vary the intensities of two images `(2 C, *S)`, each by itself or both alike; see `recolor`."""
    if apart.color:
        return torch.cat([recolor(rng, part, color, spread) for part in image.chunk(2)])
    # As one image of C channels, of which each has the positions of both.
    together = image.unflatten(0, (2, -1)).transpose(0, 1)
    return recolor(rng, together, color, spread).transpose(0, 1).flatten(0, 1)
