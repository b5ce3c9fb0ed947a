"""Losses for dense labels that leave void positions out."""

from collections.abc import Sequence

import torch

from atrous.tasks.class_sums import class_sums
from atrous.tasks.cross_entropy import CrossEntropyOptions
from atrous.tasks.summed import SummedLoss

PLAIN = CrossEntropyOptions()


def dice_of_sums(sums: torch.Tensor) -> torch.Tensor:
    """Return one minus the soft Dice coefficient, averaged over the classes that occur in the batch.

    With p the probability of class k at a position and t = 1 where k is the true class, else 0, the coefficient is

        Dice_k = 2 sum(p t) / (sum(p) + sum(t))

    with the sums over all positions of the batch that are not void (Milletari, Navab & Ahmadi 2016, "V-Net", but with
    p and t in the denominator where they have squares). A class that does not occur in the batch is left out: its
    coefficient is 0 or undefined, whatever is predicted. The loss is 0 if no class occurs.

    Args:
        sums: `(3, K)`: of each class sum(p t), sum(p) and sum(t).

    Returns:
        Scalar in 0..1.

    >>> dice_of_sums(torch.tensor([[3.0, 0.5], [3.0, 1.0], [3.0, 1.0]])).item()  # the mean of 0 and 0.5
    0.25
    """
    overlap, predicted, truth = sums
    present = truth > 0
    dice = 2 * overlap / torch.where(present, predicted + truth, 1.0)
    return torch.where(present, 1 - dice, 0.0).sum() / present.sum().clamp_min(1)


def segmentation_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    class_weights: Sequence[float] | None = None,
    dice: float = 1.0,
    options: CrossEntropyOptions = PLAIN,
) -> torch.Tensor:
    """Return the weighted cross-entropy plus `dice` times the soft Dice loss.

    Args:
        logits: `(N, K, *S)`, of any floating dtype; the loss is computed in float32, of float64 in float64.
        target: `(N, *S)` int64 classes, `IGNORE` where nothing counts.
        class_weights: weight of each class in the cross-entropy; all equal by default.
        dice: weight of the Dice loss; 0 leaves it out.
        options: smoothed labels, focus on hard positions, more weight at borders.

    Returns:
        Scalar; 0 for a batch that is all void.

    >>> segmentation_loss(torch.tensor([[[9.0, -9], [-9, 9]]]), torch.tensor([[0, 1]])).item() < 1e-4
    True
    """
    return summed_segmentation_loss(class_weights=class_weights, dice=dice, options=options)(logits, target)


def summed_segmentation_loss(
    *, class_weights: Sequence[float] | None = None, dice: float = 1.0, options: CrossEntropyOptions = PLAIN
) -> SummedLoss:
    """Return the loss of `segmentation_loss` by its sums over positions.

    The sums are those of `class_sums`, of Dice too where it has a weight. Where borders weigh more, positions at the
    rim of a piece do not know the neighbors that the whole has: then the sums of pieces are not those of the whole.

    >>> loss = summed_segmentation_loss(dice=0)
    >>> loss.sums(torch.zeros(1, 2, 3), torch.tensor([[0, 1, 255]])).tolist()
    [1.3862943649291992, 2.0]
    """

    def sums(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        exact = torch.float64 if logits.dtype == torch.float64 else torch.float32
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=exact)
        if weights is not None:
            weights = weights.to(logits.device, non_blocking=True)
        return class_sums(logits, target, weights, options, dice=dice > 0)

    def value(sums: torch.Tensor) -> torch.Tensor:
        loss = sums[0] / sums[1].clamp_min(1e-6)  # a batch that is all void has loss 0, not nan
        return loss + dice * dice_of_sums(sums[2:].unflatten(0, (3, -1))) if dice > 0 else loss

    return SummedLoss(sums, value)
