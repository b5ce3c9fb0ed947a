"""What a recipe may say, with documented defaults, and how mistakes in it are reported."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from atrous.errors import UserError
from atrous.recipe.stages import PRESETS
from atrous.tasks.table import TASKS

Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class DataSection(_Section):
    """Which data."""

    root: str = Field(description="folder of the data set")
    description: str | None = Field(None, description="a dataset.toml that lies elsewhere")
    train: str = Field("train", description="split to train on")
    val: str = Field("val", description="split to choose the best weights by")
    kind: str = Field("grids", description="kind of data: grids, videos (time is the first of three axes) or genomes")

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_versions(cls, values: Any) -> Any:
        """Recipes of earlier versions said `video = true` or `false` in place of a kind."""
        if isinstance(values, dict) and "video" in values:
            values = dict(values)
            if values.pop("video"):
                values.setdefault("kind", "videos")
        return values


class InputSection(_Section):
    """What is done to a file's values before the network sees them, in training and in prediction."""

    intensity: list[Literal["keep", "zscore", "clip"]] = Field(
        ["keep"],
        min_length=1,
        description="per channel or one for all: keep, zscore (of each case), clip (low to high)",
    )
    low: list[float] = Field([], description="where clip cuts, per channel")
    high: list[float] = Field([], description="where clip cuts, per channel")
    tracks: list[str] = Field([], description="signals beside a genome's bases, X.NAME.bw, as channels in this order")
    spacing: list[float] = Field([], description="grid that the network works on, per axis; empty: that of the file")
    rate: float | None = Field(None, gt=0, description="samples per second of the training recordings, where known")


class ModelSection(_Section):
    """Which network."""

    name: Literal[
        "fcn",
        "fcn32s",
        "fcn16s",
        "fcn8s",
        "segnet",
        "unet",
        "deeplab",
        "dilated",
        "fc_densenet",
        "codons",
        "five_layer",
        "custom",
    ] = Field(
        "fcn",
        description="architecture: fcn is the light pyramid, custom a network of your own, the others are those of "
        "their papers",
    )
    encoder: str = Field(
        "resnet", description="resnet, vgg, efficientnet_lite0, torchvision:NAME or any timm model with feature maps"
    )
    pretrained: bool = Field(False, description="start from ImageNet weights")
    depth: int = Field(18, description="of resnet (10, 18, 34) and vgg (11, 13, 16)")
    encoder_width: int = Field(32, ge=4, description="channels of the finest level of resnet and vgg")
    stem: int = Field(3, ge=1, description="kernel of the first convolution of resnet, odd")
    strides: list[int | list[int]] = Field([2, 2, 2, 2], description="of the stages of resnet, per axis where a list")
    output_stride: Literal[1, 2, 4, 8, 16, 32] | None = Field(
        None, description="greatest stride of the encoder, the rest dilates; deeplab 16, dilated 8, others as it is"
    )
    antialias: bool = Field(False, description="blur before positions are dropped, in resnet and vgg")
    width: int = Field(96, ge=4, description="channels of the decoder (fcn, unet, deeplab, dilated, five_layer)")
    attention: Literal["none", "se", "eca", "spatial", "cbam", "scse", "local"] = Field(
        "none", description="in the decoder: none, se, eca, spatial, cbam, scse or local"
    )
    fusion: Literal["sum", "concat", "gated"] | None = Field(
        None, description="how fcn (sum) and unet (concat) join paths: sum, concat or gated"
    )
    deep_supervision: bool = Field(False, description="train with heads on the decoder's coarser maps too")
    at_once: bool = Field(False, description="fcn8s: scale the skips so that all train at once without batch norm")
    rates: list[Count] = Field([6, 12, 18], min_length=1, description="deeplab: dilation of the pyramid's branches")
    image_pooling: bool = Field(True, description="deeplab: the mean of the whole is a branch of the pyramid")
    context: Literal["basic", "large"] = Field("basic", description="dilated: size of the context module")
    blocks: list[Count] = Field(
        [4, 4, 4, 4, 4, 4], min_length=2, description="fc_densenet: layers per block, the bottleneck last"
    )
    dilations: list[Count] = Field(
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 16, 4, 1],
        min_length=1,
        description="codons: dilation of its blocks, in codons",
    )
    reverse_complement: bool = Field(False, description="codons: share the weights between the strands")
    growth: int = Field(12, ge=1, description="fc_densenet: channels that a layer adds")
    temporal: Literal["none", "frames", "levels", "blocks"] = Field(
        "none",
        description="video: 2-D on each frame (frames), its levels mixed along time (levels), (2+1)-D (blocks)",
    )
    temporal_kernel: int = Field(3, ge=1, description="frames that a convolution along time sees")
    causal: bool = Field(False, description="video: no frame depends on later ones, for live use")
    ndim: Literal[1, 2, 3] = Field(2, description="spatial axes")
    in_channels: int = Field(3, ge=1, description="channels of the input")
    mean: list[float] = Field([0.0, 0.0, 0.0], description="subtracted from the raw input, per channel")
    std: list[Annotated[float, Field(gt=0)]] = Field([1.0, 1.0, 1.0], description="divides the raw input, per channel")


