"""What outputs have in common whose answer is found in the dense maps of the whole input: objects, boxes, points."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.data.formats.npy import create_memmap
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.files import remove, replacing
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output
from atrous.tasks.task import FoundTask

LARGEST = 2**24
"""Positions that are drawn at most; of a larger input, every second (third, ...) position along each axis is drawn."""


class FoundFiles(Output):
    """Files of what was found in an input.

    The dense maps of the whole input are gathered first, on disk if the input is streamed. `end` decodes them, so that
    the answer is the same whatever the strips were.

    Args:
        paths: what is written, the main file first.
        task: what the dense maps mean.
    """

    values = "probabilities"

    def __init__(self, paths: tuple[Path, ...], task: FoundTask) -> None:
        self.paths, self._channels = paths, task.out_channels
        self._opened: Opened | None = None
        self._maps: Any = None
        self._streamed = False

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the dense maps."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        shape = (self._channels, *(int(n) for n in opened.source.shape[1:]))
        self._opened, self._streamed = opened, streamed
        remove(self._scratch)
        self._maps = create_memmap(self._scratch, shape, np.float32) if streamed else np.empty(shape, np.float32)

    @property
    def sink(self) -> Any:
        """Takes the dense maps `(K, *S)`, in any order."""
        return self._maps

    @property
    def opened(self) -> Opened:
        """The input, once it was begun."""
        assert self._opened is not None
        return self._opened

    def discard(self) -> None:
        """Remove the dense maps."""
        self._maps = None
        remove(self._scratch)

    @property
    def _scratch(self) -> Path:
        return self.paths[0].with_name(f".{self.paths[0].name}.maps.npy")


class FoundPicture(Output):
    """A PNG of what was found over the image; of a volume, over the slice with most of it.

    Args:
        path: the file.
        source: the output that finds it.
        draw: given the image `(C, *S)` of the file, and every how many rows and columns are drawn, returns the picture.
        what: what was found, for messages.
    """

    def __init__(self, path: Path, source: Output, draw: Callable[[Source, int], np.ndarray], what: str) -> None:
        self.paths, self.drawn_from = (path,), source
        self._draw, self._what = draw, what
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Check that the input is an image or a volume.

        Raises:
            UserError: it is a signal.
        """
        if len(opened.size) == 1:
            raise UserError(f"{self.paths[0]}: {self._what} of signals are not drawn: leave --overlay out")
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        image = self._opened.image_on_file()
        picture = self._draw(image, max(1, math.ceil(math.sqrt(math.prod(image.shape[-2:]) / LARGEST))))
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""
