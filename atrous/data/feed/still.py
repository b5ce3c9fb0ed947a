"""Clips in which nothing moves but the camera: they teach that an object is what moves, whatever it looks like.

A network that learns moving objects of a few videos soon knows what those objects look like, and then finds no others.
In a still clip the same objects are there, but they do not move, and none of them is labelled.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from atrous.data.view import View
from atrous.labels import IGNORE

SPEED = 0.006
"""Standard deviation of the camera's speed along each axis, in shorter sides of a crop per frame."""
ZOOM = 0.003
"""Standard deviation of what it zooms per frame, as a factor."""
SHAKE = 0.2
"""Part of the speed that differs from frame to frame."""


def draw_still(rng: np.random.Generator, view: View, crop: tuple[int, ...]) -> tuple[View, ...]:
    """Draw how a camera that pans, zooms and shakes sees the first frame of a view, frame after frame.

    Args:
        rng: everything drawn comes from it.
        view: of a video, whose frames it shows one by one.
        crop: frames, height and width of what it shows.

    Returns:
        One view of a single frame for each frame of the crop; the first one is where the given view is.
    """
    frames, *sides = crop
    speed = rng.normal(0, SPEED * min(sides), 2)
    zoom = rng.normal(0, ZOOM)
    shake = rng.normal(0, SHAKE * SPEED * min(sides), (frames, 2))
    first = np.floor(view.center[0] - frames / 2) + 0.5
    views = []
    for frame in range(frames):
        offset = np.array([0.0, *(frame * speed + (shake[frame] if frame else 0.0))])
        center = view.center + view.matrix @ offset
        center[0] = first
        matrix = view.matrix.copy()
        matrix[1:, 1:] *= np.exp(frame * zoom)
        views.append(replace(view, center=center, matrix=matrix))
    return tuple(views)


def cut_still(
    cut: Callable[[View, tuple[int, ...]], torch.Tensor], views: tuple[View, ...], crop: tuple[int, ...]
) -> torch.Tensor:
    """Return a still clip: `(C, *crop)` of an image, `(*crop)` of labels.

    Args:
        cut: returns what a view shows, `(C, 1, H, W)` or `(1, H, W)`.
        views: of a single frame each.
        crop: frames, height and width.
    """
    parts = [cut(view, (1, *crop[1:])) for view in views]
    return torch.cat(parts, dim=parts[0].ndim - 3)


def unlabelled(labels: torch.Tensor) -> torch.Tensor:
    """Return labels of a clip in which nothing moves: class 0, and void where they are void.

    >>> unlabelled(torch.tensor([0, 1, 255])).tolist()
    [0, 0, 255]
    """
    return torch.where(labels == IGNORE, labels, 0)
