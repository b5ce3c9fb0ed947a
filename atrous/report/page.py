"""The report of a run: one HTML file that needs no other file and no network, and can be read without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from atrous.color import ERROR, VOID, Palette
from atrous.files import replacing
from atrous.labels import IGNORE
from atrous.report.measure_words import metric_name
from atrous.report.plots import (
    DARK,
    LIGHT,
    Ink,
    confusion_chart,
    curve_chart,
    reliability_chart,
    review_chart,
    seconds_and,
)
from atrous.report.verdict import verdict
from atrous.report.views import CURVES, Example, ReportView, data_uri, embed, example_views
from atrous.report.words import calibration_words, review_words
from atrous.tasks.fold_scores import FoldScores
from atrous.tasks.scores import Scores
from atrous.tasks.shift_scores import ShiftScores
from atrous.tasks.stranded_metrics import StrandedScores
from atrous.tasks.task import EvaluationResult

__all__ = ["Example", "Measured", "ReportContent", "write_report"]

_LARGE_LIMIT = 1024  # pixels of the longer side of a picture that stands alone
_REVIEWED = 10  # samples that are listed for review


@dataclass(frozen=True, eq=False)
class Measured:
    """Metrics on data that had no part in the training, such as a test split, or one large image.

    Attributes:
        title: what was measured.
        sentences: what to know about it.
        metrics: values by name.
        pictures: colors `(height, width, 3)` uint8, by caption.
    """

    title: str
    sentences: list[str]
    metrics: dict[str, float]
    pictures: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The content of the page.

    Attributes:
        title: title of the page.
        verdict: further headline values by label, texts or numbers.
        history: the rows of metrics.csv (step, epoch, seconds, split, loss, learning_rate, miou, ...). A value is "" or
            None where its column does not apply.
        scores: metrics of the evaluation.
        palette: one color per class.
        examples: the best and the worst images.
        recipe_toml: text of the recipe.
        environment: versions of the software and properties of the machine, by name.
        commands: the commands that reproduce the run.
        data_summary: what the check of the data set reported.
        plan_reasons: the reasons for the choices of the recipe, one sentence each.
        advice: what to do for a better network, one sentence each.
        further: metrics on data that had no part in the training.
        legend: names and colors of what the examples show, where these are not the classes.
        shifts: the metric on changed images; None where it was not measured.
        folds: the metric of groups that were left out of a training each; None where it was not measured.
    """

    title: str
    verdict: dict[str, str | float]
    history: list[dict[str, Any]]
    scores: EvaluationResult
    palette: Palette
    examples: list[Example]
    recipe_toml: str
    environment: dict[str, Any]
    commands: list[str]
    data_summary: str
    plan_reasons: list[str]
    advice: list[str] = field(default_factory=list)
    further: list[Measured] = field(default_factory=list)
    legend: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    shifts: ShiftScores | None = None
    folds: FoldScores | None = None


