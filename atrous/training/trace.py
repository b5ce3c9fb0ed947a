"""The loss of a network that may answer on several scales, and what to blame when it is not a number."""

from collections.abc import Callable

import torch
from torch import nn

from atrous.data.feed.batches import Batch
from atrous.errors import UserError
from atrous.ranks import current_group, first_number, gathered
from atrous.tasks.custom import is_joint, side_weight, summed_loss_of
from atrous.tasks.task import Task

Output = torch.Tensor | list[torch.Tensor]
"""What a network gives: `(N, K, *S)`, or a list of these on several scales, finest first."""
NAMED = 3
"""At most so many images are named in a message."""


def supervised_loss(task: Task, output: Output, target: torch.Tensor, *, numbered: bool = False) -> torch.Tensor:
    """Return the task's loss, also of a network that answers on several scales.

    Of several outputs, finest first, it is a weighted mean; `side_weight` says what each weighs compared with the one
    before it. Deep supervision: Lee et al. 2015, "Deeply-supervised nets".

    Args:
        task: gives the loss.
        output: of the crops of this process.
        target: of the same crops.
        numbered: whether targets are rows that begin with the number of their crop.
    """
    if isinstance(output, torch.Tensor):
        return _loss(task, output, target, numbered)
    weights = [side_weight(task) ** scale for scale in range(len(output))]
    losses = [weight * _loss(task, each, target, numbered) for weight, each in zip(weights, output, strict=True)]
    return torch.stack(losses).sum() / sum(weights)


def _loss(task: Task, output: torch.Tensor, target: torch.Tensor, numbered: bool) -> torch.Tensor:
    """The loss of one output; on several devices (`atrous.ranks.joined`) that of the outputs of all of them."""
    if current_group() is None:
        return task.loss(output, target)
    summed = summed_loss_of(task)
    if summed is not None:
        return summed(output, target)
    if is_joint(task):
        return task.loss(output, target)
    if numbered:
        target = torch.cat([target[:, :1] + first_number(len(output), output.device), target[:, 1:]], dim=1)
    return task.loss(gathered(output), gathered(target))


def blame(
    model: Callable[[torch.Tensor], Output], network: nn.Module, task: Task, batch: Batch, step: int
) -> UserError:
    """Return the error for a batch whose loss or gradient is not finite; it names the images that are the reason.

    Every crop of the batch is given to the network by itself. Call it before the weights were changed by the batch.

    Args:
        model: what computes the output of the network in the arithmetic of the training.
        network: whose weights learn.
        task: gives the loss.
        batch: on the network's device.
        step: number of the step, for the message.
    """
    names = batch.names or tuple(f"image {number} of the batch" for number in range(len(batch.images)))
    broken = [number for number, image in enumerate(batch.images) if not bool(image.isfinite().all())]
    if broken:
        return UserError(
            f"{_listed(names, broken)}: has values that are nan or infinite, so the loss at step {step} is not a "
            "number: replace them by a number"
        )
    alone = [n for n in range(len(batch.images)) if not _is_finite(model, network, task, batch, n)]
    reach = batch.images.flatten(1).abs().amax(1)
    if alone and len(set(names)) > len({names[n] for n in alone}):
        values = ", ".join(f"{value:.3g}" for value in sorted({float(reach[n]) for n in alone}))
        others = max(float(reach[n]) for n in range(len(names)) if n not in alone)
        return UserError(
            f"{_listed(names, alone)}: the loss at step {step} is not a number because of this image: its values reach "
            f"{values}, those of the other images of the batch {others:.3g}: correct the image, or leave it out"
        )
    greatest = int(reach.argmax())
    return UserError(
        f"the loss is not a number at step {step}, and no image alone is the reason: lower train.learning_rate, or "
        f"look at {names[greatest]}, whose values reach {float(reach[greatest]):.3g}"
    )


def _listed(names: tuple[str, ...], numbers: list[int]) -> str:
    """The different names of some crops, the first few of them."""
    different = list(dict.fromkeys(names[number] for number in numbers))
    more = len(different) - NAMED
    return ", ".join(different[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _is_finite(
    model: Callable[[torch.Tensor], Output], network: nn.Module, task: Task, batch: Batch, number: int
) -> bool:
    """Whether one crop by itself has a finite loss and finite gradients.

    The crop is given twice: batch norm cannot normalize a single value of a channel.
    """
    images, targets = batch.images[[number, number]], batch.targets_of(number)
    loss = supervised_loss(task, model(images), targets)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return all(bool(part.isfinite().all()) for part in (loss, *gradients) if part is not None)
