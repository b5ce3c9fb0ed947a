"""How long frames wait and take that are labelled as they come."""

from collections import deque
from collections.abc import Callable

import numpy as np

from atrous.data.live_frames import now

KEPT = 1000
"""The last so many frames make the medians."""
EVERY = 60.0
"""Seconds between two reports."""
FIRST = 16
"""Frames after which a crowd is told: at first they wait until the network is ready."""


class LiveReport:
    """Measures frames, and tells at intervals how fast they are labelled.

    Args:
        tell: called with each report.
        hurries: whether it is told, once, that frames come faster than they are labelled.
        every: seconds between two reports.
        clock: returns the time in seconds.

    Attributes:
        frames: how many were labelled.
        missing: how many were missing between them, by their times: a camera may leave some out itself.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        hurries: bool = True,
        every: float = EVERY,
        clock: Callable[[], float] = now,
    ) -> None:
        self._tell, self._hurries, self._every, self._clock = tell, hurries, every, clock
        self._taken: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._start, self._end, self._told = 0.0, 0.0, 0.0
        self.frames = self.missing = 0

    def add(self, arrived: float, begun: float, crowded: bool = False, missing: int = 0) -> None:
        """Count a frame whose labels are there.

        Args:
            arrived: when it came.
            begun: when labelling it began.
            crowded: whether as many frames waited as may.
            missing: how many frames were missing up to it.
        """
        self.missing = missing
        self._end = self._clock()
        if self.frames == 0:
            self._start = self._told = arrived
        self.frames += 1
        self._taken.append((self._end - begun, self._end - arrived))
        if crowded and self._hurries and self.frames > FIRST:
            self._hurries = False
            self._tell(
                "frames come faster than they are labelled: every frame is labelled, and what sends them must wait; a "
                "camera that cannot wait loses frames itself: send fewer or smaller ones"
            )
        if self._end - self._told >= self._every:
            self._told = self._end
            self._tell(self.text())

    def begin(self) -> float:
        """Return the time at which labelling a frame begins."""
        return self._clock()

    def facts(self) -> dict[str, float]:
        """Return the frames, the missing ones, the frames per second, and medians and 95 % quantiles in milliseconds.

        `milliseconds` is what a frame takes, its background included; `latency_milliseconds` is the time from its
        arrival until its labels are there, so that waiting counts. Both are those of the last `KEPT` frames.
        """
        facts: dict[str, float] = {"frames": self.frames, "missing": self.missing}
        if not self._taken:
            return facts
        milliseconds = 1000 * np.array(self._taken)
        middle, high = np.percentile(milliseconds, (50, 95), axis=0).tolist()
        passed = max(self._end - self._start, 1e-9)
        return facts | {
            "frames_per_second": self.frames / passed,
            "milliseconds": middle[0], "milliseconds_95": high[0],
            "latency_milliseconds": middle[1], "latency_milliseconds_95": high[1],
        }  # fmt: skip

    def text(self) -> str:
        """Return the report as a line."""
        if not self.frames:
            return "0 frames"
        facts, count = self.facts(), f"{self.frames:,} {'frame' if self.frames == 1 else 'frames'}"
        if self.missing:
            count += f" ({self.missing:,} missing between them, by their times)"
        return (
            f"{count}, {facts['frames_per_second']:.1f} frames/s; "
            f"a frame takes {facts['milliseconds']:.0f} ms (95 % within {facts['milliseconds_95']:.0f} ms), from its "
            f"arrival to its labels {facts['latency_milliseconds']:.0f} ms (95 % within "
            f"{facts['latency_milliseconds_95']:.0f} ms)"
        )
