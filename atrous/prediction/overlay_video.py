"""A video of the labels in color over the frames: mp4, of the size, frame rate and times of the input."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.color import Palette
from atrous.data.formats import open_source
from atrous.errors import UserError
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output
from atrous.report.pictures import overlay

if TYPE_CHECKING:
    from atrous.data.formats.movie import MovieWriter

FRAME_RATE = 25
"""Frames per second for a folder of frames, which does not say its own rate."""


class OverlayVideo(Output):
    """An mp4 with the labels drawn over the frames, encoded frame by frame; class 0 is left unpainted.

    Args:
        path: the file.
        video: the file or folder of the video that is drawn over.
        palette: a color per class.
    """

    values, in_order = "labels", True

    def __init__(self, path: Path, video: Path, palette: Palette) -> None:
        self.paths = (path,)
        self._video, self._palette = video, palette
        self._writer: MovieWriter | None = None
        self.sink: OverlaySink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Open the encoder, and the video for a second time: the network's source has no frames in color as they were.

        Raises:
            UserError: the input is not a video, or PyAV is not installed.
        """
        from atrous.data.formats.movie import MovieWriter, index_of

        shape = tuple(int(n) for n in opened.source.shape[1:])
        if len(shape) != 3:
            raise UserError(f"{self._video}: has the shape {shape}, but only videos (T, H, W) get an overlay video")
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        size, times = (shape[1], shape[2]), None
        if self._video.is_dir():
            self._writer = MovieWriter(self.paths[0], size, Fraction(FRAME_RATE))
        else:
            index = index_of(self._video)
            times = tuple(time - index.times[0] for time in index.times)
            self._writer = MovieWriter(self.paths[0], size, index.rate, index.unit)
        clip: Any = open_source(self._video)  # a `Clip`, whose frames can be read one by one
        frames = clip.frames(range(shape[0]))
        self.sink = OverlaySink(self._writer, frames, times, shape, self._palette)

    def finish(self) -> None:
        """Finish encoding and put the file in its place."""
        assert self._writer is not None
        self._writer.close()
        self._writer = None

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None


class OverlaySink:
    """A sink of labels `(T, H, W)` that draws each frame's labels over the frame and encodes it; frames come in order.

    Attributes:
        shape: `(T, H, W)`.
        dtype: uint8.
    """

    def __init__(
        self,
        writer: "MovieWriter",
        frames: Iterator[np.ndarray],
        times: tuple[int, ...] | None,
        shape: tuple[int, ...],
        palette: Palette,
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(np.uint8)
        self._writer, self._frames, self._palette = writer, frames, palette
        self._times = iter(times) if times is not None else None

    def __setitem__(self, key: Any, labels: np.ndarray) -> None:
        """Draw and encode the next frames."""
        for label in labels:
            time = None if self._times is None else next(self._times)
            self._writer.write(overlay(next(self._frames), label, self._palette, bare=0), time)
