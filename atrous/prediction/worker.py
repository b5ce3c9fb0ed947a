"""What computes the values of jobs, as the loop over them knows it."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch

from atrous.data.source import Sink, Source
from atrous.geometry.plan import StreamPlan
from atrous.prediction.inputs import Input, Opened


class Worker(Protocol):
    """What computes the values of jobs: a `Predictor`, or something that needs no training."""

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of a stream."""
        ...

    @property
    def engine(self) -> str:
        """What computes a stream."""
        ...

    @property
    def device(self) -> str:
        """Where a stream is computed."""
        ...

    def parts(self, item: Input) -> Iterator[Opened]:
        """Open an input part by part."""
        ...

    def plan(self, shape: tuple[int, ...]) -> StreamPlan | None:
        """Return how an input of this shape `(C, *S)` is streamed; None if it is computed whole."""
        ...

    def write(
        self,
        source: Source,
        labels: Sink | None = None,
        probabilities: Sink | None = None,
        *,
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Compute the values of a part, and assign them to the sinks."""
        ...
