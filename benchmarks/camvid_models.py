"""The classic architectures on CamVid: the same minutes each, mean IoU on the validation split.

    python -m benchmarks.camvid_models PATH/TO/camvid --minutes 20

Each one is trained by `atrous train` as planned for the data set, with the settings below and nothing else changed:
wherever an architecture takes an encoder, that is EfficientNet-Lite0 with ImageNet weights (extra `pretrained`); SegNet
mirrors a small VGG and the five-layer network has none, so both are trained from scratch. The minutes count everything
from the check of the data to the report. `fcn`, what `atrous train` takes by itself, can be named too.

Prints a table and one JSON line. Each run stays in `--out`, with its recipe and its report.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from atrous.verbs.train import train

SETTINGS: dict[str, list[str]] = {
    "fcn8s": [],
    "segnet": [
        "model.encoder=vgg", "model.pretrained=false", "model.depth=11", "model.encoder_width=16",
        "train.learning_rate=0.002",
    ],
    "unet": ["model.width=24"],
    "deeplab": ["model.width=128"],
    "dilated": ["model.width=64"],
    "five_layer": ["model.width=32", "train.learning_rate=0.003"],
    "fcn": [],
}  # fmt: skip
"""What is set besides `model.name`; widths for two cores. Networks from scratch start at a higher rate."""


def run(name: str, data: Path, out: Path, minutes: float, seed: int, extra: list[str]) -> dict[str, Any]:
    """Train one architecture and tell how it ended."""
    settings = [f"model.name={name}", *SETTINGS[name], *extra]
    done = train(data, out=out / name, minutes=minutes, settings=settings, seed=seed)
    if done.scores is None:
        raise KeyboardInterrupt
    network = done.run.network()
    return {
        "model": name,
        "miou": round(float(done.scores.miou), 4),
        "pixel_accuracy": round(float(done.scores.pixel_accuracy), 4),
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": done.outcome.step,
        "best_step": done.outcome.best_step,
        "seconds": round(done.outcome.seconds, 1),
    }


def main() -> None:
    """Train one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the data set")
    parser.add_argument("--minutes", type=float, default=20.0, help="wall time of each training")
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=[n for n in SETTINGS if n != "fcn"])
    parser.add_argument("--out", type=Path, default=Path("runs/camvid_models"), help="folder of the runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="extra", help="section.key=value, for all")
    given = parser.parse_args()
    rows = []
    print(f"{'model':<12}{'val mIoU':>9}{'accuracy':>10}{'parameters':>12}{'steps':>7}{'best at':>9}{'seconds':>9}")
    for name in given.models:
        row = run(name, given.data, given.out, given.minutes, given.seed, given.extra)
        rows.append(row)
        print(
            f"{name:<12}{row['miou']:>9.4f}{row['pixel_accuracy']:>10.4f}{row['parameters']:>12,}{row['steps']:>7}"
            f"{row['best_step']:>9}{row['seconds']:>9.0f}",
            flush=True,
        )
    versions = {package: version(package) for package in ("atrous", "torch", "timm")}
    facts = {"minutes": given.minutes, "seed": given.seed, "threads": torch.get_num_threads()}
    print(json.dumps({"benchmark": "camvid_models", **facts, "python": platform.python_version(), **versions,
                      "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