class TaskSection(_Section):
    """What the labels mean and what a wrong one costs."""

    kind: str = Field(
        "semantic", description="one class at every position; stranded: any number of them, on the strands of a genome"
    )
    classes: list[str] = Field([], description="names, in label order")
    palette: list[tuple[int, int, int]] = Field([], description="a color per class, for pictures")
    class_weights: list[Annotated[float, Field(ge=0)]] | None = Field(
        None, description="of the cross-entropy, one per class"
    )
    dice: float = Field(1.0, ge=0, description="weight of the Dice loss beside the cross-entropy")
    threshold: float = Field(0.5, gt=0, lt=1, description="stranded: probability from which a base has a feature")
    shortest: list[int] = Field([], description="stranded: bases, per class, of the shortest stretch that is written")
    frames: bool = Field(False, description="stranded: learn the reading frame too, as channels that are dropped")
    tolerance: float | None = Field(
        None, gt=0, description="surface Dice (volumes, in units of the spacing), onsets and offsets (signals, seconds)"
    )
    options: dict[str, Any] = Field({}, description="further keys of tasks that were added")

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in TASKS:
            raise ValueError(f"there is no task of that name: choose one of {', '.join(TASKS)}")
        return kind


class AugmentSection(_Section):
    """How training samples vary."""

    flip: list[bool] = Field([False, True], description="mirror half of the crops, per axis")
    scale: tuple[float, float] = Field((0.5, 2.0), description="least and greatest zoom")
    rotate: float = Field(10.0, ge=0, le=180, description="greatest turn, degrees")
    about: list[int] = Field([0], description="axes of a volume about which crops turn")
    keep: list[int] = Field([], description="axes that are neither zoomed nor shifted by fractions: time")
    strands: bool = Field(False, description="read half of the crops on the other strand (genomes)")
    foreground: float = Field(0.33, ge=0, le=1, description="share of crops centered on a class drawn evenly")
    brightness: float = Field(0.3, ge=0, description="greatest shift, in standard deviations of the data")
    contrast: float = Field(0.3, ge=0, lt=1, description="greatest deviation of the contrast factor")
    saturation: float = Field(0.3, ge=0, le=1, description="greatest deviation of the saturation factor")
    noise: float = Field(0.03, ge=0, description="greatest standard deviation of noise")
    gamma: float = Field(0.0, ge=0, description="greatest deviation of the exponent on intensities")


