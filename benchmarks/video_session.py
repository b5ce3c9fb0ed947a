"""Measure a live session that gets a video frame by frame: speed, latency, and equality with the whole clip.

    PYTHONPATH=. python benchmarks/video_session.py --size 240 432 --frames 60

The network is the causal one that `atrous train` plans for video, with random weights along time, or that of `--run`:
EfficientNet-Lite0, a convolution over three frames on every level, and a pyramid decoder. The outputs of the session
are compared with those of one forward pass of the first frames.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from atrous.nn.temporal import AlongTime
from atrous.prediction.predictor import load
from atrous.recipe.network import build_network
from atrous.recipe.sections import ModelSection
from atrous.stream.session import Session


def planned(width: int = 128, kernel: int = 3, causal: bool = True) -> torch.nn.Module:
    model = ModelSection.model_validate({
        "ndim": 3, "encoder": "efficientnet_lite0", "temporal": "levels", "causal": causal, "width": width,
        "temporal_kernel": kernel, "mean": [127.0] * 3, "std": [128.0] * 3,
    })  # fmt: skip
    torch.manual_seed(0)
    network = build_network(model, 2)
    for module in network.modules():
        if isinstance(module, AlongTime):  # the initial weights, 0, would hide a mistake
            torch.nn.init.normal_(module.conv.weight, std=0.02)
    return network.eval()


def main(network: torch.nn.Module, size: tuple[int, int], frames: int, dtype: torch.dtype, whole: int) -> None:
    torch.set_flush_denormal(True)
    clip = np.random.default_rng(0).integers(0, 256, (3, frames, *size)).astype(np.float32)
    session = Session(network.to(dtype), (3, None, *size), dtype=dtype)
    outputs, times = [], []
    for number in range(frames):
        start = time.perf_counter()
        outputs.append(session.push(clip[:, number : number + 1]))
        times.append(time.perf_counter() - start)
    outputs.append(session.close())
    streamed = np.concatenate(outputs, 1)
    with torch.inference_mode():
        expected = network(torch.from_numpy(clip[:, :whole])[None].to(dtype))[0].float().numpy()
    difference = float(np.abs(streamed[:, : whole - session.latency] - expected[:, : whole - session.latency]).max())
    scale = float(np.abs(expected).max())
    equal = float(
        (streamed[:, : whole - session.latency].argmax(0) == expected[:, : whole - session.latency].argmax(0)).mean()
    )
    steady = np.array(times[frames // 4 :])  # the first frames are slower
    result = {
        "size": list(size), "dtype": str(dtype).removeprefix("torch."), "threads": torch.get_num_threads(),
        "frames_per_second": round(1 / float(steady.mean()), 2), "latency_frames": session.latency,
        "frame_ms_median": round(1000 * float(np.median(steady)), 1),
        "frame_ms_95": round(1000 * float(np.percentile(steady, 95)), 1),
        "largest_difference": difference / scale, "labels_equal": equal,
    }  # fmt: skip
    for name, value in result.items():
        print(f"{name:<20}{value}")
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a causal run")
    parser.add_argument("--size", type=int, nargs=2, default=[240, 432])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument(
        "--whole", type=int, default=12, help="number of frames that are compared with one forward pass"
    )
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    network = planned() if options.run is None else load(options.run, dtype=torch.float32).network
    main(
        network,
        tuple(options.size),
        options.frames,
        torch.bfloat16 if options.bfloat16 else torch.float32,
        options.whole,
    )
