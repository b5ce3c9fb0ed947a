"""Compare the samplers of `atrous search` on a space that is fully enumerated, and a found recipe with the planned one.

1. `python -m benchmarks.search --out FOLDER` trains all 48 networks of a small space on digit scenes, each for
   `--seconds`, from scratch and with the same seed, and keeps metric and time of each in `FOLDER/table.json` (started
   again, it goes on). Then every sampler, and random search, searches the space with several seeds: a training is
   looked up in the table. The first point of each search is the planned recipe, as in `atrous search`.

   regret     mean IoU of the best network of the space, less that of the best one found after so many trainings
   front      share of the area that the front of the space dominates that the front found after so many dominates

2. `python -m benchmarks.search --compare RECIPE --data DATA --minutes 10` trains the found recipe and the planned one
   for the same minutes from scratch, with `--seeds` seeds each, and prints mean and standard deviation of the metric,
   and the time per megaposition.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.storages import InMemoryStorage

from atrous.demo.digits import write_digit_scenes
from atrous.files import write_text
from atrous.recipe.plan import PlannedRecipe
from atrous.recipe.schema import Recipe, override, read_recipe
from atrous.searching.halving import dominated_by
from atrous.searching.ladder import Ladder
from atrous.searching.limits import examine, usual_input
from atrous.searching.planned_space import plan_space
from atrous.searching.samplers import SAMPLERS
from atrous.searching.space import Labels, Space, Variable
from atrous.verbs.check import check
from atrous.verbs.opened import open_data
from atrous.verbs.train import train, train_planned
from atrous.verbs.train_options import TrainOptions
from atrous.verbs.train_plan import plan_training

LABELS = {"encoder": 2, "decoder": 3, "width": 2, "attention": 2, "learning_rate": 2}
"""How many labels of each variable the small space has: 48 points."""
SETTINGS = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=18", "model.encoder_width=16", "model.width=32",
    "train.crop=[96, 96]", "train.batch_size=8",
)  # fmt: skip
AFTER = (6, 12, 24)
"""Trainings after which a search is judged."""


def random_order(space: Space, seed: int) -> list[Labels]:
    """All points in a random order, the planned recipe first."""
    others = [point for point in space.points() if point != space.planned]
    return [space.planned, *(others[i] for i in np.random.default_rng(seed).permutation(len(others)))]


def small_space(recipe: Recipe) -> Space:
    """The enumerated space: a few labels of a few variables."""
    full = plan_space(recipe).only(LABELS)
    return Space(tuple(Variable(v.name, dict(list(v.options.items())[: LABELS[v.name]]), {}) for v in full.variables))


def enumerate_space(folder: Path, seconds: float) -> tuple[Space, dict[str, list[float]]]:
    """Train every point; return the space, and metric and milliseconds per megaposition by the text of a point."""
    data = folder / "digits"
    if not data.exists():
        write_digit_scenes(data, train=160, val=40, test=40, size=(128, 128), seed=0)
    checked, opened = check(data), open_data(data)
    options = TrainOptions(minutes=seconds / 60, settings=SETTINGS)
    planned = plan_training(checked, None, options)
    space, path = small_space(planned.recipe), folder / "table.json"
    table: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
    points = list(space.points())
    times = {}  # of equal networks, which differ in how they are trained, one is timed
    for number, point in enumerate(points, start=1):
        text = space.text(point)
        if text in table:
            continue
        recipe = override(planned.recipe, space.settings(point))
        run = folder / "runs" / f"{number:02d}"
        for attempt in range(1, 100):  # an interrupted run stays where it is
            if not run.exists():
                break
            run = folder / "runs" / f"{number:02d}-{attempt}"
        trained = train_planned(PlannedRecipe(recipe, {}), checked, opened, run, say=lambda line: None)
        if trained.scores is None:
            raise SystemExit("interrupted: start again to go on")
        network = recipe.model.model_dump_json()
        if network not in times:
            times[network] = examine(recipe, usual_input(recipe, checked.fingerprint)).per_megaposition
        table[text] = [trained.scores.miou, times[network]]
        write_text(path, json.dumps(table, indent=1))
        print(f"{number:3} of {len(points)}  {table[text][0]:.4f}  {table[text][1]:8.1f}  {text}", flush=True)
    return space, table


def search_table(name: str, space: Space, table: dict[str, list[float]], seed: int) -> list[str]:
    """Return the points that a sampler tries, in order, as many as `AFTER` asks for at most."""
    if name == "random":
        return [space.text(point) for point in random_order(space, seed)[: AFTER[-1]]]
    ladder = Ladder.open(InMemoryStorage(), (1.0,), space, sampler=name, seed=seed, higher_is_better=True)
    tried: list[str] = []
    while len(tried) < AFTER[-1]:
        claim = ladder.claim(1e9, lambda labels: None)
        if claim is None:
            break
        tried.append(space.text(claim.labels))
        ladder.finish(claim, table[tried[-1]], {})
    return tried


def dominated_area(values: np.ndarray, worst: np.ndarray) -> float:
    """Area between the worst corner and the front of `values` `(n, 2)`, smaller is better in both columns."""
    best = values[dominated_by(values) == 0]
    area, top = 0.0, worst[1]
    for first, second in sorted(set(map(tuple, best))):
        area += (worst[0] - first) * max(0.0, top - second)
        top = min(top, second)
    return area


def compare_samplers(space: Space, table: dict[str, list[float]], seeds: int) -> dict[str, Any]:
    """Return for each sampler its mean regret and share of the front after so many trainings."""
    losses = {text: np.array([-miou, np.log(ms)]) for text, (miou, ms) in table.items()}
    every = np.array(list(losses.values()))
    worst, best = every.max(0), -every[:, 0].min()
    whole = dominated_area(every, worst)
    found: dict[str, Any] = {}
    for name in ("random", *SAMPLERS):
        rows = [search_table(name, space, table, seed) for seed in range(seeds)]
        found[name] = {
            "regret": [statistics.mean(best - max(table[t][0] for t in row[:k]) for row in rows) for k in AFTER],
            "front": [
                statistics.mean(dominated_area(np.array([losses[t] for t in row[:k]]), worst) / whole for row in rows)
                for k in AFTER
            ],
        }
    return found


def compare_recipes(recipe: Path, data: Path, minutes: float, seeds: int, out: Path) -> dict[str, Any]:
    """Train a found recipe and the planned one for the same minutes, with the same seeds."""
    found: dict[str, Any] = {}
    for name, options in (("planned", {}), ("found", {"recipe": recipe})):
        values, shape = [], None
        for seed in range(seeds):
            run = out / f"{name}-{seed}"
            trained = train(data, out=run, minutes=minutes, seed=seed, progress=False, **options)
            values.append(next(iter(trained.scores.watched().values())))
        shape = usual_input(trained.run.recipe, check(data).fingerprint)
        facts = examine(trained.run.recipe, shape)
        found[name] = {"values": values, "milliseconds": facts.per_megaposition}
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:8} {statistics.mean(values):.4f} +- {spread:.4f}  {facts.per_megaposition:.1f} ms/megaposition")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the table")
    parser.add_argument("--seconds", type=float, default=20, help="of each training of the table")
    parser.add_argument("--seeds", type=int, default=None, help="default: 20 for samplers, 3 for recipes")
    parser.add_argument("--compare", type=Path, help="a recipe that a search found")
    parser.add_argument("--data", type=Path, help="the data set of the recipe")
    parser.add_argument("--minutes", type=float, default=10, help="of each training that is compared")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"torch {torch.__version__}, optuna {optuna.__version__}, {torch.get_num_threads()} threads")
    if given.compare is not None:
        data = given.data or Path(read_recipe(given.compare).data.root)
        result = compare_recipes(given.compare, data, given.minutes, given.seeds or 3, given.out)
        print(json.dumps(result))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    space, table = enumerate_space(given.out, given.seconds)
    seeds = given.seeds or 20
    result = compare_samplers(space, table, seeds)
    print(f"{len(table)} networks of {given.seconds:g} seconds; mean of {seeds} searches, after {AFTER} trainings")
    print(f"{'sampler':12}{'regret':^27}{'front':^27}")
    for name, row in result.items():
        print(f"{name:12}" + "".join(f"{v:9.4f}" for v in row["regret"]) + "".join(f"{v:9.3f}" for v in row["front"]))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
