"""Charts of the report of a search as SVG text, each drawn for a light and for a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import LogLocator, NullLocator

from atrous.report.plots import Ink, new_figure, svg_text

SHOWN = 12
"""Variables of a chart at most; the others matter least."""


def tradeoff_chart(
    every: Sequence[tuple[float, float]],
    best: Sequence[tuple[float, float]],
    planned: tuple[float, float] | None,
    metric: str,
    ink: Ink,
) -> str:
    """Draw a metric against time, as SVG.

    Args:
        every: milliseconds and value of each point.
        best: those of the points that no other dominates.
        planned: those of the planned recipe, or None.
        metric: its name.
        ink: colors.
    """
    figure, axes = new_figure(ink, (5.2, 3.4))
    axes.scatter(*zip(*every, strict=True), s=16, color=ink.text, alpha=0.45, linewidths=0, label="points")
    line = sorted(best)
    axes.plot(*zip(*line, strict=True), color=ink.first, marker="o", markersize=5, linewidth=1.5, label="best")
    if planned is not None:
        axes.plot(*planned, color=ink.second, marker="s", markersize=7, linestyle="", label="planned")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("milliseconds per megaposition")
    axes.set_ylabel(metric)
    axes.legend(frameon=False, labelcolor=ink.text, fontsize=9)
    return svg_text(figure)


def importance_chart(shares: Mapping[str, float], ink: Ink) -> str:
    """Draw the importance of variables as bars, the greatest on top, as SVG.

    >>> from atrous.report.plots import LIGHT
    >>> importance_chart({"width": 0.75, "crop": 0.25}, LIGHT).startswith("<svg")
    True
    """
    rows = sorted(shares.items(), key=lambda row: -row[1])[:SHOWN]
    figure, axes = new_figure(ink, (4.2, 0.8 + 0.28 * len(rows)))
    axes.grid(False, axis="y")
    axes.barh([name for name, _ in rows], [share for _, share in rows], color=ink.first)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return svg_text(figure)
