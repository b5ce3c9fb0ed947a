"""What a recipe may say, with documented defaults, and how mistakes in it are reported."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atrous.errors import UserError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class DataSection(_Section):
    """Which data."""

    root: str = Field(description="folder of the data set")
    description: str | None = Field(None, description="a dataset.toml that lies elsewhere")
    train: str = Field("train", description="split to train on")
    val: str = Field("val", description="split to choose the best weights by")


class ModelSection(_Section):
    """Which network."""

    name: Literal["fcn", "unet"] = Field("fcn", description="decoder: fcn (light pyramid) or unet (concatenation)")
    encoder: str = Field("resnet", description="resnet, vgg, efficientnet_lite0 or any timm model with feature maps")
    pretrained: bool = Field(False, description="start from ImageNet weights")
    depth: int = Field(18, description="of resnet (10, 18, 34) and vgg (11, 13, 16)")
    encoder_width: int = Field(32, ge=4, description="channels of the finest level of resnet and vgg")
    strides: list[int | list[int]] = Field([2, 2, 2, 2], description="of the stages of resnet, per axis where a list")
    width: int = Field(96, ge=4, description="channels of the decoder")
    ndim: Literal[1, 2, 3] = Field(2, description="spatial axes")
    in_channels: int = Field(3, ge=1, description="channels of the input")
    mean: list[float] = Field([0.0, 0.0, 0.0], description="subtracted from the raw input, per channel")
    std: list[float] = Field([1.0, 1.0, 1.0], description="divides the raw input, per channel")


class TaskSection(_Section):
    """What the labels mean and what a wrong one costs."""

    kind: Literal["semantic"] = Field("semantic", description="one class at every position")
    classes: list[str] = Field(description="names, in label order", min_length=2)
    palette: list[tuple[int, int, int]] = Field([], description="a color per class, for pictures")
    class_weights: list[float] | None = Field(None, description="of the cross-entropy, one per class")
    dice: float = Field(1.0, ge=0, description="weight of the Dice loss beside the cross-entropy")


class AugmentSection(_Section):
    """How training samples vary."""

    flip: list[bool] = Field([False, True], description="mirror half of the crops, per axis")
    scale: tuple[float, float] = Field((0.5, 2.0), description="least and greatest zoom")
    rotate: float = Field(10.0, ge=0, le=180, description="greatest turn, degrees")
    foreground: float = Field(0.33, ge=0, le=1, description="share of crops centered on a class drawn evenly")
    brightness: float = Field(0.3, ge=0, description="greatest shift, in standard deviations of the data")
    contrast: float = Field(0.3, ge=0, lt=1, description="greatest deviation of the contrast factor")
    saturation: float = Field(0.3, ge=0, le=1, description="greatest deviation of the saturation factor")
    noise: float = Field(0.03, ge=0, description="greatest standard deviation of noise")


class TrainSection(_Section):
    """How the network is trained."""

    minutes: float | None = Field(None, gt=0, description="wall time of the whole run")
    epochs: float | None = Field(None, gt=0, description="passes over the data, instead of minutes")
    crop: list[int] = Field([320, 448], description="size of a crop per axis")
    batch_size: int = Field(8, ge=1, description="crops in a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak rate of AdamW")
    encoder_rate: float = Field(0.5, gt=0, description="factor on the rate for pretrained weights")
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.06, ge=0, lt=1, description="share of the run in which the rate rises")
    clip: float = Field(5.0, gt=0, description="greatest norm of the gradient")
    validations: int = Field(12, ge=1, description="how often the run is validated")
    patience: int | None = Field(None, ge=1, description="stop after so many validations without a gain")
    precision: Literal["bf16-mixed", "32-true"] = Field("32-true", description="arithmetic of forward and backward")
    accelerator: str = Field("cpu", description="Lightning Fabric's name of the hardware: cpu, cuda, mps, auto")
    seed: int = Field(0, ge=0, description="of everything drawn")


class Recipe(_Section):
    """Everything that a training run does.

    >>> recipe = Recipe.model_validate({"data": {"root": "cells"}, "task": {"classes": ["background", "cell"]}})
    >>> override(recipe, ["train.batch_size=4"]).train.batch_size
    4
    """

    data: DataSection
    task: TaskSection
    model: ModelSection = Field(default_factory=lambda: ModelSection.model_validate({}))
    augment: AugmentSection = Field(default_factory=lambda: AugmentSection.model_validate({}))
    train: TrainSection = Field(default_factory=lambda: TrainSection.model_validate({}))


def validate(values: Mapping[str, Any], source: str) -> Recipe:
    """A recipe from nested values; `source` names them in errors.

    Raises:
        UserError: a key is unknown (the nearest one is named) or a value does not fit.
    """
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError("; ".join(_explain(e, source) for e in error.errors())) from None
    _agree(recipe, source)
    return recipe


def _agree(recipe: Recipe, source: str) -> None:
    """Reject values that fit alone but not together."""
    model, train, task = recipe.model, recipe.train, recipe.task
    if train.minutes is not None and train.epochs is not None:
        raise UserError(f"{source}: both train.minutes and train.epochs are set: keep one")
    for name, values in (("train.crop", train.crop), ("augment.flip", recipe.augment.flip)):
        if len(values) != model.ndim:
            raise UserError(
                f"{source}: {name} has {len(values)} values for model.ndim = {model.ndim}: give one per axis"
            )
    if task.class_weights is not None and len(task.class_weights) != len(task.classes):
        raise UserError(
            f"{source}: task.class_weights has {len(task.class_weights)} values for {len(task.classes)} classes"
        )
    for name, values in (("mean", model.mean), ("std", model.std)):
        if len(values) != model.in_channels:
            raise UserError(f"{source}: model.{name} has {len(values)} values for {model.in_channels} input channels")
    if recipe.augment.scale[0] <= 0 or recipe.augment.scale[0] > recipe.augment.scale[1]:
        raise UserError(f"{source}: augment.scale must be [least, greatest], both positive; got {recipe.augment.scale}")


def _explain(error: Any, source: str) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = _keys(Recipe, location[:-1])
        near = difflib.get_close_matches(location[-1], known, 1)
        hint = f"did you mean {'.'.join([*location[:-1], near[0]])}?" if near else f"known are {', '.join(known)}"
        return f"{source}: {key} is not a key of a recipe: {hint}"
    got = "" if error["type"] == "missing" else f", got {error['input']!r}"
    return f"{source}: {key}: {error['msg'][0].lower()}{error['msg'][1:]}{got}"


def _keys(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with `section.key=value` settings applied; values are TOML, bare words are strings.

    Raises:
        UserError: a setting is not of that form, or its key or value does not fit.
    """
    values = recipe.model_dump()
    for setting in settings:
        key, sign, text = setting.partition("=")
        parts = key.strip().split(".")
        if not sign or len(parts) != 2:
            raise UserError(f"--set {setting}: write section.key=value, for example train.batch_size=4")
        if parts[0] not in values:
            raise UserError(f"--set {setting}: no section {parts[0]!r}: sections are {', '.join(values)}")
        values[parts[0]][parts[1]] = _parse(text.strip())
        if parts == ["train", "minutes"]:
            values["train"]["epochs"] = None
        if parts == ["train", "epochs"]:
            values["train"]["minutes"] = None
    return validate(values, "--set")


