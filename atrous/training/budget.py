"""The progress of a run, by wall time or by steps, and the learning rate that follows from it."""

import math
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """The length of a run, in minutes of wall time or in steps; exactly one of the two is given.

    The clock starts when the object is created and counts everything after that: decoding, training and validating.

    Attributes:
        minutes: length of the run in minutes, or None.
        steps: length of the run in steps, or None.
        spent: seconds that earlier sessions of the same run took.
        reserve: seconds at the end of the run that are kept for the work after the last step.
        validations: number of validations for which the training loop adds time to the reserve, once it has measured
            how long a validation takes.
        started: time at which the clock started, in seconds of `time.monotonic`.

    Raises:
        ValueError: both or none of `minutes` and `steps` are given.

    >>> Budget(steps=200).progress(50)
    0.25
    """

    minutes: float | None = None
    steps: int | None = None
    spent: float = 0.0
    reserve: float = 0.0
    validations: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either minutes or steps")

    @property
    def seconds(self) -> float:
        """Seconds that the run has taken so far, earlier sessions included."""
        return self.spent + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Return the share of the run, 0 to 1, that is finished before step number `step`."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        available = 60 * self.minutes - self.reserve
        return min(1.0, self.seconds / available) if available > 0 else 1.0

    def remaining(self, step: int, steps_per_second: float) -> float:
        """Return an estimate of the seconds until the end, for the progress bar."""
        if self.minutes is not None:
            return max(0.0, 60 * self.minutes - self.seconds)
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
