"""Time of operators on signals and volumes as `atrous.stream` computes them, compared with torch's own.

python -m benchmarks.lines --threads 2
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.stream.compute import fast

Case = tuple[str, Callable[[], Tensor], Callable[[], Tensor]]


def cases(dtype: torch.dtype) -> list[Case]:
    """Return name, torch's operator and ours for each case. Signals are stored position by position, as in a stream."""
    line = torch.randn(1, 131072, 64, dtype=dtype).transpose(1, 2)
    by_channel, volume = line.contiguous(), torch.randn(1, 8, 14, 160, 160, dtype=dtype)
    weight, up = torch.randn(64, 64, 7, dtype=dtype), torch.randn(64, 32, 2, dtype=dtype)
    wide, cube = torch.randn(64, 32, 3, dtype=dtype), torch.randn(8, 8, 3, 3, 3, dtype=dtype)
    one, three = [1], [1, 1, 1]
    return [
        (
            "conv1d 64 to 64, kernel 7",
            lambda: F.conv1d(by_channel, weight, padding=3),
            lambda: fast.convolve(line, weight, None, one, [3], one, 1),
        ),
        (
            "conv_transpose1d, kernel 2, stride 2",
            lambda: F.conv_transpose1d(by_channel, up, stride=2),
            lambda: fast.convolve_transposed(line, up, None, [2], [0], [0], 1, one),
        ),
        (
            "conv_transpose1d, kernel 3, stride 2",
            lambda: F.conv_transpose1d(by_channel, wide, stride=2, padding=1),
            lambda: fast.convolve_transposed(line, wide, None, [2], one, [0], 1, one),
        ),
        (
            "max_pool1d, 2",
            lambda: F.max_pool1d(by_channel, 2),
            lambda: fast.max_pool(line, [2], [2], [0], one, False),
        ),
        (
            "conv3d 8 to 8, kernel 3",
            lambda: F.conv3d(volume, cube, padding=1),
            lambda: fast.convolve(volume, cube, None, three, three, three, 1),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    print(f"{'operator':38} {'type':>9} {'torch ms':>9} {'ours ms':>8} {'ratio':>6}")
    for dtype in (torch.float32, torch.bfloat16):
        for name, theirs, ours in cases(dtype):
            seconds: list[list[float]] = [[], []]
            with torch.inference_mode():
                for turn in range(options.repeats + 1):
                    for index, run in enumerate((theirs, ours)):
                        start = time.perf_counter()
                        run()
                        if turn:
                            seconds[index].append(time.perf_counter() - start)
            torch_ms, our_ms = (1e3 * sorted(s)[len(s) // 2] for s in seconds)
            kind = str(dtype).removeprefix("torch.")
            rows.append({"operator": name, "dtype": kind, "torch": torch_ms, "ours": our_ms})
            print(f"{name:38} {kind:>9} {torch_ms:9.1f} {our_ms:8.1f} {torch_ms / our_ms:6.2f}")
    print(json.dumps({"benchmark": "lines", "torch": torch.__version__, "threads": options.threads, "rows": rows}))


if __name__ == "__main__":
    main()
