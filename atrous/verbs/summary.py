"""The report of a run: gathers what the page shows."""

import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.composite import PARTS
from atrous.data.dataset import Dataset
from atrous.data.layouts.memory import ROOT
from atrous.data.sample import Sample
from atrous.errors import without_secrets
from atrous.files import write_text
from atrous.prediction.predictor import Predictor
from atrous.recipe.run import Run
from atrous.recipe.schema import Recipe, read_reasons
from atrous.report.page import Example, Measured, ReportContent, write_report
from atrous.report.pictures import busiest, upright
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.custom import found_task, value_task
from atrous.tasks.edges import EdgeTask
from atrous.tasks.measures import samples_text
from atrous.tasks.task import EvaluationResult
from atrous.tasks.temperature import class_task
from atrous.training.log import read_log
from atrous.training.settings import Outcome
from atrous.verbs.class_examples import class_examples
from atrous.verbs.edge_examples import edge_examples
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import probabilities_and_labels
from atrous.verbs.object_examples import extremes, found_examples
from atrous.verbs.value_examples import value_examples

EXAMPLES = 3
"""Best images and worst images shown, each."""


def write_summary(
    run: Run,
    dataset: Dataset,
    split: str,
    scores: EvaluationResult,
    outcome: Outcome,
    examples: Sequence[Example],
    further: Sequence[Measured] = (),
) -> None:
    """Write `report.html` and `scores.json` into the run folder.

    Args:
        run: the run.
        dataset: what it was trained on.
        split: the split that was measured.
        scores: its metrics.
        outcome: how the training ended.
        examples: what the report shows of the split.
        further: metrics on data that had no part in the training.
    """
    write_scores(run, split, scores)
    facts = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))
    recipe, checked = (run.folder / "recipe.toml").read_text(encoding="utf-8"), run.folder / "check.txt"
    history, chosen = read_log(run.folder / "metrics.csv"), run.recipe.train.choose
    content = ReportContent(
        title=f"{run.folder.name}: {run.recipe.model.name} on {dataset.root.resolve().name}",
        verdict={
            "measured on": f"{samples_text(scores.images, scores.sample)} of split {split!r}, not trained on"
            + (f", but used to choose the weights{_thresholds(run)}" if chosen else ""),
            "training": f"{outcome.seconds / 60:.1f} minutes, {outcome.step} steps; "
            + (f"best at step {outcome.best_step}" if chosen else "the last weights are kept"),
        },
        history=history,
        scores=scores,
        palette=dataset.palette,
        examples=list(examples),
        recipe_toml=recipe,
        environment=flat_facts(facts),
        commands=_commands(run, facts["command"], split),
        data_summary=checked.read_text(encoding="utf-8") if checked.exists() else "",
        plan_reasons=read_reasons(recipe),
        advice=advice(run.recipe, history, next(iter(scores.watched())), outcome.best_step),
        further=list(further),
        legend=legend_of(examples),
    )
    write_report(run.folder / "report.html", content)


def _thresholds(run: Run) -> str:
    """What the validation split chose beside the weights, in words; nothing for most runs."""
    calibration = run.calibration()
    if calibration is None or not calibration.thresholds:
        return ""
    return " and " + ", ".join(f"{name} {value:g}" for name, value in calibration.thresholds.items())


def legend_of(examples: Sequence[Example]) -> dict[str, tuple[int, int, int]]:
    """Return names and colors of what examples show, where these are not the classes of positions."""
    return {name: color for example in examples for name, color in example.legend.items()}


def write_scores(run: Run, split: str, scores: EvaluationResult) -> None:
    """Write the metrics of a split to `scores.json` in the run folder; of each sample the first one, worst first."""
    ranking = [[name, float(scores.per_image[name])] for name in scores.ranking()]
    facts = {"split": split, **scores.to_dict(), "metric": next(iter(scores.watched())), "ranking": ranking}
    write_text(run.folder / "scores.json", json.dumps(facts, indent=1))


