"""Masks of single frames of a fixed camera, with the values of changedetection.net."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, Header, read_header, read_values

BACKGROUND, SHADOW, OUTSIDE, UNKNOWN, FOREGROUND = 0, 50, 85, 170, 255
"""Values of these masks: shadows are background; what is outside of the region of interest or unknown is void."""


@dataclass(frozen=True)
class SceneMask:
    """The mask of one frame, as labels of a clip of one frame, `(1, H, W)`.

    Attributes:
        path: the file.
    """

    path: Path

    def header(self) -> Header:
        """See `LabelReader.header`."""
        header = read_header(self.path)
        return replace(header, shape=(header.channels, 1, *header.size))

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`: shadows become background, and masks of 0 and 1 those of 0 and 255.

        Raises:
            FileFault: the mask has colors.
        """
        values = read_values(self.path)
        if values.ndim != 2:
            raise FileFault(self.path, "a mask in color", "save it in one channel: 0 background, 255 what moves")
        values = np.where(values == SHADOW, BACKGROUND, values)
        if values.max(initial=0) == 1:
            values = np.where(values == 1, FOREGROUND, values)
        return values[None], False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: a mask says something of every pixel."""
