"""`atrous evaluate --report FILE`: the page of an evaluation, like the report that a training writes."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from atrous.errors import UserError, without_secrets
from atrous.prediction.ensemble import load_ensemble
from atrous.prediction.predictor import LoadOptions
from atrous.recipe.run import Run, environment
from atrous.recipe.schema import read_reasons
from atrous.report.page import ReportContent, write_report
from atrous.tasks.fold_scores import FoldScores
from atrous.tasks.measures import samples_text
from atrous.tasks.shift_scores import ShiftScores
from atrous.training.log import read_log
from atrous.verbs.evaluate import Evaluated
from atrous.verbs.kinds import KINDS
from atrous.verbs.summary import flat_facts, legend_of


def check_page(path: Path) -> None:
    """Refuse a path at which no page can be written; to call before long work.

    Raises:
        UserError: it exists, or is not a name of an HTML file.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--report {path}: give the name of a file that ends in .html")
    if path.exists():
        raise UserError(f"--report {path}: exists already, and nothing is overwritten: give another name")


def write_evaluation(
    path: Path,
    run: Run | Path | str,
    evaluated: Evaluated,
    shifts: ShiftScores | None = None,
    folds: FoldScores | None = None,
    *,
    ensemble: Sequence[Path | str] = (),
    **loading: Unpack[LoadOptions],
) -> None:
    """Write the page.

    Args:
        path: an HTML file that does not exist.
        run: folder of the run.
        evaluated: its metrics on a split.
        shifts: the metric on changed images, if it was measured.
        folds: the metric of groups that were left out of a training each, if it was measured.
        ensemble: folders of further runs that were averaged with it.
        **loading: how the network is loaded and run (`LoadOptions`).

    Raises:
        UserError: the file exists.
    """
    check_page(path)
    predictor = load_ensemble([run, *ensemble], **loading)
    folder, dataset, split, scores = predictor.run.folder, evaluated.dataset, evaluated.split, evaluated.scores
    if split not in dataset.splits:
        samples = tuple(sample for sample in dataset.samples if sample.target is not None)
        dataset = replace(dataset, splits={**dataset.splits, split: samples})
    examples = list(KINDS[dataset.kind].examples(predictor, dataset, split, scores))
    recipe, log = (folder / "recipe.toml").read_text(encoding="utf-8"), folder / "metrics.csv"
    measured = f"{samples_text(scores.images, scores.sample)} of split {split!r} of {dataset.root.name}"
    content = ReportContent(
        title=f"{folder.name} on {dataset.root.name}",
        verdict={"measured on": measured, **({"note": evaluated.note} if evaluated.note else {})},
        history=read_log(log) if log.exists() else [],
        scores=scores,
        palette=dataset.palette,
        examples=examples,
        recipe_toml=recipe,
        environment=flat_facts(environment(sys.argv)),
        commands=[shlex.join(map(without_secrets, ["atrous", *sys.argv[1:]]))],
        data_summary=f"{dataset.root}: {dataset.layout}",
        plan_reasons=read_reasons(recipe),
        legend=legend_of(examples),
        shifts=shifts,
        folds=folds,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(path, content)
