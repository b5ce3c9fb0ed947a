"""The train verb from end to end: check, plan, build, train, evaluate, report."""

import gc
import math
import shlex
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from atrous.data.check.check import Check
from atrous.data.dataset import Dataset
from atrous.data.formats.mirrored import named_by_url, with_urls
from atrous.data.restoration import STYLE
from atrous.device import check_device, choose_device
from atrous.errors import MemoryLimitError, UserError
from atrous.files import disk_trouble, write_text
from atrous.prediction.predictor import WHOLE, load
from atrous.recipe.agree import agree_with_data
from atrous.recipe.build import build_settings
from atrous.recipe.plan import PlannedRecipe
from atrous.recipe.probe import measured_rate
from atrous.recipe.run import Run, check_new, create_run, open_run
from atrous.recipe.schema import Recipe, override, read_recipe
from atrous.recipe.start import check_start
from atrous.recipe.style_picture import is_gray, located, read_style
from atrous.stream.process import give_back
from atrous.tasks.custom import reported
from atrous.tasks.task import EvaluationResult
from atrous.training.budget import Budget
from atrous.training.launch import is_first
from atrous.training.loop import fit
from atrous.training.processes import Processes
from atrous.training.settings import Monitor, Outcome
from atrous.verbs.calibrate import calibrate_and_measure, forget_calibration
from atrous.verbs.check import check_layout
from atrous.verbs.devices import refuse_several, training_processes
from atrous.verbs.feeds import Feed
from atrous.verbs.kinds import KINDS
from atrous.verbs.opened import OpenedData, open_data
from atrous.verbs.progress import show_progress
from atrous.verbs.summary import write_scores, write_summary
from atrous.verbs.train_options import TrainOptions, read_options
from atrous.verbs.train_parts import TrainData, TrainParts, build_parts, make_supply, train_task
from atrous.verbs.train_plan import plan_training

REPORT_MEMORY = "512MiB"
"""Memory of the final evaluation after a training on large samples in strips, if that is enough: such a training is to
take little up to its end."""
AFTER_SECONDS = 3.0
"""Seconds that are kept for the report, beside the final evaluation."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        run: its folder and recipe.
        outcome: how the loop ended.
        scores: the metrics on the validation split; None when the training was interrupted.
    """

    run: Run
    outcome: Outcome
    scores: Any


class _Learned(NamedTuple):
    """A run whose loop has ended, and whether its samples went through the network in strips."""

    run: Run
    outcome: Outcome
    dataset: Dataset
    in_strips: bool


@dataclass(frozen=True)
class Watch:
    """Whom the verb tells what is going on."""

    say: Callable[[str], None]
    monitor: Monitor
    checking: Callable[[int, int], None]


@named_by_url()
def train(data: Any = None, **options: Any) -> Trained:
    """Check the data, plan a recipe (or follow one), train, evaluate, and write the report.

    Args:
        data: the folder of a data set, or its URL; or images and targets in memory: a pair of lists of arrays, a torch
            `Dataset` that gives pairs, or a `DataLoader` whose batches are trained on as they come (docs/python.md).
            The recipe's folder when None.
        **options: see `TrainOptions`.

    Raises:
        UserError: the data have problems, the recipe is wrong, or the output folder exists.
        TypeError: there is no option of that name.
    """
    chosen = read_options(options)
    chosen.check()
    budget = Budget(minutes=chosen.minutes or 1.0)
    first = is_first()
    with ExitStack() as stack:
        try:
            processes = stack.enter_context(training_processes(chosen))
            first = processes.first
            with _watched(chosen, processes) as watch:
                begin = _begin if chosen.resume is None else _resume
                learned = begin(data, chosen, budget, watch, processes)
                stack.close()  # one process is enough for the rest
                return _finish(learned, chosen, watch) if first else Trained(*learned[:2], None)
        except UserError:
            if first:
                raise
            raise SystemExit(2) from None  # the first process tells it


def train_planned(
    planned: PlannedRecipe, check: Check, opened: OpenedData, folder: Path, feed: Feed | None = None, **options: Any
) -> Trained:
    """Train a recipe on data that were checked already; the rest is as in `train`.

    Args:
        planned: the recipe, which fits the data.
        check: what the check found.
        opened: the data.
        folder: of the run, which must not exist.
        feed: decoded data for this recipe; they are decoded when None.
        **options: see `TrainOptions`; only those count that tell how the training goes.

    Raises:
        UserError: the network cannot be built, or the folder exists.
    """
    chosen, budget = read_options(options), Budget(minutes=1.0)
    refuse_several(planned.recipe, "trainings of a search take one device each")
    with _watched(chosen, Processes()) as watch:
        check_new(folder)
        data = TrainData(opened, check, feed)
        begin = partial(_new_run, folder, planned, check, chosen)
        return _finish(_train(planned.recipe, data, begin, chosen, budget, watch, Processes()), chosen, watch)


