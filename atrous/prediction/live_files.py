"""What is written of frames while they come: tables row by row, masks, an overlay video."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from atrous.color import Palette
from atrous.data.formats import raster
from atrous.data.live_frames import LiveFrame
from atrous.errors import UserError
from atrous.files import Replacement
from atrous.labels import IGNORE
from atrous.objects.tracking import CONFIRMED, Sighting, Tracker, regions_of
from atrous.prediction.overlay_video import drawn_frame
from atrous.prediction.track_files import FrameRows, TrackCsv, TrackRows, ZoneCsv
from atrous.prediction.zones import FollowOptions, Zone, ZoneCounts, read_zones

UNIT = Fraction(1, 90_000)
"""Of the times in an overlay video, in seconds: that of MPEG streams."""


@dataclass(frozen=True)
class LivePlaces:
    """Where things are written; None for what is not.

    Attributes:
        tracks: a file, or an open text.
        zones: a file.
        masks: a folder.
        overlay: a file.
    """

    tracks: Path | TextIO | None = None
    zones: Path | None = None
    masks: Path | None = None
    overlay: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders."""
        places = (self.tracks, self.zones, self.masks, self.overlay)
        return tuple(place for place in places if isinstance(place, Path))

    def require_new(self) -> None:
        """Raise `UserError` if one is there already."""
        for path in self.paths:
            if path.exists():
                raise UserError(f"{path}: exists, and is not written over: give another folder with -o")


class LiveFiles:
    """Writes the labels of frames, and the tables that are made of them, as the frames come.

    Nothing is made before the first frame. The tables are those of `TrackCsv` and `ZoneCsv`; their rows come
    `CONFIRMED - 1` frames later, when it is known what moves on, and other programs can read them then. An overlay
    video appears at its place at the end.

    Args:
        places: where things are written.
        follow: what is followed, and the zones.
        palette: a color per class.

    Raises:
        UserError: the file of the zones cannot be read, or something is there already.
    """

    def __init__(self, places: LivePlaces, follow: FollowOptions, palette: Palette) -> None:
        self._places, self._follow, self._palette = places, follow, tuple(palette)
        self._zones: list[Zone] = [] if follow.zone is None else read_zones(follow.zone)
        places.require_new()
        self._tracker = Tracker() if places.tracks is not None or places.zones is not None else None
        self._waiting: deque[tuple[LiveFrame, np.ndarray]] = deque()  # frames of which it is not known what moves
        self._tick = -1
        self._tables: list[_GrowingTable] = []
        self._video: Any = None

    @property
    def delay(self) -> int:
        """Frames that come before the rows of a frame are written."""
        return CONFIRMED - 1 if self._tracker is not None else 0

    def begin(self, size: Sequence[int], rate: Fraction) -> None:
        """Make the files.

        Args:
            size: rows and columns of the frames.
            rate: frames per second.

        Raises:
            UserError: a zone lies beside the frames.
        """
        places, zone = self._places, self._follow.zone
        for one in self._zones:
            assert zone is not None
            one.require_inside(size, zone)
        if places.overlay is not None:
            from atrous.data.formats.movie import MovieWriter

            places.overlay.parent.mkdir(parents=True, exist_ok=True)
            self._video = MovieWriter(places.overlay, (size[0], size[1]), rate, UNIT, endless=True)
        if places.masks is not None:
            places.masks.mkdir(parents=True)
        if places.tracks is not None:
            self._tables.append(_GrowingTable(places.tracks, TrackCsv.header, TrackRows(self._seconds)))
        if places.zones is not None:
            assert self._tracker is not None
            counts = ZoneCounts(self._zones, self._seconds, self._tracker.lost)
            self._tables.append(_GrowingTable(places.zones, ZoneCsv.header, counts))

    def add(self, frame: LiveFrame, labels: np.ndarray) -> None:
        """Write the labels `(H, W)` of the next frame, and what is known by then."""
        if self._places.masks is not None:
            _write_mask(self._places.masks / f"{frame.name}.png", labels, self._palette)
        if self._tracker is None:
            self._draw(frame, labels, ())
            return
        self._waiting.append((frame, labels))
        regions = regions_of((labels != 0) & (labels != IGNORE), self._follow.least)
        self._tell(self._tracker.step(regions))

    def close(self) -> None:
        """Write what is left after the last frame, and put the overlay video in its place."""
        if self._tracker is not None:
            self._tell(self._tracker.close())
        with ExitStack() as ends:  # all of them, also if one fails
            if self._video is not None:
                ends.callback(self._video.close)
            for table in self._tables:
                ends.callback(table.close)

    def abandon(self) -> None:
        """Close the files as they are, after an unexpected error; tables and masks keep what was written."""
        with ExitStack() as ends:
            if self._video is not None:
                ends.callback(self._video.abandon)
            for table in self._tables:
                ends.callback(table.abandon)

    def _tell(self, told: Iterator[tuple[int, list[Sighting]]]) -> None:
        """Write the rows of frames of which it is known what moves, and draw them."""
        for number, seen in told:
            frame, labels = self._waiting[0]
            for table in self._tables:
                table.step(number, seen)
            self._draw(frame, labels, seen if self._follow.table else ())
            self._waiting.popleft()

    def _seconds(self, number: int) -> float:
        """The time of the frame whose rows are written: the one that has waited longest."""
        return float(self._waiting[0][0].seconds)

    def _draw(self, frame: LiveFrame, labels: np.ndarray, seen: Sequence[Sighting]) -> None:
        if self._video is not None:
            self._tick = max(self._tick + 1, round(frame.seconds / UNIT))
            self._video.write(drawn_frame(frame.pixels, labels, seen, self._palette), self._tick)


class _GrowingTable:
    """A CSV to which other programs can look while it grows."""

    def __init__(self, place: Path | TextIO, header: Sequence[str], rows: FrameRows) -> None:
        self._owned, self._rows = isinstance(place, Path), rows
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = open(place, "x", newline="", encoding="utf-8")  # noqa: SIM115 (it stays open)
        else:
            self._file = place
        self._table = csv.writer(self._file, lineterminator="\n")
        self._table.writerow(header)
        self._file.flush()

    def step(self, frame: int, seen: Sequence[Sighting]) -> None:
        self._table.writerows(self._rows.step(frame, seen))
        self._file.flush()

    def close(self) -> None:
        self._table.writerows(self._rows.rows())
        self._file.flush()
        self.abandon()

    def abandon(self) -> None:
        if self._owned:
            self._file.close()


def _write_mask(path: Path, labels: np.ndarray, palette: Palette) -> None:
    """Write a mask so that who looks into the folder never sees half of it."""
    replacement = Replacement(path)
    replacement.beside.write_bytes(raster.encode_label(np.ascontiguousarray(labels, np.uint8), tuple(palette)))
    replacement.beside.replace(path)
