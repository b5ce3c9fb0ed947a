"""What a task says: what the output channels of a network mean, what a wrong one costs, and how good they are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch

from atrous.objects.decoder import ObjectDecoder


class NotFinite(ValueError):
    """A network's output has values that are no numbers (nan) or infinite, where they count.

    Attributes:
        name: the image whose output it is.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: the network's output is not finite (nan or infinite)")
        self.name = name


class EvaluationResult(Protocol):
    """The metrics of one evaluation."""

    @property
    def per_image(self) -> Mapping[str, float]:
        """Image name to the image's own value of the first metric."""
        ...

    @property
    def images(self) -> int:
        """How many images were measured."""
        ...

    @property
    def sample(self) -> str:
        """What one sample is called: image, volume, recording, video or sequence."""
        ...

    def watched(self) -> Mapping[str, float]:
        """Return the metrics that a validation logs, by name; the first one chooses the best weights."""
        ...

    def ranking(self) -> list[str]:
        """Return image names from worst to best; images that cannot be measured are left out."""
        ...

    def text(self) -> str:
        """Return an aligned table for the terminal."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None where a metric does not exist."""
        ...


class Metrics(Protocol):
    """Gathers metrics image by image."""

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count one image.

        Args:
            name: of the image; no name may come twice.
            probabilities: `(K, *S)`, what `Task.probabilities` gives for the image.
            target: the whole target as `Target.tensor` gives it: of labels `(*S)` uint8.
            spacing: distance between positions along each axis, where it is known.
        """
        ...

    def result(self, seconds: float, tta: str = "none") -> EvaluationResult:
        """Return the metrics of all images counted; `seconds` and the test-time augmentation are passed through."""
        ...


@runtime_checkable
class Task(Protocol):
    """What output channels mean: how many there are, what is lost by a wrong one, and what they say in the end."""

    @property
    def out_channels(self) -> int:
        """Channels that the network's head must have."""
        ...

    @property
    def watched(self) -> tuple[str, ...]:
        """Names of the metrics that a validation logs; the first one chooses the best weights."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the first watched metric is better."""
        ...

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss of an output `(N, K, *S)` against a batch of targets, of labels `(N, *S)`."""
        ...

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return the answer of an output `(N, K, *S)`: of labels `(N, *S)` uint8; pointwise, so that it can stream."""
        ...

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return what metrics are given, `(N, K, *S)` float32: probabilities, or values; pointwise."""
        ...

    def metrics(self, *, full: bool = True) -> Metrics:
        """Return a fresh gatherer of metrics; a quick one, for validation during training, when not `full`."""
        ...


class FoundTask(ABC):
    """A `Task` whose answer is found in the dense maps of the whole input, not at each position by itself.

    `probabilities` gives the dense maps that are read; `decode` says where something was found. What is done with the
    answer (it is written, drawn, measured) is looked up by `found`.

    Attributes:
        found: what is found: "objects", of which each position belongs to one at most; "boxes", which may overlap; or
            "points".
        thresholds: options that say from which heat, probability or overlap on something is found, and the values that
            are tried for each when they are chosen on held-out inputs (`atrous.tasks.thresholds`).
        threshold_metrics: metrics whose mean is largest at the best ones; where none are tried, the best one itself.
    """

    found: ClassVar[str]
    thresholds: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    threshold_metrics: ClassVar[tuple[str, ...]] = ()
    out_channels: int
    loss: Any
    decode: Any
    probabilities: Any
    metrics: Any


class ObjectTask(FoundTask):
    """A task that finds objects or boxes: candidates of the dense maps, of which the best are kept.

    Attributes:
        names: of the classes of objects; none for one class.
    """

    found = "objects"
    names: tuple[str, ...] = ()

    @property
    @abstractmethod
    def decoder(self) -> ObjectDecoder:
        """What makes objects of the dense maps."""