def _watched(chosen: TrainOptions, processes: Processes) -> Any:
    """A context that gives the `Watch`; it shows a progress bar where one is wanted, of the first process alone."""
    monitor = Monitor()
    if not processes.first:
        return show_progress(False, None, monitor, Watch)
    if chosen.on_step is not None:
        monitor.on_step = chosen.on_step
    if chosen.on_validation is not None:
        monitor.on_validation = chosen.on_validation
    shown = chosen.say is None if chosen.progress is None else chosen.progress
    return show_progress(shown, chosen.say, monitor, Watch)


def _begin(data: Any, chosen: TrainOptions, budget: Budget, watch: Watch, processes: Processes) -> _Learned:
    given, follow, folder = processes.together(lambda: _read(data, chosen, watch))
    planned = processes.of_first(lambda: plan_training(given.check, follow, chosen, measured_rate))
    begin = partial(_new_run, folder, planned, given.check, chosen)
    return _train(planned.recipe, given, begin, chosen, budget, watch, processes)


def _read(data: Any, chosen: TrainOptions, watch: Watch) -> tuple[TrainData, Recipe | None, Path]:
    """The data, the recipe that is followed, and the folder of the run."""
    if data is None and chosen.recipe is None:
        raise UserError("give the folder of a data set, or --recipe FILE")
    follow = chosen.recipe
    if follow is not None and not isinstance(follow, Recipe):
        follow = located(read_recipe(Path(follow)), Path(follow).parent)
    if follow is not None:
        # A mistake in a setting, and a device that is not there, are told before the data are read.
        _check_device(override(follow, chosen.overrides))
    described = chosen.description
    if data is None and follow is not None:
        data, described = follow.data.root, described or follow.data.description
    if chosen.start is not None:
        check_start(chosen.start)
    settings = ({} if follow is None else follow.task.model_dump()) | chosen.task_settings
    opened = open_data(data, described, chosen.val, chosen.task or (follow.task.kind if follow else None), settings)
    if (opened.description.task or opened.layout.task) == STYLE:
        _look_at_style(settings.get("style"), watch)
    folder = _folder(chosen.out, opened.name)
    check_new(folder)
    return TrainData(opened, check_opened(opened, watch)), follow, folder


def _look_at_style(path: str | None, watch: Watch) -> None:
    """Tell what is wrong with the picture whose style is learned before the data are read."""
    if is_gray(read_style(path)):
        watch.say(f"{path}: a gray picture, so pictures in its style are gray too")


def _resume(data: Any, chosen: TrainOptions, budget: Budget, watch: Watch, processes: Processes) -> _Learned:
    run, given = processes.together(lambda: _reopened(data, chosen, watch))
    return _train(run.located, given, lambda: run, chosen, budget, watch, processes)


def _reopened(data: Any, chosen: TrainOptions, watch: Watch) -> tuple[Run, TrainData]:
    """A run that is resumed, and its data."""
    assert chosen.resume is not None
    run = open_run(chosen.resume)
    run.require_own(f"start a new training from it with --start {run.title}")
    run = replace(run, recipe=override(run.recipe, chosen.overrides))
    _check_device(run.recipe)
    described = None
    if data is None:
        data, described = run.data()
    opened = open_data(data, described, chosen.val, run.recipe.task.kind, run.recipe.task.model_dump())
    check = check_opened(opened, watch)
    agree_with_data(run.recipe, check.dataset, check.fingerprint)
    watch.say(f"resuming {run.folder}")
    return run, TrainData(opened, check)


def _check_device(recipe: Recipe) -> None:
    if recipe.train.accelerator != "auto":
        check_device(recipe.train.accelerator, "train.accelerator =")


def check_opened(opened: OpenedData, watch: Watch) -> Check:
    """Check opened data and tell what they are.

    Raises:
        UserError: the data have problems.
    """
    check = check_layout(opened.root, opened.description, opened.layout, watch.checking)
    if not check.ok:
        lines = [f"{opened.root}: fix these first", *(problem.line() for problem in check.errors)]
        raise UserError("\n  ".join(lines))
    images = ", ".join(f"{name} {count}" for name, count in check.fingerprint.images.items())
    classes = f"; {len(check.dataset.classes)} classes" if check.dataset.classes else ""
    watch.say(f"{with_urls(str(opened.root))}: {check.dataset.layout}; {images}{classes}")
    for problem in check.faults:
        watch.say(problem.line())
    return check


