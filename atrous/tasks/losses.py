"""Losses of dense labels that leave void positions out."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from atrous.labels import IGNORE


def dice_loss(probabilities: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice coefficient, averaged over the classes that occur in the batch.

    Counts over the whole batch (Milletari, Navab & Ahmadi 2016, "V-Net", with linear denominators), void positions left
    out of numerator and denominator. A class that the batch does not have is left out: its Dice is 0 or undefined
    whatever is predicted.

    Args:
        probabilities: `(N, K, *S)`.
        target: `(N, *S)` int64, classes and `IGNORE`.

    >>> target = torch.tensor([[0, 1, 1, 255]])
    >>> perfect = torch.tensor([[[1.0, 0, 0, 0.5], [0, 1, 1, 0.5]]])
    >>> dice_loss(perfect, target).item()
    0.0
    """
    classes = probabilities.shape[1]
    counted = (target != IGNORE).unsqueeze(1)
    safe = target.clamp(max=classes - 1).unsqueeze(1)
    kept = probabilities * counted
    axes = [0, *range(2, probabilities.ndim)]
    predicted = kept.sum(axes)
    hits = kept.gather(1, safe).flatten()
    where = safe.flatten()
    overlap = hits.new_zeros(classes).index_add(0, where, hits)
    truth = torch.bincount(where[counted.flatten()], minlength=classes).to(overlap.dtype)
    present = truth > 0
    dice = 2 * overlap[present] / (predicted[present] + truth[present])
    return 1 - dice.mean() if bool(present.any()) else overlap.sum() * 0


def segmentation_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    class_weights: Sequence[float] | None = None,
    dice: float = 1.0,
) -> torch.Tensor:
    """Weighted cross-entropy plus `dice` times the soft Dice loss.

    Args:
        logits: `(N, K, *S)`, any floating dtype; computed in float32.
        target: `(N, *S)` int64, classes and `IGNORE`.
        class_weights: of the cross-entropy, one per class.
        dice: weight of the Dice part; 0 leaves it out.

    >>> segmentation_loss(torch.tensor([[[9.0, -9], [-9, 9]]]), torch.tensor([[0, 1]])).item() < 1e-4
    True
    """
    logits = logits.float()
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32, device=logits.device)
    logs = F.log_softmax(logits, dim=1)
    loss = F.nll_loss(logs, target, weights, ignore_index=IGNORE, reduction="sum")
    counted = target[target != IGNORE]
    mass = counted.numel() if weights is None else weights[counted].sum()
    loss = loss / max(float(mass), 1e-6)  # a batch of void alone has loss 0, not nan
    return loss + dice * dice_loss(logs.exp(), target) if dice > 0 else loss
