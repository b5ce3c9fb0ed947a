"""Label a gigapixel on a laptop: from a zarr image of 32768 x 32768 x 3 to a zarr label map, in bounded memory.

    python -m benchmarks.gigapixel --size 32768 --dtype bfloat16 --memory 1.5GB

Writes the input chunk by chunk, labels it with segmentation_models_pytorch `Unet("resnet18", classes=2)`, and prints
seconds, megapixels per second and the peak resident size of the process. `--kill-after SHARE` kills the process at that
share of the work. The same command without this option then resumes after the last finished strip.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.stream import plan, stream
from atrous.stream.resume import record_path
from benchmarks.streaming import network

CHUNK = 512


def make_input(path: Path, size: int) -> Any:
    """Write a uint8 zarr array `(3, size, size)` of noise over a smooth pattern, or open it if it exists already."""
    import zarr

    if path.exists():
        return zarr.open_array(path, mode="r")
    array = zarr.create_array(path, shape=(3, size, size), chunks=(3, CHUNK, CHUNK), dtype="uint8")
    generator = np.random.default_rng(0)
    x = np.arange(size)
    for top in range(0, size, CHUNK):
        rows = np.arange(top, min(top + CHUNK, size))
        pattern = 64 * np.sin(rows / 700)[:, None] * np.sin(x / 500)[None] + 128
        noise = generator.integers(-60, 60, (3, len(rows), size), dtype=np.int16)
        array[:, rows[0] : rows[-1] + 1] = np.clip(pattern[None] + noise, 0, 255).astype(np.uint8)
    return array


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=32768)
    parser.add_argument("--folder", type=Path, default=Path("runs/gigapixel"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--memory", default="1.5GB")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kill-after", type=float)
    return parser.parse_args()


def main() -> None:
    options = parse()
    import zarr

    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    source = make_input(options.folder / f"input{options.size}.zarr", options.size)
    target = options.folder / f"labels{options.size}.zarr"
    shape = (options.size, options.size)
    sink = (
        zarr.open_array(target, mode="r+")
        if target.exists()
        else zarr.create_array(target, shape=shape, chunks=(CHUNK, CHUNK), dtype="uint8")
    )
    resumed = record_path(sink).exists()
    net, dtype = network(), getattr(torch, options.dtype)
    print(plan(net, tuple(source.shape), dtype=dtype, memory=options.memory).text())
    start = time.perf_counter()

    def progress(share: float) -> None:
        if options.kill_after is not None and share >= options.kill_after:
            print(f"killed at {share:.1%} after {time.perf_counter() - start:.1f} s", flush=True)
            os._exit(9)

    settings = {"dtype": dtype, "memory": options.memory, "engine": options.engine}
    stream(net, source, sink, post="argmax", resume=True, progress=progress, **settings)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rate = "resumed, so no rate" if resumed else f"{options.size**2 / seconds / 1e6:.2f} megapixels/s"
    print(f"{seconds:.1f} s, {rate}, peak resident {peak / 1e9:.2f} GB")
    facts = {"size": options.size, "dtype": options.dtype, "engine": options.engine, "threads": options.threads}
    facts |= {"seconds": seconds, "resumed": resumed, "peak": peak, "torch": torch.__version__}
    print(json.dumps({"benchmark": "gigapixel", **facts}))


if __name__ == "__main__":
    main()
