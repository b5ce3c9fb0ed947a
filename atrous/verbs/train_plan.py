"""The recipe of a training: planned for checked data, or one that is followed, with the caller's settings."""

import shutil
import tempfile
from functools import partial
from pathlib import Path

from atrous.data.check.check import Check
from atrous.data.dataset import Dataset
from atrous.data.formats.base import in_words
from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.recipe.agree import agree_with_data
from atrous.recipe.build import GRIDS
from atrous.recipe.plan import PlannedRecipe, Request, plan_window, stored_description, stored_path
from atrous.recipe.probe import Measure, plan_at_speed
from atrous.recipe.schema import Recipe, override, split_setting
from atrous.recipe.start import check_start, with_network_of
from atrous.verbs.kinds import KINDS
from atrous.verbs.train_options import TrainOptions


def plan_training(
    check: Check, follow: Recipe | None, chosen: TrainOptions, measure: Measure | None = None
) -> PlannedRecipe:
    """Plan a recipe for checked data, or take the one that is followed, with the caller's settings.

    Args:
        check: what the check found.
        follow: a recipe to follow instead.
        chosen: the caller's options.
        measure: gives the speed of this machine, where the plan may take it into account.

    Raises:
        UserError: a setting is wrong, or the recipe does not fit the data.
    """
    dataset, fingerprint = check.dataset, check.fingerprint
    if follow is None:
        shape = chosen.planned_shape
        if shape is not None and dataset.task != "instances":
            raise UserError(f"--set task.options.shape is for instances, {dataset.root} is learned as {dataset.task}")
        request = Request(
            chosen.planned_length("minutes"), chosen.planned_length("epochs"), chosen.seed or 0,
            device=chosen.planned_device, devices=chosen.planned_devices, shape=shape, scale=chosen.planned_scale,
        )  # fmt: skip
        plan = partial(KINDS[dataset.kind].plan, dataset, fingerprint)
        if measure is not None and dataset.kind == GRIDS and chosen.leaves_network:
            planned = plan_at_speed(
                plan, request, lambda recipe, seconds: measure(override(recipe, chosen.after_plan), seconds)
            )
        else:
            planned = plan(request)
    else:
        planned = PlannedRecipe(_followed(follow, dataset, chosen), {})
    if follow is None and dataset.kind != "genomes":
        planned = _with_window(planned, check)
    if chosen.start is not None and follow is None and chosen.network is None:
        planned = with_network_of(check_start(chosen.start), planned)
    recipe = planned.recipe if chosen.network is None else _with_own_network(planned.recipe)
    recipe = override(recipe, chosen.overrides if follow is not None else chosen.after_plan)
    if recipe.train.minutes is None and recipe.train.epochs is None:
        raise UserError("the recipe does not say how long to train: give --minutes or --epochs")
    if isinstance(recipe.task.psf, str):  # a run works from every folder
        recipe.task.psf = stored_path(Path(recipe.task.psf))
    if (start := chosen.start or recipe.train.start) is not None:
        started = check_start(start)
        recipe.train.start = started.named or stored_path(started.folder)
    if recipe.task.style is not None:  # until the run keeps a copy
        recipe.task.style = stored_path(Path(recipe.task.style))
    agree_with_data(recipe, dataset, fingerprint)
    set_by_user = {".".join(split_setting(setting)[:2]) for setting in chosen.overrides}
    if {"task.self_supervised", "task.gain", "task.impulse"} & set_by_user:  # no noise is added then
        set_by_user.add("task.noise")
    reasons = {key: reason for key, reason in planned.reasons.items() if key not in set_by_user}
    return PlannedRecipe(recipe, reasons)


def _with_window(planned: PlannedRecipe, check: Check) -> PlannedRecipe:
    """A recipe by which samples are decoded when they are needed, where they fit neither into memory nor onto disk."""
    free = shutil.disk_usage(tempfile.gettempdir()).free // 2
    window = plan_window(check.fingerprint, memory_limit() // 4, free)
    if window is None:
        return planned
    said = f"{in_words(check.fingerprint.bytes_decoded)} decoded do not fit into memory and half of the free disk"
    section = planned.recipe.data.model_copy(update={"window": window, "cache": str(free)})
    recipe = planned.recipe.model_copy(update={"data": section})
    return PlannedRecipe(recipe, {**planned.reasons, "data.window": said})


def _with_own_network(recipe: Recipe) -> Recipe:
    own = {"name": "custom", "pretrained": False, "compare": "channels", "motion": False}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update=own)})


def _followed(recipe: Recipe, dataset: Dataset, chosen: TrainOptions) -> Recipe:
    """A recipe that is followed on a data set, which may be another than the one it was planned for."""
    described = stored_description(dataset)
    data = {"root": stored_path(dataset.root), "description": described, "kind": dataset.kind}
    given = {"minutes": chosen.minutes, "epochs": chosen.epochs, "seed": chosen.seed}
    changes = [f"train.{key}={value}" for key, value in given.items() if value is not None]
    return override(recipe.model_copy(update={"data": recipe.data.model_copy(update=data)}), changes)
