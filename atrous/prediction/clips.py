"""From videos to files: labels of every frame as PNG, and a film with the labels drawn, one frame at a time."""

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.formats import open_source, raster
from atrous.data.formats.frames import frame_files
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.files import Replacement
from atrous.prediction.predictor import Predictor
from atrous.report.pictures import overlay

RATE = 25
"""Frames per second of the film of a folder of frames, which does not say its own."""


def write_clip(
    predictor: Predictor,
    source: Source,
    path: Path,
    target: Path,
    film: Path | None,
    progress: Callable[[float], None] = lambda done: None,
) -> None:
    """Label a video: a folder of PNG files with the names of its frames, and a film if wanted.

    Labels are written as their frames are finished, in bounded memory; the folder appears when all are there. One that
    exists stays as it is.

    Args:
        predictor: the network.
        source: the video `(C, T, H, W)`, prepared for it.
        path: file or folder of the video: the film is drawn over it.
        target: folder for the labels.
        film: `.mp4` to draw, of the video's size, frame rate and times.
        progress: told the share done.

    Raises:
        UserError: the video cannot be read.
    """
    shape = tuple(source.shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    replacement = Replacement(target)
    replacement.beside.mkdir()
    sink = FrameSink(replacement.beside, path, shape[1:], predictor.palette, film)
    try:
        plan = predictor.plan(shape)
        if plan is None or plan.blocks == 1:
            predictor.label(source, sink, progress=progress)
        else:
            _by_blocks(predictor, source, sink, replacement.beside / "labels.npy", progress)
        sink.close()
    except BaseException:
        sink.abandon()
        raise
    if target.exists():  # only the film was missing
        replacement.discard()
    else:
        replacement.finish()


def _by_blocks(
    predictor: Predictor, source: Source, sink: "FrameSink", scratch: Path, progress: Callable[[float], None]
) -> None:
    """Frames that are too wide for the memory come in blocks, each for the whole time: gathered on disk first."""
    labels = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=sink.shape)
    predictor.label(source, labels, progress=progress)
    for time in range(sink.shape[0]):
        sink[time : time + 1] = labels[time : time + 1]
    del labels
    scratch.unlink()


class FrameSink:
    """Labels `(T, H, W)` that are written frame by frame, in order, as they are assigned.

    Attributes:
        shape: `(T, H, W)`.
        dtype: uint8.
    """

    def __init__(self, folder: Path, video: Path, shape: tuple[int, ...], palette: Palette, film: Path | None) -> None:
        self.folder, self.palette, self.shape, self.dtype = folder, palette, shape, np.dtype(np.uint8)
        self.names = frame_names(video, shape[0])
        self._done = 0
        self._writer, self._times = (None, None) if film is None else _film(film, video, shape[1:])
        self._pictures: Iterator[np.ndarray] = iter(())
        if film is not None:
            images: Any = open_source(video)  # a `Clip`, whose frames can be read one by one
            self._pictures = images.frames(range(shape[0]))

    def __setitem__(self, key: Any, labels: np.ndarray) -> None:
        """Take the next frames, whole."""
        if labels.shape[1:] != self.shape[1:]:
            raise ValueError(f"labels {labels.shape} are not whole frames of {self.shape[1:]}")
        for label in labels:
            data = raster.encode_label(np.ascontiguousarray(label, np.uint8), tuple(self.palette))
            (self.folder / self.names[self._done]).write_bytes(data)
            if self._writer is not None:
                time = None if self._times is None else self._times[self._done]
                self._writer.write(overlay(next(self._pictures), label, self.palette, bare=0), time)
            self._done += 1

    def close(self) -> None:
        """Finish the film."""
        if self._done != self.shape[0]:
            raise RuntimeError(f"{self._done} of {self.shape[0]} frames were labeled")
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)


def frame_names(video: Path, count: int) -> list[str]:
    """File names of the labels: those of the frames, or their numbers in a video file.

    >>> frame_names(Path("clip.mp4"), 2)
    ['00000.png', '00001.png']
    """
    if video.is_dir():
        return [f"{path.stem}.png" for path in frame_files(video)]
    return [f"{number:05d}.png" for number in range(count)]


def _film(film: Path, video: Path, size: tuple[int, ...]) -> tuple[Any, tuple[int, ...] | None]:
    """A writer, and the time of each frame where the video says it."""
    from atrous.data.formats.movie import MovieWriter, index_of

    if len(size) != 2:
        raise UserError(f"{film}: only videos are drawn as films")
    height, width = int(size[0]), int(size[1])
    if video.is_dir():
        return MovieWriter(film, (height, width), Fraction(RATE)), None
    index = index_of(video)
    times = tuple(time - index.times[0] for time in index.times)
    return MovieWriter(film, (height, width), index.rate, index.unit), times
