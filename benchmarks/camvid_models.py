"""Train the classic architectures on CamVid for the same time each, and print mean IoU on the validation split.

    python -m benchmarks.camvid_models PATH/TO/camvid --minutes 20

Each architecture is trained by `atrous train` with the recipe that it plans for the data set, and the settings below.
The encoder is EfficientNet-Lite0 with ImageNet weights (extra `pretrained`), except for two networks that are trained
from scratch: SegNet, which mirrors a small VGG, and the five-layer network, which has no encoder. The time includes
everything from the check of the data to the report. `fcn`, the default of `atrous train`, can be added with `--models`.

Prints a table and one JSON line. The runs stay in the folder `--out`, with their recipes and reports.
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
"""Settings besides `model.name`. Widths are chosen for two cores; networks from scratch get a higher learning rate."""


def run(name: str, data: Path, out: Path, minutes: float, seed: int, extra: list[str]) -> dict[str, Any]:
    """Train one architecture and return its metrics."""
    settings = [f"model.name={name}", *SETTINGS[name], *extra]
    trained = train(data, out=out / name, minutes=minutes, settings=settings, seed=seed)
    if trained.scores is None:
        raise KeyboardInterrupt
    network = trained.run.network()
    return {
        "model": name,
        "miou": round(float(trained.scores.miou), 4),
        "pixel_accuracy": round(float(trained.scores.pixel_accuracy), 4),
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": trained.outcome.step,
        "best_step": trained.outcome.best_step,
        "seconds": round(trained.outcome.seconds, 1),
    }


def main() -> None:
    """Train the architectures one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the data set")
    parser.add_argument("--minutes", type=float, default=20.0, help="wall time of each training")
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=[n for n in SETTINGS if n != "fcn"])
    parser.add_argument("--out", type=Path, default=Path("runs/camvid_models"), help="folder of the runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set", action="append", default=[], dest="extra", help="section.key=value, a setting of all runs"
    )
    options = parser.parse_args()
    rows = []
    print(f"{'model':<12}{'val mIoU':>9}{'accuracy':>10}{'parameters':>12}{'steps':>7}{'best at':>9}{'seconds':>9}")
    for name in options.models:
        row = run(name, options.data, options.out, options.minutes, options.seed, options.extra)
        rows.append(row)
        print(
            f"{name:<12}{row['miou']:>9.4f}{row['pixel_accuracy']:>10.4f}{row['parameters']:>12,}{row['steps']:>7}"
            f"{row['best_step']:>9}{row['seconds']:>9.0f}",
            flush=True,
        )
    versions = {package: version(package) for package in ("atrous", "torch", "timm")}
    facts = {"minutes": options.minutes, "seed": options.seed, "threads": torch.get_num_threads()}
    print(json.dumps({"benchmark": "camvid_models", **facts, "python": platform.python_version(), **versions,
                      "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
