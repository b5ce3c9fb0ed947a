"""Compare gradients computed in strips with autograd's on the whole input, on networks of other libraries.

    python -m benchmarks.gradient                          # a table of errors in float64 and float32
    python -m benchmarks.gradient --memory 2048            # memory and time of a ResNet-18 U-Net, whole and in strips
    python -m benchmarks.gradient --memory 4096 --skip-whole

In float64 the error is the largest over the parameters of `max |strips - whole| / max |whole|`. Parameters whose
gradient is nothing but rounding (less than a thousandth of the largest of all) are measured by the thousandth of the
largest. In float32 it is `|strips - whole| / |whole|` of all gradients as one vector, since an activation next to zero
may fall on either side of a ReLU; "rounding" is the same for the whole input in float32 against float64.

Memory is the highest resident size of a process during the backward pass (Linux: `/proc/self/status`, reset by
`clear_refs`) minus that before it. It includes what autograd keeps and the gradients, but not the network's weights.
Whole and strips run in processes of their own.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.stream import gradient, prepare_gradient
from benchmarks.memory import status

CLASSES = 3


def smp_network(name: str, encoder: str, **arguments: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import segmentation_models_pytorch as smp

        return getattr(smp, name)(encoder, encoder_weights=None, classes=CLASSES, **arguments)

    return build


def torchvision_network(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision.models import segmentation

        return getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=CLASSES)

    return build


def timm_classifier(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, num_classes=CLASSES)

    return build


def monai_network(name: str, *arguments: Any, **named: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from monai.networks import nets

        return getattr(nets, name)(*arguments, **named)

    return build


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "smp Unet resnet18": (smp_network("Unet", "resnet18"), (3, 128, 64), False),
    "smp Unet resnet18, batch norm training": (smp_network("Unet", "resnet18"), (3, 128, 64), True),
    "smp FPN mobilenet_v2": (smp_network("FPN", "mobilenet_v2"), (3, 128, 64), False),
    "smp Linknet resnet18, batch norm training": (smp_network("Linknet", "resnet18"), (3, 256, 128), True),
    "smp DeepLabV3Plus resnet18": (smp_network("DeepLabV3Plus", "resnet18"), (3, 128, 64), False),
    "smp PSPNet resnet18": (smp_network("PSPNet", "resnet18"), (3, 128, 64), False),
    "smp Unet efficientnet-b0 (SE)": (smp_network("Unet", "efficientnet-b0"), (3, 128, 64), False),
    "torchvision fcn_resnet50": (torchvision_network("fcn_resnet50"), (3, 128, 64), False),
    "torchvision lraspp_mobilenet_v3 (SE)": (torchvision_network("lraspp_mobilenet_v3_large"), (3, 128, 64), False),
    "timm resnet18 classifier": (timm_classifier("resnet18"), (3, 128, 64), False),
    "timm convnext_atto classifier": (timm_classifier("convnext_atto"), (3, 128, 64), False),
    "timm resnet18 classifier, training": (timm_classifier("resnet18"), (3, 128, 64), True),
    "MONAI UNet 1-D": (monai_network("UNet", 1, 4, CLASSES, (8, 16, 32), (2, 2), num_res_units=2, norm="batch"),
                       (4, 1024), True),
    "MONAI BasicUNet 3-D (instance norm)": (monai_network("BasicUNet", 3, 1, CLASSES, (4, 4, 8, 8, 16, 4)),
                                            (1, 32, 32, 32), False),
    "MONAI SegResNet 3-D (group norm)": (
        monai_network("SegResNet", 3, 8, 1, CLASSES, blocks_down=(1, 2), blocks_up=(1,)), (1, 32, 16, 16), False
    ),
}  # fmt: skip
"""A network, the shape of its input, and whether its batch norms are in training mode."""


def settled(network: nn.Module, training: bool) -> nn.Module:
    """Put the network into evaluation mode, its batch norms into training mode if `training`; draw their statistics."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)  # pyright: ignore
            module.running_var.uniform_(0.5, 1.5)  # pyright: ignore
            module.train(training)
    return network


def summed(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, reduction="sum")


def gradients(network: nn.Module) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.double() for p in network.parameters()]


def worst(found: list[Tensor | None], wanted: list[Tensor | None]) -> float:
    """Return the largest difference of each parameter's gradient in parts of its largest number, the worst of all."""
    assert [g is None for g in found] == [g is None for g in wanted]
    pairs = [(a, b) for a, b in zip(found, wanted, strict=True) if a is not None and b is not None]
    largest = max(float(b.abs().max()) for _, b in pairs)
    return max(float((a - b).abs().max()) / max(float(b.abs().max()), 1e-3 * largest) for a, b in pairs)


