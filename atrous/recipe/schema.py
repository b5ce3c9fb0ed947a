"""What a recipe may say, with documented defaults, and how mistakes in it are reported."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, Field, ValidationError, model_validator

from atrous.data.composite import MOTION, PAIRED
from atrous.data.plain_text import read_text
from atrous.data.restoration import RESTORATIONS, STYLE
from atrous.errors import UserError
from atrous.recipe.background import background_of
from atrous.recipe.class_keys import agree_classes
from atrous.recipe.device_keys import agree_devices
from atrous.recipe.model_keys import agree_model
from atrous.recipe.sections import (
    AugmentSection,
    DataSection,
    InputSection,
    ModelSection,
    Section,
    StageSection,
    TaskSection,
    TrainSection,
)
from atrous.recipe.stages import PRESETS
from atrous.tasks.table import TASKS


class Recipe(Section):
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
    stages: list[StageSection] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _kind_of_earlier_versions(cls, values: Any) -> Any:
        """Recipes of earlier versions named the task of genomes alone, not the kind of data."""
        if isinstance(values, dict) and isinstance(values.get("data"), dict) and isinstance(values.get("task"), dict):
            kind = _KIND_OF_TASK.get(str(values["task"].get("kind")))
            if kind is not None and "kind" not in values["data"]:
                values = {**values, "data": {**values["data"], "kind": kind}}
        return values

    @model_validator(mode="after")
    def _one_factor(self) -> "Recipe":
        """The network's grid is that of the task, and a self-supervised network is not given what it must not copy."""
        if self.model.name == "restorer":
            self.model.factor = self.task.scale or 1
            if self.model.residual is None and self.task.self_supervised:
                self.model.residual = False
        if self.model.coarse != (self.task.kind == "classification"):
            self.model.coarse = self.task.kind == "classification"
        return self


_NOT_SET = "is not set:"
"""What stands in a recipe between a key without a value and its meaning."""
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
    if train.least_steps is not None and train.epochs is not None:
        raise UserError(f"{source}: train.least_steps is for a run in minutes: set train.minutes, not train.epochs")
    for name, values in (("train.crop", train.crop), ("augment.flip", recipe.augment.flip)):
        if len(values) != model.ndim:
            raise UserError(
                f"{source}: {name} has {len(values)} values for model.ndim = {model.ndim}: give one per axis"
            )
    if recipe.model.name == "restorer" and any(length % recipe.model.factor for length in train.crop):
        factor = recipe.model.factor
        raise UserError(f"{source}: train.crop = {train.crop}: give multiples of task.scale = {factor}")
    agree_devices(train, source)
    agree_classes(recipe.data, model, task, recipe.augment, train, source)
    _agree_restoration(recipe, source)
    _agree_own_keys(recipe, source)
    _agree_pairs(recipe, source)
    if task.kind == "regression" and recipe.augment.strands and not model.partners:
        raise UserError(f"{source}: augment.strands needs model.partners: the output that each is on the other strand")
    _agree_input(recipe, source)
    agree_model(model, recipe.stages, source)
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
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: task: {error}") from None
    for name, values in (("mean", model.mean), ("std", model.std)):
        if len(values) != model.in_channels:
            raise UserError(f"{source}: model.{name} has {len(values)} values for {model.in_channels} input channels")
    if recipe.augment.scale[0] <= 0 or recipe.augment.scale[0] > recipe.augment.scale[1]:
        raise UserError(f"{source}: augment.scale must be [least, greatest], both positive; got {recipe.augment.scale}")


def _agree_restoration(recipe: Recipe, source: str) -> None:
    """Reject keys of a restoration where the task, the network or another key cannot follow them."""
    model, task, restores = recipe.model, recipe.task, recipe.task.kind in RESTORATIONS
    keys = ("noise", "gain", "impulse", "psf", "scale", "pairs", "self_supervised")
    given = [key for key in keys if getattr(task, key)]
    if given and not restores:
        raise UserError(
            f"{source}: task.{given[0]} is for {', '.join(RESTORATIONS)}, not for task.kind = {task.kind!r}"
        )
    if task.self_supervised and task.kind != "denoise":
        raise UserError(f"{source}: task.self_supervised is for denoise, not for task.kind = {task.kind!r}")
    if (task.scale or 1) > 1 and task.kind != "super-resolution":
        raise UserError(f"{source}: task.scale is for super-resolution, not for task.kind = {task.kind!r}")
    if (task.scale or 1) > 1 and model.name not in ("restorer", "custom"):
        raise UserError(f'{source}: task.scale = {task.scale} needs model.name = "restorer"')
    if isinstance(task.psf, int | float) and task.psf <= 0:
        raise UserError(f"{source}: task.psf = {task.psf}: give a standard deviation above 0, or a file")
    if model.name not in ("restorer", "stylizer"):
        return
    others = (("attention", model.attention != "none"), ("temporal", model.temporal != "none"))
    for key, chosen in (("deep_supervision", model.deep_supervision), *others):
        if chosen:
            raise UserError(f"{source}: model.{key} is not for model.name = {model.name!r}")
    if recipe.stages:
        raise UserError(f"{source}: stages are for networks with an encoder, not for model.name = {model.name!r}")


def _agree_own_keys(recipe: Recipe, source: str) -> None:
    """Reject keys that one task has for other tasks."""
    task = recipe.task
    if task.kind == "classification" and recipe.model.name not in ("evidence", "custom"):
        raise UserError(
            f"{source}: model.name = {recipe.model.name!r}: classification needs evidence, or your own network"
        )
    for key, used, owner in (
        ("task.style", task.style is not None, STYLE),
        ('model.name = "stylizer"', recipe.model.name == "stylizer", STYLE),
        ('model.name = "evidence"', recipe.model.name == "evidence", "classification"),
        ("task.boundaries", task.boundaries is not None, "edges"),
    ):
        if used and task.kind != owner:
            raise UserError(f"{source}: {key} is for {owner}, not for task.kind = {task.kind!r}")


