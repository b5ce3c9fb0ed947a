"""Classes of whole inputs: what a whole image, recording or volume is or holds, and where that was seen.

The network gives a map of evidence for each class, on a grid that may be coarser than the input. The answer for the
whole is pooled over all positions, so it is found strip by strip in bounded memory. With evidence x[k, i] of class k at
position i:

- of classes of which each input has one, the pool is log-sum-exp (Pinheiro & Collobert, "From image-level to
  pixel-level labeling with convolutional networks", CVPR 2015), and a softmax follows:

      P(k) = sum_i exp x[k, i] / sum_j sum_i exp x[j, i]

- of classes that are there or not, each by itself, it is noisy-or (Maron & Lozano-Perez, "A framework for
  multiple-instance learning", NIPS 1997): a class is there unless it is absent from every position,

      P(k) = 1 - prod_i (1 - sigmoid x[k, i]),    -log(1 - P(k)) = sum_i softplus x[k, i]

Both are sums over positions. Their gradient goes to the positions with most evidence, where a mean would spread it over
all, and a maximum would give it to one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from atrous.ranks import total
from atrous.tasks.class_metrics import ClassMetrics
from atrous.tasks.summed import SummedLoss, precise
from atrous.tasks.task import FoundTask

LARGEST = 60.0
"""Evidence above this counts as this. A float32 holds up to exp 88, so the sum over 10^12 positions still fits."""
LEAST = 1e-30
"""The least total of softplus of a class that is there: its probability is about as large, and has a logarithm. The
input that is missed most surely is the one to learn from, so below this alone there is no gradient."""


@dataclass(frozen=True)
class ClassificationTask(FoundTask):
    """Classes of whole inputs.

    Attributes:
        names: of the classes.
        exclusive: whether each input has exactly one class; else each class is there or not.
        stride: input positions per position of the map of evidence, along each axis.
        positions: positions of the map of a usual input. Evidence begins near -log(positions), so that at the first
            step the probability of a class is neither 0 nor 1.
        offsets: added to the evidence for each class, so that probabilities fit held-out inputs; none for 0.

    >>> task = ClassificationTask(("seven",), exclusive=False, stride=(16, 16), positions=65536)
    >>> task.out_channels, task.grid((4096, 4000))
    (1, (256, 250))
    """

    names: tuple[str, ...]
    exclusive: bool = True
    stride: tuple[int, ...] = (1, 1)
    positions: float = 1.0
    offsets: tuple[float, ...] = ()

    found = "classes"
    watched = ("log_loss", "accuracy", "auroc", "f1")
    higher_is_better = False
    joint_loss = True

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "ClassificationTask":
        """Make the task from the section `task` of a recipe; its keys stand in `options`.

        Raises:
            ValueError: a key is unknown, or a value does not fit.
        """
        options = {key: value for key, value in section["options"].items() if key != "video"}
        unknown = sorted(set(options) - {"exclusive", "stride", "positions"})
        if unknown:
            raise ValueError(f"options.{unknown[0]} is no option of classification: exclusive, stride, positions are")
        if isinstance(stride := options.get("stride", (1, 1)), Sequence) and not isinstance(stride, str):
            options["stride"] = tuple(stride)
        return cls(tuple(section["classes"]), **options)

    def __post_init__(self) -> None:
        if not isinstance(self.exclusive, bool):
            raise ValueError(f"options.exclusive is {self.exclusive!r}: give true or false")
        if not self.names or (self.exclusive and len(self.names) < 2):
            raise ValueError("classification needs two classes, or exclusive = false and one")
        if not isinstance(self.stride, tuple) or any(not isinstance(n, int) or n < 1 for n in self.stride):
            raise ValueError(f"options.stride is {self.stride!r}: give a whole number for each axis, 1 or more")
        if not isinstance(self.positions, int | float) or self.positions < 1:
            raise ValueError(f"options.positions is {self.positions!r}: give a number of 1 or more")

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """A map of evidence for each class."""
        return len(self.names)

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the size of the map of evidence of an input of this size; a part of a stride counts as one."""
        return tuple(-(-int(length) // step) for length, step in zip(size, self.stride, strict=True))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy of some inputs.

        Args:
            output: the network's, `(N, K, *S')`.
            target: `(N, K)`: 1 for a class that is there, 0 for one that is not, NaN where nobody knows.
        """
        evidence = self.probabilities(output)
        sums = self._terms(evidence).flatten(2).sum(2)
        losses = torch.stack([self._cross_entropy(row, truth) for row, truth in zip(sums, target, strict=True)])
        mean = total(torch.stack([losses.sum(), losses.new_tensor(float(len(losses)))]))
        return mean[0] / mean[1]

    def pooled_loss(self, target: Tensor) -> SummedLoss:
        """Return the loss of one input by its sums over positions; see `PooledTask`.

        Args:
            target: `(K,)`.
        """
        return SummedLoss(
            lambda output, _: self._terms(self.probabilities(output)).flatten(2).sum((0, 2)),
            partial(self._cross_entropy, truth=target),
        )

    def probabilities(self, output: Tensor) -> Tensor:
        """Return the evidence `(N, K, *S')` that is pooled, which is what metrics and answers are made of."""
        evidence = precise(output) - math.log(self.positions)
        if not self.offsets:
            return evidence
        return evidence + evidence.new_tensor(self.offsets).view(-1, *[1] * (evidence.ndim - 2))

    def decode(self, output: Tensor) -> Tensor:
        """Return what is most evident at each position, `(N, *S')` uint8: 0 for nothing, else 1 plus the class."""
        strongest, best = self.seen(self.probabilities(output)).max(dim=1)
        return torch.where(strongest > 0.5, best + 1, 0).to(torch.uint8)

    def seen(self, evidence: Tensor, largest: Tensor | None = None) -> Tensor:
        """Return where classes were seen, from 0 to 1, of evidence `(N, K, *S')`.

        Of classes that are there or not, it is the probability that the class is at this position; of others, the
        part of the position in the answer, compared with that of the strongest position and class.

        Args:
            evidence: of an input, or of a part of it.
            largest: the largest evidence of the whole input; None takes that of `evidence`.
        """
        if not self.exclusive:
            return evidence.sigmoid()
        return (evidence - (evidence.max() if largest is None else largest)).exp()

    def sums(self, evidence: Tensor) -> Tensor:
        """Return the sums `(K,)` float64 over the positions of evidence `(K, *S')`, to be added up over all strips."""
        return self._terms(evidence.double()[None])[0].flatten(1).sum(1)

    def scores(self, sums: Tensor) -> Tensor:
        """Return the probabilities `(K,)` of the classes by the sums over all positions."""
        return sums / sums.sum() if self.exclusive else -torch.expm1(-sums)

    def chosen(self, scores: Tensor) -> list[int]:
        """Return the classes of an input: the most probable one, or all whose probability is above a half."""
        return [int(scores.argmax())] if self.exclusive else [int(k) for k in torch.nonzero(scores > 0.5).flatten()]

    def metrics(self, *, full: bool = True) -> ClassMetrics:
        """Metrics of whole inputs; quick ones are given the network's output."""
        return ClassMetrics(self)

    def _terms(self, evidence: Tensor) -> Tensor:
        """What is summed over positions."""
        return evidence.clamp(max=LARGEST).exp() if self.exclusive else F.softplus(evidence)

    def _cross_entropy(self, sums: Tensor, truth: Tensor) -> Tensor:
        """The cross-entropy of one input by its sums `(K,)`; 0 where nothing is known of it."""
        known = ~torch.isnan(truth)
        truth = torch.nan_to_num(truth).to(sums)
        if self.exclusive:
            logarithms = sums.clamp_min(torch.finfo(sums.dtype).tiny).log()
            return (truth * (torch.logsumexp(logarithms, 0) - logarithms)).sum()
        present = -torch.log(-torch.expm1(-sums.clamp_min(LEAST)))
        losses = torch.where(truth > 0.5, present, sums)
        return torch.where(known, losses, torch.zeros_like(losses)).sum() / known.sum().clamp_min(1)
