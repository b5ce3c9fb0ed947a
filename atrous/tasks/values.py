"""Numbers at every position: the network's output in the units of the training targets (regression, restoration)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from atrous.errors import UserError
from atrous.tasks.summed import SummedLoss, precise
from atrous.tasks.task import EvaluationResult
from atrous.tasks.value_metrics import ValueMetrics

LOSSES = ("l1", "l2", "huber")


@dataclass(frozen=True)
class ValueTask(ABC):
    """What all tasks share whose answer is a number (or several) at each position.

    The network's output is `(value - offset) / scale`, so that it is about as large as the values that networks begin
    with.

    Attributes:
        names: of the outputs.
        offset: of each output.
        scale: of each output.
        robust: the loss: "l1" (absolute error), "l2" (squared error), or "huber" (squared below one `scale`, absolute
            above; Huber 1964), which a few wrong targets move less.
        limits: least and greatest value that is given; None for no limits.
    """

    names: tuple[str, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    robust: str = "l1"
    limits: tuple[float, float] | None = None

    factor: ClassVar[int] = 1
    """The grid of the output is finer than that of the input by this factor along each axis."""
    pictures: ClassVar[bool] = False
    """Whether the answers are images like the inputs, so that 8-bit ones are written as pictures."""
    watched: ClassVar[tuple[str, ...]]
    higher_is_better: ClassVar[bool]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.offset) == len(self.scale):
            raise UserError(
                f"task.options: {len(self.offset)} offsets and {len(self.scale)} scales for {len(self.names)} outputs "
                f"({', '.join(self.names)}): give one of each for every output"
            )
        if self.robust not in LOSSES:
            raise UserError(f"task.options.loss = {self.robust!r}: choose {', '.join(LOSSES)}")
        if any(not scale > 0 for scale in self.scale):
            raise UserError(f"task.options.scale = {list(self.scale)}: give positive numbers")

    @property
    def out_channels(self) -> int:
        """See `Task.out_channels`: one for each output."""
        return len(self.names)

    @property
    def of_bytes(self) -> bool:
        """Whether the answers to 8-bit pictures have 8 bits too; targets of another type have other values."""
        return True

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean error over the positions that are known; `(N, K, *S)` both, NaN in the target is unknown."""
        return self.mean_error()(output, target)

    def mean_error(self) -> SummedLoss:
        """Return the mean error by its sums: that of the errors, and the number of known values."""
        return SummedLoss(self._error_sums, lambda sums: sums[0] / sums[1].clamp_min(1))

    def _error_sums(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the sum of the errors and the number of known values, `(2,)`."""
        if output.shape != target.shape:
            raise UserError(
                f"the network gives {tuple(output.shape[1:])}, the target is {tuple(target.shape[1:])}: bring images "
                "and targets to the same channels and grid"
            )
        known = ~torch.isnan(target)
        wanted = (torch.nan_to_num(target) - self._shaped(self.offset, target)) / self._shaped(self.scale, target)
        error = torch.where(known, precise(output) - wanted, 0.0)
        if self.robust == "l1":
            error = error.abs()
        elif self.robust == "l2":
            error = error.square()
        else:
            size = error.abs()
            error = torch.where(size < 1, 0.5 * size.square(), size - 0.5)
        return torch.stack([error.sum(), known.sum().to(error.dtype)])

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return the values `(N, K, *S)` float32 in the units of the targets; see `Task.probabilities`."""
        values = output.float() * self._shaped(self.scale, output) + self._shaped(self.offset, output)
        return values if self.limits is None else values.clamp(*self.limits)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return the same: the values are the answer."""
        return self.probabilities(output)

    @abstractmethod
    def metrics(self, *, full: bool = True) -> Any:
        """See `Task.metrics`."""

    def _shaped(self, numbers: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
        """Numbers per output as a tensor `(1, K, 1, ...)` beside `like` `(N, K, *S)`."""
        values = torch.tensor(numbers, dtype=torch.float32, device=like.device)
        return values.view(1, -1, *[1] * (like.ndim - 2))


class RegressionTask(ValueTask):
    """Numbers at each position, from targets where some positions may be unknown."""

    watched = ("mae", "rmse", "r2")
    higher_is_better = False

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "RegressionTask":
        """Make the task of the section `task` of a recipe; its options are `outputs`, `offset`, `scale` and `loss`."""
        options = section["options"]
        names = tuple(options.get("outputs", ("value",)))
        count = len(names)
        return cls(
            names, tuple(options.get("offset", (0.0,) * count)), tuple(options.get("scale", (1.0,) * count)),
            options.get("loss", "huber"),
        )  # fmt: skip

    def summed_loss(self) -> SummedLoss:
        """See `SummedTask`."""
        return self.mean_error()

    def metrics(self, *, full: bool = True) -> "_Gathered":
        """See `Task.metrics`: MAE, RMSE, R2 and the correlations of Pearson and of Spearman."""
        return _Gathered(self, ValueMetrics(self.names, ranks=full), full)


class _Gathered:
    """Metrics that take the network's output as it is where they are quick ones."""

    def __init__(self, task: ValueTask, metrics: ValueMetrics, full: bool) -> None:
        self._task, self._metrics, self._full = task, metrics, full

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """See `Metrics.update`."""
        values = probabilities if self._full else self._task.probabilities(probabilities[None])[0]
        self._metrics.update(name, values, target)

    def result(self, seconds: float, tta: str = "none") -> EvaluationResult:
        """See `Metrics.result`."""
        return self._metrics.result(seconds, tta)
