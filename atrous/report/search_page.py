"""The report of a search: one HTML file with the best recipes, what mattered, and every point that was trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from atrous.files import write_text
from atrous.report.page import chart_pair, page_templates
from atrous.report.search_plots import importance_chart, tradeoff_chart

__all__ = ["SearchContent", "TrainedPoint", "write_search_report"]


@dataclass(frozen=True)
class TrainedPoint:
    """A point of the space with the outcome of a training.

    Attributes:
        recipe: what it is called: the file of its recipe, or its run.
        value: of the metric.
        milliseconds: measured, for a million input positions.
        minutes: of its longest training.
        differs: in what it differs from the planned recipe; empty where it is that.
    """

    recipe: str
    value: float
    milliseconds: float
    minutes: float
    differs: str


@dataclass(frozen=True)
class SearchContent:
    """The content of the page.

    Attributes:
        title: title of the page.
        metric: name of the metric.
        front: the points that no other dominates, the best in the metric first.
        planned: the planned recipe; None where it was not trained.
        trials: all points, the best in the metric first.
        importance: by objective in words, the importance of each variable.
        refused: why points were refused, and how many.
        space: the labels of each variable.
        facts: how it was searched, by name.
        remarks: what to know about the result, one sentence each.
        commands: what to do next.
    """

    title: str
    metric: str
    front: list[TrainedPoint]
    planned: TrainedPoint | None
    trials: list[TrainedPoint]
    importance: dict[str, dict[str, float]]
    refused: dict[str, int]
    space: dict[str, list[str]]
    facts: dict[str, object]
    remarks: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def write_search_report(path: Path, content: SearchContent) -> None:
    """Write the page to `path`; an earlier one is replaced in one step."""
    every = [(point.milliseconds, point.value) for point in content.trials]
    best = [(point.milliseconds, point.value) for point in content.front]
    planned = None if content.planned is None else (content.planned.milliseconds, content.planned.value)
    plot = chart_pair(lambda ink: tradeoff_chart(every, best, planned, content.metric, ink)) if every else None
    bars = [
        {
            "title": f"For {objective}",
            "alt": f"Importance for {objective}: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
            **chart_pair(lambda ink, shares=shares: importance_chart(shares, ink)),
        }
        for objective, shares in content.importance.items()
        if shares
    ]
    template = page_templates().get_template("search.html.jinja")
    write_text(path, template.render(content=content, plot=plot, bars=bars, columns=[1]))
