"""How many steps a second a network takes on this machine, from a few of them."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from atrous.nn.depthwise import fast_depthwise
from atrous.nn.shallow import safe_shallow
from atrous.nn.strided import safe_strided
from atrous.training.processes import make_fabric
from atrous.training.settings import Settings
from atrous.training.step import fast_kernels, make_optimizer, memory_format

WARM_UP, STEPS = 2, 8
"""Steps that do not count, because memory is allocated and kernels are chosen in them; and steps that do."""


def steps_per_second(
    network: nn.Module,
    images: torch.Tensor,
    settings: Settings,
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return how many steps of forward pass, backward pass and update the network takes per second.

    The loss is the mean square of the output: what a task's own loss takes, and the making of batches, is not measured.
    It is the median of a few steps without those of the warm-up; that of the last step if the seconds are over before.

    Args:
        network: in training mode; its weights change.
        images: a batch `(N, C, *S)`.
        settings: of the training: device, precision, optimizer.
        seconds: no step begins after so many.
        clock: gives the time in seconds.
    """
    fabric = make_fabric(settings)
    for weight in network.parameters():
        weight.data = weight.data.contiguous(memory_format=memory_format(weight.ndim - 2))
    optimizer, taken = make_optimizer(network, settings), list[float]()
    with (
        fast_depthwise(network),
        safe_strided(network),
        safe_shallow(network),
        fast_kernels(fabric.device, fixed=True),
    ):
        model, _ = fabric.setup(network, optimizer)
        images = fabric.to_device(images).contiguous(memory_format=memory_format(images.ndim - 2))
        begin = start = clock()
        while len(taken) < WARM_UP + STEPS and (not taken or start - begin < seconds):
            output = model(images)
            outputs = [output] if isinstance(output, torch.Tensor) else output
            loss = torch.stack([each.float().square().mean() for each in outputs]).sum()
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            float(loss.detach())  # waits for a GPU
            end = clock()
            taken.append(end - start)
            start = end
    return 1 / max(statistics.median(taken[WARM_UP:] or taken[-1:]), 1e-9)