def write_report(path: Path | str, content: ReportContent) -> None:
    """Write the page to `path`.

    An earlier page is replaced in one step, so that the file is complete at any time.

    Raises:
        ValueError: the palette does not have one color per class.
    """
    classes = _of_classes(content, content.scores) if isinstance(content.scores, Scores) else _NO_CLASSES
    examples = [_example(example, content.palette) for example in content.examples]
    further = [_measured(measured) for measured in content.further]
    embed([view for shown in (*examples, *further) for view in shown["views"]])
    script = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    html = (
        page_templates()
        .get_template("page.html.jinja")
        .render(
            content=content,
            scores=content.scores,
            pictured=bool(examples) or (classes["segmented"] and not isinstance(content.scores, StrandedScores)),
            **classes,
            verdict=verdict(content.scores, content.advice, further=bool(content.further)),
            curves=_curves(content.history, content.scores),
            examples={kind: [e for e in examples if e["kind"] == kind] for kind in ("worst", "best")},
            further=further,
            legend=_legend(content, classes["classes"]),
            colors={"void": _hex(VOID), "error": _hex(ERROR)},
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    with replacing(path) as beside:
        beside.write_text(html, encoding="utf-8")


def page_templates() -> Environment:
    """Return the templates of this folder, with the filters `metric` for numbers and `named` for what they are."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"metric": _metric, "named": metric_name}
    return environment


_NO_CLASSES: dict[str, Any] = {"segmented": False, "classes": [], "columns": [1]}
"""What the page shows of a task without classes: no tables and charts of classes."""


def _of_classes(content: ReportContent, scores: Scores) -> dict[str, Any]:
    """Return what the page shows of a task with classes: sentences, the table of classes and two charts."""
    if len(content.palette) != len(scores.classes):
        raise ValueError(f"{len(content.palette)} colors for {len(scores.classes)} classes: give one color per class")
    columns = scores.columns()
    return {
        "segmented": True,
        "calibration": calibration_words(scores),
        "classes": _class_rows(scores, content.palette),
        "columns": list(columns),
        "means": ["" if name == "share" else _mean(column) for name, column in columns.items()],
        "confusion": _confusion(scores),
        "reliability": _reliability(scores),
        "review": _review(scores),
    }


def _class_rows(scores: Scores, palette: Palette) -> list[dict[str, Any]]:
    """Return a row of the table of classes for each class."""
    columns = scores.columns().values()
    return [
        {"name": name, "color": _hex(color), "metrics": [float(column[i]) for column in columns]}
        for i, (name, color) in enumerate(zip(scores.classes, palette, strict=True))
    ]


def _mean(column: np.ndarray) -> float:
    """Return the mean over the classes `(K,)` that are not nan."""
    existing = column[~np.isnan(column)]
    return float(existing.mean()) if len(existing) else math.nan


def _curves(history: list[dict[str, Any]], scores: EvaluationResult) -> list[dict[str, Any]]:
    """Return the charts of loss, learning rate and the first metric; a chart without any point is left out."""
    metric = next(iter(scores.watched()))
    name = metric_name(metric)
    kinds = (
        ("Loss", "loss", "loss", ("train", "val")),
        ("Learning rate", "learning_rate", "learning rate", ("train",)),
        (f"On validation {scores.sample}s: {name}", metric, {"miou": name}.get(metric, metric), ("val",)),
    )
    charts = []
    for title, column, label, splits in kinds:
        curves = {split: seconds_and(history, column, split) for split in splits}
        curves = {split: points for split, points in curves.items() if points[0]}
        if curves:
            last = ", ".join(f"{split} {points[1][-1]:.4g} at the end" for split, points in curves.items())
            charts.append(
                {
                    "title": title,
                    "alt": f"{title} over time: {last}",
                    **chart_pair(lambda ink, c=curves, name=label: curve_chart(c, name, ink)),
                }
            )
    return charts


def _confusion(scores: Scores) -> dict[str, str]:
    """Return the confusion matrix, and a smaller one for narrow screens, where it is shown whole too."""
    matrix, names = scores.confusion, scores.classes
    small = chart_pair(lambda ink: confusion_chart(matrix, names, ink, small=True))
    wide = chart_pair(lambda ink: confusion_chart(matrix, names, ink))
    return wide | {f"small_{name}": chart for name, chart in small.items()}


def _measured(measured: Measured) -> dict[str, Any]:
    """Return what the page shows of data that had no part in the training."""
    pictures = measured.pictures.items()
    title = measured.title
    views = [ReportView(caption, f"{caption} of {title}", picture, limit=_LARGE_LIMIT) for caption, picture in pictures]
    return {
        "title": measured.title, "sentences": measured.sentences, "metrics": measured.metrics, "views": views,
    }  # fmt: skip


def _legend(content: ReportContent, classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return names, colors and numbers of what the examples show: kinds of objects, else the classes."""
    own = [
        {"name": name, "color": _hex(color), "number": number}
        for number, (name, color) in enumerate(content.legend.items(), 1)
    ]
    void = {"name": "void (not counted)", "color": _hex(VOID), "number": IGNORE}
    return own or [{**row, "number": number} for number, row in enumerate(classes)] + [void] * bool(classes)


def _reliability(scores: Scores) -> dict[str, str] | None:
    reliability = scores.reliability
    if reliability is None or not reliability.count.any():
        return None
    confidence = scores.confidence
    before = None if confidence is None or confidence.temperature == 1 else confidence.before
    return chart_pair(lambda ink: reliability_chart(reliability, ink, before))


def _review(scores: Scores) -> dict[str, Any] | None:
    """Return which samples to review first, and how many errors that catches; None where there is nothing to review."""
    confidence = scores.confidence
    if confidence is None or not (words := review_words(scores)):
        return None
    curves = {"positions": confidence.ranking.curve()}
    if len(confidence.doubts) > 1:
        curves[f"whole {scores.sample}s"] = confidence.review_curve()
    names = confidence.review_order()[:_REVIEWED]
    first = [confidence.doubts[name] for name in names]
    rows = [
        {"name": name, "uncertainty": doubt.uncertainty, "errors": doubt.errors / doubt.positions}
        for name, doubt in zip(names, first, strict=True)
    ]
    return {"words": words, "rows": rows, "chart": chart_pair(lambda ink: review_chart(curves, ink))}


def chart_pair(draw: Callable[[Ink], str]) -> dict[str, str]:
    """Draw a chart for a light and for a dark page, and return both as data URIs."""
    return {name: data_uri("image/svg+xml", draw(ink).encode()) for name, ink in (("light", LIGHT), ("dark", DARK))}


def _example(example: Example, palette: Palette) -> dict[str, Any]:
    """Return what the page shows of an example; its views are not encoded yet."""
    volume, switched = example.truth.ndim == 3, not example.pictures and example.truth.ndim > 1
    return {
        "name": example.name,
        "kind": example.kind,
        "miou": example.miou,
        "metric": example.metric,
        "note": example.note,
        "views": example_views(example, example.palette or palette),
        "wide": example.image.ndim == CURVES,
        "compared": example.compared,
        "alpha": (0.5 if volume else 1) if switched else None,
        "bare": f"0 {IGNORE}" if volume and switched else "",
        "size": (1, *example.image.shape[1:])[-2:] if example.image.ndim < 4 else None,
    }


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _metric(value: Any) -> str:
    """Return a number with three decimals (a dash for nan), or the items of a list or a dictionary with commas."""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) <= 1 else f"{value:,.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_metric(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_metric(part) for part in value)
    return str(value)
