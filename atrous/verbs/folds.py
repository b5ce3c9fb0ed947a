"""`atrous evaluate --folds`: how good the recipe of a run is on a group of samples that it has not seen.

Leave-one-group-out: the recipe is trained anew once for each group, on the labelled samples of all other groups, and
measured on the group. Such a training is called a fold. It is a run like any other, with a dataset.toml of its own,
whose validation split is the group. Nothing is chosen by that split (`train.choose = false`).
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import tomlkit

from atrous.data.check.check import Check
from atrous.data.check.fingerprint import Fingerprint
from atrous.data.formats.mirrored import named_by_url
from atrous.data.layouts.splits import ordered
from atrous.data.moments import merge
from atrous.data.plain_text import read_text
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.files import remove, write_text
from atrous.recipe.run import Run
from atrous.report.folds import add_folds
from atrous.tasks.fold_scores import FoldRow, FoldScores
from atrous.training.checkpoint import state_path
from atrous.training.settings import Monitor
from atrous.verbs.fold_plan import FILE, Fold, FoldPlan, plan_folds
from atrous.verbs.train import Watch, check_opened, train_planned
from atrous.verbs.train_plan import plan_training


def evaluate_folds(
    run: Run | Path | str, data: Any = None, *, say: Callable[[str], None] | None = None, **options: Any
) -> FoldScores:
    """Train the recipe of a run anew without each group of samples, and measure each training on its group.

    Args:
        run: folder of the run, or the name of a model.
        data: folder of the data set or its URL; that of the training when None.
        say: is told what is going on; None prints it to standard error, with progress bars.
        **options: see `plan_folds`.

    Raises:
        UserError: there are not two groups, or the data have problems; else as `train`.
    """
    return train_folds(plan_folds(run, data, **options), say=say)


@named_by_url()
def train_folds(
    plan: FoldPlan, *, validation: Mapping[str, float] | None = None, say: Callable[[str], None] | None = None
) -> FoldScores:
    """Train and measure the folds that are not done, and write the metrics of all of them into the report of the run.

    What was interrupted or killed goes on when the same is asked for again.

    Args:
        plan: the folds.
        validation: metrics of the run on its validation split, for runs whose training left none (`scores.json`).
        say: is told what is going on; None prints it to standard error, with progress bars.

    Raises:
        UserError: the data have problems, or a training fails; what is done is kept.
    """
    tell = say or (lambda text: print(text, file=sys.stderr, flush=True))
    tell(plan.text())
    interrupted = bool(plan.waiting) and not _train_waiting(plan, say, tell)
    scores = _scores(plan, validation or {}, interrupted=interrupted)
    page = plan.run.folder / "report.html"
    if scores.rows and plan.run.named is None and page.exists() and not add_folds(page, scores):
        tell(f"{page}: is not a report of atrous any more, so the groups are not added to it")
    return scores


def _train_waiting(plan: FoldPlan, say: Callable[[str], None] | None, tell: Callable[[str], None]) -> bool:
    """Train and measure the folds that are not done; False where the user interrupted one."""
    waiting = plan.waiting
    check = check_opened(plan.opened, Watch(tell, Monitor(), lambda done, total: None))
    plan.folder.mkdir(parents=True, exist_ok=True)
    write_text(plan.folder / FILE, json.dumps(plan.asked(), indent=1))
    for number, fold in enumerate(waiting, 1):
        tell(f"training {number} of {len(waiting)}: without {fold.group} ({len(fold.samples)} samples)")
        if not _train(plan, check, fold, say):
            tell("stopped; the same command goes on")
            return False
    return True


def _train(plan: FoldPlan, check: Check, fold: Fold, say: Callable[[str], None] | None) -> bool:
    """Train and measure a fold, or go on with it; False where the user interrupted it."""
    _describe(plan, fold)
    without = _without(plan, check, fold)
    begun = fold.run if (fold.run / "recipe.toml").exists() else None
    try:
        planned = plan_training(without, plan.run.located, plan.chosen)
        trained = train_planned(planned, without, plan.opened, fold.run, report=False, say=say, resume=begun)
    except UserError as error:
        raise UserError(f"without {fold.group}: {error}") from error
    if trained.scores is None:
        return False
    remove(state_path(fold.run).parent)  # nothing goes on from it
    return True


def _describe(plan: FoldPlan, fold: Fold) -> None:
    """Write the dataset.toml of a fold: that of the data, with other splits."""
    file = plan.opened.description.file
    document = tomlkit.document() if file is None else tomlkit.parse(read_text(file))
    document["splits"] = plan.parts(fold)
    try:
        write_text(fold.description, tomlkit.dumps(document))
    except UnicodeEncodeError as error:
        name = error.object[max(0, error.start - 20) : error.end + 20].encode(errors="backslashreplace").decode()
        raise UserError(f"{plan.opened.root}: {name!r} in the name of a file is no text: rename it") from None


def _without(plan: FoldPlan, check: Check, fold: Fold) -> Check:
    """What the check found, as of data whose validation split is the group and whose training split is all but it."""
    dataset = check.dataset
    samples = {sample.name: sample for sample in dataset.samples}
    parts = {split: [samples[name] for name in names] for split, names in plan.parts(fold).items()}
    taken = {sample.name for sample in plan.pool}
    rest = {split: [one for one in members if one.name not in taken] for split, members in dataset.splits.items()}
    splits = ordered(rest | parts)
    origin = f"{fold.group} is left out"
    dataset = replace(dataset, splits=splits, split_origin=origin, description=fold.description)
    numbers = _of_splits(check, splits)
    before = check.fingerprint.positions.get("train", 0)
    longer = numbers.positions["train"] / before if before else 1.0
    return replace(
        check, dataset=dataset, fingerprint=numbers, minutes_per_epoch=longer * check.minutes_per_epoch
    )  # fmt: skip


def _of_splits(check: Check, splits: Mapping[str, Sequence[Sample]]) -> Fingerprint:
    """The numbers of the data with other splits: sizes of the splits, and intensities of what is trained on.

    The amount of augmentation follows from these, so the group must have no part in them.
    """
    numbers = check.fingerprint
    positions = {
        split: sum(math.prod((check.headers.get(one.name) or one.image.header()).size) for one in samples)
        for split, samples in splits.items()
    }
    images = {split: len(samples) for split, samples in splits.items()}
    numbers = replace(numbers, images=images, positions=positions)
    known = [check.moments[one.name] for one in splits["train"] if one.name in check.moments]
    known = [one for one in known if len(one.mean) == numbers.channels]
    if not known:
        return numbers
    total = reduce(merge, known)
    mean, std = (tuple(float(value) for value in values) for values in (total.mean, total.std))
    return replace(
        numbers, mean=mean, std=std, minimum=float(total.least.min()), maximum=float(total.most.max())
    )  # fmt: skip


def _scores(plan: FoldPlan, validation: Mapping[str, float], *, interrupted: bool) -> FoldScores:
    """The metrics of the folds that are done."""
    watched = plan.run.task().watched
    own = _metrics(plan.run.folder, watched) or validation
    rows = tuple(
        FoldRow(fold.group, len(fold.samples), _metrics(fold.run, watched), str(fold.run))
        for fold in plan.folds if fold.done
    )  # fmt: skip
    waiting = tuple(fold.group for fold in plan.waiting)
    metric = watched[0]
    return FoldScores(plan.opened.name, metric, own.get(metric, math.nan), rows, waiting, interrupted)


def _metrics(run: Path, names: Sequence[str]) -> dict[str, float]:
    """Metrics that a run left, by name, NaN where one does not exist; nothing where it left none."""
    file = run / "scores.json"
    if not file.exists():
        return {}
    facts = json.loads(file.read_text(encoding="utf-8"))
    return {name: math.nan if facts.get(name) is None else float(facts[name]) for name in names}
