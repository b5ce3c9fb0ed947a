"""The labels of a video: a folder with a PNG per frame."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.formats import raster
from atrous.data.formats.frames import frame_files
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output, part_path


class FrameLabels(Output):
    """A folder of label images, one per frame, each written as soon as its frame is labeled.

    The folder appears under its name when all frames are there.

    Args:
        path: the folder.
        video: the file or folder of the video.
        palette: a color per class.
    """

    values, in_order = "labels", True

    def __init__(self, path: Path, video: Path, palette: Palette) -> None:
        self.paths = (path,)
        self._video, self._palette, self._part = video, palette, part_path(path)
        self.sink: FrameSink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make an empty hidden folder beside the folder's place."""
        shutil.rmtree(self._part, ignore_errors=True)  # left by an interrupted run
        self._part.mkdir(parents=True)
        self.sink = FrameSink(self._part, self._video, tuple(opened.source.shape[1:]), self._palette)

    def finish(self) -> None:
        """Put the folder in its place.

        Raises:
            RuntimeError: a frame has no labels.
        """
        assert self.sink is not None
        if self.sink.count != self.sink.shape[0]:
            raise RuntimeError(f"{self._video}: {self.sink.count} of {self.sink.shape[0]} frames were labeled")
        self._part.rename(self.paths[0])

    def discard(self) -> None:
        """Remove the hidden folder."""
        shutil.rmtree(self._part, ignore_errors=True)


class FrameSink:
    """A sink of labels `(T, H, W)` that writes frame after frame as PNG; whole frames must come in order.

    Attributes:
        shape: `(T, H, W)`.
        dtype: uint8.
        count: frames written so far.
    """

    def __init__(self, folder: Path, video: Path, shape: tuple[int, ...], palette: Palette) -> None:
        self.shape, self.dtype, self.count = shape, np.dtype(np.uint8), 0
        self._folder, self._palette = folder, tuple(palette)
        self._names = frame_names(video, shape[0])

    def __setitem__(self, key: Any, labels: np.ndarray) -> None:
        """Write the next frames."""
        if labels.shape[1:] != self.shape[1:]:
            raise ValueError(f"labels {labels.shape} are not whole frames of {self.shape[1:]}")
        for label in labels:
            data = raster.encode_label(np.ascontiguousarray(label, np.uint8), self._palette)
            (self._folder / self._names[self.count]).write_bytes(data)
            self.count += 1


def frame_names(video: Path, count: int) -> list[str]:
    """Return the names of the label images: those of the frames in a folder, or the numbers of a video file's frames.

    >>> frame_names(Path("clip.mp4"), 2)
    ['00000.png', '00001.png']
    """
    if video.is_dir():
        return [f"{path.stem}.png" for path in frame_files(video)]
    return [f"{number:05d}.png" for number in range(count)]
