"""Several networks with one answer: the mean of their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from atrous.objects.genes import GeneRules
from atrous.tasks.metrics import SegmentationMetrics
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded
from atrous.tasks.stranded_metrics import StrandedMetrics


@dataclass(frozen=True)
class EnsembleTask:
    """The mean of the calibrated probabilities of several tasks with the same classes.

    Its output is the outputs of their networks, joined along the channels. Everything is pointwise, so an ensemble
    streams as one network does (Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation
    using Deep Ensembles").

    Attributes:
        tasks: one for each network, all of one kind.

    >>> pair = EnsembleTask((Semantic(("no", "yes")), Semantic(("no", "yes"))))
    >>> pair.probabilities(torch.tensor([[[0.0], [0.0], [0.0], [99.0]]]))[0, :, 0].tolist()
    [0.25, 0.75]
    """

    tasks: Sequence[Semantic] | Sequence[Stranded]

    higher_is_better = True
    temperature = 1.0
    """The mean of probabilities that are calibrated is not divided again."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in label order."""
        return self.tasks[0].classes

    @property
    def bits(self) -> bool:
        """Whether classes may overlap."""
        return self.tasks[0].bits

    @property
    def watched(self) -> tuple[str, ...]:
        """See `Task.watched`."""
        return self.tasks[0].watched

    @property
    def out_channels(self) -> int:
        """The channels of all networks."""
        return sum(task.out_channels for task in self.tasks)

    @property
    def evidence(self) -> int:
        """Channels that `probabilities` gives beyond those of the classes."""
        first = self.tasks[0]
        return first.evidence if isinstance(first, Stranded) else 0

    @property
    def gene_rules(self) -> GeneRules | None:
        """What genes must fulfil; None if none are decoded."""
        first = self.tasks[0]
        return first.gene_rules if isinstance(first, Stranded) else None

    @property
    def least(self) -> tuple[int, ...]:
        """Samples of the shortest interval of each class; empty where labels are decoded sample by sample."""
        first = self.tasks[0]
        return first.least if isinstance(first, Semantic) else ()

    @property
    def level(self) -> float:
        """Where classes may overlap: the mean probability from which a position has a class."""
        return sum(task.level for task in self.tasks if isinstance(task, Stranded)) / len(self.tasks)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean of the networks' own losses."""
        losses = [task.loss(part, target) for task, part in zip(self.tasks, self._parts(output), strict=True)]
        return torch.stack(losses).mean()

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return the mean of the networks' calibrated probabilities."""
        pairs = zip(self.tasks, self._parts(output), strict=True)
        return torch.stack([task.probabilities(part) for task, part in pairs]).mean(0)

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return the most probable class; where classes may overlap, the set of those that reach `level`."""
        mean = self.probabilities(output)[:, : len(self.classes)]
        if not self.bits:
            return mean.argmax(1).to(torch.uint8)
        weights = 2 ** torch.arange(len(self.classes), device=output.device, dtype=torch.uint8)
        present = (mean >= self.level).to(torch.uint8)
        return (present * weights.view(1, -1, *[1] * (output.ndim - 2))).sum(1, dtype=torch.uint8)

    def metrics(self, *, full: bool = True) -> SegmentationMetrics | StrandedMetrics:
        """Return those of the first task; an ensemble is measured, not trained, so they are full.

        Raises:
            ValueError: quick ones are asked for, which are given raw output.
        """
        if not full:
            raise ValueError("an ensemble has no quick metrics: its networks are trained one by one")
        first = self.tasks[0]
        if isinstance(first, Stranded):
            return StrandedMetrics(self.classes, self.level, rules=self.gene_rules)
        return first.metrics()

    def _parts(self, output: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return output.split([task.out_channels for task in self.tasks], dim=1)
