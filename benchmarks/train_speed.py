"""Compare the speed of training steps of atrous with a plain segmentation_models_pytorch loop, in images per second.

All have the same encoder (EfficientNet-Lite0) and the same batch of 8 x 3 x 320 x 448. A step is a forward pass, a
backward pass and an update by AdamW, without loading data.

- peer: segmentation_models_pytorch `Unet`, float32, NCHW, its default decoder, cross-entropy, `loss.backward()`.
- atrous: what `atrous train` runs: `fcn`, bfloat16 autocast if the processor supports it, channels_last, the fast
  depthwise backward pass, cross-entropy + Dice, the average of the weights.

The rows in between show how much each part gains. Rounds are interleaved, so that changes in the machine's speed affect
all rows alike. The result is the median over rounds.

    python benchmarks/train_speed.py            # needs the extra `peers`
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import segmentation_models_pytorch as smp  # pyright: ignore[reportMissingImports]
import torch
from torch import nn
from torch.nn import functional as F

from atrous.encoders import efficientnet_lite0
from atrous.machine import has_bfloat16
from atrous.models import fcn, unet
from atrous.nn.depthwise import fast_depthwise
from atrous.tasks.losses import segmentation_loss
from atrous.training.average import averaged

CLASSES = 11


def peer(images: torch.Tensor, labels: torch.Tensor, *, our_loop: bool = False) -> Callable[[], None]:
    """Return the step of the plain loop; with `our_loop` the same network in our precision and memory format."""
    network = smp.Unet("tu-tf_efficientnet_lite0", encoder_weights=None, classes=CLASSES).train()
    if our_loop:
        return _ours(network, images, labels, fast=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _ours(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, fast: bool) -> Callable[[], None]:
    network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = images.contiguous(memory_format=torch.channels_last)
    average = averaged(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
            output = network(images)
        loss = segmentation_loss(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(network)

    def fast_step() -> None:
        with fast_depthwise(network):
            step()

    return fast_step if fast else step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    rounds, batch = (arguments := parser.parse_args()).rounds, arguments.batch
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    images, labels = torch.randn(batch, 3, 320, 448), torch.randint(0, CLASSES, (batch, 320, 448))
    steps = {
        "peer: smp Unet, float32, NCHW": peer(images, labels),
        "smp Unet, our loop": peer(images, labels, our_loop=True),
        "atrous unet, our loop": _ours(unet(efficientnet_lite0(pretrained=False), CLASSES), images, labels, fast=True),
        "atrous fcn, torch's depthwise backward": _ours(
            fcn(efficientnet_lite0(pretrained=False), CLASSES, width=128), images, labels, fast=False
        ),
        "atrous fcn, our loop (what train plans)": _ours(
            fcn(efficientnet_lite0(pretrained=False), CLASSES, width=128), images, labels, fast=True
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number > 0:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    rates = {name: batch / statistics.median(values) for name, values in seconds.items()}
    base = next(iter(rates.values()))
    print(f"torch {torch.__version__}, segmentation_models_pytorch {version('segmentation_models_pytorch')}, "
          f"{torch.get_num_threads()} threads, batch {batch} x 3 x 320 x 448, {rounds} rounds")  # fmt: skip
    print(f"{'':42}images/s   ratio")
    for name, rate in rates.items():
        print(f"{name:42}{rate:8.2f}{rate / base:8.2f}")
    print(json.dumps({"images_per_second": rates, "ratio": list(rates.values())[-1] / base}))


if __name__ == "__main__":
    main()
