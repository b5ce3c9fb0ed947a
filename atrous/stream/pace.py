"""How fast this machine convolves: for saying beforehand how long a run will take."""

import time
from functools import cache

import torch
import torch.nn.functional as F

SHARE = 0.7  # of the rate of one good convolution that a network reaches


@cache
def pace(dtype: torch.dtype, threads: int) -> float:
    """Multiply-adds per second of a network with `dtype`, measured in a tenth of a second on `threads` threads.

    >>> pace(torch.float32, torch.get_num_threads()) > 1e8
    True
    """
    x = torch.randn(1, 64, 96, 96).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(64, 64, 3, 3).to(dtype, memory_format=torch.channels_last)
    work, seconds = 64 * 64 * 9 * 96 * 96, []
    with torch.inference_mode():
        for _ in range(5):
            start = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            seconds.append(time.perf_counter() - start)
    return SHARE * work / sorted(seconds)[2]
