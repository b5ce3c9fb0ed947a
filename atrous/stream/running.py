"""Running statistics of batch norms, after a gradient: updated once, as the forward pass on the whole input does."""

from typing import Any

import torch
from torch import Tensor

from atrous.stream.differentiable import Differentiable
from atrous.stream.pullback import Pullback


def update_running_statistics(ready: Differentiable, pullbacks: dict[int, Pullback], values: dict[int, Tensor]) -> None:
    """Move the running mean and variance of each batch norm in training mode towards those of the whole input.

    `running = (1 - momentum) running + momentum * batch`, with the unbiased variance; without a momentum the average of
    all batches, as in `torch.nn.BatchNorm2d`. `pullbacks` hold what the barriers gathered, and `values` the values
    without rows, for batch norms of these.
    """
    with torch.no_grad():
        for index, module in ready.norms.items():
            if index in pullbacks:
                gathered = pullbacks[index].gathered
                mean, squares, count = gathered.mean, gathered.squares, gathered.n
            else:
                x = values[ready.graph.ops[index].inputs[0]].double()
                x = x.transpose(0, 1).flatten(1)
                mean, count = x.mean(1), x.shape[1]
                squares = (x - mean[:, None]).square().sum(1)
            _update(module, mean, squares / (count - 1))


def _update(module: Any, mean: Tensor, var: Tensor) -> None:
    batches = _counted(module)
    share = 1 / batches if module.momentum is None else module.momentum
    for running, batch in ((module.running_mean, mean), (module.running_var, var)):
        running.mul_(1 - share).add_(batch.to(running.dtype), alpha=share)


def _counted(module: Any) -> int:
    """Count one batch more, and return how many there were."""
    if module.num_batches_tracked is None:
        return 1
    module.num_batches_tracked.add_(1)
    return int(module.num_batches_tracked)
