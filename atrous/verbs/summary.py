"""The report of a run: gathers what the page shows."""

import json
import shlex
import sys
from typing import Any

import numpy as np

from atrous.data.dataset import Dataset, spacing_of
from atrous.data.formats import read_header
from atrous.prediction.predictor import Predictor
from atrous.recipe.run import Run
from atrous.report.page import Example, ReportContent, write_report
from atrous.report.pictures import busiest, upright
from atrous.tasks.scores import Scores
from atrous.training.log import read_log
from atrous.training.loop import Outcome
from atrous.verbs.evaluate import probabilities, read_ahead

EXAMPLES = 3
"""Best images and worst images shown, each."""


def write_summary(
    run: Run, predictor: Predictor, dataset: Dataset, split: str, scores: Scores, outcome: Outcome
) -> None:
    """Write `report.html` and `scores.json` into the run folder."""
    (run.folder / "scores.json").write_text(json.dumps({"split": split, **scores.to_dict()}, indent=1))
    facts = json.loads((run.folder / "environment.json").read_text())
    recipe, checked = (run.folder / "recipe.toml").read_text(), run.folder / "check.txt"
    content = ReportContent(
        title=f"{run.folder.name}: {run.recipe.model.name} on {dataset.root.resolve().name}",
        verdict={
            "measured on": f"{scores.images} {scores.sample}s of split {split!r}, not trained on, but used to choose "
            "the weights",
            "training": f"{outcome.seconds / 60:.1f} minutes, {outcome.step} steps; best at step {outcome.best_step}",
        },
        history=read_log(run.folder / "metrics.csv"),
        scores=scores,
        palette=dataset.palette,
        examples=[] if dataset.task == "stranded" else _examples(predictor, dataset, split, scores),
        recipe_toml=recipe,
        environment=_flat(facts),
        commands=_commands(run, facts["command"], split),
        data_summary=checked.read_text() if checked.exists() else "",
        plan_reasons=[line[1:].strip() for line in recipe.splitlines()[1:] if line.startswith("# ")],
    )
    write_report(run.folder / "report.html", content)


def _commands(run: Run, command: list[str], split: str) -> list[str]:
    typed = shlex.join(["atrous", *command[1:]]) if command else shlex.join(sys.argv)
    data = shlex.quote(run.recipe.data.root)
    return [typed, f"atrous evaluate {run.folder} {data} --split {split}", f"atrous predict {run.folder} IMAGE -o OUT"]


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in facts.items() if k not in ("packages", "command") and v is not None}
    return rest | facts["packages"]


def _examples(predictor: Predictor, dataset: Dataset, split: str, scores: Scores) -> list[Example]:
    """The images with the highest and the lowest mean IoU of their own."""
    ranking = scores.ranking()
    count = min(EXAMPLES, len(ranking) // 2) or len(ranking)
    worst, best = ranking[:count], ranking[::-1][:count]
    wanted = dict.fromkeys(worst, "worst") | dict.fromkeys(best, "best")
    samples = [s for s in dataset.splits[split] if s.name in wanted]
    examples = []
    for sample, image, label in read_ahead(predictor, dataset, samples):
        spacing = spacing_of(dataset, sample)
        found = probabilities(predictor, image, spacing)
        prediction = predictor.task.decode(found[None])[0].cpu().numpy()
        miou, kind = scores.per_image[sample.name], wanted[sample.name]
        affine = read_header(sample.image).affine
        mirrored = tuple(axis - 3 for axis in upright(affine)) if affine is not None and label.ndim == 3 else ()
        shown = [np.flip(part, mirrored) for part in (image, label, prediction)]
        if dataset.video:  # the frame with most to see
            time = busiest(label)[0]
            shown = [image[:, time], label[time], prediction[time]]
        examples.append(Example(sample.name, shown[0], shown[1], shown[2], miou, kind, spacing))
    order = [*best, *worst]
    return sorted(examples, key=lambda example: order.index(example.name))
