"""What a network predicts for one input, and how it shows itself in a notebook."""

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atrous.color import VOID, Palette, default_palette
from atrous.labels import IGNORE
from atrous.prediction.inputs import Opened
from atrous.prediction.overlay import draw_overlay
from atrous.report.pictures import banded, colorize, flat, png_bytes, resized
from atrous.tasks.uncertainty import entropy_of

SHOWN = 640
"""Pixels of the longer side of the picture in a notebook."""
DRAWN = 2**20
"""Positions that are read for it at most, so that large inputs are not read whole."""


@dataclass(frozen=True)
class Prediction:
    """What a network predicts for one input. A notebook shows it as a picture with a table of the classes.

    Attributes:
        labels: `(*S)` uint8 class numbers, 255 where the input has no data. For genomes bit k is set where a base
            belongs to class k. A DataArray if the input was one.
        probabilities: `(K, *S)` float32, NaN where the input has no data; None if they were not asked for.
        classes: names, in label order.
        palette: a color per class.
        bits: whether labels are sets of classes, one bit per class, and not class numbers.
        image: opens the input again, so that the picture can show it.
    """

    labels: Any
    probabilities: Any | None
    classes: tuple[str, ...]
    palette: Palette = field(default=(), repr=False)
    bits: bool = field(default=False, repr=False)
    image: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)

    def shares(self) -> dict[str, float]:
        """Return, for each class, the share of the valid positions that have its label.

        >>> Prediction(np.array([0, 1, 1, 255], np.uint8), None, ("no", "yes")).shares()
        {'no': 0.3333333333333333, 'yes': 0.6666666666666666}
        """
        counts = np.bincount(np.asarray(self.labels).ravel(), minlength=256)
        total = max(1, int(counts.sum() - counts[IGNORE]))
        values = np.arange(256)
        if self.bits:
            counts[IGNORE] = 0
            numbers = [int(counts[(values >> k) & 1 == 1].sum()) for k in range(len(self.classes))]
        else:
            numbers = counts[: len(self.classes)].tolist()
        return {name: number / total for name, number in zip(self.classes, numbers, strict=True)}

    def uncertainty(self) -> np.ndarray:
        """Return the entropy of the calibrated probabilities, `(*S)` float32 from 0 (sure) to 1; NaN without data.

        Raises:
            ValueError: there are no probabilities.

        >>> Prediction(np.zeros(2, np.uint8), np.float32([[1, 0.5], [0, 0.5]]), ("no", "yes")).uncertainty().tolist()
        [0.0, 1.0]
        """
        if self.probabilities is None:
            raise ValueError("there are no probabilities: predict(..., probabilities=True)")
        return entropy_of(np.asarray(self.probabilities), bits=self.bits)

    def picture(self) -> np.ndarray:
        """Draw the labels in color over the input, as uint8 `(height, width, 3)`.

        A volume is drawn as the three planes with most labels, a signal as curves over a band of labels, and a sequence
        of bases as a band per class. Without the input the labels are drawn alone.
        """
        labels, palette = np.asarray(self.labels), self.palette or default_palette(len(self.classes))
        if self.bits:
            bands = [flat(_band(labels, k, palette)) for k in range(len(self.classes))]
            return np.concatenate(bands)
        if self.image is None:
            return resized(flat(colorize(labels, palette)), SHOWN, smooth=False)
        opened = self.image()
        if labels.ndim == 1:
            return banded(np.asarray(opened.source[...]), labels, palette)
        return resized(draw_overlay(opened, labels, palette, DRAWN), SHOWN)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.picture())

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode("ascii")
        palette = self.palette or default_palette(len(self.classes))
        rows = "".join(
            f'<tr><td style="background: rgb{tuple(color)}; width: 1.5em"></td><td>{html.escape(name)}</td>'
            f"<td>{100 * share:.1f}%</td></tr>"
            for (name, share), color in zip(self.shares().items(), palette, strict=True)
        )
        size = " x ".join(map(str, self.labels.shape))
        return (
            f'<div><img alt="labels of the input" src="data:image/png;base64,{picture}">'
            f"<table><caption>{size}, share of each class</caption>{rows}</table></div>"
        )


def _band(labels: np.ndarray, bit: int, palette: Palette) -> np.ndarray:
    """Colors `(L, 3)`: that of a class where its bit is set, light elsewhere, grey where there are no data."""
    colors = np.full((*labels.shape, 3), 245, np.uint8)
    colors[(labels >> bit) & 1 == 1] = palette[bit]
    colors[labels == IGNORE] = VOID
    return colors
