"""Style transfer by optimizing the pixels of one picture: the reference for networks that do it in one pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.formats import read_image
from atrous.errors import UserError
from atrous.recipe.style_picture import perceptual_loss
from atrous.tasks.style import TERMS, StyleTask

RATE = 5.0
"""Step of Adam at the beginning, in gray levels; it falls to a tenth."""
WHITE = 255.0


@dataclass(frozen=True)
class OptimizedStyle:
    """A picture whose pixels were optimized.

    Attributes:
        picture: `(3, H, W)` float32, values of 0 to 255.
        losses: its `perceptual_loss`, `content_loss` and `style_loss`.
        history: the perceptual loss before each step.
    """

    picture: np.ndarray
    losses: Mapping[str, float]
    history: tuple[float, ...]


def optimize_style(
    image: np.ndarray | Path | str,
    style: Path | str | None = None,
    steps: int = 500,
    *,
    task: StyleTask | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> OptimizedStyle:
    """Paint an image in the style of a picture, by changing its pixels (Gatys, Ecker & Bethge 2016).

    The loss is that of `--task style` (`atrous.tasks.perceptual`). The optimization starts at the image. Each step is
    one of Adam, after which the values are cut off at 0 and 255. A step takes about as long as one in the training of a
    network with one crop of the image's size.

    Args:
        image: 8-bit values `(3, H, W)`, `(1, H, W)` or `(H, W)`, or the file of a picture.
        style: the file of the style's picture.
        steps: how many steps.
        task: the weights of the terms and the loss, as `Run.task()` gives them; None for the usual weights. It takes
            the place of `style`.
        progress: called as `progress(done, total)` after each step.

    Raises:
        UserError: a file cannot be read, the image is no picture of 8 bits, or the style's picture is none from which a
            style can be learned.

    >>> from atrous.tasks.perceptual import PerceptualLoss
    >>> loss = PerceptualLoss(lambda pictures: [pictures], torch.zeros(3, 8, 8), [0], [0])
    >>> task = replace(StyleTask.build({"options": {}}), perceptual=lambda: loss)
    >>> found = optimize_style(np.full((8, 8), 200, np.uint8), steps=3, task=task)
    >>> found.picture.shape, found.losses["perceptual_loss"] < found.history[0]
    ((3, 8, 8), True)
    """
    if (style is None) == (task is None):
        raise UserError("optimize_style: give the style's picture, or a task that has one")
    if task is None:
        task = replace(StyleTask.build({"options": {}}), perceptual=partial(perceptual_loss, style))
    task = replace(task, limits=(0.0, WHITE))
    content = _picture(image)
    picture = content.expand(1, 3, -1, -1).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([picture], lr=RATE)
    history = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - 0.9 * step / steps)
        loss = task.weighed(task.terms(picture, content))[0]
        (picture.grad,) = torch.autograd.grad(loss, [picture])
        optimizer.step()
        with torch.no_grad():
            picture.clamp_(0, WHITE)
        history.append(float(loss.detach()))
        progress(step + 1, steps)
    with torch.no_grad():
        terms = task.terms(picture, content)
        values = (task.weighed(terms), terms.content, terms.style)
    losses = {name: float(value) for name, value in zip(TERMS, values, strict=True)}
    return OptimizedStyle(picture.detach()[0].numpy(), losses, tuple(history))


def _picture(image: Any) -> torch.Tensor:
    """An image as `(1, 1 or 3, H, W)` float32.

    Raises:
        UserError: it is no picture of 8 bits.
    """
    named = f"{image}: " if isinstance(image, str | Path) else "optimize_style: "
    values = read_image(Path(image)) if isinstance(image, str | Path) else np.asarray(image)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[0] not in (1, 3) or values.dtype != np.uint8:
        raise UserError(f"{named}shape {values.shape} of {values.dtype}: give a picture of 8 bits, (3, H, W) or (H, W)")
    return torch.from_numpy(np.ascontiguousarray(values)).float()[None]
