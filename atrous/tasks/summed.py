"""Losses that follow from sums over positions, so that they can be gathered piece by piece."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from atrous.ranks import total


def precise(values: Tensor) -> Tensor:
    """Return values in the precision in which losses are computed: float32, and float64 where they are given so.

    >>> precise(torch.zeros(1, dtype=torch.bfloat16)).dtype, precise(torch.zeros(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return values if values.dtype == torch.float64 else values.float()


@dataclass(frozen=True)
class SummedLoss:
    """A loss that is a function of a few sums over all positions.

    A mean over the positions that count is one sum divided by another, and a soft Dice coefficient is such a fraction,
    too. So such a loss of an input of any size, and its gradient, can be found piece by piece: first the sums, then the
    gradient of the loss by each sum, and with it that of each piece.

    Attributes:
        sums: given a piece of the output `(1, K, *piece)` and of the target `(1, ..., *piece)`, returns `(M,)`: the
            part of the piece in each of the sums.
        value: given all sums `(M,)`, returns the loss, a scalar.

    >>> mean = SummedLoss(lambda x, _: torch.stack([x.sum(), torch.tensor(float(x.numel()))]), lambda s: s[0] / s[1])
    >>> one, other = torch.tensor([1.0, 2.0]), torch.tensor([6.0])
    >>> mean.value(mean.sums(one, None) + mean.sums(other, None)), mean(torch.cat([one, other]), None)
    (tensor(3.), tensor(3.))
    """

    sums: Callable[[Tensor, Any], Tensor]
    value: Callable[[Tensor], Tensor]

    def __call__(self, output: Tensor, target: Any) -> Tensor:
        """Return the loss of a whole output; in a training on several devices, that of the outputs of all of them."""
        return self.value(total(self.sums(output, target)))


@runtime_checkable
class SummedTask(Protocol):
    """A task whose loss is known by its sums over positions."""

    def summed_loss(self) -> SummedLoss:
        """Return the loss of `Task.loss` by its sums."""
        ...


@runtime_checkable
class PooledTask(Protocol):
    """A task with one target for a whole input, whose loss is known by sums over the positions of its output."""

    def pooled_loss(self, target: Tensor) -> SummedLoss:
        """Return the loss of one input, given its target; its sums are asked for without one."""
        ...