class TrainSection(_Section):
    """How the network is trained."""

    minutes: float | None = Field(None, gt=0, description="wall time of the whole run")
    epochs: float | None = Field(None, gt=0, description="passes over the data, instead of minutes")
    crop: list[Count] = Field([320, 448], description="size of a crop per axis")
    batch_size: int = Field(8, ge=1, description="crops in a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak rate of AdamW")
    encoder_rate: float = Field(0.5, gt=0, description="factor on the rate for pretrained weights")
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.06, ge=0, lt=1, description="share of the run in which the rate rises")
    clip: float = Field(5.0, gt=0, description="greatest norm of the gradient")
    validations: int = Field(12, ge=1, description="how often the run is validated")
    patience: int | None = Field(None, ge=1, description="stop after so many validations without a gain")
    precision: Literal["bf16-mixed", "32-true"] = Field("32-true", description="arithmetic of forward and backward")
    accelerator: Literal["cpu", "cuda", "mps", "auto"] = Field("cpu", description="hardware: cpu, cuda, mps or auto")
    seed: int = Field(0, ge=0, description="of everything drawn")


class StageSection(_Section):
    """A share of the run in which part of the network learns."""

    name: str = Field(description="in words")
    share: float = Field(gt=0, le=1, description="of the run")
    rate: float = Field(1.0, gt=0, description="factor on the learning rate")
    encoder: float = Field(1.0, ge=0, le=1, description="share of the encoder's layers that learn; 0 is the head alone")
    skips: int | None = Field(None, ge=0, description="how many skips of fcn8s and fcn16s are on")


class Recipe(_Section):
    """Everything that a training run does.

    >>> recipe = Recipe.model_validate({"data": {"root": "cells"}, "task": {"classes": ["background", "cell"]}})
    >>> override(recipe, ["train.batch_size=4"]).train.batch_size
    4
    """

    data: DataSection
    task: TaskSection
    input: InputSection = Field(default_factory=lambda: InputSection.model_validate({}))
    model: ModelSection = Field(default_factory=lambda: ModelSection.model_validate({}))
    augment: AugmentSection = Field(default_factory=lambda: AugmentSection.model_validate({}))
    train: TrainSection = Field(default_factory=lambda: TrainSection.model_validate({}))
    stages: list[StageSection] = []

    @model_validator(mode="before")
    @classmethod
    def _kind_of_earlier_versions(cls, values: Any) -> Any:
        """Recipes of earlier versions named the task of genomes alone, not the kind of data."""
        if isinstance(values, dict) and isinstance(values.get("data"), dict) and isinstance(values.get("task"), dict):
            kind = _KIND_OF_TASK.get(str(values["task"].get("kind")))
            if kind is not None and "kind" not in values["data"]:
                values = {**values, "data": {**values["data"], "kind": kind}}
        return values


_KIND_OF_TASK = {"stranded": "genomes"}


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
    _agree_input(recipe, source)
    _agree_model(recipe, source)
    per_class = (
        ("palette", task.palette or None),
        ("class_weights", task.class_weights),
        ("shortest", task.shortest or None),
    )
    for name, given in per_class:
        if given is not None and len(given) != len(task.classes):
            raise UserError(f"{source}: task.{name} has {len(given)} values for {len(task.classes)} classes")
    try:
        TASKS[task.kind](task.model_dump())
    except ValueError as error:
        raise UserError(f"{source}: task: {error}") from None
    for name, values in (("mean", model.mean), ("std", model.std)):
        if len(values) != model.in_channels:
            raise UserError(f"{source}: model.{name} has {len(values)} values for {model.in_channels} input channels")
    if recipe.augment.scale[0] <= 0 or recipe.augment.scale[0] > recipe.augment.scale[1]:
        raise UserError(f"{source}: augment.scale must be [least, greatest], both positive; got {recipe.augment.scale}")


