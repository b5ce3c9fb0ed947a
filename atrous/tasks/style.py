"""Style transfer: every image painted in the style of one picture (Johnson et al. 2016)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from atrous.errors import UserError
from atrous.ranks import totals
from atrous.tasks.measures import Measures
from atrous.tasks.perceptual import PerceptualLoss, PerceptualTerms
from atrous.tasks.task import NotFinite
from atrous.tasks.values import ValueTask

COLORS = ("red", "green", "blue")
WEIGHTS = {"content_weight": 1.0, "style_weight": 30.0, "variation_weight": 4.0}
"""Weights of the terms where nobody says them, chosen by looking at pictures."""
SIDE = 512
"""Pixels of the longer side of the style's picture, to which larger ones are reduced."""
LEAST = 64
"""Pixels along each side of a picture from which a style can be learned, at least."""
TERMS = ("perceptual_loss", "content_loss", "style_loss")


@dataclass(frozen=True)
class StyleTask(ValueTask):
    """Pictures `(3, H, W)` in the style of one picture, with the content of the images.

    The network's output is squashed: `low + (high - low) * sigmoid(output)`, with `limits` the values of black and
    white.

    Attributes:
        content_weight: of the content term of the loss (`atrous.tasks.perceptual`).
        style_weight: of the style term.
        variation_weight: of the total variation.
        perceptual: makes the loss; called once, when a loss or a metric is first asked for. A prediction needs none.
    """

    content_weight: float = WEIGHTS["content_weight"]
    style_weight: float = WEIGHTS["style_weight"]
    variation_weight: float = WEIGHTS["variation_weight"]
    perceptual: Callable[[], PerceptualLoss] | None = field(default=None, compare=False)

    watched = TERMS
    higher_is_better = False
    joint_loss = True
    pictures = True

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "StyleTask":
        """Make the task of the section `task` of a recipe.

        Raises:
            UserError: an option is unknown, or no number that it can be.
        """
        options = {key: value for key, value in section["options"].items() if key != "video"}
        limits = options.pop("limits", (0.0, 255.0))
        side = options.pop("style_side", SIDE)
        if not isinstance(side, int) or isinstance(side, bool) or side < LEAST:
            raise UserError(f"task.options.style_side = {side!r}: give a number of pixels, at least {LEAST}")
        weights = WEIGHTS | options
        for key, value in weights.items():
            if key not in WEIGHTS:
                known = ", ".join([*WEIGHTS, "style_side", "limits"])
                raise UserError(f"task.options.{key} is not an option of style: known are {known}")
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
                raise UserError(f"task.options.{key} = {value!r}: give a number of at least 0")
        if not limits[0] < limits[1]:
            raise UserError(f"task.options.limits = {list(limits)}: give the values of black and white, in this order")
        content, style, smooth = (float(weights[key]) for key in WEIGHTS)
        black_and_white = (float(limits[0]), float(limits[1]))
        return cls(COLORS, (0.0,) * 3, (1.0,) * 3, "l1", black_and_white, content, style, smooth)

    def prepare(self) -> None:
        """Read the style's picture and load the encoder, so that what is wrong with them is told before a training.

        Raises:
            UserError: as `terms`.
        """
        _ = self._losses

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the perceptual loss of an output `(N, 3, H, W)` against images `(N, 1 or 3, H, W)`, the mean."""
        losses = self.weighed(self.terms(self.probabilities(output), target))
        error, pictures = totals(losses.sum(), len(losses))
        return error / pictures

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return pictures `(N, 3, H, W)` float32 on the scale of the images; see `Task.probabilities`."""
        low, high = self._range
        return low + (high - low) * torch.sigmoid(output.float())

    def terms(self, pictures: torch.Tensor, images: torch.Tensor) -> PerceptualTerms:
        """Return the terms of the loss, `(N,)` each, of pictures against images, both on the scale of the images.

        Raises:
            UserError: the style's picture or the encoder's weights are not there, or pictures and images have other
                sizes.
        """
        if pictures.shape[2:] != images.shape[2:] or images.shape[1] not in (1, 3):
            raise UserError(
                f"the network gives {tuple(pictures.shape[1:])}, the image is {tuple(images.shape[1:])}: style is for "
                "pictures of one or three channels, on the same grid"
            )
        low, high = self._range
        images = images.float().expand_as(pictures)
        images = torch.where(torch.isfinite(images), images, pictures.detach())  # there is no content to keep
        pair = ((part - low) * (255 / (high - low)) for part in (pictures, images))
        return self._losses.to(pictures.device)(*pair)

    def weighed(self, terms: PerceptualTerms) -> torch.Tensor:
        """Return the weighted sum of the terms, `(N,)`."""
        return (
            self.content_weight * terms.content
            + self.style_weight * terms.style
            + self.variation_weight * terms.variation
        )

    def metrics(self, *, full: bool = True) -> "StyleMetrics":
        """See `Task.metrics`: the loss, its content term and its style term."""
        return StyleMetrics(self, full)

    @property
    def _range(self) -> tuple[float, float]:
        return self.limits or (0.0, 255.0)

    @cached_property
    def _losses(self) -> PerceptualLoss:
        if self.perceptual is None:
            raise UserError("task.style: this task was made without a style's picture, so it has no loss")
        with torch.inference_mode(False):  # a validation may ask first, and the training needs gradients
            return self.perceptual()


class StyleMetrics:
    """The perceptual loss and its terms: means over the images.

    Args:
        task: gives the terms, and makes pictures of raw output.
        full: whether pictures are given; else the network's output as it is.
    """

    def __init__(self, task: StyleTask, full: bool = True) -> None:
        self._task, self._full = task, full
        self._rows: dict[str, dict[str, float]] = {}

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count a picture `(3, H, W)` against its image `(1 or 3, H, W)`.

        Raises:
            NotFinite: a value is nan or infinite.
        """
        pictures = probabilities[None] if self._full else self._task.probabilities(probabilities[None])
        if not bool(torch.isfinite(pictures).all()):
            raise NotFinite(name)
        with torch.no_grad():
            terms = self._task.terms(pictures, target[None].to(pictures.device))
            values = (self._task.weighed(terms), terms.content, terms.style)
        self._rows[name] = {key: float(value) for key, value in zip(TERMS, values, strict=True)}

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the means over the images; the loss is the first."""
        means = {
            key: float(sum(row[key] for row in self._rows.values()) / len(self._rows)) if self._rows else math.nan
            for key in TERMS
        }
        per_image = {name: row["perceptual_loss"] for name, row in self._rows.items()}
        task = self._task
        conventions = (
            f"perceptual_loss is {task.content_weight:g} content_loss + {task.style_weight:g} style_loss + "
            f"{task.variation_weight:g} total variation, by features of EfficientNet-Lite0; means over the images."
        )
        return Measures(means, per_image, seconds, tta, higher_is_better=False, conventions=conventions)
