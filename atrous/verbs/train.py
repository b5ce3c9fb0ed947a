"""The train verb from end to end: check, plan, build, train, evaluate, report."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from atrous.data.check.check import Check, check
from atrous.data.dataset import Dataset
from atrous.data.feed.batches import Batches, ahead
from atrous.data.feed.decode import Decoded, decode
from atrous.data.feed.genomes import GenomeBatches, decode_genomes, decode_windows
from atrous.device import check_device
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.predictor import load
from atrous.recipe.agree import agree_with_data
from atrous.recipe.build import (
    build_color,
    build_geometry,
    build_network,
    build_preparation,
    build_settings,
    build_task,
    count_parameters,
    describe,
)
from atrous.recipe.plan import Plan, machine_memory, plan
from atrous.recipe.run import Run, check_new, create_run, open_run
from atrous.recipe.schema import Recipe, override, read_recipe
from atrous.tasks.scores import Scores
from atrous.tasks.task import Task
from atrous.training.budget import Budget
from atrous.training.loop import Monitor, Outcome, fit
from atrous.verbs.evaluate import measure
from atrous.verbs.summary import write_summary

AFTER_SECONDS = 3.0
"""Kept back for the report, beside the final evaluation."""
WINDOW = {1: 1 << 20, 2: 1024, 3: 128}
"""During training, images larger than this along an axis are validated on windows of this size, by their axes."""
WINDOWS = 8
"""At most so many windows of one image."""
CLIP = (4, 1024, 1024)
"""The window of videos: few frames, whole."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the run, how it ended, its figures on the validation split (None when interrupted)."""

    run: Run
    outcome: Outcome
    scores: Scores | None


@dataclass(frozen=True)
class _Parts:
    """What the loop works on; `share` is how many times the positions of `held_out` the full evaluation has."""

    task: Task
    network: nn.Module
    batches: Batches | GenomeBatches
    held_out: Decoded
    share: float


@dataclass
class Watch:
    """What the verb tells whoever watches: lines of text, and the steps of the loop."""

    say: Callable[[str], None] = field(default=lambda text: None)
    monitor: Monitor = field(default_factory=Monitor)


def train(
    data: Path | str | None = None,
    *,
    out: Path | str | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    recipe: Recipe | Path | str | None = None,
    settings: Sequence[str] = (),
    stages: bool = False,
    seed: int | None = None,
    description: Path | str | None = None,
    resume: Path | str | None = None,
    watch: Watch | None = None,
    command: Sequence[str] = (),
) -> Trained:
    """Check the data, plan a recipe (or follow one), train, evaluate, and write the report.

    Args:
        data: folder of the data set; the recipe's when None.
        out: folder of the run, which must not exist; `runs/NAME` when None.
        minutes: wall time of the whole, checking and validating included.
        epochs: passes over the data, instead of minutes.
        recipe: a recipe to follow instead of planning one.
        settings: `section.key=value` overrides.
        stages: fine-tune in three stages: the head, the encoder's upper layers too, then all.
        seed: of everything drawn.
        description: a dataset.toml that lies elsewhere.
        resume: folder of a run to go on with; nothing else is given then.
        watch: told of progress.
        command: what the user typed, for the report.

    Raises:
        UserError: the data have faults, the recipe is wrong, or the output folder exists.
    """
    watch, budget = watch or Watch(), Budget(minutes=minutes or 1.0)
    if resume is not None:
        run = open_run(resume)
        found = _checked(run.recipe.data.root, run.recipe.data.description, watch)
        agree_with_data(run.recipe, found.dataset, found.fingerprint)
        watch.say(f"resuming {run.folder}")
        return _train(run.recipe, found, lambda: run, budget, watch, resume=True)
    if data is None and recipe is None:
        raise UserError("give the folder of a data set, or --recipe FILE")
    follow = recipe if isinstance(recipe, Recipe | None) else read_recipe(Path(recipe))
    root = data if data is not None else follow.data.root  # type: ignore[union-attr]
    described = description or (follow.data.description if follow is not None and data is None else None)
    folder = _folder(out, Path(root))
    check_new(folder)
    found = _checked(root, described, watch)
    planned = _planned(found, follow, minutes, epochs, seed, [*(["stages=fine-tune"] if stages else []), *settings])
    return _train(planned.recipe, found, lambda: _new_run(folder, planned, found, command), budget, watch, resume=False)


def _checked(root: Path | str, description: Path | str | None, watch: Watch) -> Check:
    found = check(root, description)
    if not found.ok:
        raise UserError("\n  ".join([f"{root}: mend these first", *(fault.line() for fault in found.errors)]))
    images = ", ".join(f"{name} {count}" for name, count in found.fingerprint.images.items())
    watch.say(f"{root}: {found.dataset.layout}; {images}; {len(found.dataset.classes)} classes")
    for fault in found.faults:
        watch.say(fault.line())
    return found


