"""Tables of what moves in a video: a row for each thing in each frame, and what enters and leaves zones each minute."""

import csv
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from atrous.data.formats import is_video
from atrous.data.live_frames import LONGEST, RATE
from atrous.files import replacing
from atrous.labels import IGNORE
from atrous.objects.tracking import Sighting, Tracker, regions_of
from atrous.prediction.frames import FRAME_RATE, FrameLabels
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output
from atrous.prediction.zones import ZoneCounts, read_zones


class FrameRows(Protocol):
    """What makes the rows of a table of the frames of a video, which come in order."""

    def step(self, frame: int, sightings: Sequence[Sighting]) -> Iterator[Sequence[Any]]:
        """Take what was seen in the next frame, and yield the rows that are known by then."""
        ...

    def rows(self) -> Iterator[Sequence[Any]]:
        """Yield the rows that are left after the last frame."""
        ...


@dataclass(frozen=True)
class TrackRows:
    """A row for each thing in each frame: its number, which it keeps from frame to frame, box and area.

    Attributes:
        seconds: returns the time of a frame.
    """

    seconds: Callable[[int], float]

    def step(self, frame: int, sightings: Sequence[Sighting]) -> Iterator[Sequence[Any]]:
        """See `FrameRows.step`."""
        for one in sightings:
            top, left, bottom, right = one.region.box
            time = f"{self.seconds(frame):.3f}"
            yield frame, time, one.number, left, top, right - left, bottom - top, one.region.area

    def rows(self) -> Iterator[Sequence[Any]]:
        """See `FrameRows.rows`: none."""
        return iter(())


class TrackTable(Output):
    """A CSV that is made of the tracks of what moves, when all labels are there. Positions with a label but 0 move.

    Args:
        path: the file.
        labels: the labels of the frames.
        video: the file or folder of the video, for the times of its frames.
        least: pixels of the smallest thing that is followed.
    """

    header: tuple[str, ...]

    def __init__(self, path: Path, labels: FrameLabels, video: Path, least: int) -> None:
        self.paths, self.drawn_from = (path,), labels
        self._labels, self._video, self._least = labels, video, least

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Nothing is written before `finish`."""

    def finish(self) -> None:
        """Follow what moves from the first frame to the last, and put the table in its place."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(self.header)
            tracker = Tracker()
            rows = self._rows(tracker, frame_times(self._video))
            for frame, sightings in followed(self._labels, self._least, tracker):
                table.writerows(rows.step(frame, sightings))
            table.writerows(rows.rows())

    def discard(self) -> None:
        """Nothing is written before `finish`."""

    @abstractmethod
    def _rows(self, tracker: Tracker, seconds: Callable[[int], float]) -> FrameRows:
        """What makes the rows of the table."""


class TrackCsv(TrackTable):
    """CSV with a row for each thing in each frame (`TrackRows`)."""

    header = ("frame", "seconds", "id", "left", "top", "width", "height", "area")

    def _rows(self, tracker: Tracker, seconds: Callable[[int], float]) -> FrameRows:
        return TrackRows(seconds)


class ZoneCsv(TrackTable):
    """CSV with a row for each zone and minute: how many things entered, how many left, how many are inside at its end.

    Args:
        path: the file.
        labels: the labels of the frames.
        video: the file or folder of the video, for the times of its frames.
        least: pixels of the smallest thing that is followed.
        zone: a GeoJSON file of polygons in pixels.

    Raises:
        UserError: the file of the zones cannot be read.
    """

    header = ("minute", "zone", "entered", "left", "inside")

    def __init__(self, path: Path, labels: FrameLabels, video: Path, least: int, zone: Path) -> None:
        super().__init__(path, labels, video, least)
        self._zones, self._zone = read_zones(zone), zone

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Look whether the zones lie in the frames.

        Raises:
            UserError: one lies beside them.
        """
        for zone in self._zones:
            zone.require_inside(opened.source.shape[-2:], self._zone)

    def _rows(self, tracker: Tracker, seconds: Callable[[int], float]) -> FrameRows:
        return ZoneCounts(self._zones, seconds, tracker.lost)


def followed(labels: FrameLabels, least: int, tracker: Tracker) -> Iterator[tuple[int, list[Sighting]]]:
    """Yield the number of every frame, in order, and what moves in it: what has a label but 0.

    Args:
        labels: of the frames, which have all been written.
        least: pixels of the smallest thing that is followed.
        tracker: gives things their numbers.
    """
    for frame in labels.labels():
        yield from tracker.step(regions_of((frame != 0) & (frame != IGNORE), least))
    yield from tracker.close()


def frame_times(video: Path) -> Callable[[int], float]:
    """Return a function that gives the time of a frame in seconds, from the first one on; arrays do not say any.

    Times are those of `FrameClock`, as of a live video: a frame that is more than an hour after the one before counts
    as the next one, or a damaged number would make a table of zones have a row for each minute until then.
    """
    if video.is_dir() or not is_video(video):
        return lambda frame: frame / FRAME_RATE
    from atrous.data.formats.movie import index_of
    from atrous.data.live_stream import MOST_RATE

    index = index_of(video)
    unit, step = index.unit, 1 / (index.rate if index.rate <= MOST_RATE else RATE)
    longest, ticks, breaks = int(LONGEST / unit), [0], [0]  # whole numbers: fractions would take long
    for before, time in pairwise(index.times):
        broken = time - before > longest
        ticks.append(ticks[-1] + (0 if broken else time - before))
        breaks.append(breaks[-1] + broken)
    return lambda frame: float(ticks[frame] * unit + breaks[frame] * step)
