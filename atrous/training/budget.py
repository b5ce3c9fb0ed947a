"""The progress of a run, by wall time or by steps, and the learning rate that follows from it."""

import math
import time
from dataclasses import dataclass, field

STRETCH = 4
"""A run in minutes that must take some steps may last so many times its minutes."""


@dataclass
class Budget:
    """The length of a run, in minutes of wall time or in steps; exactly one of the two is given.

    Minutes alone make the result depend on how fast the machine is. With `least_steps` too, a run ends when the minutes
    are over and so many steps are done, but after `STRETCH` times the minutes at the latest.

    The clock starts when the object is created and counts everything after that: decoding, training and validating.

    Attributes:
        minutes: length of the run in minutes, or None.
        steps: length of the run in steps, or None.
        least_steps: steps that a run in minutes takes at least, or None.
        spent: seconds that earlier sessions of the same run took.
        reserve: seconds at the end of the run that are kept for the work after the last step.
        validations: number of validations for which the training loop adds time to the reserve, once it has measured
            how long a validation takes.
        started: time at which the clock started, in seconds of `time.monotonic`.

    Raises:
        ValueError: both or none of `minutes` and `steps` are given, or `least_steps` without `minutes`.

    >>> Budget(steps=200).progress(50)
    0.25
    """

    minutes: float | None = None
    steps: int | None = None
    spent: float = 0.0
    reserve: float = 0.0
    validations: float = 0.0
    started: float = field(default_factory=time.monotonic)
    least_steps: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either minutes or steps")
        if self.least_steps is not None and self.minutes is None:
            raise ValueError("least_steps is for a run in minutes")

    @property
    def seconds(self) -> float:
        """Seconds that the run has taken so far, earlier sessions included."""
        return self.spent + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Return the share of the run, 0 to 1, that is finished before step number `step`."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        by_time = self._share_of(self.minutes)
        if self.least_steps is None:
            return by_time
        return max(min(by_time, step / self.least_steps), self._share_of(STRETCH * self.minutes))

    def _share_of(self, minutes: float) -> float:
        """The share of so many minutes, less the reserve, that is over; at most 1."""
        available = 60 * minutes - self.reserve
        return min(1.0, self.seconds / available) if available > 0 else 1.0

    def remaining(self, step: int, steps_per_second: float) -> float:
        """Return an estimate of the seconds until the end, for the progress bar."""
        if self.minutes is not None:
            left = 60 * self.minutes - self.seconds
            if self.least_steps is not None:
                by_steps = (self.least_steps - step) / max(steps_per_second, 1e-9) + self.reserve
                left = min(max(left, by_steps), 60 * STRETCH * self.minutes - self.seconds)
            return max(0.0, left)
        assert self.steps is not None
        return (self.steps - step) / max(steps_per_second, 1e-9)


def one_cycle(progress: float, warmup: float = 0.06, floor: float = 0.002) -> float:
    """Return the factor on the learning rate at a progress from 0 to 1.

    It rises linearly from 0.02 to 1 while the progress is below `warmup`, and then falls along half a cosine to `floor`
    (Smith & Topin 2018, "Super-convergence"; Loshchilov & Hutter 2017, "SGDR", for the cosine).

    >>> [round(one_cycle(p), 3) for p in (0.0, 0.03, 0.06, 0.53, 1.0)]
    [0.02, 0.51, 1.0, 0.501, 0.002]
    """
    if progress < warmup:
        return 0.02 + 0.98 * progress / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
