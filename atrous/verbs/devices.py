"""Training on several devices: which ones the caller wants, and the processes that train together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atrous.device import check_device, choose_device
from atrous.errors import UserError
from atrous.recipe.run import open_run
from atrous.recipe.schema import Recipe, override, read_recipe, split_setting
from atrous.training.launch import refuse_launched, say_ready, start_processes
from atrous.training.processes import Processes, open_processes
from atrous.training.settings import Settings
from atrous.verbs.train_options import TrainOptions


def wanted_devices(chosen: TrainOptions) -> Settings:
    """Return the devices that options, settings and the recipe or the run name, before there is a plan.

    Raises:
        UserError: the recipe or the run cannot be read, or a setting is wrong.
    """
    if chosen.resume is not None:
        recipe = override(open_run(chosen.resume).recipe, chosen.overrides)
    elif isinstance(chosen.recipe, Recipe):
        recipe = override(chosen.recipe, chosen.overrides)
    elif chosen.recipe is not None:
        recipe = override(read_recipe(Path(chosen.recipe)), chosen.overrides)
    else:
        given = {key: value for section, key, value in map(split_setting, chosen.overrides) if section == "train"}
        device, devices, nodes = chosen.planned_device, int(given.get("devices", 1)), int(given.get("nodes", 1))
        return Settings(device=choose_device(device), devices=devices, nodes=nodes)
    train = recipe.train
    return Settings(device=choose_device(train.accelerator), devices=train.devices, nodes=train.nodes)


@contextmanager
def training_processes(chosen: TrainOptions) -> Iterator[Processes]:
    """Start and join the processes of a training within the block.

    Raises:
        UserError: this machine has fewer devices; or as `start_processes` and `open_processes`.
    """
    settings = wanted_devices(chosen)
    if settings.devices * settings.nodes == 1:
        refuse_launched()
        yield Processes()
        return
    if settings.device != "cpu":
        check_device(f"{settings.device}:{settings.devices - 1}", f"train.devices = {settings.devices}:")
    with start_processes(settings.devices, settings.nodes, chosen.command):
        say_ready()
        with open_processes(settings) as processes:
            yield processes


def refuse_several(recipe: Recipe, what: str) -> None:
    """Raise UserError where a recipe wants several devices.

    Raises:
        UserError: it does.
    """
    if recipe.train.devices * recipe.train.nodes > 1:
        raise UserError(f"train.devices = {recipe.train.devices}, train.nodes = {recipe.train.nodes}: {what}")