def _planned(
    found: Check, follow: Recipe | None, minutes: float | None, epochs: float | None, seed: int | None,
    settings: Sequence[str],
) -> Plan:  # fmt: skip
    if minutes is not None and epochs is not None:
        raise UserError("both --minutes and --epochs are given: give one")
    dataset, fingerprint = found.dataset, found.fingerprint
    if follow is None:
        planned = plan(dataset, fingerprint, minutes=minutes, epochs=epochs, seed=seed or 0)
    else:
        planned = Plan(_followed(follow, dataset, minutes, epochs, seed), {})
    recipe = override(planned.recipe, settings)
    for key in ("root", "description", "video"):
        if getattr(recipe.data, key) != getattr(planned.recipe.data, key):
            raise UserError(f"--set data.{key}: the data are given as DATA, and --dataset FILE describes them")
    if recipe.train.minutes is None and recipe.train.epochs is None:
        raise UserError("the recipe does not say how long to train: give --minutes or --epochs")
    agree_with_data(recipe, dataset, fingerprint)
    return Plan(recipe, planned.reasons)


def _followed(
    recipe: Recipe, dataset: Dataset, minutes: float | None, epochs: float | None, seed: int | None
) -> Recipe:
    """A recipe that is followed on a data set, which may be another than the one it was planned for."""
    described = None if dataset.description is None else str(dataset.description)
    opened = {"root": str(dataset.root), "description": described, "video": dataset.video}
    given = {"minutes": minutes, "epochs": epochs, "seed": seed}
    changes = [f"train.{key}={value}" for key, value in given.items() if value is not None]
    return override(recipe.model_copy(update={"data": recipe.data.model_copy(update=opened)}), changes)


def _folder(out: Path | str | None, root: Path) -> Path:
    """Where the run goes: as told, or `runs/NAME` with the first number that is free."""
    if out is not None:
        return Path(out)
    name, number = root.resolve().name, 2
    folder = Path("runs") / name
    while folder.exists():
        folder, number = Path("runs") / f"{name}-{number}", number + 1
    return folder


def _new_run(folder: Path, planned: Plan, found: Check, command: Sequence[str]) -> Run:
    run = create_run(folder, planned.recipe, planned.reasons, list(command))
    (run.folder / "check.txt").write_text(found.text())
    return run


def _train(
    recipe: Recipe, found: Check, begin: Callable[[], Run], budget: Budget, watch: Watch, *, resume: bool
) -> Trained:
    """`begin` gives the run, when all that can fail has been built: a mistake leaves no folder behind."""
    with tempfile.TemporaryDirectory(prefix="atrous-") as scratch:
        parts = _build(recipe, found, Path(scratch), watch)
        run = begin()
        outcome = _learn(run, parts, budget, watch, resume)
    if outcome.interrupted:
        watch.say(f"stopped at step {outcome.step}; go on with: atrous train --resume {run.folder}")
        return Trained(run, outcome, None)
    return Trained(run, outcome, _report(run, found.dataset, outcome, watch))


def _build(recipe: Recipe, found: Check, scratch: Path, watch: Watch) -> _Parts:
    """Everything that the loop needs, from a recipe that agrees with the data.

    Raises:
        UserError: the network cannot be built, this machine lacks the hardware, or a file cannot be read.
    """
    if recipe.train.accelerator != "auto":
        check_device(recipe.train.accelerator, "train.accelerator =")
    torch.manual_seed(recipe.train.seed)
    task = build_task(recipe)
    network = build_network(recipe.model, task.out_channels)
    watch.say(
        f"{describe(recipe.model)}, {count_parameters(network) / 1e6:.1f} million parameters; "
        f"crops {' x '.join(map(str, recipe.train.crop))}, batch {recipe.train.batch_size}, {recipe.train.precision}"
    )
    parts = _Parts(task, network, *(_sequences if found.dataset.task == "stranded" else _grids)(found, recipe, scratch))
    parts.batches[0]  # what cannot be drawn fails here
    return parts


def _learn(run: Run, parts: _Parts, budget: Budget, watch: Watch, resume: bool) -> Outcome:
    recipe, task, batches, held_out = run.recipe, parts.task, parts.batches, parts.held_out
    budget.minutes, budget.steps = recipe.train.minutes, None
    if recipe.train.epochs is not None:
        budget.minutes, budget.steps = None, max(1, round(recipe.train.epochs * batches.per_epoch))
    side = _side(recipe, held_out)
    budget.reserve, budget.validations = AFTER_SECONDS, 1 + 1.5 * parts.share
    return fit(
        parts.network,
        task,
        lambda step: ahead(batches, step),
        lambda net: validate(net, task, held_out, side),
        budget=budget,
        settings=build_settings(recipe),
        folder=run.folder,
        per_epoch=batches.per_epoch,
        monitor=replace(watch.monitor, on_stage=watch.say),
        resume=resume,
    )


