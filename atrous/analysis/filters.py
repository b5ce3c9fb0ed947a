"""The filters of a convolution as pictures; filters that read DNA as sequence logos."""

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
from atrous.geometry.exportable import require_weights

BASES = {"A": "#1d8a54", "C": "#2563c9", "G": "#d99a08", "T": "#c0392b"}
"""The bases that the four channels of a sequence stand for, in order, and their colors."""
_MOST = 64  # filters in one picture at most


@dataclass(frozen=True)
class Filters:
    """The filters of one convolution.

    Attributes:
        network: name of the network's class.
        layer: name of the convolution's module.
        weights: `(filters, channels, *kernel)`.
    """

    network: str
    layer: str
    weights: np.ndarray

    @property
    def ndim(self) -> int:
        """Number of spatial axes of the kernel."""
        return self.weights.ndim - 2

    @property
    def norms(self) -> np.ndarray:
        """Euclidean norm of each filter, `(filters,)`; a filter with a norm near 0 is dead."""
        return np.sqrt(np.square(self.weights).reshape(len(self.weights), -1).sum(1))

    def to_dict(self) -> dict[str, Any]:
        """Return shape, norms and consensus for JSON."""
        return {
            "network": self.network,
            "layer": self.layer,
            "shape": list(self.weights.shape),
            "norms": [float(n) for n in self.norms],
            "consensus": self.consensus(),
        }

    def consensus(self) -> list[str] | None:
        """Return the bases with the largest weight, one string per filter; None unless the filters read sequences."""
        if self.ndim != 1 or self.weights.shape[1] != len(BASES):
            return None
        letters = np.array(list(BASES))
        return ["".join(letters[f.argmax(0)]) for f in self.weights]

    def text(self) -> str:
        """Return shape, norms and, for filters that read sequences, the bases with the largest weight."""
        count, channels, *kernel = self.weights.shape
        lines = [f"{self.network}: {self.layer}, {count} filters over {channels} channels, kernel {tuple(kernel)}"]
        norms = self.norms
        lines.append(
            f"norms {norms.min():.3g} to {norms.max():.3g}; {int((norms < 0.01 * norms.max()).sum())} nearly zero"
        )
        lines += [f"  {i}: {word}" for i, word in enumerate(self.consensus() or ())]
        return "\n".join(lines)

    def draw(self, path: Path | str) -> Path:
        """Draw the first 64 filters, or in 1-D the 8 of them with the largest norms.

        Three channels are drawn as colors; other numbers of channels are averaged and drawn in gray. In 1-D, filters
        are drawn as logos if they read sequences, else as one curve per channel.
        """
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
    """Return the filters of a convolution.

    Args:
        network: any module with a convolution.
        layer: name of the convolution's module; the first convolution by default.

    Raises:
        UserError: the network has no convolution, or `layer` is not the name of one.

    >>> filters(nn.Sequential(nn.Conv1d(4, 6, 9), nn.ReLU())).weights.shape
    (6, 4, 9)
    """
    require_weights(network)
    convolutions = {name: m for name, m in network.named_modules() if isinstance(m, tuple(CONV.values()))}
    if not convolutions:
        raise UserError(f"{type(network).__name__}: has no convolution (nn.Conv1d, nn.Conv2d, nn.Conv3d)")
    if layer is not None and layer not in convolutions:
        raise UserError(
            f"layer {layer!r}: no convolution has this name: choose from {', '.join(list(convolutions)[:8])}"
        )
    name = next(iter(convolutions)) if layer is None else layer
    weight = convolutions[name].weight
    return Filters(type(network).__name__, name or type(network).__name__, weight.detach().double().cpu().numpy())  # type: ignore[operator]


def logo(axes: Axes, weights: np.ndarray) -> None:
    """Draw a filter `(4, length)` over A, C, G, T as a logo.

    A sequence has exactly one base at every position, so adding a number to all four weights of a position only changes
    the bias. Each column is therefore drawn without its mean. Bases that raise the output are stacked above the line,
    bases that lower it below, the largest farthest from the line.

    >>> from matplotlib.figure import Figure
    >>> logo(Figure().add_subplot(), np.eye(4))
    """
    centered = weights - weights.mean(0)
    low, high = 0.0, 0.0
    for position, column in enumerate(centered.T):
        for sign in (1, -1):
            stacked = 0.0
            for height, base in sorted((sign * h, b) for h, b in zip(column, BASES, strict=True) if sign * h > 1e-9):
                letter(axes, base, position, stacked if sign > 0 else -stacked - height, height)
                stacked += height
            low, high = min(low, -stacked if sign < 0 else 0), max(high, stacked if sign > 0 else 0)
    axes.set_xlim(-0.5, weights.shape[1] - 0.5)
    axes.set_ylim(1.05 * low - 1e-9, 1.05 * high + 1e-9)


def letter(axes: Axes, base: str, x: float, y: float, height: float) -> None:
    """Draw the letter of a base in its color, from `y` to `y + height`, in the column centered at `x`."""
    outline = TextPath((0, 0), base, size=1)
    box = outline.get_extents()
    scale = Affine2D().translate(-box.x0, -box.y0).scale(0.9 / box.width, height / box.height).translate(x - 0.45, y)
    axes.add_patch(PathPatch(scale.transform_path(outline), facecolor=BASES[base], linewidth=0))


def _tiles(f: np.ndarray) -> list[np.ndarray]:
    """Return pictures `(rows, columns, 3)` in 0..1 of a filter `(channels, *kernel)`: in 3-D its middle planes."""
    top = float(np.abs(f).max()) or 1.0
    gray = f if f.shape[0] == 3 else f.mean(0, keepdims=True).repeat(3, 0)
    gray = 0.5 + 0.5 * gray / (float(np.abs(gray).max()) or top)
    if f.ndim == 3:
        return [np.moveaxis(gray, 0, -1)]
    return [np.moveaxis(gray.take(f.shape[1 + a] // 2, 1 + a), 0, -1) for a in range(3)]


def _mosaic(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Join tiles `(rows, columns, 3)` to one picture, with white between them."""
    height, width = (max(t.shape[a] for t in tiles) + 1 for a in (0, 1))
    board = np.ones((-(-len(tiles) // columns) * height + 1, columns * width + 1, 3))
    for i, tile in enumerate(tiles):
        top, left = i // columns * height + 1, i % columns * width + 1
        board[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return board
