"""Frames that come one after the other, and a thread that takes them while others are labelled."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from queue import Empty, Full, Queue
from statistics import median
from threading import Event, Thread

import numpy as np

RATE = Fraction(25)
"""Frames per second where neither the source nor the user says how many."""
HELD = 8
"""So many frames that have come wait for being labelled, at most."""
LONGEST = 3600
"""Seconds: two frames that are further apart are taken for a break in the times of a stream."""
RECENT = 32
"""So many of the last steps from frame to frame say how long one is."""
LEARNED = 8
"""So many steps are waited for before any is taken for a gap."""
GAP = 1.5
"""A step that is longer than so many usual ones is a gap."""
PAUSE = 0.1
"""Seconds for which a thread waits before it looks again."""


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame that has come.

    Attributes:
        name: of the file of its labels, without a suffix.
        pixels: `(C, H, W)`.
        seconds: its time, from the first frame on.
        arrived: when it came, by `time.monotonic`.
        missing: frames that were missing up to it, as the times say (`MissingFrames`).
    """

    name: str
    pixels: np.ndarray
    seconds: Fraction
    arrived: float
    missing: int = 0


class LiveSource(ABC):
    """Where frames come from.

    Attributes:
        title: names it in messages.
        rate: frames per second; known when the first frame has come.
        hurries: whether frames may come faster than they are labelled, which the user is told; those of a file wait.
    """

    title: str
    rate: Fraction = RATE
    hurries: bool = True

    @abstractmethod
    def frames(self, stop: Event) -> Iterator[LiveFrame]:
        """Yield the frames as they come, until there are no more, or until `stop` is set.

        Raises:
            UserError: what comes cannot be read.
        """


class MissingFrames:
    """Counts the frames that a source left out, by the steps between the times of those that came.

    The usual step is the median of the last ones: many cameras say another rate than that at which they send. A step of
    more than 1.5 usual ones is a gap, and holds as many frames as fit.

    Attributes:
        count: frames that were missing.

    >>> missing = MissingFrames()
    >>> for step in [1, 1, 3, *[1] * 20, 2, 1]:
    ...     missing.add(step / 25)
    >>> missing.count
    3
    """

    def __init__(self) -> None:
        self.count = 0
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._learning = True

    def add(self, step: float) -> None:
        """Count what is missing between a frame and the one before it, whose times differ by `step` seconds."""
        self._recent.append(step)
        if self._learning and len(self._recent) < LEARNED:
            return
        usual = median(self._recent)
        for one in self._recent if self._learning else (step,):
            if one > GAP * usual:
                self.count += round(one / usual) - 1
        self._learning = False


class FrameClock:
    """Gives frames times that always rise, in seconds from the first one on.

    A stream that says no times counts `step` for each frame. So does a frame whose time is missing, is not later than
    the one before, or is more than an hour later: the camera was started again, or a number is damaged.

    Args:
        step: seconds from one frame to the next, where the stream does not say it.

    Attributes:
        gaps: counts the frames that are missing, where the stream says times.

    >>> clock = FrameClock(Fraction(1, 10))
    >>> [float(clock.at(time)) for time in (Fraction(7), Fraction(8), Fraction(2), Fraction(3), None)]
    [0.0, 1.0, 1.1, 2.1, 2.2]
    """

    def __init__(self, step: Fraction) -> None:
        self._step, self._last = step, -step
        self.gaps = MissingFrames()
        self._base: Fraction | None = None
        self._timed: bool | None = None
        self._known = False  # whether the stream said the time of the frame before

    def at(self, time: Fraction | None) -> Fraction:
        """Return the time of the next frame.

        Args:
            time: that the stream says, in seconds; None where it says none.
        """
        if self._timed is None:
            self._timed = time is not None
        known, self._known = self._known, time is not None
        if time is None or not self._timed:
            self._last += self._step
            return self._last
        if self._base is None:
            self._base = time
        passed = time - self._base - self._last
        if not 0 < passed <= LONGEST:
            self._base, passed = time - self._last - self._step, self._step
        elif known:
            self.gaps.add(float(passed))
        self._last += passed
        return self._last


class FrameReader:
    """Takes frames in a thread of its own while others are labelled; no frame is left out.

    At most `held` frames wait. Then the thread waits too, and with it what sends the frames, if it can.

    Args:
        source: where they come from.
        stop: ends the reading when it is set; what has come by then is still given.
        held: frames that may wait.
    """

    def __init__(self, source: LiveSource, stop: Event, held: int = HELD) -> None:
        self._source, self._stop, self._closed = source, stop, Event()
        self._queue: Queue[LiveFrame | Exception | None] = Queue(held)
        self._handing = False  # whether the thread has something that waits for room
        self._thread = Thread(target=self._read, name="frames", daemon=True)  # it may hang in a call of the network
        self._thread.start()

    @property
    def crowded(self) -> bool:
        """Whether as many frames wait as may."""
        return self._queue.full()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Yield the frames in order, and raise what the source raises, after all frames that came before it."""
        while True:
            try:
                item = self._queue.get(timeout=PAUSE)
            except Empty:
                if self._stop.is_set() and not self._handing:
                    return  # the source hangs: nothing has come
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        """End the thread; one that hangs in a call of the network is left to itself."""
        self._stop.set()
        self._closed.set()
        self._thread.join(timeout=1)

    def _read(self) -> None:
        try:
            for frame in self._source.frames(self._stop):
                self._put(frame)
                if self._closed.is_set():
                    return
        except Exception as error:
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: LiveFrame | Exception | None) -> None:
        self._handing = True
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=PAUSE)
                break
            except Full:
                continue
        self._handing = False


def now() -> float:
    """Return the clock by which frames arrive."""
    return time.monotonic()