def _agree_pairs(recipe: Recipe, source: str) -> None:
    """Reject keys of samples of two images for other tasks, and an odd number of channels for these."""
    model, augment, kind = recipe.model, recipe.augment, recipe.task.kind
    shifted = {"augment.shift": augment.shift > 0, "augment.apart": augment.apart}
    given = {"model.compare": model.compare != "channels", **shifted}
    key = next((key for key, used in given.items() if used), None)
    if key is not None and kind not in PAIRED:
        raise UserError(f"{source}: {key} is for {' and '.join(PAIRED)}, not for task.kind = {kind!r}")
    background_of(recipe.task.options if kind == MOTION else {}, source)
    if kind in PAIRED and model.in_channels % 2:
        raise UserError(f"{source}: task.kind = {kind!r} has samples of two images: model.in_channels must be even")


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
        section, key, value = split_setting(setting)
        if section == "stages":
            values["stages"] = value
            continue
        key, _, inner = key.partition(".")
        if (section, key) == ("task", "self_supervised") and value != values[section][key]:
            values["model"]["residual"] = None  # it follows from this key; a setting of its own comes after it
        values[section][key] = {**values[section][key], inner: value} if inner else value
        if (section, key) == ("train", "minutes"):
            values["train"]["epochs"] = None
        if (section, key) == ("train", "epochs"):
            values["train"]["minutes"] = None
    return validate(values, "--set")


def check_settings(settings: Iterable[str]) -> None:
    """Check every setting by itself, before there is a recipe: its form, its key, and whether its value fits the key.

    Raises:
        UserError: as `override`.
    """
    for setting in settings:
        section, key, value = split_setting(setting)
        if section != "stages":
            key, _, inner = key.partition(".")
            check_value(section, key, {inner: value} if inner else value, "--set")


def check_value(section: str, key: str, value: Any, source: str) -> None:
    """Check one value of a recipe by itself; `source` names it in errors.

    Raises:
        UserError: there is no such key (the nearest one is named), or the value does not fit it.
    """
    kind = Recipe.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, Section)
    if key not in kind.model_fields:
        raise UserError(_explain({"type": "extra_forbidden", "loc": (section, key)}, source))
    try:
        kind.__pydantic_validator__.validate_assignment(kind.model_construct(), key, value)
    except ValidationError as error:
        told = [_explain({**e, "loc": (section, *e["loc"])}, source) for e in error.errors()]
        raise UserError("; ".join(told)) from None


def split_setting(setting: str) -> tuple[str, str, Any]:
    """Return section, key and value of a `section.key=value` setting; of `stages=NAME` the key is empty.

    One key of a task may be set by itself: `task.options.KEY=value`.

    Raises:
        UserError: it has another form, or there is no such section.

    >>> split_setting("train.batch_size=4"), split_setting("task.options.shape=stars")
    (('train', 'batch_size', 4), ('task', 'options.shape', 'stars'))
    """
    key, sign, text = setting.partition("=")
    parts = key.strip().split(".")
    if len(parts) == 3 and parts[:2] == ["task", "options"] and parts[2]:
        parts = ["task", f"options.{parts[2]}"]
    if parts == ["stages"] and sign:
        return "stages", "", _preset(setting, text.strip())
    if not sign or len(parts) != 2:
        raise UserError(f"--set {setting}: write section.key=value, for example train.batch_size=4")
    sections = [name for name in Recipe.model_fields if name != "stages"]
    if parts[0] not in sections:
        near = difflib.get_close_matches(parts[0], sections, 1)
        hint = f"did you mean {near[0]}.{parts[1]}? " if near else ""
        raise UserError(f"--set {setting}: no section {parts[0]!r}: {hint}sections are {', '.join(sections)}")
    return parts[0], parts[1], _parse(text.strip())


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
    """Read a `recipe.toml`. A point spread function that lies beside it is found there, wherever the folder is now.

    Raises:
        UserError: it is missing, a folder, not TOML, or not a recipe.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder: name the recipe.toml in it")
    try:
        values = tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not TOML: {error}") from None
    recipe = validate(values, str(path))
    psf = recipe.task.psf
    if isinstance(psf, str) and (path.parent / psf).exists():
        recipe.task.psf = str((path.parent / psf).absolute())
    return recipe


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
                table.add(tomlkit.comment(f"{key} {_NOT_SET} {info.description}"))
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


def read_reasons(text: str) -> list[str]:
    """Return the planner's reasons in a recipe that `to_toml` wrote, each with the key that it explains.

    Keys that are not set are left out.

    >>> read_reasons("# A recipe.\\n[train]\\n# small ones learn\\nbatch_size = 4 # crops\\n# clip is not set: norm")
    ['train.batch_size: small ones learn']
    """
    reasons: list[str] = []
    section, waiting = "", []
    for line in text.splitlines()[1:]:
        key, sign, _ = line.partition(" = ")
        if line.startswith("["):
            section, waiting = line.partition("]")[0].lstrip("["), []
        elif line.startswith("# "):
            words = line[2:].strip()
            waiting = [] if _NOT_SET in words else [*waiting, words]
        elif sign:
            reasons += [f"{section}.{key}: {reason}" for reason in waiting]
            waiting = []
    return reasons


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)
