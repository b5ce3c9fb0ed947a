"""What a task must say of the output channels."""

from typing import Any, Protocol, runtime_checkable

import torch


class Metrics(Protocol):
    """Gathers figures image by image."""

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count one image: `(K, *S)` probabilities against `(*S)` labels, whose positions are `spacing` apart."""
        ...

    def result(self, seconds: float, tta: str = "none") -> Any:
        """The figures of all images counted."""
        ...


@runtime_checkable
class Task(Protocol):
    """What output channels mean: how many there are, what is lost by a wrong one, and what they say in the end."""

    @property
    def out_channels(self) -> int:
        """Channels that the network's head must have."""
        ...

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Scalar loss of `(N, K, *S)` against `(N, *S)`."""
        ...

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Labels `(N, *S)` uint8 of `(N, K, *S)`; pointwise, so that it can run inside a stream."""
        ...

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities `(N, K, *S)` float32; pointwise."""
        ...

    def metrics(self, *, full: bool = True) -> Metrics:
        """A fresh gatherer of figures; the quick subset when not `full`."""
        ...
