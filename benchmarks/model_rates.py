"""Measure what a training step of each architecture of `benchmarks/camvid_models.py` costs.

    python -m benchmarks.model_rates --threads 1

Multiply-adds are those of the forward pass of one image of the size `--crop`; a training step takes about three times
as many. The rate is in images per second of processor time per thread, from the fastest of three steps in bfloat16 with
`fast_depthwise`, as in `atrous train`. "plain" is the rate without `fast_depthwise`.
"""

import argparse
import json
import time
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from atrous.nn.depthwise import fast_depthwise
from atrous.recipe.network import build_network
from atrous.recipe.schema import override, validate
from benchmarks.camvid_models import SETTINGS

CLASSES = 11


def network_of(name: str, pretrained: bool) -> nn.Module:
    """Return the network that `camvid_models` trains under this name."""
    model: dict[str, Any] = {"encoder": "efficientnet_lite0", "pretrained": pretrained, "width": 128}
    model |= {"mean": [127.0] * 3, "std": [128.0] * 3}
    values = {"data": {"root": "."}, "task": {"classes": [str(i) for i in range(CLASSES)]}, "model": model}
    recipe = override(validate(values, "benchmark"), [f"model.name={name}", *SETTINGS[name]])
    torch.manual_seed(0)
    return build_network(recipe.model, CLASSES).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def seconds(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int = 3) -> float:
    """Return the seconds of the fastest step; the first step is not counted."""
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
    times = []
    for _ in range(steps + 1):
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            output = network(images)
        optimizer.zero_grad()
        nn.functional.cross_entropy(output.float(), labels).backward()
        optimizer.step()
        times.append((time.process_time() - start) / torch.get_num_threads())
    return min(times[1:])


def row(name: str, crop: tuple[int, int], batch: int, pretrained: bool) -> dict[str, Any]:
    """Measure one architecture."""
    start = time.perf_counter()
    network = network_of(name, pretrained)
    build_seconds = time.perf_counter() - start
    images = (127 + 60 * torch.randn(batch, 3, *crop)).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch, *crop))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(images[:1])
    network.train()
    with fast_depthwise(network) as depthwise:
        ours = batch / seconds(network, images, labels)
    plain = batch / seconds(network, images, labels, 1)
    work = counter.get_total_flops() / 2e9
    return {
        "model": name,
        "gmacs": work,
        "rate": ours,
        "plain": plain,
        "depthwise": depthwise,
        "build_seconds": build_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--crop", nargs=2, type=int, default=[320, 448])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-weights", action="store_true", help="without the extra `pretrained`: random weights")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    print(f"{'model':12}{'G multiply-adds':>16}{'images/s':>10}{'plain':>8}{'build s':>9}")
    rows = []
    for name in options.models:
        rows.append(measured := row(name, (options.crop[0], options.crop[1]), options.batch, not options.no_weights))
        print(
            f"{name:12}{measured['gmacs']:16.2f}{measured['rate']:10.2f}{measured['plain']:8.2f}{measured['build_seconds']:9.1f}",
            flush=True,
        )
    facts = {"crop": options.crop, "batch": options.batch, "threads": options.threads, "torch": torch.__version__}
    print(json.dumps({**facts, "rows": rows}))


if __name__ == "__main__":
    main()
