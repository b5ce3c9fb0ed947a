"""A mean teacher: the network also learns from what its own running average says of the same crops.

Tarvainen & Valpola 2017, "Mean teachers are better role models", in a simple form: the teacher sees the same crops, and
the loss is the divergence of distillation (Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network")
at temperature 1. It counts in void positions too: nobody labelled them, but the teacher has an opinion.
"""

import torch
from torch import nn

from atrous.tasks.summed import precise
from atrous.training.trace import Output


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