def _parse(text: str) -> Any:
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def read_recipe(path: Path) -> Recipe:
    """Read a `recipe.toml`.

    Raises:
        UserError: it is missing, not TOML, or not a recipe.
    """
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML: {error}") from None
    return validate(values, str(path))


def to_toml(recipe: Recipe, reasons: Mapping[str, str] | None = None) -> str:
    """The recipe as TOML: every key with what it means; the planner's reasons stand above the keys they explain."""
    reasons, document = reasons or {}, tomlkit.document()
    document.add(tomlkit.comment("The recipe of a run. Edit it and run: atrous train --recipe THIS-FILE --out NEW-RUN"))
    for name in Recipe.model_fields:
        section, table = getattr(recipe, name), tomlkit.table()
        for key, info in type(section).model_fields.items():
            value = getattr(section, key)
            if (reason := reasons.get(f"{name}.{key}")) is not None:
                table.add(tomlkit.comment(reason))
            if value is None:
                table.add(tomlkit.comment(f"{key} is not set: {info.description}"))
                continue
            item = tomlkit.item([list(v) if isinstance(v, tuple) else v for v in value] if _listed(value) else value)
            if info.description:
                item.comment(info.description)
            table.add(key, item)
        document.add(name, table)
    return tomlkit.dumps(document)


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)
