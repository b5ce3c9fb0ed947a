"""The loss of a network that answers on several scales."""

import torch

from atrous.tasks.task import Task


def supervised_loss(task: Task, output: torch.Tensor | list[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    """The task's loss; of several outputs, finest first, the mean in which each weighs half as much as the one before.

    Deep supervision: Lee et al. 2015, "Deeply-supervised nets"; the weights are nnU-Net's (Isensee et al. 2021).
    """
    if isinstance(output, torch.Tensor):
        return task.loss(output, target)
    weights = [0.5**scale for scale in range(len(output))]
    losses = [weight * task.loss(each, target) for weight, each in zip(weights, output, strict=True)]
    return torch.stack(losses).sum() / sum(weights)
