"""Gradients of a label of a whole image: autograd on the whole, lightstream's StreamingCNN in tiles, ours in strips.

    python -m benchmarks.peer_lightstream --size 1024 --python LIGHTSTREAM_PYTHON

The network is one that StreamingCNN takes: the convolutions and maximum pools of torchvision's `vgg11`, then the mean
over positions and a linear layer; the loss is the cross-entropy of one label. StreamingCNN streams the convolutions and
pools in tiles of `--tile`. Autograd gives it the gradient of what they return, as its documentation says.

lightstream (Apache-2.0) imports Lightning, which it does not require: put both into an environment of their own, with
`pip install lightstream lightning torchvision`. `--python` names the interpreter of that environment; without it,
lightstream's row is left out. Of atrous nothing is imported there.

Every way runs in a process of its own, on the same weights and the same image, first on a small one. The error is the
largest over the parameters of `max |gradient - whole| / max |whole|`. Memory is the highest resident size during the
backward pass minus that before it, as in `benchmarks/gradient.py`. Memory and time include what is done once for a
network: the export of ours, the statistics of StreamingCNN.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 3
WARM = 512
"""Side of the image on which each way is run first."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def network() -> nn.Module:
    """Return the convolutions and pools of `vgg11`, a mean over positions and a linear layer."""
    from torchvision.models import vgg11

    features = vgg11(weights=None).features
    for module in features.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # hooks on the convolutions before it do not allow it
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES)).eval()


def loss(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target)


def whole(built: nn.Module, image: Tensor, target: Tensor, tile: int) -> tuple[float, Any]:
    """Add the gradients to `.grad` by autograd on the whole image; return the loss and the network."""
    value = loss(built(image[None]), target)
    value.backward()
    return float(value.detach()), built


def strips(built: nn.Module, image: Tensor, target: Tensor, tile: int) -> tuple[float, Any]:
    """As `whole`, in strips."""
    from atrous.stream import gradient

    return gradient(built, image, loss, target), built


def lightstream(built: Any, image: Tensor, target: Tensor, tile: int) -> tuple[float, Any]:
    """As `whole`, by StreamingCNN."""
    from lightstream.core.scnn.scnn import StreamingCNN  # pyright: ignore[reportMissingImports]

    features, head = built[0], built[1:]
    shape = (1, 3, tile, tile)
    streaming = StreamingCNN(features, shape, deterministic=True, copy_to_gpu=False, mean=[0, 0, 0], std=[1, 1, 1])
    found = streaming.forward(image[None]).requires_grad_()
    value = loss(head(found), target)
    value.backward()
    streaming.backward(image[None], found.grad)
    return float(value.detach()), nn.Sequential(streaming.stream_module, *head)


WAYS = {"whole": whole, "strips": strips, "lightstream": lightstream}


def status(name: str) -> int:
    """Return the bytes that one line of /proc/self/status states."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def one(way: str, folder: Path, tile: int) -> dict[str, Any]:
    """Run one way in this process: read `input.pt`, write the gradients to `WAY.pt`, and return what was measured."""
    given = torch.load(folder / "input.pt", weights_only=True)
    built = network().to(given["image"].dtype)
    built.load_state_dict(given["weights"])
    small = given["image"][:, :WARM, :WARM]
    WAYS[way](built, small, given["target"], min(tile, *small.shape[1:]))  # libraries are loaded
    built = network().to(given["image"].dtype)
    built.load_state_dict(given["weights"])
    Path("/proc/self/clear_refs").write_text("5")
    before, start, started = status("VmRSS"), time.perf_counter(), time.process_time()
    value, moved = WAYS[way](built, given["image"], given["target"], tile)
    seconds, busy = time.perf_counter() - start, time.process_time() - started
    peak = status("VmHWM") - before
    torch.save([parameter.grad for parameter in moved.parameters()], folder / f"{way}.pt")
    versions = {"torch": torch.__version__}
    if way == "lightstream":
        versions |= {"lightstream": version("lightstream")}
    return {"way": way, "loss": value, "bytes": peak, "seconds": seconds, "busy": busy, "versions": versions}


def error(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Return the largest difference of a parameter's gradient in parts of its largest number, the worst of all.

    >>> error([torch.tensor([1.0, 2.0])], [torch.tensor([1.5, 2.0])])
    0.25
    """
    pairs = [(a.double(), b.double()) for a, b in zip(found, wanted, strict=True)]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def table(size: int, tile: int, dtype: str, pythons: dict[str, str]) -> list[dict[str, Any]]:
    """Measure each way with the interpreter that is named for it, print the table and return its rows."""
    torch.manual_seed(0)
    built, rows = network(), []
    with tempfile.TemporaryDirectory() as name:
        folder, kind = Path(name), DTYPES[dtype]
        given = {
            "weights": {key: values.to(kind) for key, values in built.state_dict().items()},
            "image": torch.randn(3, size, size).to(kind), "target": torch.tensor([1]),
        }  # fmt: skip
        torch.save(given, folder / "input.pt")
        print(f"torchvision vgg11, convolutions and pools, mean over positions, {dtype}, {size} x {size}")
        print(f"{'':12} {'error':>9} {'peak MiB':>9} {'seconds':>8} {'of the processor':>16} {'loss':>12}")
        for way, python in pythons.items():
            command = [python, "-W", "ignore", "-m", "benchmarks.peer_lightstream", "--one", way]
            command += ["--folder", str(folder), "--tile", str(tile)]
            process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(process.stdout.splitlines()[-1])
            found, wanted = (torch.load(folder / f"{each}.pt", weights_only=True) for each in (way, "whole"))
            row |= {"error": error(found, wanted), "dtype": dtype, "size": size, "tile": tile}
            rows.append(row)
            print(
                f"{way:12} {row['error']:9.1e} {row['bytes'] / 2**20:9.0f} {row['seconds']:8.1f} {row['busy']:16.1f} "
                f"{row['loss']:12.8f}",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="of the image; a multiple of 32")
    parser.add_argument("--tile", type=int, default=512, help="side of the tiles of StreamingCNN; a multiple of 32")
    parser.add_argument("--dtype", nargs="+", default=["float64", "float32"], choices=list(DTYPES))
    parser.add_argument("--python", help="of an environment with lightstream")
    parser.add_argument("--one", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(1)
        print(json.dumps(one(options.one, options.folder, options.tile)))
        return
    pythons = {"whole": sys.executable, "strips": sys.executable}
    if options.python:
        pythons["lightstream"] = options.python
    rows = [row for dtype in options.dtype for row in table(options.size, options.tile, dtype, pythons)]
    print(json.dumps({"benchmark": "peer_lightstream", "rows": rows}))


if __name__ == "__main__":
    main()
