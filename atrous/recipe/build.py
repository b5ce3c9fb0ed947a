"""From a recipe to its parts: network, task, geometry of crops, settings of the loop. One dict per kind."""

from collections.abc import Callable

from torch import nn

from atrous.data.augment import Color
from atrous.data.crops import Geometry
from atrous.encoders.encoder import Encoder
from atrous.encoders.resnet import ResNet
from atrous.encoders.timm_encoder import TimmEncoder, efficientnet_lite0
from atrous.encoders.vgg import VGG
from atrous.errors import UserError
from atrous.models.fcn import fcn
from atrous.models.network import DenseNetwork
from atrous.models.unet import unet
from atrous.recipe.schema import AugmentSection, ModelSection, Recipe
from atrous.tasks.semantic import Semantic
from atrous.tasks.task import Task
from atrous.training.loop import Settings

ENCODERS: dict[str, Callable[[ModelSection], Encoder]] = {
    "resnet": lambda m: ResNet(
        m.ndim,
        m.in_channels,
        depth=m.depth,
        width=m.encoder_width,
        strides=tuple(s if isinstance(s, int) else tuple(s) for s in m.strides),
    ),
    "vgg": lambda m: VGG(m.ndim, m.in_channels, depth=m.depth, width=m.encoder_width),
    "efficientnet_lite0": lambda m: efficientnet_lite0(m.in_channels, pretrained=m.pretrained),
}
"""Encoders with a name of their own; every other name is asked of timm."""

MODELS: dict[str, Callable[..., DenseNetwork]] = {"fcn": fcn, "unet": unet}

TASKS = {"semantic": Semantic}


def build_encoder(model: ModelSection) -> Encoder:
    """The recipe's encoder.

    Raises:
        UserError: there is no such encoder, or it does not fit `ndim` or `depth`.
    """
    if model.encoder not in ("resnet", "vgg") and model.ndim != 2:
        raise UserError(f"model.encoder = {model.encoder!r} is 2-D, the data are {model.ndim}-D: use resnet or vgg")
    make = ENCODERS.get(model.encoder)
    if make is None:
        return TimmEncoder(model.encoder, model.in_channels, pretrained=model.pretrained)
    try:
        return make(model)
    except ValueError as error:
        raise UserError(f"model.encoder = {model.encoder!r}: {error}") from error


def build_network(model: ModelSection, outputs: int) -> DenseNetwork:
    """The recipe's network, `(N, in_channels, *S)` raw values to `(N, outputs, *S)`.

    >>> build_network(ModelSection(encoder_width=8, width=16, depth=10), 2).outputs
    2
    """
    return MODELS[model.name](build_encoder(model), outputs, width=model.width, mean=model.mean, std=model.std)


def build_task(recipe: Recipe) -> Task:
    """The recipe's task."""
    task = recipe.task
    weights = None if task.class_weights is None else tuple(task.class_weights)
    return TASKS[task.kind](tuple(task.classes), weights, task.dice)


def build_geometry(recipe: Recipe) -> Geometry:
    """How the recipe draws crops."""
    augment: AugmentSection = recipe.augment
    return Geometry(
        tuple(recipe.train.crop), augment.scale, augment.rotate, tuple(augment.flip), augment.foreground
    )  # fmt: skip


def build_color(recipe: Recipe) -> Color:
    """How the recipe varies intensities."""
    augment = recipe.augment
    return Color(augment.brightness, augment.contrast, augment.saturation, noise=augment.noise)


def build_settings(recipe: Recipe) -> Settings:
    """The recipe's settings of the training loop."""
    train = recipe.train
    names = ("learning_rate", "encoder_rate", "weight_decay", "warmup", "clip", "validations", "patience")
    values = {name: getattr(train, name) for name in names}
    return Settings(**values, precision=train.precision, accelerator=train.accelerator, seed=train.seed)


def count_parameters(network: nn.Module) -> int:
    """Numbers that training can change."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