def _folder(out: Path | str | None, name: str) -> Path:
    """Where the run goes: where the caller says, or `runs/NAME` with the first number that is free."""
    if out is not None:
        return Path(out)
    folder, number = Path("runs") / name, 2
    while folder.exists():
        folder, number = Path("runs") / f"{name}-{number}", number + 1
    return folder


def _new_run(folder: Path, planned: PlannedRecipe, check: Check, chosen: TrainOptions) -> Run:
    run = create_run(folder, planned.recipe, planned.reasons, list(chosen.command))
    write_text(run.folder / "check.txt", check.text())
    return run


def _train(
    recipe: Recipe, data: TrainData, begin: Callable[[], Run], chosen: TrainOptions, budget: Budget, watch: Watch,
    processes: Processes,
) -> _Learned:  # fmt: skip
    """`begin` gives the run once everything that can fail has been built, so that a mistake leaves no folder behind."""
    with tempfile.TemporaryDirectory(prefix="atrous-", ignore_cleanup_errors=True) as scratch, ExitStack() as stack:
        parts = processes.together(lambda: build_parts(recipe, data, Path(scratch), chosen, watch.say))
        if data.feed is None:  # a search goes on with its own
            stack.callback(parts.feed.close)
        run = processes.of_first(begin)
        try:
            budget.reserve = AFTER_SECONDS if chosen.report else 0.0
            outcome = _learn(run, parts, budget, watch, processes, resume=chosen.resume is not None)
        except (UserError, OSError) as error:
            said = str(error) if isinstance(error, UserError) else disk_trouble(error)
            if said is None:
                raise
            raise UserError(
                f"{said}; the run is kept, and goes on from its last checkpoint with: "
                f"atrous train --resume {shlex.quote(str(run.folder))}"
            ) from error
        held_out = parts.feed.held_out
        largest = max((math.prod(held_out.size(index)) for index in range(len(held_out.names))), default=0)
    return _Learned(run, outcome, data.check.dataset, recipe.train.whole and largest > WHOLE)


def _finish(learned: _Learned, chosen: TrainOptions, watch: Watch) -> Trained:
    """Measure and report a run, unless it was interrupted."""
    run, outcome = learned.run, learned.outcome
    if outcome.interrupted:
        again = f"atrous train --resume {shlex.quote(str(run.folder))}"
        watch.say(f"stopped at step {outcome.step}; resume with: {again}")
        return Trained(run, outcome, None)
    return Trained(run, outcome, _report(learned, chosen, watch))


def _learn(
    run: Run, parts: TrainParts, budget: Budget, watch: Watch, processes: Processes, *, resume: bool
) -> Outcome:  # fmt: skip
    recipe, feed, settings = run.recipe, parts.feed, build_settings(run.recipe)
    budget.minutes, budget.steps, budget.least_steps = recipe.train.minutes, None, recipe.train.least_steps
    if recipe.train.epochs is not None:
        budget.minutes, budget.steps = None, max(1, round(recipe.train.epochs * feed.batches.per_epoch))
    budget.validations = 1 + (1.7 + parts.fitted) * feed.full_to_quick
    if processes.first:
        forget_calibration(run)
    return fit(
        parts.network,
        parts.task,
        make_supply(parts, recipe, settings, processes),
        budget=budget,
        settings=settings,
        folder=run.folder,
        monitor=replace(watch.monitor, tell=watch.say),
        resume=resume,
        processes=processes,
    )


def _report(learned: _Learned, chosen: TrainOptions, watch: Watch) -> EvaluationResult:
    run, outcome, dataset, in_strips = learned
    split = run.recipe.data.val
    predictor = replace(
        load(run, device=choose_device(run.recipe.train.accelerator), network=chosen.network),
        task=reported(train_task(run.located, chosen)),
    )
    held_out, little = dataset.splits[split], predictor
    if in_strips:
        little = replace(predictor, memory=REPORT_MEMORY)
        gc.collect()  # exported networks are in cycles with the samples of the training
        give_back()
    try:
        try:
            predictor, result = calibrate_and_measure(little, dataset, split, held_out)
        except MemoryLimitError:
            predictor, result = calibrate_and_measure(predictor, dataset, split, held_out)
    except UserError as error:
        raise UserError(f"{error}; the trained run is kept without a report: {run.folder}") from error
    if not chosen.report:
        write_scores(run, split, result)
        return result
    examples = KINDS[dataset.kind].examples(predictor, dataset, split, result)
    write_summary(run, dataset, split, result, outcome, examples)
    watch.say(f"report: {run.folder / 'report.html'}")
    return result