def together(found: list[Tensor | None], wanted: list[Tensor | None]) -> float:
    """Return `|found - wanted| / |wanted|` of all gradients as one vector."""
    pairs = [(a, b) for a, b in zip(found, wanted, strict=True) if a is not None and b is not None]
    difference = sum(float((a - b).square().sum()) for a, b in pairs)
    return (difference / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5


def both(name: str, dtype: torch.dtype) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Return the gradients of one network in strips, and those of the whole, on the same numbers for each type."""
    build, shape, training = NETWORKS[name]
    torch.manual_seed(0)
    wanted = settled(build(), training).to(dtype)
    found = copy.deepcopy(wanted)
    x = torch.randn(shape).to(dtype)
    output = wanted(x[None])
    output = output["out"] if isinstance(output, dict) else output
    target = torch.randint(0, CLASSES, (1, *output.shape[2:]))
    summed(output, target).backward()
    dense = output.dim() > 2
    with tempfile.TemporaryDirectory() as folder:
        spool = folder if training else None
        gradient(found, x, summed, target[0] if dense else target, strip=max(1, shape[1] // 4), axis=0, spool=spool)
    return gradients(found), gradients(wanted)


def table(names: list[str]) -> None:
    rows = []
    print(f"{'network':42} {'input':>14} {'float64':>9} {'float32':>9} {'rounding':>9} {'seconds':>8}")
    for name in names:
        start, shape = time.perf_counter(), NETWORKS[name][1]
        exact, truth = both(name, torch.float64)
        single, whole = both(name, torch.float32)
        row = {"float64": worst(exact, truth), "float32": together(single, whole), "rounding": together(whole, truth)}
        rows.append({"network": name, "shape": shape, **row})
        size, numbers = " x ".join(map(str, shape)), " ".join(f"{value:9.1e}" for value in row.values())
        print(f"{name:42} {size:>14} {numbers} {time.perf_counter() - start:8.1f}", flush=True)
    print(json.dumps({"benchmark": "gradient", "torch": torch.__version__, "rows": rows}))


def measure(how: str, size: int, strip: int | None) -> dict[str, Any]:
    """Measure memory and time of one backward pass of a ResNet-18 U-Net in this process."""
    torch.manual_seed(0)
    network = settled(smp_network("Unet", "resnet18")(), False)
    small, x = torch.randn(3, 256, 256), torch.randn(3, size, size)
    target = torch.randint(0, CLASSES, (size, size))
    summed(network(small[None]), target[None, :256, :256]).backward()  # libraries are loaded
    network.zero_grad()
    with tempfile.TemporaryDirectory() as folder:
        spool = folder if how == "strips, rows on disk" else None
        ready = prepare_gradient(network, (3, size, size)) if how != "whole" else None
        Path("/proc/self/clear_refs").write_text("5")
        before, start, started = status("VmRSS"), time.perf_counter(), time.process_time()
        if ready is None:
            loss = summed(network(x[None]), target[None])
            loss.backward()
            value = float(loss.detach())
        else:
            value = gradient(ready, x, summed, target, strip=strip, spool=spool)
        seconds, busy = time.perf_counter() - start, time.process_time() - started
    peak = status("VmHWM") - before
    return {"how": how, "size": size, "loss": value, "bytes": peak, "seconds": seconds, "busy": busy}


def memory(size: int, strip: int | None, skip_whole: bool) -> None:
    ways = ["whole", "strips", "strips, rows on disk"][1 if skip_whole else 0 :]
    rows = []
    print(f"smp Unet resnet18, float32, {size} x {size}")
    print(f"{'how':24} {'peak MiB':>9} {'seconds':>8} {'of the processor':>16}")
    for how in ways:
        call = [sys.executable, "-W", "ignore", "-m", "benchmarks.gradient", "--memory", str(size), "--one", how]
        call += [] if strip is None else ["--strip", str(strip)]
        process = subprocess.run(call, check=True, capture_output=True, text=True)
        row = json.loads(process.stdout.splitlines()[-1])
        rows.append(row)
        print(f"{how:24} {row['bytes'] / 2**20:9.0f} {row['seconds']:8.1f} {row['busy']:16.1f}", flush=True)
    print(json.dumps({"benchmark": "gradient memory", "torch": torch.__version__, "rows": rows}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", type=int, metavar="SIZE", help="measure memory and time at SIZE x SIZE instead")
    parser.add_argument("--strip", type=int, help="rows of a strip; by default chosen by the memory")
    parser.add_argument("--skip-whole", action="store_true", help="leave out the whole input, where it does not fit")
    parser.add_argument("--network", default="", help="of the table, only networks with this in their name")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.memory, options.strip)))
    elif options.memory:
        memory(options.memory, options.strip, options.skip_whole)
    else:
        table([name for name in NETWORKS if options.network in name])


if __name__ == "__main__":
    main()
