"""The labels of a video: a folder with a PNG per frame."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.color import Palette
from atrous.data.formats import raster
from atrous.data.formats.frames import frame_files
from atrous.data.formats.writing import SourceNote
from atrous.data.source import full_key
from atrous.errors import UserError
from atrous.files import remove, rename, settle
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output, part_path
from atrous.stream.resume import record_beside as record_path

FRAME_RATE = 25
"""Frames per second for a folder of frames, which does not say its own rate."""


class FrameLabels(Output):
    """A folder of label images, one per frame, each written as soon as its frame is labeled.

    The folder appears under its name when all frames are there. An interrupted run leaves it under a hidden name, with
    a record of the frames that are done, and the next run resumes from there if the video is still the same.

    Args:
        path: the folder.
        video: the file or folder of the video.
        palette: a color per class.
    """

    values, in_order = "labels", True

    def __init__(self, path: Path, video: Path, palette: Palette) -> None:
        self.paths = (path,)
        self._video, self._palette, self._part = video, palette, part_path(path)
        self._source = SourceNote(self._part, (video,))
        self._streamed = False
        self.sink: FrameSink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make an empty hidden folder beside the folder's place, or resume the one that an interrupted run left.

        Raises:
            UserError: the labels of two frames would have one name.
        """
        self._streamed = streamed
        sink = FrameSink(self._part, self._video, tuple(opened.source.shape[1:]), self._palette)
        if not (streamed and self._record.exists() and self._part.is_dir() and self._source.holds()):
            self._clear()
            self._part.mkdir(parents=True)
            self._source.write()
        self.sink = sink

    def finish(self) -> None:
        """Put the folder in its place.

        Raises:
            RuntimeError: a frame has no labels.
        """
        assert self.sink is not None
        frames = len(self.sink.names)
        if (count := sum((self._part / name).exists() for name in self.sink.names)) != frames:
            raise RuntimeError(f"{self._video}: {count} of {frames} frames were labeled")
        rename(self._part, self.paths[0])
        self._clear()

    @property
    def resumes(self) -> bool:
        """Whether the frames come in order, as they are labeled, and are recorded."""
        return self._streamed

    def pause(self) -> None:
        """See `Output.pause`: keep the frames if it is recorded how many are done."""
        if not (self.resumes and self._record.exists()):
            self.discard()

    def discard(self) -> None:
        """Remove the hidden folder, if the video was begun: else it is what an earlier run left."""
        if self.sink is not None:
            self._clear()

    def labels(self) -> Iterator[np.ndarray]:
        """Yield the labels `(H, W)` of each frame, in order, once they have all been assigned to the sink."""
        assert self.sink is not None
        for name in self.sink.names:
            with Image.open(self._part / name) as image:
                yield np.asarray(image)

    @property
    def _record(self) -> Path:
        return record_path(self._part)

    def _clear(self) -> None:
        remove(self._part)
        self._record.unlink(missing_ok=True)
        self._source.remove()


class FrameSink:
    """A sink of labels `(T, H, W)` that writes each frame as PNG; frames come whole.

    Attributes:
        shape: `(T, H, W)`.
        dtype: uint8.
        names: names of the PNG files, one per frame.
        filename: the folder, beside which a stream records how far it is.
    """

    def __init__(self, folder: Path, video: Path, shape: tuple[int, ...], palette: Palette) -> None:
        self.shape, self.dtype, self.filename = shape, np.dtype(np.uint8), folder
        self._palette, self._unsettled = tuple(palette), []
        self.names = frame_names(video, shape[0])

    def __setitem__(self, key: Any, labels: np.ndarray) -> None:
        """Write some frames."""
        if labels.shape[1:] != self.shape[1:]:
            raise ValueError(f"labels {labels.shape} are not whole frames of {self.shape[1:]}")
        first = full_key(key, 3)[0].indices(self.shape[0])[0]
        for number, label in enumerate(labels, first):
            data = raster.encode_label(np.ascontiguousarray(label, np.uint8), self._palette)
            file = self.filename / self.names[number]
            file.write_bytes(data)
            self._unsettled.append(file)

    def flush(self) -> None:
        """Return when all frames that were written lie on the disk."""
        for file in self._unsettled:
            settle(file)
        self._unsettled.clear()


def frame_names(video: Path, count: int) -> list[str]:
    """Return the names of the label images: those of the frames in a folder, or the numbers of a video file's frames.

    Raises:
        UserError: two frames have one name, but for its suffix.

    >>> frame_names(Path("clip.mp4"), 2)
    ['00000.png', '00001.png']
    """
    if video.is_dir():
        files = frame_files(video)
        for one, other in pairwise(files):  # sorted by their names
            if one.stem == other.stem:
                raise UserError(
                    f"{other}: the same name as {one.name}, and so would be their labels: remove one of them"
                )
        return [f"{path.stem}.png" for path in files]
    return [f"{number:05d}.png" for number in range(count)]
