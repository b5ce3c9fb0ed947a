"""The search verb from end to end: check, plan, choose a point, train it for a while, keep what is good, report."""

import math
import shlex
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrous.data.check.check import Check
from atrous.data.formats.mirrored import named_by_url
from atrous.data.formats.remote import shown
from atrous.data.formats.table import is_url, local_path
from atrous.errors import UserError, without_secrets
from atrous.files import write_text
from atrous.geometry.plan import byte_count
from atrous.recipe.agree import agree_with_data
from atrous.recipe.build import build_task
from atrous.recipe.plan import PlannedRecipe, stored_description, stored_path
from atrous.recipe.schema import Recipe, override, read_recipe, split_setting
from atrous.recipe.start import NothingFitsError
from atrous.recipe.style_picture import located
from atrous.training.checkpoint import state_path
from atrous.training.settings import Monitor
from atrous.training.signals import noted_interrupts, stop_on_signal
from atrous.verbs.feeds import Feed, feed_alike
from atrous.verbs.kinds import KINDS
from atrous.verbs.opened import OpenedData, open_data
from atrous.verbs.search_options import SearchOptions, read_search_options
from atrous.verbs.train import Trained, Watch, check_opened, train_planned
from atrous.verbs.train_options import TrainOptions
from atrous.verbs.train_plan import plan_training

if TYPE_CHECKING:
    from atrous.searching.folder import SearchFolder
    from atrous.searching.ladder import Claim, Ladder
    from atrous.searching.limits import NetworkFacts
    from atrous.verbs.search_report import SearchResult

MOST_FAILURES = 3
"""After so many trainings in a row that fail, the search ends: not the points are at fault."""


@dataclass(frozen=True)
class _Search:
    """A search with its data.

    Attributes:
        folder: of the search.
        check: what the check of the data found.
        opened: the data.
        say: is told what is going on.
        feed: the data, decoded once for all trainings; None before.
    """

    folder: "SearchFolder"
    check: Check
    opened: OpenedData
    say: Callable[[str], None]
    feed: Feed | None = None


@named_by_url()
def search(data: Path | str | None = None, **options: Any) -> "SearchResult":
    """Search for networks and recipes around the planned one: accuracy against time.

    Args:
        data: folder of a data set, or its URL; that of the recipe or of the search that goes on when None.
        **options: see `SearchOptions`.

    Returns:
        The recipes that no other dominates, and where they are. The same stands in the folder of the search.

    Raises:
        UserError: Optuna is not installed, an option is wrong, the data have problems, or the folder holds something
            else.
        TypeError: there is no option of that name.
    """
    chosen, begun = read_search_options(options), time.monotonic()
    chosen.check()
    from atrous.verbs.search_report import report

    say = chosen.say or (lambda text: print(text, file=sys.stderr, flush=True))
    work = _resume(chosen, say) if chosen.resume is not None else _begin(data, chosen, say)
    ladder = work.folder.ladder()
    try:
        with tempfile.TemporaryDirectory(prefix="atrous-") as scratch:
            made = KINDS[work.check.dataset.kind].feed(work.check, work.folder.recipe, Path(scratch))
            with closing(made) as feed, work.folder.usable():
                interrupted = _search(replace(work, feed=feed), ladder, chosen, begun)
        if interrupted:
            say(f"stopped; go on with: atrous search --resume {shlex.quote(str(work.folder.path))}")
        return report(work.folder, ladder, interrupted=interrupted)
    finally:
        ladder.close()


def _resume(chosen: SearchOptions, say: Callable[[str], None]) -> _Search:
    from atrous.searching.folder import open_search

    assert chosen.resume is not None
    folder = open_search(Path(chosen.resume))
    if chosen.minutes is not None:
        folder = replace(folder, order=replace(folder.order, minutes=chosen.minutes))
    return _reopened(folder, say)


def _reopened(folder: "SearchFolder", say: Callable[[str], None]) -> _Search:
    """A search that was begun before, with its data, which are checked again."""
    order, recipe = folder.order, folder.recipe
    opened = open_data(order.data, order.description, None, recipe.task.kind, recipe.task.model_dump())
    check = check_opened(opened, Watch(say, Monitor(), lambda done, total: None))
    agree_with_data(recipe, check.dataset, check.fingerprint)
    say(f"going on with {folder.path}")
    return _Search(folder, check, opened, say)


