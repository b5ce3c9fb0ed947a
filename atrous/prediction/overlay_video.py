"""A video of the labels in color over the frames: mp4, of the size, frame rate and times of the input."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.formats import is_video, open_source
from atrous.errors import UserError
from atrous.objects.tracking import Sighting, Tracker
from atrous.prediction.frames import FRAME_RATE, FrameLabels
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.labels import label_path
from atrous.prediction.output import Companions, Output
from atrous.prediction.predictor import Predictor
from atrous.prediction.track_files import TrackCsv, ZoneCsv, followed
from atrous.report.pictures import numbered, overlay


class OverlayVideo(Output):
    """An mp4 with the labels drawn over the frames, encoded when all labels are there; class 0 is left unpainted.

    Args:
        path: the file.
        labels: the labels of the frames from which it is drawn.
        video: the file or folder of the video that is drawn over.
        palette: a color per class.
        least: pixels of the smallest thing that is drawn with its box and its number; None draws none.
    """

    def __init__(
        self, path: Path, labels: FrameLabels, video: Path, palette: Palette, least: int | None = None
    ) -> None:
        self.paths, self.drawn_from = (path,), labels
        self._labels, self._video, self._palette, self._least = labels, video, palette, least
        self._shape: tuple[int, ...] = ()

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Check that the input is a video, and that it can be written.

        Raises:
            UserError: the input is not a video, or PyAV is not installed.
        """
        from atrous.data.formats import movie  # noqa: F401 (says how to install PyAV)

        if not is_video(self._video):
            raise UserError(f"{self._video}: --overlay draws over video files and folders of frames: leave it out")
        self._shape = tuple(int(n) for n in opened.source.shape[1:])
        if len(self._shape) != 3:
            raise UserError(f"{self._video}: has the shape {self._shape}, but only videos (T, H, W) get one of these")

    def finish(self) -> None:
        """Draw and encode every frame, and put the file in its place."""
        from atrous.data.formats.movie import MovieWriter, index_of

        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        size, times = (self._shape[1], self._shape[2]), None
        if self._video.is_dir():
            writer = MovieWriter(self.paths[0], size, Fraction(FRAME_RATE))
        else:
            index = index_of(self._video)
            times = [time - index.times[0] for time in index.times]
            writer = MovieWriter(self.paths[0], size, index.rate, index.unit)
        # The network's source has no frames in color as they were.
        clip: Any = open_source(self._video)  # a `Clip`, whose frames can be read one by one
        try:
            shown = zip(clip.frames(range(self._shape[0])), self._labels.labels(), self._followed(), strict=True)
            for number, (frame, label, seen) in enumerate(shown):
                drawn = drawn_frame(frame, label, seen, self._palette)
                writer.write(drawn, None if times is None else times[number])
            writer.close()
        except BaseException:
            writer.abandon()
            raise

    def _followed(self) -> Iterator[list[Sighting]]:
        """What is drawn with its number, frame by frame."""
        if self._least is None:
            return ([] for _ in range(self._shape[0]))
        return (seen for _, seen in followed(self._labels, self._least, Tracker()))

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def drawn_frame(frame: np.ndarray, label: np.ndarray, seen: Sequence[Sighting], palette: Palette) -> np.ndarray:
    """Return a frame `(C, H, W)` with its labels `(H, W)` in color, and what is followed with its box and its number.

    The result is `(H, W, 3)` uint8; class 0 is left unpainted.
    """
    drawn = overlay(frame, label, palette, bare=0)
    if not seen:
        return drawn
    return numbered(drawn, np.array([one.region.box for one in seen]), [one.number for one in seen])


def video_outputs(predictor: Predictor, item: Input, out: Path, companions: Companions) -> list[Output]:
    """Outputs of a video: a folder with the labels of each frame, and if wanted an overlay video and tables of tracks.

    Raises:
        UserError: `out` is a file, or the file of zones cannot be read.
    """
    target, tracks = label_path(item, out), companions.tracks
    labels = FrameLabels(target, item.path, predictor.palette)
    outputs: list[Output] = []
    if companions.overlay:
        path = target.with_name(f"{target.name}_overlay.mp4")
        least = tracks.least if tracks is not None and tracks.table else None
        outputs.append(OverlayVideo(path, labels, item.path, predictor.palette, least))
    if tracks is not None and tracks.table:
        outputs.append(TrackCsv(target.with_name(f"{target.name}_tracks.csv"), labels, item.path, tracks.least))
    if tracks is not None and tracks.zone is not None:
        path = target.with_name(f"{target.name}_zones.csv")
        outputs.append(ZoneCsv(path, labels, item.path, tracks.least, tracks.zone))
    return [*outputs, labels]
