"""A mean teacher: the network also learns from what its own running average says of the same crops.

Tarvainen & Valpola 2017, "Mean teachers are better role models", in a simple form: the teacher sees the same crops, and
the loss is the divergence of distillation (Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network")
at temperature 1. It counts in void positions too: nobody labelled them, but the teacher has an opinion. At first that
opinion is worth little, so the weight of the loss rises over the first fifth of the training.
"""

import math

import torch
from torch import nn

from atrous.tasks.summed import precise
from atrous.training.trace import Output

RISE = 0.2
"""The share of a training over which the weight of the loss rises."""


def ramp_up(progress: float) -> float:
    """Return the part of its weight that the loss has, when this share of the training, from 0 to 1, is over.

    It is exp(-5 (1 - x)^2), where x goes from 0 to 1 over the first fifth: the sigmoid-shaped rise of Tarvainen &
    Valpola 2017 (appendix B), after Laine & Aila 2017.

    >>> [round(ramp_up(progress), 4) for progress in (0.0, 0.1, 0.2, 1.0)]
    [0.0067, 0.2865, 1.0, 1.0]
    """
    return math.exp(-5 * (1 - min(1.0, progress / RISE)) ** 2)


def teacher_loss(output: Output, said: torch.Tensor) -> torch.Tensor:
    """Return how far an output is from that of the teacher: the mean over positions of

        KL(p || q) = sum_k p_k (log p_k - log q_k)

    with the teacher's probabilities p and those of the output q.

    Args:
        output: logits `(N, K, *S)`; of several scales, finest first, the finest counts.
        said: logits of the teacher, `(N, K, *S)`.

    >>> one, other = torch.tensor([[[2.0], [0.0]]]), torch.tensor([[[0.0], [2.0]]])
    >>> teacher_loss(one, one).item(), round(teacher_loss(one, other).item(), 3)
    (0.0, 1.523)
    """
    finest = output if isinstance(output, torch.Tensor) else output[0]
    q, p = precise(finest).log_softmax(1), precise(said).log_softmax(1)
    return (p.exp() * (p - q)).sum(1).mean()


@torch.no_grad()
def said_by(teacher: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return what a teacher says of images, in evaluation mode, on their device."""
    return teacher.eval()(images).to(images.device)
