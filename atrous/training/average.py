"""The running average of the weights: the network that a run validates and saves."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]
"""The parameters and buffers of a network."""


def power_average(gamma: float) -> Callable[[Tensors, Tensors, torch.Tensor | int], None]:
    """Return an update rule for `AveragedModel` that averages over a fixed share of the run so far.

    At update t = 1, 2, ... the average a moves towards the weights w:

        a = k a + (1 - k) w,   k = (1 - 1/t) ** (1 + gamma)

    (Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models", eq. 1 of section 3). The
    larger gamma, the shorter the average: gamma = 17 averages over about 5 % of the run. Integer tensors are copied.
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
    """Return a running average of the network's weights and buffers, batch-norm statistics included.

    Call `update_parameters(network)` on the result after every step.

    >>> average = averaged(nn.Linear(2, 1))
    >>> average.update_parameters(nn.Linear(2, 1))
    >>> int(average.n_averaged)
    1
    """
    return AveragedModel(network, multi_avg_fn=power_average(gamma), use_buffers=True)


def on_device(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, and let it take inputs from any device and return its output on the CPU.

    >>> network = nn.Linear(2, 1)
    >>> on_device(network, torch.device("cpu"))
    >>> network(torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """
    network.to(device)
    network.register_forward_pre_hook(lambda _, inputs: tuple(x.to(device) for x in inputs))
    network.register_forward_hook(lambda _, inputs, output: output.cpu())
