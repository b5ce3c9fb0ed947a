"""How far a run is: by the clock or by steps."""

import math
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Progress from 0 to 1 over `minutes` of wall time or `steps` steps; exactly one of them is given.

    The clock starts when the object is made and counts everything since: checking, decoding, validating. `spent` are
    the seconds of earlier sessions of the same run. `reserve` seconds are kept back for what comes
    after the last step, and the time of `validations` validations, which the loop knows once it has made one.

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
            raise ValueError("give minutes or steps, one of them")

    @property
    def seconds(self) -> float:
        """Seconds used so far, earlier sessions included."""
        return self.spent + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Share of the run that is done before `step`, 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        available = 60 * self.minutes - self.reserve
        return min(1.0, self.seconds / available) if available > 0 else 1.0

    def remaining(self, step: int, steps_per_second: float) -> float:
        """Seconds until the end, for the progress bar."""
        if self.minutes is not None:
            return max(0.0, 60 * self.minutes - self.seconds)
        assert self.steps is not None
        return (self.steps - step) / max(steps_per_second, 1e-9)


def one_cycle(progress: float, warmup: float = 0.06, floor: float = 0.002) -> float:
    """Learning-rate factor: a linear rise to 1 over `warmup`, then a half cosine to `floor` at progress 1.

    Warm-up and annealing after Smith & Topin 2018 ("Super-convergence") and Loshchilov & Hutter 2017 (cosine).

    >>> [round(one_cycle(p), 3) for p in (0.0, 0.03, 0.06, 0.53, 1.0)]
    [0.02, 0.51, 1.0, 0.501, 0.002]
    """
    if progress < warmup:
        return 0.02 + 0.98 * progress / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
