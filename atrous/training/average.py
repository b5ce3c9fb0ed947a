"""The running average of the weights, which is what a run is judged by and leaves behind."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


def power_average(gamma: float) -> Callable[[Tensors, Tensors, torch.Tensor | int], None]:
    """Averaging whose memory is a fixed share of the run so far, whatever its length.

    At update t the average keeps `(1 - 1/t) ** (1 + gamma)` of itself (Karras et al. 2024, "Analyzing and improving the
    training dynamics of diffusion models", eq. 1 of section 3; gamma 17 is a width of 5 % of the run).
    """

    @torch.no_grad()
    def update(average: Tensors, current: Tensors, updates: torch.Tensor | int) -> None:
        t = float(updates) + 1
        keep = (1 - 1 / t) ** (1 + gamma)
        for old, new in zip(average, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)

    return update


def averaged(network: nn.Module, gamma: float = 17.0) -> AveragedModel:
    """A copy of `network` that `update_parameters` moves towards it; batch-norm statistics are averaged too.

    >>> average = averaged(nn.Linear(2, 1))
    >>> average.update_parameters(nn.Linear(2, 1))
    >>> int(average.n_averaged)
    1
    """
    return AveragedModel(network, multi_avg_fn=power_average(gamma), use_buffers=True)


def on_device(network: nn.Module, device: torch.device) -> None:
    """Move a network; whoever calls it gives inputs and gets its output on any device and the CPU.

    >>> network = nn.Linear(2, 1)
    >>> on_device(network, torch.device("cpu"))
    >>> network(torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """
    network.to(device)
    network.register_forward_pre_hook(lambda _, inputs: tuple(x.to(device) for x in inputs))
    network.register_forward_hook(lambda _, inputs, output: output.cpu())