def _agree_input(recipe: Recipe, source: str) -> None:
    given, channels, ndim = recipe.input, recipe.model.in_channels, recipe.model.ndim
    if len(given.intensity) not in (1, channels):
        raise UserError(f"{source}: input.intensity has {len(given.intensity)} values for {channels} input channels")
    if "clip" in given.intensity and not len(given.low) == len(given.high) == channels:
        raise UserError(f"{source}: input.intensity clips: give input.low and input.high {channels} values each")
    if given.spacing and (len(given.spacing) != ndim or min(given.spacing) <= 0):
        raise UserError(f"{source}: input.spacing is {given.spacing}: give {ndim} positive distances, or none")
    about, keep = recipe.augment.about, recipe.augment.keep
    for key, axes in (("about", about if ndim == 3 else []), ("keep", keep)):
        if any(not 0 <= axis < ndim for axis in axes):
            raise UserError(f"{source}: augment.{key} is {axes}: axes are 0 to {ndim - 1}")


def _agree_model(recipe: Recipe, source: str) -> None:
    """Reject options that the model does not have."""
    model, name = recipe.model, recipe.model.name
    for key, given, owners in (
        ("fusion", model.fusion is not None, ("fcn", "unet")),
        ("at_once", model.at_once, ("fcn8s",)),
        ("reverse_complement", model.reverse_complement, ("codons",)),
    ):
        if given and name not in owners:
            raise UserError(f"{source}: model.{key} is for {' and '.join(owners)}, not for model.name = {name!r}")
    for stride in model.strides:
        if min([stride] if isinstance(stride, int) else stride, default=0) < 1:
            raise UserError(f"{source}: model.strides is {model.strides}: strides are 1 or more")
    if model.temporal != "none" and model.ndim != 3:
        raise UserError(f"{source}: model.temporal = {model.temporal!r} is for video: model.ndim must be 3")
    if model.causal and model.temporal == "none":
        raise UserError(f"{source}: model.causal needs a network for video: set model.temporal")
    if model.deep_supervision and name in ("fcn32s", "five_layer", "codons"):
        raise UserError(f"{source}: model.deep_supervision needs coarser maps, model.name = {name!r} has one map")
    if name in ("fc_densenet", "five_layer", "codons") and (model.output_stride or model.antialias):
        raise UserError(f"{source}: model.output_stride and model.antialias are for models over an encoder, not {name}")
    if recipe.stages and abs(sum(stage.share for stage in recipe.stages) - 1) > 1e-3:
        shares = ", ".join(f"{stage.share:g}" for stage in recipe.stages)
        raise UserError(f"{source}: the shares of the stages are {shares}: they must add up to 1")
    has = {"fcn8s": 2, "fcn16s": 1}.get(name, 0)
    for stage in recipe.stages:
        if stage.skips is not None and (not has or stage.skips > has):
            raise UserError(f"{source}: stage {stage.name!r} has {stage.skips} skips, model.name = {name!r} has {has}")


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
        if part.isdigit():
            continue
        if part == "stages":
            model = StageSection
            continue
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
        if parts == ["stages"] and sign:
            values["stages"] = _preset(setting, text.strip())
            continue
        if not sign or len(parts) != 2:
            raise UserError(f"--set {setting}: write section.key=value, for example train.batch_size=4")
        if parts[0] == "stages" or parts[0] not in values:
            known = ", ".join(name for name in values if name != "stages")
            raise UserError(f"--set {setting}: no section {parts[0]!r}: sections are {known}")
        values[parts[0]][parts[1]] = _parse(text.strip())
        if parts == ["train", "minutes"]:
            values["train"]["epochs"] = None
        if parts == ["train", "epochs"]:
            values["train"]["minutes"] = None
    return validate(values, "--set")


def _preset(setting: str, name: str) -> list[dict[str, Any]]:
    if name not in PRESETS:
        raise UserError(f"--set {setting}: stages are {', '.join(PRESETS)}; write others to a recipe, under [[stages]]")
    return PRESETS[name]


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
        UserError: it is missing, a folder, not TOML, or not a recipe.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder: name the recipe.toml in it")
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
        if name == "stages":
            continue
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
    if recipe.stages:
        stages = tomlkit.aot()
        for stage in recipe.stages:
            stages.append(tomlkit.item(stage.model_dump(exclude_none=True)))
        document.add("stages", stages)
    return tomlkit.dumps(document)


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)