def advice(recipe: Recipe, history: Sequence[dict[str, Any]], metric: str, best_step: int) -> list[str]:
    """Return what to do for a better network, one sentence each; nothing where nothing is known to help.

    Args:
        recipe: of the run.
        history: the rows of metrics.csv.
        metric: the metric that chose the weights.
        best_step: the step whose weights were chosen.
    """
    rows = [row for row in history if row["split"] == "val"]
    if len(rows) < 2 or rows[-1]["step"] != best_step or not recipe.train.choose:
        return []
    before, last = (row.get(metric) for row in rows[-2:])
    if last is None or not math.isfinite(last) or before is None or before == last:
        return []
    name = {"miou": "mean IoU"}.get(metric, metric)
    train = recipe.train
    longer = f"--minutes {2 * train.minutes:g}" if train.epochs is None and train.minutes else ""
    longer = longer or f"--epochs {2 * (train.epochs or 1):g}"
    return [
        f"Train longer: the last validation is the best one. In it the {name} still changed from {before:.3f} to "
        f"{last:.3f}, so a longer training (for example {longer}) should give a better network."
    ]


def _commands(run: Run, command: list[str], split: str) -> list[str]:
    command = command or sys.argv
    program = Path(command[0])
    own = program.stem == "atrous" or program.parts[-2:] == ("atrous", "__main__.py")  # else a program of the user
    typed = shlex.join(map(without_secrets, ["atrous", *command[1:]] if own else ["python", *command]))
    data, folder = run.recipe.data.root, shlex.quote(str(run.folder))
    predict = f"atrous predict {folder} IMAGE -o OUT"
    if data == str(ROOT):
        return [typed, predict]
    return [typed, f"atrous evaluate {folder} {shlex.quote(data)} --split {split}", predict]


def flat_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a run ran on (`recipe.run.environment`) as one table: facts, then versions."""
    rest = {k: v for k, v in facts.items() if k not in ("packages", "command") and v is not None}
    return rest | facts["packages"]


def grid_examples(predictor: Predictor, dataset: Dataset, split: str, result: EvaluationResult) -> list[Example]:
    """Return the samples with the highest and the lowest value of the first metric."""
    task = found_task(predictor.task)
    if isinstance(task, ClassificationTask):
        return class_examples(predictor, task, dataset, split, result)
    if task is not None:
        return found_examples(predictor, task, dataset, split, result)
    if isinstance(edges := value_task(predictor.task), EdgeTask):
        return edge_examples(predictor, edges, dataset, split, result)
    if value_task(predictor.task) is not None:
        return value_examples(predictor, dataset, split, result)
    return _examples(predictor, dataset, split, result, _shown_upright)


def video_examples(predictor: Predictor, dataset: Dataset, split: str, result: EvaluationResult) -> list[Example]:
    """Return one frame of each of the best and the worst videos: that in whose truth most positions have a class."""
    return _examples(predictor, dataset, split, result, _busiest_frame)


Shown = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Image, truth and prediction as they are drawn."""


def _examples(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    result: EvaluationResult,
    choose: Callable[[Sample, Shown], Shown],
) -> list[Example]:
    if not dataset.target.has_classes:
        return []
    wanted, first = extremes(result, EXAMPLES), next(iter(result.watched()))
    metric, images = {"miou": "mean IoU"}.get(first, first), PARTS.get(dataset.task, ("image",))
    samples = [sample for sample in dataset.splits[split] if sample.name in wanted]
    examples = []
    for sample, image, truth in read_ahead(predictor, samples):
        spacing = dataset.spacing_of(sample)
        output, labels = probabilities_and_labels(predictor, sample, image, spacing)
        if labels is None:
            # The most probable class; a task of one's own decodes its values.
            own = class_task(predictor.task) is None
            labels = predictor.task.decode(output[None])[0] if own else output.argmax(0).to(torch.uint8)
        prediction = labels.cpu().numpy()
        shown = choose(sample, (image, truth, prediction))
        value, kind = result.per_image[sample.name], wanted[sample.name]
        examples.append(Example(sample.name, *shown, value, kind, spacing, metric=metric, images=images))
    order = list(wanted)
    return sorted(examples, key=lambda example: order.index(example.name))


def _shown_upright(sample: Sample, shown: Shown) -> Shown:
    """A volume is mirrored so that it shows as radiologists look at it."""
    if shown[1].ndim != 3:
        return shown
    affine = sample.image.header().affine
    mirrored = () if affine is None else tuple(axis - 3 for axis in upright(affine))
    image, truth, prediction = (np.flip(part, mirrored) for part in shown)
    return image, truth, prediction


def _busiest_frame(sample: Sample, shown: Shown) -> Shown:
    image, truth, prediction = shown
    time = busiest(truth)[0]
    return image[:, time], truth[time], prediction[time]
