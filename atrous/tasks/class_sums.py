"""The sums over positions that the loss of classes is made of, and their gradient by its formula.

Step by step, as autograd takes it, every step writes an array as large as the output of the network and reads it again:
a fifth of the time of a training step on a CPU. Here a block of positions goes through all steps while it is in the
processor's cache, and nothing but the output is kept for the backward pass.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from atrous.labels import IGNORE
from atrous.tasks.cross_entropy import CrossEntropyOptions, border_weights, position_losses, position_slopes
from atrous.tasks.summed import precise

BLOCK = 2**18
"""Values of a block on a CPU, about: 1 MiB of float32."""


def class_sums(
    logits: torch.Tensor,
    target: torch.Tensor,
    class_weights: torch.Tensor | None,
    options: CrossEntropyOptions,
    *,
    dice: bool,
) -> torch.Tensor:
    """Return the sums over all positions that are not void.

    They are the sum of w l and that of w, where l is the loss of a position (`position_losses`) and w its weight: that
    of its true class times that of `border_weights`. With `dice` follow, for each of K classes, the sums of p t, of p
    and of t, where p is the probability of the class and t is 1 where it is the true one, else 0.

    The gradient by the logits can be asked for once, not for a second derivative.

    Args:
        logits: `(N, K, *S)`, of any floating dtype; computed in float32, of float64 in float64.
        target: `(N, *S)` int64 classes, `IGNORE` where nothing counts.
        class_weights: `(K,)`, or None for equal ones.
        options: how the loss differs from the plain cross-entropy.
        dice: whether the sums of the Dice coefficient are wanted.

    Returns:
        `(2,)` or `(2 + 3 K,)`.

    >>> class_sums(torch.zeros(1, 2, 3), torch.tensor([[0, 1, 255]]), None, CrossEntropyOptions(), dice=True)
    tensor([1.3863, 2.0000, 0.5000, 0.5000, 1.0000, 1.0000, 1.0000, 1.0000])
    """
    border = border_weights(target, options.boundary) if options.boundary > 0 else None
    sums: torch.Tensor = _ClassSums.apply(logits, target, class_weights, border, _Rule(options, dice))  # pyright: ignore[reportAssignmentType]
    return sums


@dataclass(frozen=True)
class _Rule:
    """What is summed."""

    options: CrossEntropyOptions
    dice: bool


@dataclass(frozen=True)
class _Block:
    """Some positions, and what both passes need of them.

    Attributes:
        log_p: `(N, K, *S)` log-probabilities.
        target: `(N, *S)` classes and void.
        index: `(N, 1, *S)`, the same with a valid class at void positions too.
        counted: `(N, *S)`, 1 where a position is not void, else 0.
        weight: `(N, *S)`, of each position; 0 in void.
    """

    log_p: torch.Tensor
    target: torch.Tensor
    index: torch.Tensor
    counted: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(
        cls,
        logits: torch.Tensor,
        target: torch.Tensor,
        class_weights: torch.Tensor | None,
        border: torch.Tensor | None,
    ) -> "_Block":
        # Ordered first, then widened: other orders of these two take three times as long.
        log_p = F.log_softmax(precise(logits.contiguous()), dim=1)
        known = target != IGNORE
        index, counted = torch.where(known, target, 0), known.to(log_p.dtype)
        weight = counted if border is None else border.to(log_p.dtype)
        if class_weights is not None:
            weight = weight * class_weights.to(log_p.dtype)[index]
        return cls(log_p, target, index.unsqueeze(1), counted, weight)

    def sums(self, rule: _Rule) -> torch.Tensor:
        """The part of these positions in each sum."""
        losses = position_losses(self.log_p, self.target, rule.options)
        entropy = torch.stack([(self.weight * losses).sum(), self.weight.sum()])
        if not rule.dice:
            return entropy
        classes, index = self.log_p.shape[1], self.index.flatten()
        true_p = self.log_p.gather(1, self.index).exp()[:, 0]
        none = entropy.new_zeros(classes)
        overlap = none.index_add(0, index, (self.counted * true_p).flatten())
        predicted = torch.einsum("nkp,np->k", self.log_p.exp().flatten(2), self.counted.flatten(1))
        truth = none.index_add(0, index, self.counted.flatten())
        return torch.cat([entropy, overlap, predicted, truth])

    def gradient(self, rule: _Rule, by: torch.Tensor) -> torch.Tensor:
        """The gradient `(N, K, *S)` by the logits, given that of the loss by each sum, `by`.

        With t = 1 at the true class, else 0, the gradient by the log-probability of class k is

            u t_k + v + c b_k p_k,    u = by_0 w l'_true + c a_true p_true,    v = by_0 w l'_each,

        where c is 1 if the position counts, else 0, a and b are the gradients by the sums of p t and of p, and l' are
        the slopes of `position_slopes`. A softmax turns a gradient d by log-probabilities into d_k - p_k sum(d).
        """
        classes = self.log_p.shape[1]
        p = self.log_p.exp()
        true, each = position_slopes(self.log_p, self.target, rule.options)
        scale = by[0].to(p.dtype) * self.weight
        u = scale * true
        v = None if each is None else scale * each
        if rule.dice:
            a, b, _ = by[2:].to(p.dtype).unflatten(0, (3, classes))
            u = u + self.counted * a[self.index[:, 0]] * p.gather(1, self.index)[:, 0]
            total = u + self.counted * torch.einsum("nkp,k->np", p.flatten(2), b).unflatten(1, self.counted.shape[1:])
            of_class = b.view(-1, *[1] * (p.ndim - 2)) * self.counted.unsqueeze(1)
        else:
            total, of_class = u, 0.0
        if v is not None:
            total = total + classes * v
        found = p.mul_(of_class - total.unsqueeze(1))
        found.scatter_add_(1, self.index, u.unsqueeze(1))
        return found if v is None else found.add_(v.unsqueeze(1))


class _ClassSums(torch.autograd.Function):
    """`class_sums`, block by block."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        target: torch.Tensor,
        class_weights: torch.Tensor | None,
        border: torch.Tensor | None,
        rule: _Rule,
    ) -> torch.Tensor:
        ctx.save_for_backward(logits, target, class_weights, border)
        ctx.rule = rule
        parts = [
            _Block.of(logits[whole], target[place], class_weights, None if border is None else border[place]).sums(rule)
            for whole, place in _blocks(logits)
        ]
        return torch.stack(parts).sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        logits, target, class_weights, border = ctx.saved_tensors
        found = torch.empty_like(logits)
        for whole, place in _blocks(logits):
            part = None if border is None else border[place]
            block = _Block.of(logits[whole], target[place], class_weights, part)
            found[whole] = block.gradient(ctx.rule, grads[0]).to(found.dtype)
        return found, None, None, None, None


def _blocks(logits: torch.Tensor) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Places of blocks in logits `(N, K, R, ...)` and in a target `(N, R, ...)`: some samples, or rows of one.

    A GPU takes all at once: it would wait for every small block.
    """
    samples, classes, rows, *rest = logits.shape
    if logits.device.type != "cpu":
        yield (slice(None),), (slice(None),)
        return
    row = max(1, classes * math.prod(rest))
    count = max(1, BLOCK // max(1, row * rows))
    step = max(1, min(rows, BLOCK // row)) if count == 1 else max(1, rows)
    for first in range(0, max(1, samples), count):  # also where there are none: one block without positions
        some = slice(first, first + count)
        for top in range(0, max(1, rows), step):
            yield (some, slice(None), slice(top, top + step)), (some, slice(top, top + step))
