"""How soon the page of `atrous serve` shows the preview and the exact labels of a view of a gigapixel image.

    python -m benchmarks.serve --size 30000 --moves 20

Writes a zarr image of SIZE x SIZE x 3, opens it with the network `fcn` over EfficientNet-Lite0 (random weights: the
time does not depend on them), and moves a view of SIDE x SIDE pixels to random places. Prints for every move the
seconds until the preview and until all labels of the view are exact, then the median and the 95th percentile of both,
those of views that were seen before, and the peak resident size of the process. HTTP requests are not measured.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from atrous.machine import peak_memory
from atrous.prediction.predictor import load
from atrous.recipe.build import build_network, build_task
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.labeled import LabeledInput
from atrous.serve.viewer import Viewer
from atrous.serve.worker import NetworkWorker
from atrous.training.checkpoint import write_tensors
from benchmarks.gigapixel import make_input


def make_run(folder: Path, precision: str) -> None:
    """Write a run of `fcn` over Lite0 with random weights, eleven classes, if it is not there."""
    if folder.exists():
        return
    model = {
        "name": "fcn", "encoder": "efficientnet_lite0", "in_channels": 3, "mean": [128.0] * 3, "std": [60.0] * 3,
    }  # fmt: skip
    values = {
        "data": {"root": "x"}, "task": {"classes": [f"class {n}" for n in range(11)]}, "model": model,
        "train": {"precision": precision},
    }  # fmt: skip
    recipe = validate(values, "benchmark")
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(0)
    write_tensors(run.weights, build_network(recipe.model, build_task(recipe).out_channels).state_dict(), {})


def move(labeled: LabeledInput, worker: NetworkWorker, top: int, left: int, side: int) -> tuple[float, float]:
    """Look at a place, and return the seconds until its preview and until its exact labels."""
    assert labeled.store is not None
    region = (slice(top, top + side), slice(left, left + side))
    begin = time.perf_counter()
    if labeled.store.missing(region) is None:
        return 0.0, time.perf_counter() - begin  # the page asks for no preview
    preview = worker.ask(lambda between: labeled.preview(region))
    worker.look(labeled, region)
    preview.result()
    previewed = time.perf_counter() - begin
    while labeled.store.missing(region) is not None:
        if labeled.problem:
            raise SystemExit(labeled.problem)
        time.sleep(0.005)
    return previewed, time.perf_counter() - begin


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=30000)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    parser.add_argument("--folder", type=Path, default=Path("runs/serve"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    image, run = options.folder / f"{options.size}.zarr", options.folder / f"run-{options.precision}"
    make_input(image, options.size)
    make_run(run, options.precision)
    predictor = load(run)
    cache = CacheFolder(options.folder / f"cache-{time.time_ns()}")
    viewer = Viewer(find_files([image], predictor, print), cache, predictor)
    labeled, worker = viewer.labeled(0)
    begin = time.perf_counter()
    worker.ask(lambda between: labeled.ready()).result()
    print(f"opened in {time.perf_counter() - begin:.2f} s")
    rng, times, places = np.random.default_rng(0), [], []
    for number in range(options.moves):
        top, left = (int(n) for n in rng.integers(0, options.size - options.side, 2))
        times.append(move(labeled, worker, top, left, options.side))
        places.append((top, left))
        print(f"move {number + 1}: preview after {times[-1][0]:.2f} s, exact after {times[-1][1]:.2f} s", flush=True)
    again = [move(labeled, worker, top, left, options.side)[1] for top, left in places[:5]]
    viewer.close()
    previews, exact = np.array(times).T
    facts = {
        "size": options.size, "side": options.side, "moves": options.moves, "threads": torch.get_num_threads(),
        "dtype": str(predictor.dtype),
        "preview_median": round(float(np.median(previews)), 3),
        "preview_95": round(float(np.percentile(previews, 95)), 3),
        "exact_median": round(float(np.median(exact)), 3), "exact_95": round(float(np.percentile(exact, 95)), 3),
        "again_median": round(float(np.median(again)), 3), "peak_bytes": peak_memory(),
    }  # fmt: skip
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
