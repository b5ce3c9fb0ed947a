"""Export networks of every kind to every format, and print how far each is from torch, and what it takes.

    python -m benchmarks.export --threads 1
    python -m benchmarks.export --only "unet" --formats onnx

Every network has random weights, batch-norm statistics of random inputs, and two classes. Its file is proved on three
made inputs of odd sizes (`largest`: the largest difference of the probabilities; `labels`: how many differ), and timed
on one input of the size in the table: medians of five runs, the first one left out, all with the same number of
threads. `int8` is OpenVINO with weights and activations of 8 bits, calibrated on made inputs. `bioimageio` is ONNX in a
package of bioimage.io; what `bioimageio.core` says of it stands at the end of its row.

Needs `pip install "atrous[onnx,openvino,int8,peers]"`, and for bioimage.io an environment of its own with
`atrous[onnx,bioimageio,peers]`; what is missing is left out, and said.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.encoders.lite import efficientnet_lite0
from atrous.encoders.resnet import ResNet
from atrous.encoders.vgg import VGG
from atrous.errors import UserError
from atrous.exporting.crops import made_images
from atrous.exporting.facts import describe, describe_input
from atrous.exporting.formats import FORMATS
from atrous.exporting.pipeline import Pipeline, answers_of
from atrous.exporting.program import ExportSizes, export_from_least
from atrous.exporting.quantize import quantized
from atrous.exporting.runtimes import Run
from atrous.exporting.write import ProofInputs, write_file
from atrous.models import VideoNetwork, codons, deeplab, fc_densenet, fcn, fcn8s, segnet, unet
from atrous.tasks.semantic import Semantic

TASK = Semantic(("ground", "object"))
RUNS = 5
SMP = "segmentation_models_pytorch"
BIOIMAGE = "bioimageio.core"
VERSIONS = ("torch", "onnxruntime", "openvino", "nncf", BIOIMAGE, SMP, "torchvision")
NEEDED = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch", "int8": "nncf", "bioimageio": BIOIMAGE}


@dataclass(frozen=True)
class Subject:
    """A network of the table.

    Attributes:
        make: builds it.
        size: of the input that is timed.
        channels: of the input.
        multiple: sizes are multiples of this.
        package: that it comes from; "" for ours.
    """

    make: Callable[[], nn.Module]
    size: tuple[int, ...]
    channels: int = 3
    multiple: int = 1
    package: str = ""


def _smp(name: str, **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import segmentation_models_pytorch as smp

        return getattr(smp, name)(encoder_weights=None, classes=2, **options)

    return make


def _torchvision() -> nn.Module:
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    return lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)


def _resnet(ndim: int, channels: int, width: int = 16, **options: Any) -> ResNet:
    return ResNet(ndim, channels, depth=18, width=width, **options)


SUBJECTS: dict[str, Subject] = {
    "unet 1-D": Subject(lambda: unet(_resnet(1, 2), 2, width=16), (20000,), 2),
    "codons 1-D": Subject(lambda: codons(1, 4, 2, width=32), (20000,), 4),
    "fcn 2-D, EfficientNet-Lite0": Subject(lambda: fcn(efficientnet_lite0(pretrained=False), 2), (320, 320)),
    "fcn8s 2-D, VGG": Subject(lambda: fcn8s(VGG(2, 3, depth=11, width=16), 2), (320, 320)),
    "unet 2-D, ResNet-18": Subject(lambda: unet(_resnet(2, 3), 2, width=16), (320, 320)),
    "deeplab 2-D, ResNet-18": Subject(lambda: deeplab(_resnet(2, 3, output_stride=8), 2, width=32), (320, 320)),
    "segnet 2-D, VGG": Subject(lambda: segnet(VGG(2, 3, depth=11, width=16), 2), (320, 320)),
    "fc_densenet 2-D": Subject(lambda: fc_densenet(2, 3, 2), (160, 160)),
    "unet 3-D, ResNet-18": Subject(lambda: unet(_resnet(3, 1, 8), 2, width=8), (64, 64, 64), 1),
    "video, mixed along time": Subject(lambda: VideoNetwork(fcn(_resnet(2, 3), 2, width=32), "levels"), (4, 160, 160)),
    "smp Unet, resnet18": Subject(_smp("Unet", encoder_name="resnet18"), (320, 320), 3, 32, SMP),
    "smp FPN, mobilenet_v2": Subject(_smp("FPN", encoder_name="mobilenet_v2"), (320, 320), 3, 32, SMP),
    "torchvision LR-ASPP": Subject(_torchvision, (320, 320), 3, 1, "torchvision"),
}


def settled(network: nn.Module, subject: Subject) -> nn.Module:
    """Return the network in evaluation mode, with the batch-norm statistics of random inputs, as after a training."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = None  # the mean over the batches
            module.reset_running_stats()
    with torch.no_grad():
        for _ in range(2):
            network.train()(torch.randn(2, subject.channels, *subject.size))
    return network.eval()