def _begin(data: Path | str | None, chosen: SearchOptions, say: Callable[[str], None]) -> _Search:
    from atrous.searching.folder import open_search, same_search

    follow = chosen.recipe
    if follow is not None and not isinstance(follow, Recipe):
        follow = located(read_recipe(Path(follow)), Path(follow).parent)
    described = chosen.description
    if data is None:
        if follow is None:
            raise UserError("give the folder of a data set, or --recipe FILE")
        data, described = follow.data.root, described or follow.data.description
    if not isinstance(data, str | Path):
        raise UserError("a search needs the folder of a data set: several processes may share it")
    root = str(data).rstrip("/") if is_url(data) else str(Path(local_path(str(data))).absolute())
    asked = chosen.asked(without_secrets(root))
    name = shown(root).rpartition("/")[2] if is_url(data) else Path(root).resolve().name
    path = Path(chosen.out) if chosen.out is not None else Path("runs") / f"{name}-search"
    assert chosen.minutes is not None
    if path.exists():
        return _reopened(same_search(open_search(path), asked, chosen.minutes), say)
    if (first := chosen.rungs[0]) > chosen.minutes:
        what = f"a training on the first rung takes {first:g} minutes"
        raise UserError(f"--minutes {chosen.minutes:g}: {what}: give more minutes, or a shorter --rung")
    training = TrainOptions(
        minutes=chosen.rungs[-1], settings=chosen.given_settings, seed=chosen.seed, device=chosen.device,
        description=described, task=chosen.task,
    )  # fmt: skip
    training.check()
    settings = ({} if follow is None else follow.task.model_dump()) | training.task_settings
    opened = open_data(root, described, None, chosen.task or (follow.task.kind if follow else None), settings)
    check = check_opened(opened, Watch(say, Monitor(), lambda done, total: None))
    planned = plan_training(check, follow, training)
    return _Search(_new_folder(path, planned, check, chosen, asked), check, opened, say)


def _new_folder(
    path: Path, planned: PlannedRecipe, check: Check, chosen: SearchOptions, asked: dict[str, Any]
) -> "SearchFolder":
    """Make the folder of a new search, unless another process that was started with the same command is faster."""
    from atrous.searching.folder import SearchOrder, create_search, open_search, same_search
    from atrous.searching.limits import Needs, examine, object_widths, usual_input
    from atrous.searching.planned_space import plan_space

    recipe, dataset, fingerprint = planned.recipe, check.dataset, check.fingerprint
    space = plan_space(recipe).without(".".join(split_setting(setting)[:2]) for setting in chosen.given_settings)
    space = space.only(chosen.vary) if chosen.vary else space
    if not space.variables:
        raise UserError("nothing is left that varies: leave out some --set, or give other names with --vary")
    if chosen.shape and len(chosen.shape) != recipe.model.ndim:
        sizes = ",".join(map(str, chosen.shape))
        raise UserError(f"--input {sizes}: the data have {recipe.model.ndim} axes: give one size per axis")
    shape = (recipe.model.in_channels, *chosen.shape) if chosen.shape else usual_input(recipe, fingerprint)
    fields = examine(recipe, shape).receptive_field
    widths = object_widths(recipe, dataset, fingerprint)
    # What the planned network cannot see either is not asked of others.
    seen = tuple(w if f is None else min(w, float(f)) for w, f in zip(widths, fields, strict=True))
    task = build_task(recipe)
    assert chosen.minutes is not None
    order = SearchOrder(
        data=stored_path(dataset.root),
        description=stored_description(dataset),
        minutes=chosen.minutes,
        sampler=chosen.sampler,
        rungs=chosen.rungs,
        seed=chosen.seed,
        inherit=chosen.inherit,
        needs=Needs(shape, seen, chosen.latency, byte_count(chosen.memory)).to_dict(),
        metric=task.watched[0],
        higher_is_better=task.higher_is_better,
        asked=asked,
    )
    try:
        create_search(path, order, recipe, planned.reasons, space)
    except UserError:
        if not (path / "search.json").exists():
            raise
        return same_search(open_search(path), asked, chosen.minutes)
    return open_search(path)


def _search(work: _Search, ladder: "Ladder", chosen: SearchOptions, begun: float) -> bool:
    """Try points until the time is over or the space is exhausted; whether the user interrupted it."""
    order, examiner, failures = work.folder.order, _Examiner(work.folder), 0
    spent = ladder.spent()
    with noted_interrupts() as interrupts:
        while not interrupts:
            over, claim = spent + time.monotonic() - begun, None
            if chosen.progress is not None:
                chosen.progress(over)
            try:
                claim = ladder.claim(60 * order.minutes - over, examiner.refuse)
                if claim is None:
                    break
                trained, facts = _train(work, ladder, claim), examiner.facts(claim.labels)
            except KeyboardInterrupt:
                trained = facts = None
            except Exception as error:  # the points that come next may do better; what happened is kept and told
                if claim is None:
                    raise
                failures += 1
                _failed(work, ladder, claim, error)
                if failures == MOST_FAILURES:
                    raise
                continue
            if claim is None:  # interrupted before there was one
                return True
            if trained is None or facts is None or trained.scores is None:  # interrupted
                ladder.give_back(claim)
                return True
            failures = 0
            with stop_on_signal() as signals:  # what a training gave is stored whole
                _finish(work, ladder, claim, trained, facts)
            if signals:
                return True
    return bool(interrupts)


