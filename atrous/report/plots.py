"""Charts of a report as SVG text, each drawn for a light and for a dark page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atrous.tasks.calibration import Reliability

__all__ = [
    "DARK",
    "LIGHT",
    "Ink",
    "confusion_chart",
    "curve_chart",
    "new_figure",
    "reliability_chart",
    "review_chart",
    "seconds_and",
    "svg_text",
]

_SIZE = (4.2, 2.7)  # inches; small, so that a phone does not have to shrink the letters
_SQUARE = (4.2, 3.9)  # inches of a chart that is about as high as wide, with a legend below it
_CONTRAST = 0.7  # exponent on shares, so that small ones are visible
_POINTS = 300  # points of a curve at most; more would make the page larger but not clearer


@dataclass(frozen=True)
class Ink:
    """Colors of a chart, as "#rrggbb".

    Attributes:
        text: color of letters.
        reverse: color of letters on a dark field.
        rule: color of lines and ticks.
        first: color of the first curve and of fields.
        second: color of the second curve.
    """

    text: str
    reverse: str
    rule: str
    first: str
    second: str


@dataclass(frozen=True)
class _MatrixStyle:
    """Sizes of a confusion matrix.

    Attributes:
        side: inches; None follows from the number of classes.
        letters: letters of a class name at most.
        names: points of the class names at most.
        cells: points of the numbers.
        written: classes up to which numbers are written into the cells.
    """

    side: float | None
    letters: int
    names: float
    cells: float
    written: int


_LARGE = _MatrixStyle(side=None, letters=16, names=9, cells=8.5, written=30)
_SMALL = _MatrixStyle(side=3.6, letters=10, names=7.5, cells=6.5, written=15)  # 3.6 inches are 346 pixels of a page


LIGHT = Ink(text="#30343b", reverse="#ffffff", rule="#dfe2e7", first="#2563c9", second="#c2570c")
DARK = Ink(text="#c9ced6", reverse="#0d1117", rule="#3a3f47", first="#6ea8fe", second="#f59a4c")


def curve_chart(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], label: str, ink: Ink) -> str:
    """Draw curves over the time of training, as SVG.

    Args:
        curves: seconds and values of each curve, by its name. Values that are nan are left out.
        label: label of the vertical axis.
        ink: colors.

    >>> curve_chart({"train": ([0, 60, 120], [2.0, 1.0, 0.5])}, "loss", LIGHT).startswith("<svg")
    True
    """
    figure, axes = new_figure(ink, _SIZE)
    end = max((max(seconds) for seconds, _ in curves.values() if len(seconds)), default=0)
    unit, scale = ("seconds", 1) if end < 180 else ("minutes", 60) if end < 4 * 3600 else ("hours", 3600)
    for (name, (seconds, values)), color in zip(curves.items(), (ink.first, ink.second), strict=False):
        x, y = _thinned(np.asarray(seconds, float), np.asarray(values, float))
        axes.plot(
            x / scale, y, color=color, label=name, marker="o" if len(x) <= 40 else "", markersize=3, linewidth=1.5
        )
    axes.set_xlabel(unit)
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(left=0)
    if len(curves) > 1:
        axes.legend(frameon=False, labelcolor=ink.text, fontsize=9)
    return svg_text(figure)


def confusion_chart(confusion: np.ndarray, classes: Sequence[str], ink: Ink, *, small: bool = False) -> str:
    """Draw a confusion matrix `(K, K)` as a heat map, as SVG: each row (true class) in percent of that row.

    Up to 30 classes (in a small chart up to 15), the percentages are written into the cells. A class that never occurs
    in the truth has an empty row.

    Args:
        confusion: counts, rows are truth.
        classes: names.
        ink: colors.
        small: draw it for the screen of a phone: as wide as that, with smaller letters and shorter names.
    """
    count, style = len(classes), _SMALL if small else _LARGE
    total = confusion.sum(1, keepdims=True)
    share = np.divide(confusion, total, out=np.zeros(confusion.shape), where=total > 0)
    side = style.side or max(3.4, 1.6 + min(0.42 * count, 0.32 * count + 0.9))
    figure, axes = new_figure(ink, (side, side))
    axes.grid(False)
    shades = LinearSegmentedColormap.from_list("shares", [to_rgba(ink.first, 0), to_rgba(ink.first, 1)])
    shade = share**_CONTRAST
    axes.pcolormesh(shade, cmap=shades, vmin=0, vmax=1, edgecolor="none", rasterized=count > 60)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    names = [name if len(name) <= style.letters else name[: style.letters - 1] + "…" for name in classes]
    axes.set_xticks(np.arange(count) + 0.5, names, rotation=55, ha="right", rotation_mode="anchor")
    axes.set_yticks(np.arange(count) + 0.5, names)
    axes.tick_params(length=0, labelsize=min(style.names, 60 * side / count))  # names must not overlap
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(ink.rule)
    if count <= style.written:
        _write_cells(axes, share, ink, style.cells)
    return svg_text(figure)


def reliability_chart(reliability: Reliability, ink: Ink, before: Reliability | None = None) -> str:
    """Draw accuracy by confidence, with the diagonal of a perfectly calibrated network, as SVG.

    Args:
        reliability: of the network.
        ink: colors.
        before: the same without its temperature, drawn too if it is given.
    """
    bins = len(reliability.count)
    figure, axes = new_figure(ink, _SQUARE)
    centers = (np.arange(bins) + 0.5) / bins
    filled = reliability.count > 0
    share = reliability.count / max(reliability.count.sum(), 1)
    axes.bar(centers, share, width=0.98 / bins, color=ink.text, alpha=0.18, label="share of positions")
    axes.plot([0, 1], [0, 1], color=ink.text, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    if before is not None:
        seen = before.count > 0
        axes.plot(
            before.confidence[seen], before.accuracy[seen], color=ink.second, marker="o", markersize=3, linewidth=1.2,
            linestyle=(0, (2, 2)), label="before its temperature",
        )  # fmt: skip
    axes.plot(
        reliability.confidence[filled],
        reliability.accuracy[filled],
        color=ink.first,
        marker="o",
        markersize=4,
        linewidth=1.5,
        label="this network",
    )
    axes.set_xlabel("confidence: probability of the predicted class")
    axes.set_ylabel("share that is right")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    _legend_below(figure, ink)
    return svg_text(figure)


def review_chart(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], ink: Ink) -> str:
    """Draw the share of the errors that are caught by the share that is reviewed, the most uncertain first, as SVG.

    Args:
        curves: shares reviewed and caught, both from 0 to 1, by what is reviewed.
        ink: colors.

    >>> review_chart({"positions": (np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.7, 1.0]))}, LIGHT).startswith("<svg")
    True
    """
    figure, axes = new_figure(ink, _SQUARE)
    axes.plot([0, 1], [0, 1], color=ink.text, linewidth=1, linestyle=(0, (4, 3)), label="in any order")
    grid = np.linspace(0, 1, _POINTS)
    for (name, (reviewed, caught)), color in zip(curves.items(), (ink.first, ink.second), strict=False):
        axes.plot(grid, np.interp(grid, reviewed, caught), color=color, linewidth=1.5, label=name)
    axes.set_xlabel("share that is reviewed, the most uncertain first")
    axes.set_ylabel("share of the errors that are caught")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    _legend_below(figure, ink)
    return svg_text(figure)


def seconds_and(history: Sequence[dict[str, Any]], column: str, split: str) -> tuple[list[float], list[float]]:
    """Return one curve from the rows of metrics.csv: the seconds and the values of `column` in the rows of `split`.

    Rows without a value are left out.

    >>> rows = [{"seconds": "1", "split": "train", "loss": "2"}, {"seconds": "2", "split": "val", "loss": ""}]
    >>> seconds_and(rows, "loss", "train")
    ([1.0], [2.0])
    """
    points = [(row["seconds"], row.get(column)) for row in history if row["split"] == split]
    pairs = [(float(seconds), float(value)) for seconds, value in points if value not in (None, "")]
    return [seconds for seconds, _ in pairs], [value for _, value in pairs]


def new_figure(ink: Ink, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, with one chart, both transparent."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(True, color=ink.rule, linewidth=0.8)
    axes.tick_params(colors=ink.text, labelsize=9, length=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=ink.text, fontsize=10)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(ink.rule)
    return figure, axes


def _legend_below(figure: Figure, ink: Ink) -> None:
    """Put the legend below the chart: curves from 0 to 1 along both axes may pass through every corner of it."""
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=ink.text, fontsize=9)


def _write_cells(axes: Axes, share: np.ndarray, ink: Ink, size: float) -> None:
    """Write the shares `(K, K)` in percent into the cells of the heat map; those that round to 0 are left out."""
    for (row, column), value in np.ndenumerate(share):
        if round(100 * value) == 0:
            continue
        color = ink.reverse if value**_CONTRAST > 0.55 else ink.text
        axes.text(column + 0.5, row + 0.5, f"{100 * value:.0f}", ha="center", va="center", fontsize=size, color=color)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `_POINTS` points of a curve: means over about equal numbers of neighboring points."""
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(x) <= _POINTS:
        return x, y
    edges = np.linspace(0, len(x), _POINTS + 1).astype(int)
    count = np.diff(edges)
    return np.add.reduceat(x, edges[:-1]) / count, np.add.reduceat(y, edges[:-1]) / count


def svg_text(figure: Figure) -> str:
    """Return the figure as one `<svg>` element with text as text; equal figures give equal bytes."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "atrous", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
