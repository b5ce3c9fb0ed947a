"""What `atrous evaluate --folds` trains: the groups of the samples of a run, each of which is left out once."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from atrous.data.check.text import duration
from atrous.data.formats.mirrored import named_by_url
from atrous.data.layouts.memory import ROOT
from atrous.data.layouts.splits import name_hash
from atrous.data.plain_text import read_text
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import Recipe, override
from atrous.training.budget import STRETCH
from atrous.training.log import read_log
from atrous.verbs.opened import OpenedData, open_data
from atrous.verbs.train_options import TrainOptions

SETTINGS = (
    "data.train=train", "data.val=val", "train.choose=false", "train.devices=1", "train.nodes=1",
    "train.sync_batch_norm=false",
)  # fmt: skip
"""What a fold does in another way than the run: the group chooses nothing, and one device is enough."""
FILE = "folds.json"
"""The file that says of which recipe and which samples the folds of a folder are."""
OF_PLACE = ("data.root", "data.description", "task.psf", "task.style")
"""Keys of a recipe that say where files lie, which may be moved between two calls."""
NAMED = 5
"""At most so many groups are named before the folds begin."""


@dataclass(frozen=True)
class Fold:
    """A training that leaves a group out.

    Attributes:
        group: name of the group.
        samples: its samples.
        run: folder of the training.
    """

    group: str
    samples: tuple[Sample, ...]
    run: Path

    @property
    def done(self) -> bool:
        """Whether it was trained and measured."""
        return (self.run / "scores.json").exists()

    @property
    def description(self) -> Path:
        """The dataset.toml that says what it is trained and measured on."""
        return self.run.with_name(f"{self.run.name}.toml")


@dataclass(frozen=True)
class FoldPlan:
    """The folds of a run, before they are trained.

    Attributes:
        run: the run.
        opened: the data.
        pool: the labelled samples of its training and validation splits, by name.
        folds: one for each group that is left out, the largest group first.
        recipe: what all folds do.
        chosen: how it differs from that of the run, as options of a training.
        folder: of the folds.
    """

    run: Run
    opened: OpenedData
    pool: tuple[Sample, ...]
    folds: tuple[Fold, ...]
    recipe: Recipe
    chosen: TrainOptions
    folder: Path

    @property
    def waiting(self) -> tuple[Fold, ...]:
        """The folds that are not done."""
        return tuple(fold for fold in self.folds if not fold.done)

    def text(self) -> str:
        """Return how many trainings there are, and how long they take, in one line."""
        waiting = len(self.waiting)
        names = ", ".join([fold.group for fold in self.folds[:NAMED]] + ["..."] * (len(self.folds) > NAMED))
        parts = [f"{len(self.folds)} groups are left out in turn ({names})"]
        if waiting < len(self.folds):
            parts.append(f"{len(self.folds) - waiting} done already")
        if waiting:
            parts.append(f"{waiting} training{'s' * (waiting > 1)} {self._length(waiting)}")
        alone = sum(not sample.group for sample in self.pool)
        if alone:
            parts.append(f"always trained on, as they have no group: {alone}")
        if self.recipe.train.start is not None:
            parts.append(f"all start from {self.recipe.train.start}: what that was trained on is not new to them")
        return "; ".join(parts)

    def parts(self, fold: Fold) -> dict[str, list[str]]:
        """Return the names of the samples that a fold is trained on, as split "train", and of the group, as "val"."""
        left_out = {sample.name for sample in fold.samples}
        return {
            "train": [sample.name for sample in self.pool if sample.name not in left_out],
            "val": [sample.name for sample in fold.samples],
        }

    def asked(self) -> dict[str, Any]:
        """Return what says which folds these are, for JSON: the recipe, and all samples with their groups."""
        values = self.recipe.model_dump(mode="json")
        recipe = {"stages": values.pop("stages")}
        for section, keys in values.items():
            recipe |= {f"{section}.{key}": value for key, value in keys.items()}
        members = "\n".join(f"{sample.name}\t{sample.group}" for sample in self.pool)
        digest = hashlib.blake2b(members.encode(errors="backslashreplace"), digest_size=8).hexdigest()
        recipe = {key: value for key, value in recipe.items() if key not in OF_PLACE}
        return {"recipe": recipe, "samples": len(self.pool), "digest": digest}

    def _length(self, count: int) -> str:
        """How long so many trainings take, in words."""
        train, log = self.recipe.train, read_log(self.run.folder / "metrics.csv")
        if train.minutes is not None:
            stretched = "" if train.least_steps is None else f", or up to {STRETCH} times as long (train.least_steps)"
            return f"of {train.minutes:g} minutes each, {duration(count * train.minutes)} in all{stretched}"
        seconds = log[-1]["seconds"] if log else None
        about = f", about {duration(count * seconds / 60)} in all by the time of the run" if seconds else ""
        return f"of {train.epochs:g} epochs each{about}"


def read_folds(text: str) -> int | None:
    """Return how many groups `--folds` asks for; None for all of them.

    Raises:
        UserError: it is neither "group" nor a number of at least 2.

    >>> read_folds("group"), read_folds("5")
    (None, 5)
    """
    if text == "group":
        return None
    if not re.fullmatch(r"[0-9]+", text) or int(text) < 2:
        raise UserError(f"--folds {text}: give group, or a number of groups, at least 2: the largest are taken")
    return int(text)


def check_fold_options(folds: str | None, options: Mapping[str, Any], *, others: Mapping[str, bool]) -> None:
    """Refuse options of the command that do not go with each other, before anything is read.

    Args:
        folds: what `--folds` says, if it is given.
        options: those of `plan_folds`, by name.
        others: whether options are given that change how a run is measured, by their names.

    Raises:
        UserError: options for folds are given without any, or folds with options that they do not follow.
    """
    if folds is None:
        if given := [name for name in ("minutes", "out") if options[name] is not None]:
            raise UserError(f"--{given[0]} is for the trainings of --folds: give both, or leave it out")
    elif given := [name for name, on in others.items() if on]:
        raise UserError(f"{given[0]}: --folds measures each training as it is: leave it out")


@named_by_url()
def plan_folds(
    run: Run | Path | str,
    data: Any = None,
    *,
    description: Path | str | None = None,
    most: int | None = None,
    minutes: float | None = None,
    out: Path | str | None = None,
    device: str | None = None,
) -> FoldPlan:
    """Find the groups of the labelled samples of train and val, and say what is trained without each of them.

    Args:
        run: folder of the run, or the name of a model.
        data: folder of the data set or its URL; that of the training when None.
        description: a dataset.toml that lies elsewhere.
        most: so many groups are left out at most, those with the most samples; None: all of them.
        minutes: wall time of each training; that of the recipe when None.
        out: folder of the trainings; `folds` in the run's when None. Trainings that are done there are not repeated.
        device: where to train; that of the recipe when None.

    Raises:
        UserError: there are not two groups, the folder holds something else, or the run cannot be trained again.
    """
    opened_run = run if isinstance(run, Run) else open_run(run)
    if out is None:
        opened_run.require_own("say where the trainings go with --out FOLDER")
    recipe = opened_run.recipe
    if recipe.model.name == "custom":
        raise UserError(
            f"{opened_run.title}: trained a network of your own, whose first weights are not known: leave groups out "
            "in Python, by atrous.train(..., network=..., settings='train.choose=false')"
        )
    chosen = TrainOptions(minutes=minutes, settings=SETTINGS, device=device)
    chosen.check()
    length = [] if minutes is None else [f"train.minutes={minutes}"]
    changed = override(recipe, [*length, *chosen.overrides])
    if data is None:
        data, described = opened_run.data()
        description = description or described
    opened = open_data(data, description, None, recipe.task.kind, recipe.task.model_dump())
    pool = _pool(opened, recipe)
    folder = Path(out) if out is not None else opened_run.folder / "folds"
    folds = _folds(opened, pool, folder)
    plan = FoldPlan(opened_run, opened, pool, folds[:most], changed, chosen, folder)
    _agree_with_earlier(plan)
    return plan


def _pool(opened: OpenedData, recipe: Recipe) -> tuple[Sample, ...]:
    """The labelled samples of training and validation, by name."""
    splits = opened.layout.splits
    samples = chain.from_iterable(splits.get(name, ()) for name in (recipe.data.train, recipe.data.val))
    known = {sample.name: sample for sample in samples if sample.target is not None}
    return tuple(known[name] for name in sorted(known))


def _folds(opened: OpenedData, pool: Sequence[Sample], folder: Path) -> tuple[Fold, ...]:
    """A fold for each group, the largest group first.

    Raises:
        UserError: there are not two groups.
    """
    groups: dict[str, list[Sample]] = {}
    for sample in pool:
        if sample.group:
            groups.setdefault(sample.group, []).append(sample)
    if len(groups) < 2:
        _refuse(opened, pool, list(groups))
    names = _folder_names(list(groups))
    folds = [Fold(group, tuple(samples), folder / names[group]) for group, samples in groups.items()]
    return tuple(sorted(folds, key=lambda fold: (-len(fold.samples), fold.group)))


def _refuse(opened: OpenedData, pool: Sequence[Sample], groups: Sequence[str]) -> None:
    """Say how groups are named where there are not two of them."""
    if opened.root == ROOT:
        raise UserError("--folds: data in memory have no groups: give the folder of a data set")
    what = f"all groups are one, {groups[0]!r}" if groups else "no sample of train and val has a group"
    such = f" (samples are named such as {pool[0].name})" if pool else ""
    raise UserError(
        f"{opened.root}: {what}, so none can be left out: write in dataset.toml which part of a sample's name says "
        f'where it comes from, a regular expression such as groups = "^patient([0-9]+)"{such}; groups = ".+" leaves '
        "out each sample in turn"
    )


def _folder_names(groups: Sequence[str]) -> dict[str, str]:
    """Name the folder of each group: as the group where that is a plain name, else with a hash that tells them apart.

    >>> names = _folder_names(["0001TP", "a/b", "a.b"])
    >>> names["0001TP"], names["a/b"].startswith("a_b-"), names["a/b"] == names["a.b"]
    ('0001TP', True, False)
    """
    plain = {group: re.sub(r"[^A-Za-z0-9_-]+", "_", group)[:60] for group in groups}
    alike = Counter(name.casefold() for name in plain.values())
    return {
        group: name if name == group and alike[name.casefold()] == 1 else f"{name}-{name_hash(group).hex()[:8]}"
        for group, name in plain.items()
    }


def _agree_with_earlier(plan: FoldPlan) -> None:
    """Refuse a folder that holds something else than these folds.

    Raises:
        UserError: it does; the message says what differs.
    """
    file = plan.folder / FILE
    if not file.exists():
        if plan.folder.exists() and (not plan.folder.is_dir() or any(plan.folder.iterdir())):
            raise UserError(f"{plan.folder}: exists already and holds no folds: give another --out")
        return
    try:
        before, now = json.loads(read_text(file)), plan.asked()
        recipe, samples = before["recipe"], (before["samples"], before["digest"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: is damaged ({error}): give another --out") from error
    for key, value in now["recipe"].items():
        if recipe.get(key, value) != value:
            raise UserError(
                f"{plan.folder}: holds folds with {key} = {recipe[key]}, not {value}: give another --out, or the same "
                "options as before"
            )
    if samples != (now["samples"], now["digest"]):
        raise UserError(
            f"{plan.folder}: holds folds of {samples[0]} samples whose names or groups are not those of the "
            f"{now['samples']} in {plan.opened.root}: give another --out"
        )
