"""Edges as lines that are one pixel wide, as a picture beside the strengths."""

from pathlib import Path

import numpy as np
from PIL import Image

from atrous.errors import UserError
from atrous.files import replacing
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output
from atrous.prediction.values import LARGEST_PICTURE, NumberFile
from atrous.tasks.thinning import suppress

ROWS = 1024
"""Rows that are suppressed at once."""
HALO = 16
"""Rows beyond them on either side, more than a strength can depend on: smoothing reaches 5, derivatives and the step
across an edge 3, and beside the border of what it is given `suppress` lowers strengths in 5."""


class ThinEdges(Output):
    """A PNG `(H, W)` of 8 bits of the strengths that are largest across their edge, 255 for 1; the others are 0.

    Args:
        path: the file.
        main: the file of strengths `(1, H, W)`.
    """

    def __init__(self, path: Path, main: NumberFile) -> None:
        self.paths, self.drawn_from, self._main = (path,), main, main
        self._size = (0, 0)

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look at the size.

        Raises:
            UserError: it is too large for a PNG file.
        """
        height, width = (int(length) for length in opened.source.shape[1:])
        if height * width > LARGEST_PICTURE:
            raise UserError(f"{self.paths[0]}: {height:,} x {width:,}: too large for PNG: leave --thin out")
        self._size = height, width

    def finish(self) -> None:
        """Suppress the strengths some rows at a time, and write the file."""
        height = self._size[0]
        picture = np.empty(self._size, np.uint8)
        for start in range(0, height, ROWS):
            first, stop = max(0, start - HALO), min(height, start + ROWS)
            strength = self._main.rows(first, min(height, stop + HALO))[0]
            kept = suppress(np.nan_to_num(strength))[start - first : stop - first]
            picture[start:stop] = np.rint(255 * kept)
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""
