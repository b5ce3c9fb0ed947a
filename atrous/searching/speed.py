"""How long a network takes for one input, measured."""

import math
import statistics
import time

import torch
from torch import nn

REPEATS = 7
SECONDS = 3.0
"""After so long no further pass is timed, once there are three."""
MEGA = 1e6


def milliseconds(network: nn.Module, shape: tuple[int, ...], *, bfloat16: bool = False) -> float:
    """Return the median milliseconds of a forward pass of one input `(C, *S)`, on the CPU, with torch's threads.

    A first pass warms up and is not counted. Up to 7 passes are timed, fewer if they take long.

    Args:
        network: it is put in eval mode, and into bfloat16 where that is wanted.
        shape: of the input, `(C, *S)`; its values are random.
        bfloat16: the type of weights and input, as `predict` takes it; else float32.
    """
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    network = network.eval().to(dtype)
    x = torch.randn((1, *shape), generator=torch.Generator().manual_seed(0)).to(dtype)
    if x.ndim == 4:
        network, x = network.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seconds: list[float] = []
    begun = time.perf_counter()
    with torch.inference_mode():
        network(x)
        for _ in range(REPEATS):
            start = time.perf_counter()
            network(x)
            seconds.append(time.perf_counter() - start)
            if len(seconds) >= 3 and time.perf_counter() - begun > SECONDS:
                break
    return 1e3 * statistics.median(seconds)


def per_megaposition(taken: float, shape: tuple[int, ...]) -> float:
    """Return the time per million input positions of a pass over `(C, *S)`.

    >>> per_megaposition(5.0, (3, 500, 1000))
    10.0
    """
    return taken * MEGA / math.prod(shape[1:])