def milliseconds(call: Callable[[], Any]) -> float:
    """Return the median time of a call, after one that is not counted."""
    call()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def rows(name: str, subject: Subject, formats: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what was measured of one network, format by format."""
    torch.manual_seed(0)
    ndim = len(subject.size)
    pipeline = Pipeline(settled(subject.make(), subject), answers_of(TASK))
    stride = getattr(pipeline.network, "stride", (32,) * ndim)
    multiple = (subject.multiple,) * ndim
    sizes = ExportSizes(tuple(-(-(2 * s + 1) // subject.multiple) * subject.multiple for s in stride), multiple)
    program, sizes = export_from_least(pipeline, subject.channels, sizes)
    bounds = np.full(subject.channels, -2.0), np.full(subject.channels, 2.0)

    def ours(image: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = pipeline(torch.from_numpy(np.asarray(image, np.float32))[None])
        return {output: value[0].numpy() for output, value in found.items()}

    inputs = ProofInputs(made_images(subject.channels, sizes, *bounds), "made inputs", ours)
    timed = np.random.default_rng(2).normal(size=(1, subject.channels, *subject.size)).astype(np.float32)
    torch_time = milliseconds(lambda: ours(timed[0]))
    image = describe_input(subject.channels, ndim, None, None, sizes)
    colors = ((0, 0, 0), (255, 255, 255))
    windows = {"refused": "not looked at"}
    facts = describe(name, "semantic", TASK.classes, colors, list(pipeline.answers), image, windows)
    for to in formats:
        row = {"network": name, "size": list(subject.size), "format": to, "torch_ms": round(torch_time, 1)}
        kind = FORMATS["openvino" if to == "int8" else to]
        change = partial(quantized, images=inputs.images) if to == "int8" else None
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = write_file(program, kind, Path(folder) / f"a{kind.suffix}", facts, inputs, change=change)
            except UserError as error:
                yield {**row, "refused": str(error)}
                continue
            run: Run = kind.run(done.path)
            proof = done.proof
            yield {
                **row,
                "largest": proof.largest["probabilities"],
                "labels": proof.labels,
                "labels_differ": proof.labels_differ,
                "ms": round(milliseconds(lambda run=run: run(timed)), 1),
                "checked": done.facts.get("checked", ""),
            }


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    size = " x ".join(map(str, row["size"]))
    start = f"{row['network']:<28} {size:<14} {row['format']:<10}"
    if "refused" in row:
        return f"{start} refused: {row['refused'][:90]}"
    differ = f"{row['labels_differ']} of {row['labels']}"
    return f"{start} {row['largest']:>8.1e} {differ:>18} {row['ms']:>8.1f} {row['torch_ms']:>8.1f}  {row['checked']}"


def installed() -> dict[str, str]:
    """Return the versions of what is measured; what is not installed is left out."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            print(f"{name} is not installed: left out")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--formats", default="onnx,openvino,torch,int8,bioimageio")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    versions = installed()
    formats = [to for to in given.formats.split(",") if NEEDED[to] in versions]
    print(f"{'network':<28} {'size':<14} {'format':<10} {'largest':>8} {'labels differ':>18} {'ms':>8} {'torch ms':>8}")
    found = []
    for name, subject in SUBJECTS.items():
        if given.only in name and (not subject.package or subject.package in versions):
            for row in rows(name, subject, formats):
                print(line(row), flush=True)
                found.append(row)
    print(json.dumps({"threads": given.threads, "versions": versions, "rows": found}))


if __name__ == "__main__":
    main()
