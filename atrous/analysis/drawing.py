"""The common look of all charts, and heat maps of 2-D and 3-D arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from atrous.errors import UserError

COLORS = ("#2563c9", "#c2570c", "#1d8a54", "#8b3fb5", "#6b7280")
"""Colors of curves, in order."""
INK, RULE = "#30343b", "#dfe2e7"


def panels(
    count: int, width: float = 4.0, height: float = 3.4, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` charts of `width` x `height` inches, in one row or in rows of so many `columns`."""
    columns = columns or count
    rows = -(-count // columns)
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.06)
    figure = Figure(figsize=(width * columns, height * rows), layout=layout, dpi=110)
    charts = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for axes in charts:
        axes.tick_params(which="both", colors=INK, labelsize=9, length=0)
        axes.set_axisbelow(True)
        axes.grid(True, color=RULE, linewidth=0.8)
        axes.title.set(color=INK, fontsize=10)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set(color=INK, fontsize=10)
        for side, spine in axes.spines.items():
            spine.set_visible(side in {"left", "bottom"})
            spine.set_color(RULE)
    return figure, charts


def legend(axes: Axes, **options: Any) -> None:
    """Add a legend without a frame."""
    axes.legend(frameon=False, labelcolor=INK, fontsize=9, **options)


def planes(array: np.ndarray) -> list[tuple[str, np.ndarray, tuple[int, ...]]]:
    """Return the planes to draw of an array: a 2-D array itself, or the three middle planes of a 3-D one.

    Each plane is a title, an array `(rows, columns)`, and the two axes of the array that rows and columns come from.

    >>> [(title, plane.shape) for title, plane, _ in planes(np.zeros((4, 6, 8)))]
    [('axis 0 at 2', (6, 8)), ('axis 1 at 3', (4, 8)), ('axis 2 at 4', (4, 6))]
    """
    if array.ndim == 2:
        return [("", array, (0, 1))]
    middle_planes = []
    for axis in range(3):
        middle = array.shape[axis] // 2
        rest = tuple(a for a in range(3) if a != axis)
        middle_planes.append((f"axis {axis} at {middle}", array.take(middle, axis), rest))
    return middle_planes


def image(
    axes: Axes, plane: np.ndarray, *, signed: bool = False, top: float | None = None, color: str = "magma"
) -> Any:
    """Draw a plane `(rows, columns)` as a heat map; signed ones in blue and red around zero.

    `top` is the value of the brightest color; the largest absolute value by default.
    """
    top = top or float(np.abs(plane).max()) or 1.0
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    low, shades = (-top, "RdBu_r") if signed else (0.0, color)
    return axes.imshow(plane, cmap=shades, vmin=low, vmax=top, interpolation="nearest")


def outline(axes: Axes, box: Sequence[tuple[int, int]], color: str = "#6ea8fe", style: str = "-") -> None:
    """Draw a rectangle around the rows `[lo, hi)` and the columns `[lo, hi)` of a heat map."""
    (top, bottom), (left, right) = box
    x, y = [left - 0.5, right - 0.5], [top - 0.5, bottom - 0.5]
    axes.plot(
        [x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], color=color, linestyle=style, linewidth=1.4
    )


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure as PNG, SVG or PDF, depending on the suffix of `path`, and return the path.

    Raises:
        UserError: `path` has another suffix, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise UserError(f"{path}: a picture is written as .png, .svg or .pdf: correct the suffix")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder: create it first")
    figure.savefig(path, facecolor="white")
    return path