def _failed(work: _Search, ladder: "Ladder", claim: "Claim", error: Exception) -> None:
    """Keep why a training failed: its point is not tried again."""
    why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if not isinstance(error, UserError):
        write_text(work.folder.runs / f"{claim.name}.txt", traceback.format_exc())
    ladder.refuse(claim, f"its training failed: {why.splitlines()[0]}")
    work.say(f"{claim.name}: failed: {why}")


def _train(work: _Search, ladder: "Ladder", claim: "Claim") -> Trained:
    """Train a point on its rung, from the weights of the rung below or of the nearest point."""
    from atrous.searching.ladder import beating

    folder, minutes = work.folder, ladder.minutes[claim.rung]
    recipe = override(folder.recipe, [*folder.space.settings(claim.labels), f"train.minutes={minutes}"])
    start = claim.start or (_nearest(folder, ladder, claim) if folder.order.inherit else None)
    run = folder.runs / claim.name
    with beating(claim.trial):
        if start is not None:
            recipe.train.start = str((folder.path / start).absolute())
            try:
                return _train_once(work, recipe, run)
            except NothingFitsError:
                recipe.train.start = None
        return _train_once(work, recipe, run)


def _train_once(work: _Search, recipe: Recipe, run: Path) -> Trained:
    feed = None if work.feed is None else feed_alike(work.feed, work.check, recipe)
    return train_planned(
        PlannedRecipe(recipe, {}), work.check, work.opened, run, feed, report=False, say=lambda text: None
    )


def _nearest(folder: "SearchFolder", ladder: "Ladder", claim: "Claim") -> str | None:
    """The run of the trained point whose network differs in the fewest variables; of several, the best one."""
    best: tuple[tuple[float, ...], str] | None = None
    for rung in range(len(ladder.studies)):
        trials = ladder.finished(rung)
        for trial, losses in zip(trials, ladder.losses(trials), strict=True):
            run = trial.user_attrs.get("folder")
            if run is None or not (folder.path / run / "model.safetensors").exists():
                continue
            place = (folder.space.distance(claim.labels, trial.params, "model"), -rung, losses[0], trial.number)
            if best is None or place < best[0]:
                best = place, str(run)
    return None if best is None else best[1]


def _finish(work: _Search, ladder: "Ladder", claim: "Claim", trained: Trained, facts: "NetworkFacts") -> None:
    """Store what a training gave. Its checkpoint is removed: nothing goes on from it."""
    shutil.rmtree(state_path(trained.run.folder).parent)
    metric = work.folder.order.metric
    value = float(trained.scores.watched()[metric])
    if math.isnan(value):
        ladder.refuse(claim, f"its {metric} does not exist")
        return
    start = trained.run.recipe.train.start
    known = {
        "folder": f"{work.folder.runs.name}/{claim.name}",
        "minutes": ladder.minutes[claim.rung],
        "steps": trained.outcome.step,
        "milliseconds": facts.milliseconds,
        "threads": facts.threads,
        "parameters": facts.parameters,
        "receptive_field": facts.receptive_field,
        "started_from": None if start is None else Path(start).name,
    }
    if not ladder.finish(claim, [value, facts.per_megaposition], known):
        work.say(f"{claim.name}: does not count: this process stood still, and another one has taken its point")
        return
    work.say(
        f"{claim.name}: {metric} {value:.4f}, {facts.per_megaposition:.3g} ms per megaposition; "
        f"{work.folder.space.text(claim.labels)}"
    )


class _Examiner:
    """Knows of every network what can be known before it is trained; equal networks are examined once."""

    def __init__(self, folder: "SearchFolder") -> None:
        self._folder, self._known = folder, {}

    def facts(self, labels: dict[str, str]) -> "NetworkFacts":
        """Return what is known of the network of a point.

        Raises:
            UserError: the recipe or its network does not go together.
        """
        from atrous.searching.limits import examine

        recipe = override(self._folder.recipe, self._folder.space.settings(labels))
        key = recipe.model.model_dump_json()
        if key not in self._known:
            self._known[key] = examine(recipe, self._folder.needs.shape)
        return self._known[key]

    def refuse(self, labels: dict[str, str]) -> str | None:
        """Return why a point is not worth a training, or None."""
        try:
            return self._folder.needs.refuse(self.facts(labels))
        except UserError as error:
            return str(error)
