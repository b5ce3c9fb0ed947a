"""Test-time augmentation: the mean over the mirror images of an input."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from atrous.tasks.custom import value_task
from atrous.tasks.temperature import temperatures


def mean_of_mirrored(
    network: Callable[[torch.Tensor], torch.Tensor], task: Any, x: torch.Tensor, flips: Sequence[int]
) -> torch.Tensor:
    """Return an output `(N, K, *S)` float32 whose answer is the mean answer over the mirror images.

    Probabilities are averaged, and the output is their logarithm times the temperature, by which the task will divide
    it; numbers are averaged as they are.

    Args:
        network: maps `(N, C, *S)` to `(N, K, *S)`.
        task: makes probabilities of the output.
        x: the input `(N, C, *S)`.
        flips: spatial axes, each of which is mirrored.
    """
    mirrored_axes = [[], *([axis + 2] for axis in flips)]
    outputs = (network(x.flip(axes)).flip(axes) for axes in mirrored_axes)
    if value_task(task) is not None:
        return torch.stack([output.float() for output in outputs]).mean(dim=0)
    total = sum(task.probabilities(output) for output in outputs)
    temperature = math.prod(temperatures(task))  # one, or none
    return (total / len(mirrored_axes)).log() * temperature  # type: ignore[operator]
