"""A step of training on a whole sample, in strips: the gradients of the whole, in bounded memory.

The sample is a batch of one. Its gradients are those of one forward and backward pass, batch norms in training mode
included (`stream/gradient.py`).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from atrous.errors import UserError
from atrous.stream import Differentiable, gradient, prepare_gradient
from atrous.stream.process import give_back
from atrous.tasks.custom import pooled_task, summed_loss_of
from atrous.tasks.summed import SummedLoss
from atrous.tasks.task import Task

LARGE = 2**18
"""Positions of a sample from which its step takes seconds."""
KEPT = 4
"""Sizes of samples for which the exported network is kept; exporting it takes seconds."""


class WholeSteps:
    """Computes losses and gradients of whole samples, one at a time.

    Args:
        network: in training mode; `(N, C, *S)` to `(N, K, *S)`.
        task: whose loss follows from sums over positions, that of a `PooledTask` included.
        folder: for the rows and values that are held meanwhile.

    Raises:
        UserError: the loss of the task does not follow from sums over positions.
    """

    def __init__(self, network: nn.Module, task: Task, folder: Path) -> None:
        self.network, self.task, self.folder = network, pooled_task(task), folder
        self.loss = None if self.task is not None else whole_loss(task)
        self.ready: dict[tuple[tuple[int, ...], tuple[bool, ...]], Differentiable] = {}

    def prepare(self, shape: tuple[int, ...]) -> Differentiable:
        """Return the network exported for a sample of this shape `(C, *S)`, each module in the mode that it is in.

        Raises:
            UserError: its gradient cannot be computed in strips.
        """
        key = shape, tuple(module.training for module in self.network.modules())  # stages change modes
        if key not in self.ready:
            if len(self.ready) >= KEPT:
                del self.ready[next(iter(self.ready))]
            self.ready[key] = prepare_gradient(self.network, shape)
            gc.collect()  # the export leaves cycles that hold what its callers held, such as the sample
        return self.ready[key]

    def step(self, image: torch.Tensor, target: torch.Tensor) -> float:
        """Add the gradients of the loss of one sample to those of the network, and return the loss.

        Args:
            image: `(C, *S)`.
            target: `(*S)` classes, `(K, *S)` numbers, or of a `PooledTask` its target for the whole sample.
        """
        ready = self.prepare(tuple(image.shape))
        if image[0].numel() > LARGE:
            gc.collect()  # a step of seconds leaves tens of MB in cycles
        give_back()  # what decoding left free
        if self.task is not None:
            return gradient(ready, image, self.task.pooled_loss(target), spool=self.folder)
        assert self.loss is not None
        return gradient(ready, image, self.loss, target, spool=self.folder)


@contextmanager
def whole_steps(network: nn.Module, task: Task, wanted: bool) -> Iterator[WholeSteps | None]:
    """Give what computes steps on whole samples, with a folder of its own; None where they are not wanted."""
    if not wanted:
        yield None
        return
    with TemporaryDirectory(prefix="atrous-") as folder:
        yield WholeSteps(network, task, Path(folder))


def whole_loss(task: Task) -> SummedLoss:
    """Return the loss of a task by its sums over positions.

    Raises:
        UserError: it does not follow from such sums.

    >>> from atrous.tasks.semantic import Semantic
    >>> whole_loss(Semantic(("background", "cell"))).sums(torch.zeros(1, 2, 3), torch.tensor([[0, 1, 1]])).shape
    torch.Size([8])
    """
    loss = summed_loss_of(task)
    if loss is None:
        raise UserError(
            "train.whole: the loss of this task does not follow from sums over positions, so it cannot be found strip "
            "by strip: train on crops, or give a loss of your own as a SummedLoss"
        )
    return loss
