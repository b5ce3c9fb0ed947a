"""From a recipe to its parts: network, task, geometry of crops, settings of the loop."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from atrous.data.composite import PAIRED
from atrous.data.feed.augment import Color
from atrous.data.feed.pairs import Apart
from atrous.data.feed.views import Geometry
from atrous.data.preprocess import Expected, Preparation, Wanted
from atrous.data.restoration import (
    BLUR,
    PICTURES,
    RESTORATIONS,
    TYPES,
    Degradation,
    Restoration,
    read_psf,
    usual_noise,
)
from atrous.device import choose_device
from atrous.recipe.background import background_of_task
from atrous.recipe.intervals import least_samples
from atrous.recipe.network import build_encoder, build_network, describe
from atrous.recipe.schema import Recipe
from atrous.recipe.sections import AugmentSection
from atrous.recipe.style_picture import perceptual_loss
from atrous.tasks.semantic import Semantic
from atrous.tasks.style import SIDE, StyleTask
from atrous.tasks.table import TASKS
from atrous.tasks.task import Task
from atrous.training.settings import Settings
from atrous.training.stages import Stage

GRIDS = "grids"
"""The kind of data of images, volumes and recordings."""
VIDEOS = "videos"
"""The kind of data whose first axis is time."""

__all__ = [
    "GRIDS",
    "VIDEOS",
    "build_apart",
    "build_color",
    "build_encoder",
    "build_expected",
    "build_geometry",
    "build_network",
    "build_preparation",
    "build_restoration",
    "build_settings",
    "build_task",
    "class_numbers",
    "count_parameters",
    "describe",
]


def build_task(recipe: Recipe) -> Task:
    """Make the recipe's task."""
    section = recipe.task.model_dump()
    section["options"] = {"video": recipe.data.kind == VIDEOS, **section["options"]}
    if recipe.task.kind in RESTORATIONS:
        section["options"] = {"color": recipe.input.color, **section["options"]}
    task = TASKS[recipe.task.kind](section)
    if isinstance(task, StyleTask):
        side = recipe.task.options.get("style_side", SIDE)
        return replace(task, perceptual=partial(perceptual_loss, recipe.task.style, side))
    if isinstance(task, Semantic):
        return replace(task, least=least_samples(recipe))
    return task


def build_preparation(recipe: Recipe) -> Preparation:
    """What the recipe does to every input before the network, in training and in prediction."""
    given = recipe.input
    return Preparation(
        intensity=tuple(given.intensity),
        low=tuple(given.low),
        high=tuple(given.high),
        spacing=tuple(given.spacing),
        nodata=tuple(given.nodata),
        fill=tuple(recipe.model.mean),
    )


def build_restoration(recipe: Recipe) -> Restoration:
    """How the recipe of a restoration makes inputs of images that are their own targets.

    Where it does not say the noise: none for a self-supervised training, whose images are noisy themselves.

    Raises:
        UserError: the point spread function is no file that can be read, or has other axes.
    """
    task, ndim = recipe.task, recipe.model.ndim
    peak = float(task.options.get("peak", 255.0))
    noise = task.noise
    if noise is None:
        usual = usual_noise(task.kind, recipe.input.dtype, recipe.input.range or (0.0, peak))
        noise = 0.0 if task.self_supervised or task.gain or task.impulse else usual
    psf = BLUR if task.psf is None and task.kind == "deblur" else task.psf
    limits = task.options.get("limits") or recipe.input.range or (0.0, peak)
    degradation = Degradation(
        noise, task.gain, task.impulse, (float(limits[0]), float(limits[1])),
        float(psf) if isinstance(psf, int | float) else 0.0,
        read_psf(Path(psf), ndim) if isinstance(psf, str) else None, task.scale or 1, TYPES.get(recipe.input.dtype),
    )  # fmt: skip
    return Restoration(degradation, task.self_supervised, recipe.train.seed, tuple(recipe.model.mean))


def build_expected(recipe: Recipe) -> Expected:
    """What the recipe says that the training inputs were like."""
    given, model = recipe.input, recipe.model
    return Expected(
        channels=Wanted(
            model.in_channels, tuple(given.channels), given.color, frames=recipe.data.kind in ("videos", "scenes")
        ),
        spacing=tuple(given.grid),
        dtype=given.dtype,
        range=(given.range[0], given.range[1]) if len(given.range) == 2 else None,
        # what is measured at a position is restored as it is: interpolation would change its noise and its blur
        resampled=model.ndim != 2 and recipe.data.kind == GRIDS and recipe.task.kind not in PICTURES,
        orientation=given.orientation if model.ndim == 3 and recipe.data.kind == GRIDS else "",
        time_column=given.time_column,
        images=2 if recipe.task.kind in PAIRED else 1,
        background=background_of_task(recipe.task),
    )


def build_geometry(recipe: Recipe) -> Geometry:
    """How the recipe draws crops."""
    augment: AugmentSection = recipe.augment
    return Geometry(
        tuple(recipe.train.crop), augment.scale, augment.rotate, tuple(augment.flip), augment.foreground,
        tuple(augment.about), tuple(augment.keep), class_numbers(recipe, augment.foreground_classes),
    )  # fmt: skip


def class_numbers(recipe: Recipe, names: Sequence[str]) -> tuple[int, ...]:
    """Return the labels of classes that the recipe names."""
    return tuple(recipe.task.classes.index(name) for name in names)


def build_color(recipe: Recipe) -> Color:
    """How the recipe varies intensities."""
    augment = recipe.augment
    return Color(augment.brightness, augment.contrast, augment.saturation, noise=augment.noise, gamma=augment.gamma)


def build_apart(recipe: Recipe) -> Apart | None:
    """How the recipe varies the two images of a sample apart from each other; None for samples of one image."""
    augment = recipe.augment
    return Apart(augment.shift, augment.apart, tuple(augment.keep)) if recipe.task.kind in PAIRED else None


def build_settings(recipe: Recipe) -> Settings:
    """The recipe's settings of the training loop."""
    train = recipe.train
    names = (
        "optimizer", "learning_rate", "encoder_rate", "weight_decay", "warmup", "clip", "validations", "patience",
        "choose", "precision", "devices", "nodes", "sync_batch_norm", "compile", "seed", "whole",
        "sharpness", "sharpness_every", "teacher",
    )  # fmt: skip
    values = {name: getattr(train, name) for name in names}
    stages = tuple(Stage(**stage.model_dump()) for stage in recipe.stages)
    return Settings(**values, device=choose_device(train.accelerator), stages=stages)


def count_parameters(network: nn.Module) -> int:
    """Numbers that training can change."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
