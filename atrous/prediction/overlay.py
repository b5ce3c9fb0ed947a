"""A picture of the labels in color over the image; of a volume, three planes through its labels.

Of two images, before and after, it shows both, and beside them the second one with the labels.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.color import Palette
from atrous.files import replacing
from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
from atrous.prediction.output import Output
from atrous.report.pictures import beside, busiest, flat, overlay, to_rgb

LARGEST = 2**24
"""Positions that are drawn at most; of a larger input, every second (third, ...) position along each axis is drawn."""


class OverlayPicture(Output):
    """A PNG of the labels over the image, drawn when all labels are there.

    Args:
        path: the file.
        labels: the label file from which it is drawn.
        palette: a color per class.
    """

    def __init__(self, path: Path, labels: LabelFile, palette: Palette) -> None:
        self.paths, self.drawn_from = (path,), labels
        self._labels, self._palette = labels, palette
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Remember the image."""
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        picture = draw_overlay(self._opened, self._labels.on_file_grid(), self._palette)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def draw_overlay(opened: Opened, labels: Any, palette: Palette, largest: int = LARGEST) -> np.ndarray:
    """Draw labels `(*S)` on the grid of the file over its image, as uint8 `(height, width, 3)`.

    Args:
        opened: the input.
        labels: class numbers, read as they are sliced.
        palette: a color per class.
        largest: number of positions that are drawn at most.
    """
    size = tuple(labels.shape)
    step = max(1, math.ceil((math.prod(size) / largest) ** (1 / len(size))))
    every = (slice(None, None, step),) * len(size)
    image = np.asarray(opened.image_on_file()[(slice(None), *every)])
    drawn = np.asarray(labels[every])
    center, spacing = busiest(drawn), opened.spacing if len(size) == 3 else None
    if opened.images == 1:
        return flat(overlay(image, drawn, palette), center, spacing)
    parts = np.split(image, opened.images)
    painted = [*map(to_rgb, parts), overlay(parts[-1], drawn, palette, bare=0)]
    return beside([flat(picture, center, spacing) for picture in painted])
