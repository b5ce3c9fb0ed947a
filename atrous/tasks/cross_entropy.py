"""The cross-entropy of classes, and three changes of it: smoothed labels, focus on hard positions, more at borders."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from atrous.labels import IGNORE

REACH = 2
"""A position is at a border when another class is at most so many positions away along each axis."""
LEAST = 1e-6
"""The least value of 1 - p that is raised to a power: a power has no gradient at 0."""
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
    if options.focal > 0:
        loss = (-torch.expm1(true)).clamp_min(LEAST) ** options.focal * loss
    return torch.where(counted, loss, 0.0)


def position_slopes(
    log_probabilities: torch.Tensor, target: torch.Tensor, options: CrossEntropyOptions
) -> tuple[torch.Tensor | float, torch.Tensor | float | None]:
    """Return the derivatives of `position_losses` by the log-probabilities, at positions that are not void.

    The loss depends on the log-probability q_t of the true class by itself, and on all q_k alike through their mean. So
    its derivative by q_k is one number for every k, and another one more for the true class:

        each = -s / K f,    true = -(1 - s) f + f' h,

    with the factor f = (1 - exp(q_t))^g, its derivative f' by q_t, and h = (1 - s) (-q_t) + s / K sum_k (-q_k).

    Args:
        log_probabilities: `(N, K, *S)`.
        target: `(N, *S)` int64 classes, `IGNORE` where nothing counts; there the derivatives mean nothing.
        options: s and g.

    Returns:
        `true` and `each`, `(N, *S)` or a number for all positions; `each` is None without smoothing.

    >>> even = torch.full((1, 2, 1), 0.5).log()
    >>> position_slopes(even, torch.tensor([[0]]), CrossEntropyOptions(smoothing=0.2))
    (-0.8, -0.1)
    """
    own, shared = -(1 - options.smoothing), -options.smoothing / log_probabilities.shape[1]
    if options.focal == 0:
        return own, shared if shared else None
    index = torch.where(target != IGNORE, target, 0)[:, None]
    true = log_probabilities.gather(1, index)[:, 0]
    unsure = -torch.expm1(true)
    base = unsure.clamp_min(LEAST)
    factor = base**options.focal
    slope = torch.where(unsure > LEAST, -options.focal * base ** (options.focal - 1) * true.exp(), 0.0)
    loss = own * true - options.smoothing * log_probabilities.mean(1)
    return own * factor + slope * loss, shared * factor if shared else None


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
