"""Compare the predicted peak memory of a stream with the measured one, on networks of other libraries.

    python -m benchmarks.memory
    python -m benchmarks.memory --engine openvino

Each network runs in a process of its own: first on a small input, so that libraries are loaded, then on a large one.
The measured memory is the highest resident size during the second run (Linux: `/proc/self/status`, reset by
`clear_refs`) minus the resident size before it, plus the weights (the network's own and the folded ones), which the
prediction contains too. Source and sink need almost no memory: the source repeats one strip of noise, and the sink
discards what it gets.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.stream import prepare, stream
from atrous.stream.stream import plan


def unet_resnet18() -> nn.Module:
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet18", encoder_weights=None, classes=2)


def fpn_mobilenet() -> nn.Module:
    import segmentation_models_pytorch as smp

    return smp.FPN("mobilenet_v2", encoder_weights=None, classes=4)


def fcn_resnet50() -> nn.Module:
    from torchvision.models.segmentation import fcn_resnet50 as build

    return build(weights=None, weights_backbone=None, num_classes=8)


def basic_unet_3d() -> nn.Module:
    from monai.networks.nets.basic_unet import BasicUNet

    return BasicUNet(3, 1, 2, (8, 8, 16, 32, 64, 8), norm="batch")


def signal_unet() -> nn.Module:
    from monai.networks.nets.unet import UNet

    return UNet(1, 4, 3, (32, 64, 128), (2, 2), num_res_units=2, norm="batch")


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "smp Unet resnet18": (unet_resnet18, (3, 256, 256), (3, 2048, 2048)),
    "smp FPN mobilenet_v2": (fpn_mobilenet, (3, 256, 256), (3, 2048, 3072)),
    "torchvision fcn_resnet50": (fcn_resnet50, (3, 256, 256), (3, 2048, 1024)),
    "MONAI BasicUNet 3-D": (basic_unet_3d, (1, 64, 32, 32), (1, 192, 160, 160)),
    "MONAI UNet 1-D": (signal_unet, (4, 4096), (4, 4_000_000)),
}


class Noise:
    """A source of any length that holds 64 rows of noise and repeats them."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, np.dtype(np.float32)
        self.block = np.random.default_rng(0).normal(size=(shape[0], 64, *shape[2:])).astype(np.float32)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        lo, hi, _ = key[1].indices(self.shape[1])
        return np.take(self.block, np.arange(lo, hi) % 64, axis=1)[(key[0], slice(None), *key[2:])]


class Nothing:
    """A sink that discards everything."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, np.dtype(np.float32)

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        pass


def _bytes(tensors: list[torch.Tensor]) -> dict[int, int]:
    """Return the sizes in bytes of the tensors' storages, by their address, so that shared ones count once."""
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}


def status(name: str) -> int:
    """Return the bytes that one line of /proc/self/status states."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(name: str, memory: str | None, engine: str) -> dict[str, Any]:
    """Predict and measure the peak memory of one network in this process."""
    build, small, shape = NETWORKS[name]
    network = build().eval()
    stream(network, np.zeros(small, np.float32), engine=engine)
    prepared = prepare(network, shape)
    stream_plan = plan(prepared, shape, memory=memory, engine=engine, strategy="strips")
    own, folded = (
        _bytes(list(network.parameters())),
        _bytes([op.tensor for op in prepared.graph.ops if op.tensor is not None]),
    )
    source, sink = Noise(shape), Nothing(stream_plan.output_shape)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    stream(prepared, source, sink, memory=memory, engine=engine, strategy="strips")
    measured = status("VmHWM") - before + sum((own | folded).values())
    return {"network": name, "shape": shape, "predicted": stream_plan.peak_bytes, "measured": measured}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", help="limit given to the planner")
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    parser.add_argument("--one", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.memory, options.engine)))
        return
    rows = []
    print(f"{'network':26} {'input':>20} {'predicted MiB':>14} {'measured MiB':>13} {'ratio':>6}")
    for name in NETWORKS:
        call = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", "--one", name]
        call += ["--engine", options.engine]
        call += ["--memory", options.memory] if options.memory else []
        process = subprocess.run(call, check=True, capture_output=True, text=True)
        row = json.loads(process.stdout.splitlines()[-1])
        rows.append(row)
        size = " x ".join(map(str, row["shape"]))
        ratio = row["predicted"] / row["measured"]
        print(f"{name:26} {size:>20} {row['predicted'] / 2**20:14.0f} {row['measured'] / 2**20:13.0f} {ratio:6.2f}")
    print(json.dumps({"benchmark": "memory", "engine": options.engine, "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
