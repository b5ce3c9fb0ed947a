"""A folder that grows: a program puts one image file after the other into it."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from threading import Event

import numpy as np

from atrous.data.formats import read_image
from atrous.data.formats.frames import frame_order, in_color, is_frame
from atrous.data.live_frames import PAUSE, LiveFrame, LiveSource, now
from atrous.errors import UserError

SETTLED = 2.0
"""Seconds for which a file that cannot be read must not have changed: until then it is still being written."""


class GrowingFolder(LiveSource):
    """The frames of a folder in the order of the numbers in their names: those that are there, then those that come.

    Gray frames are read as colors if the first one is in color.

    A frame is read when it is complete: a file that cannot be read yet is tried again until nobody writes to it any
    more. Then it is left out, and told. So is a frame whose name comes before that of one that was read already, or is
    the same but for the suffix.

    Args:
        folder: where they come.
        idle: the folder is taken to be complete when no new frame has come for so many seconds.
        rate: frames per second, for their times.
        tell: called with a line for what is left out.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path, idle: float, rate: Fraction, tell: Callable[[str], None]) -> None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder: make it before, or give a video file")
        self.title, self.rate = str(folder), rate
        self._folder, self._idle, self._tell = folder, idle, tell
        self._last: Path | None = None
        self._known = 0  # files up to the last one
        self._shape: tuple[int, ...] | None = None  # of the first frame

    def frames(self, stop: Event) -> Iterator[LiveFrame]:
        """See `LiveSource.frames`.

        Raises:
            UserError: no frame has come at all, or the folder is gone.
        """
        number, since, name = 0, now(), None
        while not stop.is_set():
            begun = now()
            found = self._new()
            for path in found:
                if stop.is_set():
                    return
                if path.stem == name:
                    self._tell(f"{path}: a frame of this name was read already: left out")
                    continue
                pixels = self._read(path, stop)
                if pixels is not None:
                    name = path.stem
                    yield LiveFrame(path.stem, pixels, number / self.rate, now())
                    number += 1
            if found:
                since = now()  # also if the frames had to wait
            elif now() - since >= self._idle:
                break
            else:
                stop.wait(max(PAUSE, 4 * (now() - begun)))  # a long list is read less often
        if number == 0 and not stop.is_set():
            what = f"no frame has come within {self._idle:g} seconds"
            raise UserError(f"{self._folder}: {what}: put PNG or JPEG files directly into it, or raise --idle")

    def _new(self) -> list[Path]:
        """The frames that have come since, in order; only their names are kept in memory."""
        try:
            present = [path for path in self._folder.iterdir() if is_frame(path)]
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be listed any more ({error.strerror}): keep it") from error
        last = None if self._last is None else frame_order(self._last)
        new = sorted((path for path in present if last is None or frame_order(path) > last), key=frame_order)
        late = len(present) - len(new) - self._known
        if late > 0 and self._last is not None:
            what = "a frame has" if late == 1 else f"{late} frames have"
            self._tell(f"{self._folder}: {what} come whose names are before {self._last.name}: left out")
        self._known = len(present)
        if new:
            self._last = new[-1]
        return new

    def _read(self, path: Path, stop: Event) -> np.ndarray | None:
        """The pixels `(C, H, W)` of a file, when it is complete; None if it never is."""
        state, since = _state(path), now()
        while True:
            try:
                pixels = read_image(path)
                self._shape = self._shape or pixels.shape
                return in_color(pixels, self._shape)
            except UserError as error:
                current = _state(path)
                if current != state:
                    state, since = current, now()
                elif stop.is_set() or now() - since >= SETTLED:
                    self._tell(f"{error} (this frame is left out)")
                    return None
            stop.wait(PAUSE)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a file; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
