"""The cross-entropy of classes, and three changes of it: smoothed labels, focus on hard positions, more at borders."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from atrous.labels import IGNORE

REACH = 2
"""A position is at a border when another class is at most so many positions away along each axis."""
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class CrossEntropyOptions:
    """How the cross-entropy of a position differs from the plain one; by default it does not.

    Attributes:
        smoothing: share of the target that is spread evenly over all classes, 0 to 1.
        focal: exponent on one minus the probability of the true class; 0 leaves it out.
        boundary: what a position at a border weighs more than others: 2 means three times as much.
    """

    smoothing: float = 0.0
    focal: float = 0.0
    boundary: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether nothing is changed."""
        return self == CrossEntropyOptions()


def position_losses(
    log_probabilities: torch.Tensor, target: torch.Tensor, options: CrossEntropyOptions
) -> torch.Tensor:
    """Return the loss of each position; void positions have 0.

    With q_k the log-probability of class k of K, t the true class, s = `smoothing` and g = `focal`:

        loss = (1 - exp(q_t))^g ((1 - s) (-q_t) + s / K sum_k (-q_k))

    s > 0: Szegedy et al. 2016, "Rethinking the Inception architecture", section 7. g > 0: Lin et al. 2017, "Focal loss
    for dense object detection", equation 4.

    Args:
        log_probabilities: `(N, K, *S)`.
        target: `(N, *S)` int64 classes, `IGNORE` where nothing counts.
        options: s and g.

    Returns:
        `(N, *S)`.

    >>> even = torch.full((1, 2, 2), 0.5).log()
    >>> position_losses(even, torch.tensor([[0, 255]]), CrossEntropyOptions(focal=1.0))
    tensor([[0.3466, 0.0000]])
    """
    counted = target != IGNORE
    index = torch.where(counted, target, 0)[:, None]
    true = log_probabilities.gather(1, index)[:, 0]
    loss = -true
    if options.smoothing > 0:
        loss = (1 - options.smoothing) * loss - options.smoothing * log_probabilities.mean(1)
    if options.focal > 0:  # the power has no gradient at 0
        loss = (-torch.expm1(true)).clamp_min(1e-6) ** options.focal * loss
    return torch.where(counted, loss, 0.0)


def border_weights(target: torch.Tensor, boundary: float) -> torch.Tensor:
    """Return what each position weighs: `1 + boundary` at borders of classes, 1 elsewhere, 0 in void.

    A position is at a border when the cube of side `2 REACH + 1` around it holds another class. Void is no class: the
    rim of a void region is no border, nor is that of the crop. U-Net has a weight that falls off with the distance from
    the border (Ronneberger, Fischer & Brox 2015, equation 2); this is a band, as in boundary IoU (Cheng et al. 2021).

    Args:
        target: `(N, *S)` int64 classes, `IGNORE` where nothing counts.
        boundary: the additional weight.

    Returns:
        `(N, *S)` float32.

    >>> border_weights(torch.tensor([[0, 0, 0, 0, 1, 255, 255]]), 2.0)
    tensor([[1., 1., 3., 3., 3., 0., 0.]])
    """
    counted, ndim = target != IGNORE, target.ndim - 1
    values = target.float()

    def greatest(values: torch.Tensor) -> torch.Tensor:
        """The greatest value of the cube around each position; -inf lies outside."""
        return MAX_POOL[ndim](values[:, None], 2 * REACH + 1, 1, REACH)[:, 0]

    high = greatest(torch.where(counted, values, -float("inf")))
    low = -greatest(torch.where(counted, -values, -float("inf")))
    return counted * (1 + boundary * (high > low))


def cross_entropy_sums(
    log_probabilities: torch.Tensor,
    target: torch.Tensor,
    class_weights: torch.Tensor | None,
    options: CrossEntropyOptions,
) -> torch.Tensor:
    """Return `(2,)`: the sum of the weighted losses of all positions, and that of their weights.

    A position weighs what its true class weighs, times `border_weights`.

    Args:
        log_probabilities: `(N, K, *S)`.
        target: `(N, *S)` int64 classes, `IGNORE` where nothing counts.
        class_weights: `(K,)`, or None for equal ones.
        options: how the loss differs from the plain cross-entropy.
    """
    counted = target != IGNORE
    if options.plain:
        loss = F.nll_loss(log_probabilities, target, class_weights, ignore_index=IGNORE, reduction="sum")
        weight = counted.sum() if class_weights is None else (_of_class(class_weights, target) * counted).sum()
        return torch.stack([loss, weight.to(loss.dtype)])
    weight = counted.to(log_probabilities.dtype)
    if options.boundary > 0:
        weight = border_weights(target, options.boundary).to(log_probabilities.dtype)
    if class_weights is not None:
        weight = weight * _of_class(class_weights, target)
    losses = position_losses(log_probabilities, target, options)
    return torch.stack([(weight * losses).sum(), weight.sum()])


def _of_class(class_weights: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The weight of the class of each position; that of void positions means nothing."""
    return class_weights[target.clamp(max=len(class_weights) - 1)]
