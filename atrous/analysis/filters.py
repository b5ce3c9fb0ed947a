"""The filters of a convolution as pictures; over DNA as sequence logos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from torch import nn

from atrous._nd import CONV
from atrous.analysis.drawing import COLORS, panels, save
from atrous.errors import UserError

BASES = {"A": "#1d8a54", "C": "#2563c9", "G": "#d99a08", "T": "#c0392b"}
"""Letters of the four channels of a sequence, in order, and their colors."""
_MOST = 64  # filters in one picture


@dataclass(frozen=True)
class Filters:
    """The filters of one convolution: `weights` `(filters, channels, *kernel)`, and the module they come from."""

    network: str
    layer: str
    weights: np.ndarray

    @property
    def ndim(self) -> int:
        """Spatial axes of the kernel."""
        return self.weights.ndim - 2

    @property
    def norms(self) -> np.ndarray:
        """The Euclidean norm of each filter: those near zero are dead."""
        return np.sqrt(np.square(self.weights).reshape(len(self.weights), -1).sum(1))

    def to_dict(self) -> dict[str, Any]:
        """Shape and norms, for JSON."""
        return {
            "network": self.network,
            "layer": self.layer,
            "shape": list(self.weights.shape),
            "norms": [float(n) for n in self.norms],
            "consensus": self.consensus(),
        }

    def consensus(self) -> list[str] | None:
        """The letters with the largest weight, one text per filter, for sequences (1-D, four channels); else None."""
        if self.ndim != 1 or self.weights.shape[1] != len(BASES):
            return None
        letters = np.array(list(BASES))
        return ["".join(letters[f.argmax(0)]) for f in self.weights]

    def text(self) -> str:
        """Shape, norms and, for sequences, the strongest letters."""
        count, channels, *kernel = self.weights.shape
        lines = [f"{self.network}: {self.layer}, {count} filters over {channels} channels, kernel {tuple(kernel)}"]
        norms = self.norms
        lines.append(
            f"norms {norms.min():.3g} to {norms.max():.3g}; {int((norms < 0.01 * norms.max()).sum())} nearly zero"
        )
        lines += [f"  {i}: {word}" for i, word in enumerate(self.consensus() or ())]
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Write the first 64 filters: colors for three channels, else gray means; logos or curves in 1-D."""
        shown = self.weights[:_MOST]
        if self.ndim == 1:
            return self._draw_lines(shown, path)
        columns = min(16, len(shown)) if self.ndim == 2 else 6
        tiles = [tile for f in shown for tile in _tiles(f)]
        rows = -(-len(tiles) // columns)
        figure, (axes,) = panels(1, 0.55 * columns + 0.3, 0.55 * rows + 0.5)
        axes.imshow(_mosaic(tiles, columns), interpolation="nearest")
        axes.set_title(f"{self.layer}: {len(self.weights)} filters {tuple(self.weights.shape[2:])}")
        axes.axis("off")
        return save(figure, path)

    def _draw_lines(self, shown: np.ndarray, path: Path | str) -> Path:
        shown = shown[np.argsort(-self.norms[: len(shown)])][:8]
        columns = min(2, len(shown))
        rows = -(-len(shown) // columns)
        figure, charts = panels(1, 1, 1)
        figure.clear()
        figure.set_size_inches(4.0 * columns, 1.5 * rows + 0.2)
        charts = [figure.add_subplot(rows, columns, i + 1) for i in range(len(shown))]
        top = float(np.abs(shown).max()) or 1.0
        for chart, f in zip(charts, shown, strict=True):
            for spine in chart.spines.values():
                spine.set_visible(False)
            chart.tick_params(length=0, labelsize=8)
            if self.consensus() is not None:
                logo(chart, f)
            else:
                for channel, color in zip(f, COLORS, strict=False):
                    chart.plot(channel, color=color, linewidth=1.4)
                chart.set_ylim(-top, top)
            chart.axhline(0, color=COLORS[-1], linewidth=0.6)
        return save(figure, path)


def filters(network: nn.Module, layer: str | None = None) -> Filters:
    """The filters of a convolution.

    Args:
        network: any module with a convolution.
        layer: module name; the first convolution that the network holds by default.

    Raises:
        UserError: there is no convolution, or `layer` is none.

    >>> filters(nn.Sequential(nn.Conv1d(4, 6, 9), nn.ReLU())).weights.shape
    (6, 4, 9)
    """
    found = {name: m for name, m in network.named_modules() if isinstance(m, tuple(CONV.values()))}
    if not found:
        raise UserError(f"{type(network).__name__}: has no convolution (nn.Conv1d, nn.Conv2d, nn.Conv3d)")
    if layer is not None and layer not in found:
        raise UserError(f"layer {layer!r}: no convolution of that name; there are {', '.join(list(found)[:8])}")
    name = next(iter(found)) if layer is None else layer
    weight = found[name].weight
    return Filters(type(network).__name__, name or type(network).__name__, weight.detach().double().cpu().numpy())  # type: ignore[operator]


def logo(axes: Axes, weights: np.ndarray) -> None:
    """Draw a filter `(4, length)` over A, C, G, T as a logo.

    One letter stands at every position, so adding a number to all four weights there only moves the bias: each column
    is shown without its mean. Letters that raise the output stack above the line, those that lower it below, the
    largest outermost.

    >>> from matplotlib.figure import Figure
    >>> logo(Figure().add_subplot(), np.eye(4))
    """
    centered = weights - weights.mean(0)
    low, high = 0.0, 0.0
    for position, column in enumerate(centered.T):
        for sign in (1, -1):
            at = 0.0
            for height, base in sorted((sign * h, b) for h, b in zip(column, BASES, strict=True) if sign * h > 1e-9):
                letter(axes, base, position, at if sign > 0 else -at - height, height)
                at += height
            low, high = min(low, -at if sign < 0 else 0), max(high, at if sign > 0 else 0)
    axes.set_xlim(-0.5, weights.shape[1] - 0.5)
    axes.set_ylim(1.05 * low - 1e-9, 1.05 * high + 1e-9)


def letter(axes: Axes, base: str, x: float, y: float, height: float) -> None:
    """Draw a base in its color as high as `height`, from `y` up, in the column around `x`."""
    outline = TextPath((0, 0), base, size=1)
    box = outline.get_extents()
    scale = Affine2D().translate(-box.x0, -box.y0).scale(0.9 / box.width, height / box.height).translate(x - 0.45, y)
    axes.add_patch(PathPatch(scale.transform_path(outline), facecolor=BASES[base], linewidth=0))


def _tiles(f: np.ndarray) -> list[np.ndarray]:
    """One filter `(channels, *kernel)` as pictures `(rows, columns, 3)` in 0..1: one in 2-D, middle planes in 3-D."""
    top = float(np.abs(f).max()) or 1.0
    gray = f if f.shape[0] == 3 else f.mean(0, keepdims=True).repeat(3, 0)
    gray = 0.5 + 0.5 * gray / (float(np.abs(gray).max()) or top)
    if f.ndim == 3:
        return [np.moveaxis(gray, 0, -1)]
    return [np.moveaxis(gray.take(f.shape[1 + a] // 2, 1 + a), 0, -1) for a in range(3)]


def _mosaic(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Tiles in rows, with white between them; smaller ones in the corner of their place."""
    height, width = (max(t.shape[a] for t in tiles) + 1 for a in (0, 1))
    board = np.ones((-(-len(tiles) // columns) * height + 1, columns * width + 1, 3))
    for i, tile in enumerate(tiles):
        top, left = i // columns * height + 1, i % columns * width + 1
        board[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return board
