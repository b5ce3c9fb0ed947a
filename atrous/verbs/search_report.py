"""What a search leaves: the recipes that no other dominates, and a page about all that was tried."""

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from atrous.files import write_text
from atrous.recipe.schema import Recipe, override, split_setting, to_toml
from atrous.report.search_page import SearchContent, TrainedPoint, write_search_report
from atrous.searching.folder import SearchFolder
from atrous.searching.halving import front
from atrous.searching.importance import importances
from atrous.searching.ladder import Ladder

TIME = "milliseconds per megaposition"


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        folder: of the search.
        metric: name of the metric.
        front: the points that no other dominates, the best in the metric first; `recipe` is the file of its recipe.
        planned: the planned recipe with its longest training; None where it was not trained.
        trained: how many trainings there were on each rung.
        refused: why points were refused, and how many.
        importance: by objective, the importance of each variable.
        interrupted: whether the user interrupted it.
    """

    folder: Path
    metric: str
    front: list[TrainedPoint]
    planned: TrainedPoint | None
    trained: list[int]
    refused: dict[str, int]
    importance: dict[str, dict[str, float]]
    interrupted: bool

    def text(self) -> str:
        """Return an aligned table of the front for the terminal."""
        width = max([len(point.recipe) for point in self.front] + [len("planned")])
        lines = [f"{'recipe':{width}}{self.metric:>12}{'ms/megapos.':>13}{'minutes':>9}  differs from the plan in"]
        rows = [(point.recipe, point) for point in self.front]
        rows += [("planned", self.planned)] if self.planned is not None else []
        lines += [
            f"{name:{width}}{p.value:12.4f}{p.milliseconds:13.3g}{p.minutes:9.3g}  {p.differs or 'nothing'}"
            for name, p in rows
        ]
        for objective, shares in self.importance.items():
            most = ", ".join(f"{name} {share:.0%}" for name, share in list(shares.items())[:5])
            lines.append(f"what mattered for {objective}: {most}")
        lines.append(f"{sum(self.trained)} trainings, {sum(self.refused.values())} points refused untrained")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings and lists, for JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def report(folder: SearchFolder, ladder: Ladder, *, interrupted: bool = False) -> SearchResult:
    """Write the recipes of the front, `report.html` and `result.json` into the folder of a search."""
    longest = _longest(ladder)
    losses = ladder.losses(longest)
    order = sorted(range(len(longest)), key=lambda i: losses[i])
    best = [longest[i] for i in front(np.array(losses).reshape(-1, 2))]
    recipes = _write_recipes(folder, best)
    study, space = ladder.studies[0], folder.space
    names = (folder.order.metric, TIME)
    importance = {name: importances(study, space, index, folder.order.seed) for index, name in enumerate(names)}
    result = SearchResult(
        folder=folder.path,
        metric=folder.order.metric,
        front=[_point(folder, trial, path) for trial, path in zip(best, recipes, strict=True)],
        planned=next((_point(folder, t) for t in longest if space.canonical(t.params) == space.planned), None),
        trained=[len(ladder.finished(rung)) for rung in range(len(ladder.studies))],
        refused=ladder.refused(),
        importance={name: shares for name, shares in importance.items() if shares},
        interrupted=interrupted,
    )
    write_text(folder.path / "result.json", json.dumps(result.to_dict(), indent=1))
    write_search_report(folder.path / "report.html", _content(folder, ladder, result, [longest[i] for i in order]))
    return result


def _longest(ladder: Ladder) -> list[FrozenTrial]:
    """Of each point the trial on its highest rung."""
    found: dict[str, FrozenTrial] = {}
    for rung in range(len(ladder.studies)):
        found |= {ladder.space.text(trial.params): trial for trial in ladder.finished(rung)}
    return list(found.values())


def _point(folder: SearchFolder, trial: FrozenTrial, name: str | None = None) -> TrainedPoint:
    labels, planned = folder.space.canonical(trial.params), folder.space.planned
    differs = " ".join(f"{key}={label}" for key, label in labels.items() if label != planned[key])
    called = name or Path(trial.user_attrs["folder"]).name
    value, milliseconds = trial.values
    return TrainedPoint(called, value, milliseconds, float(trial.user_attrs["minutes"]), differs)


def recipe_of(folder: SearchFolder, labels: dict[str, str], minutes: float) -> Recipe:
    """Return the recipe of a point, for a training of so many minutes that starts where the planned one does."""
    return override(folder.recipe, [*folder.space.settings(labels), f"train.minutes={minutes:g}"])


def _write_recipes(folder: SearchFolder, best: list[FrozenTrial]) -> list[str]:
    """Write the recipe of each point of the front, and return the paths of the files."""
    place, names = folder.path / "recipes", []
    place.mkdir(exist_ok=True)
    for number, trial in enumerate(best, start=1):
        labels, minutes = folder.space.canonical(trial.params), float(trial.user_attrs["minutes"])
        value, time = trial.values
        why = f"found by a search: {folder.order.metric} {value:.4f} after {minutes:g} minutes, {time:.3g} {TIME}"
        keys = [".".join(split_setting(setting)[:2]) for setting in folder.space.settings(labels)]
        names.append(str(place / f"{number}.toml"))
        write_text(Path(names[-1]), to_toml(recipe_of(folder, labels, minutes), dict.fromkeys(keys, why)))
    for file in place.glob("*.toml"):  # of an earlier report, whose front was larger
        if str(file) not in names:
            file.unlink()
    return names


def _content(folder: SearchFolder, ladder: Ladder, result: SearchResult, trials: list[FrozenTrial]) -> SearchContent:
    order, needs = folder.order, folder.needs
    facts: dict[str, object] = {
        "data": order.data,
        "sampler": order.sampler,
        "minutes": f"{ladder.spent() / 60:.1f} of {order.minutes:g}",
        "trainings": ", ".join(
            f"{count} of {minutes:g} minutes" for count, minutes in zip(result.trained, order.rungs, strict=True)
        ),
        "timed input": " x ".join(map(str, needs.shape)),
        "threads": sorted({trial.user_attrs["threads"] for trial in trials}),
        "receptive field at least": [round(width, 1) for width in needs.objects],
        "latency at most": "any" if needs.latency is None else f"{needs.latency:g} ms",
        "memory at most": "any" if needs.memory is None else f"{needs.memory / 1e6:g} MB",
        "seed": order.seed,
    }
    remarks = ["The metric is that of the validation split, by which the search chose: expect less of a test split."]
    if order.inherit:
        remarks.append(
            "A training starts from the weights of the most similar network that was trained before, so a point that "
            "was tried late had a better start. Train the recipe anew before you compare it with others."
        )
    again = [f"atrous train --recipe {shlex.quote(point.recipe)} --minutes 30" for point in result.front[:1]]
    return SearchContent(
        title=f"{folder.path.name}: search on {Path(order.data).name}",
        metric=order.metric,
        front=result.front,
        planned=result.planned,
        trials=[_point(folder, trial) for trial in trials],
        importance=result.importance,
        refused=result.refused,
        space={variable.name: list(variable.labels) for variable in folder.space.variables},
        facts=facts,
        remarks=remarks,
        commands=[*again, f"atrous search --resume {shlex.quote(str(folder.path))} --minutes {2 * order.minutes:g}"],
    )
