"""Time of the backward pass of EfficientNet-Lite0's depthwise convolutions: torch and `atrous.nn.depthwise`, bfloat16.

python benchmarks/depthwise.py
"""

import json
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from atrous.nn.depthwise import depthwise_conv2d

LAYERS = [  # channels, height, width, kernel, stride, padding, as in the network on images of 320 x 448
    (96, 161, 225, 3, 2, 0),
    (144, 80, 112, 3, 1, 1),
    (144, 83, 115, 5, 2, 0),
    (240, 40, 56, 5, 1, 2),
    (672, 20, 28, 5, 1, 2),
    (672, 23, 31, 5, 2, 0),
    (1152, 10, 14, 5, 1, 2),
]


def milliseconds(output: torch.Tensor, inputs: tuple[torch.Tensor, torch.Tensor], rounds: int = 5) -> float:
    """Return the median time of one backward pass in milliseconds; the first one is not counted."""
    grad, times = torch.randn_like(output), []
    for number in range(rounds + 1):
        start = time.perf_counter()
        torch.autograd.grad(output, inputs, grad, retain_graph=True)
        if number:
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch 8, bfloat16, channels_last")
    print(f"{'channels  size       kernel stride':36}torch ms  ours ms   ratio")
    rows = []
    for channels, height, width, kernel, stride, padding in LAYERS:
        x = torch.randn(8, channels, height, width, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, 1, kernel, kernel, dtype=torch.bfloat16)
        for tensor in (x, weight):
            tensor.requires_grad_()
        forwards: list[Callable[[], torch.Tensor]] = [
            lambda s=stride, p=padding, c=channels, a=x, b=weight: F.conv2d(a, b, None, s, p, 1, c),
            lambda s=stride, p=padding, a=x, b=weight: depthwise_conv2d(a, b, s, p),
        ]
        torch_ms, our_ms = (milliseconds(forward(), (x, weight)) for forward in forwards)
        rows.append({"channels": channels, "kernel": kernel, "stride": stride, "torch_ms": torch_ms, "ours_ms": our_ms})
        layer = f"{channels:8}  {height:3} x {width:3}  {kernel:6} {stride:6}"
        print(f"{layer}{torch_ms:14.1f}{our_ms:9.1f}{torch_ms / our_ms:8.1f}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