def _grids(found: Check, recipe: Recipe, scratch: Path) -> tuple[Batches, Decoded, float]:
    """Batches, validation samples, and how many times their positions the full evaluation has."""
    dataset, limit = found.dataset, machine_memory() // 4
    preparation = build_preparation(recipe)
    decoded = decode(dataset, dataset.splits[recipe.data.train], limit=limit, scratch=scratch, preparation=preparation)
    held_out = decode(
        dataset, dataset.splits[recipe.data.val], limit=limit, scratch=scratch, need_positions=False,
        preparation=preparation,
    )  # fmt: skip
    for split, one in ((recipe.data.train, decoded), (recipe.data.val, held_out)):
        if all(label.min() == IGNORE for label in one.labels):  # the greatest of uint8
            raise UserError(f"{dataset.root}: no position of {split} has a label that counts: label some")
    batches = Batches(
        decoded, build_geometry(recipe), build_color(recipe), recipe.train.batch_size, recipe.train.seed,
        _spread(found, recipe),
    )  # fmt: skip
    return batches, held_out, _whole_share(held_out, _side(recipe, held_out))


def _side(recipe: Recipe, held_out: Decoded) -> Sequence[int]:
    """Size of the windows on which large samples are validated during training."""
    return CLIP if recipe.data.video else (WINDOW[held_out.ndim],) * held_out.ndim


def _sequences(found: Check, recipe: Recipe, _: Path) -> tuple[GenomeBatches, Decoded, float]:
    """The same of genomes."""
    splits, train = found.dataset.splits, recipe.train
    decoded = decode_genomes(found.dataset, splits[recipe.data.train])
    held_out, share = decode_windows(found.dataset, splits[recipe.data.val])
    batches = GenomeBatches(decoded, train.crop[0], recipe.augment.strands, train.batch_size, train.seed)
    return batches, held_out, share


def _spread(found: Check, recipe: Recipe) -> float:
    """Standard deviation of what the network is fed, before it normalizes."""
    kept = set(recipe.input.intensity) == {"keep"}
    return float(np.mean(found.fingerprint.std if kept else recipe.model.std))


def _whole_share(held_out: Decoded, side: Sequence[int]) -> float:
    """How many times the positions of a quick validation the full evaluation has, which looks at samples whole."""
    whole = sum(label.size for label in held_out.labels)
    seen = sum(label[window].size for label in held_out.labels for window in windows(label.shape, side))
    return whole / seen


def _report(run: Run, dataset: Dataset, outcome: Outcome, watch: Watch) -> Scores:
    split = run.recipe.data.val
    predictor = load(run, device="cpu")
    scores = measure(predictor, dataset, dataset.splits[split])
    write_summary(run, predictor, dataset, split, scores, outcome)
    watch.say(f"report: {run.folder / 'report.html'}")
    return scores


def validate(network: nn.Module, task: Task, held_out: Decoded, side: Sequence[int]) -> dict[str, float]:
    """Loss, mIoU and pixel accuracy on decoded samples; those larger than `side` count by evenly spread windows."""
    metrics, losses = task.metrics(full=False), []
    for name, image, label in zip(held_out.names, held_out.images, held_out.labels, strict=True):
        for number, window in enumerate(windows(label.shape, side)):
            x = torch.from_numpy(np.ascontiguousarray(image[(slice(None), *window)]).astype(np.float32))[None]
            target = torch.from_numpy(np.ascontiguousarray(label[window]))
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            output = network(x).float()
            losses.append(float(task.loss(output, target[None].long())))
            metrics.update(f"{name}/{number}", output[0], target)
    scores = metrics.result(0.0)
    return {"loss": float(np.mean(losses)), "miou": scores.miou, "pixel_accuracy": scores.pixel_accuracy}


def windows(shape: Sequence[int], side: Sequence[int]) -> list[tuple[slice, ...]]:
    """The whole of a sample, or where it is larger than `side` at most `WINDOWS` windows spread evenly over it.

    >>> windows((360, 480), (1024, 1024))
    [(slice(0, 360, None), slice(0, 480, None))]
    >>> len(windows((5400, 10800), (1024, 1024)))
    8
    """
    starts = [[0] if n <= most else list(range(0, n - most + 1, most)) for n, most in zip(shape, side, strict=True)]
    grid = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, len(shape))
    chosen = grid[np.linspace(0, len(grid) - 1, min(WINDOWS, len(grid))).round().astype(int)]
    return [
        tuple(slice(int(a), min(int(a) + most, n)) for a, n, most in zip(row, shape, side, strict=True))
        for row in chosen
    ]
