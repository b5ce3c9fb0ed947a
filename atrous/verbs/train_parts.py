"""What a training works on: the task, the network and the batches of a recipe."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from atrous.data.check.check import Check
from atrous.data.feed.batches import Dealt, Parted, ahead
from atrous.errors import UserError
from atrous.machine import cores
from atrous.recipe.build import build_network, build_task, count_parameters, describe
from atrous.recipe.schema import Recipe
from atrous.recipe.start import start_from
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.custom import CustomTask, found_task, value_task
from atrous.tasks.style import StyleTask
from atrous.tasks.task import Task
from atrous.tasks.temperature import class_task
from atrous.training.checkpoint import has_state
from atrous.training.processes import Processes
from atrous.training.settings import Settings, Supply
from atrous.training.validation import validate
from atrous.training.whole import WholeSteps
from atrous.verbs.calibrate import open_thresholds, share_of_samples
from atrous.verbs.devices import refuse_several
from atrous.verbs.feeds import Feed
from atrous.verbs.kinds import KINDS
from atrous.verbs.opened import OpenedData
from atrous.verbs.train_options import TrainOptions

MOST_THREADS = 8
"""At most so many batches are made at the same time."""


@dataclass(frozen=True)
class TrainData:
    """What is trained on; a feed of decoded samples where there is one already."""

    opened: OpenedData
    check: Check
    feed: Feed | None = None


@dataclass(frozen=True)
class TrainParts:
    """What the loop works on, and the share of the validation split that calibrates it."""

    task: Task
    network: nn.Module
    feed: Feed
    fitted: float


def build_parts(
    recipe: Recipe, data: TrainData, scratch: Path, chosen: TrainOptions, say: Callable[[str], None]
) -> TrainParts:
    """Make everything that the loop needs, from a recipe that agrees with the data.

    Raises:
        UserError: the network cannot be built, this machine lacks the hardware, or a file cannot be read.
    """
    torch.manual_seed(recipe.train.seed)
    task = train_task(recipe, chosen)
    network = build_network(recipe.model, task.out_channels, chosen.network)
    say(
        f"{describe(recipe.model)}, {count_parameters(network) / 1e6:.1f} million parameters; "
        f"{_crops(recipe)}, {recipe.train.precision}"
    )
    if recipe.train.start is not None and not (chosen.resume and has_state(Path(chosen.resume))):
        network, copied = start_from(Path(recipe.train.start), network)
        say(copied)
    require_grid(network, task, recipe.model.in_channels)
    check, own = data.check, data.opened.batches
    feed = data.feed or KINDS[check.dataset.kind].feed(check, recipe, scratch)
    if own is not None:  # the user's own batches, in place of ours
        said = "a DataLoader says itself what a step takes: give the samples as a Dataset"
        if recipe.train.whole:
            raise UserError(f"train.whole: {said}")
        refuse_several(recipe, said)
        feed = replace(feed, batches=own)
    if isinstance(inner := value_task(task), StyleTask):
        inner.prepare()
    shape = tuple(feed.batches[0].images.shape[1:])  # what cannot be drawn fails here
    if recipe.train.whole:
        WholeSteps(network.train(), task, scratch).prepare(shape)
    calibrates = recipe.train.choose and (class_task(task) is not None or bool(open_thresholds(task, recipe)))
    fitted = share_of_samples(len(check.dataset.splits[recipe.data.val])) if calibrates else 0.0
    return TrainParts(task, network, feed, fitted)


def require_grid(network: nn.Module, task: Task, channels: int) -> None:
    """Raise where the evidence of a network has another grid than the task says.

    Raises:
        UserError: the message says the stride that the network has.
    """
    found = found_task(task)
    if not isinstance(found, ClassificationTask):
        return
    size = [8 * step for step in found.stride]
    training = network.training
    with torch.no_grad():
        grid = tuple(network.eval()(torch.zeros(1, channels, *size)).shape[2:])
    network.train(training)
    if grid != found.grid(size):
        stride = [length // count for length, count in zip(size, grid, strict=True)]
        raise UserError(
            f"task.options.stride is {list(found.stride)}, but the network's evidence has one position for "
            f"{stride}: set task.options.stride={stride}"
        )


def _crops(recipe: Recipe) -> str:
    """What a step takes, in words."""
    train = recipe.train
    return "whole samples" if train.whole else f"crops {' x '.join(map(str, train.crop))}, batch {train.batch_size}"


def train_task(recipe: Recipe, chosen: TrainOptions) -> Task:
    """Make the recipe's task, with the caller's own loss and metrics."""
    task = build_task(recipe)
    return CustomTask(task, chosen.loss, chosen.metrics) if chosen.loss is not None or chosen.metrics else task


def make_supply(parts: TrainParts, recipe: Recipe, settings: Settings, processes: Processes) -> Supply:
    """Return what the loop of one process is fed with: its share of the batches."""
    feed, task = parts.feed, parts.task
    share, size = feed.batches, 0
    if processes.count > 1:
        size = recipe.train.batch_size
        share = Dealt(feed.batches, size, processes.rank, processes.count)
    threads, pin = _threads(settings, feed), settings.device.startswith("cuda")
    return Supply(
        lambda step: ahead(share, step, threads=threads, pin=pin),
        lambda network: validate(network, task, feed.held_out, feed.side, bounded=recipe.train.whole),
        feed.batches.per_epoch,
        size,
    )


def _threads(settings: Settings, feed: Feed) -> int:
    """How many batches are made while steps run: beside a GPU as many as its share of the processors can make.

    None of whole samples, which may be large: the memory to make one would add to that of a step.
    """
    if settings.whole:
        return 0
    if settings.device == "cpu" or not isinstance(feed.batches, Parted):
        return 1
    return max(1, min(MOST_THREADS, cores() // settings.devices - 1))
