"""Compare a forward pass of the whole image, MONAI's sliding window and `atrous.stream`: time, memory and errors.

    python -m benchmarks.streaming --size 2048 --threads 2
    python -m benchmarks.streaming --case signal volume

An image goes through segmentation_models_pytorch's `Unet("resnet18", classes=2)`, a signal and a volume through MONAI's
own `UNet` of four levels with residual units and batch norms; weights and statistics are random. MONAI's windows have
512 positions along each axis of an image, 4096 of a signal and 96 of a volume.
Every way runs in a process of its own, after a warm-up. The columns:

- "seconds": median time.
- "prepare": seconds of the work that is done once for a network and a size: export and, for some engines, compilation.
- "peak MiB": peak resident size of the process minus its size before (weights, input and libraries loaded). Compilation
  and compiled code are included.
- "work": multiply-adds that were executed, divided by those of the whole image.
- "of rate": multiply-adds of the whole image per second, divided by the rate that OpenVINO itself reaches on a whole
  image of 1024 x 1024, measured before and after.
- "difference": largest difference of the outputs to those of "whole", divided by the largest output.
- "labels differ": share of the pixels whose label differs from that of "whole", ties left out.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.streaming_cases import CASES, Case, image, network

WAYS = (
    "whole",
    "monai-0.25",
    "monai-0.5",
    "ours",
    "ours-bfloat16",
    "whole-bfloat16",
    "ours-openvino",
    "ours-openvino-bfloat16",
    "ours-inductor",
)
USUAL = WAYS[:-1]
TILE = 1024  # side of the whole image on which OpenVINO's own rate is measured


def ways(case: Case) -> dict[str, Callable[[nn.Module, np.ndarray], np.ndarray]]:
    def whole(dtype: torch.dtype) -> Callable[[nn.Module, np.ndarray], np.ndarray]:
        def run(net: nn.Module, x: np.ndarray) -> np.ndarray:
            layout: Any = {} if len(case.window) != 2 else {"memory_format": torch.channels_last}
            net = net.to(dtype, **layout)
            with torch.inference_mode():
                tensor = torch.from_numpy(x)[None].to(dtype, **layout)
                return net(tensor)[0].float().numpy()

        return run

    def monai(overlap: float, mode: str) -> Callable[[nn.Module, np.ndarray], np.ndarray]:
        def run(net: nn.Module, x: np.ndarray) -> np.ndarray:
            from monai.inferers.utils import sliding_window_inference

            if len(case.window) == 2:
                net = net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            with torch.inference_mode():
                tensor = torch.from_numpy(x)[None]
                result: Any = sliding_window_inference(tensor, case.window, 1, net, overlap=overlap, mode=mode)
                return result[0].numpy()

        return run

    def ours(dtype: torch.dtype, engine: str) -> Callable[[nn.Module, np.ndarray], np.ndarray]:
        from atrous.stream import stream

        return lambda net, x: stream(net, x, dtype=dtype, engine=engine)

    return {
        "whole": whole(torch.float32),
        "whole-bfloat16": whole(torch.bfloat16),
        "monai-0.25": monai(0.25, "constant"),
        "monai-0.5": monai(0.5, "gaussian"),
        "ours": ours(torch.float32, "torch"),
        "ours-bfloat16": ours(torch.bfloat16, "torch"),
        "ours-openvino": ours(torch.float32, "openvino"),
        "ours-openvino-bfloat16": ours(torch.bfloat16, "openvino"),
        "ours-inductor": ours(torch.float32, "inductor"),
    }


def openvino_rate(hint: str, threads: int, repeats: int = 7) -> float:
    """Return the median seconds per megapixel of the network on a whole image, compiled by OpenVINO."""
    import openvino as ov

    x = image(TILE)[None]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = ov.convert_model(network(), example_input=torch.from_numpy(x))
    model.reshape({0: list(x.shape)})
    options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        request.infer([x])
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[repeats // 2] / TILE**2 * 1e6


def peak_bytes() -> int:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    """Return the resident size of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(way: str, case: Case, size: int, repeats: int, out: Path) -> None:
    """Run one way in this process, and write its output and measurements to files."""
    run, x = ways(case)[way], case.source(size)
    net: Any = case.network()
    compiled = "openvino" in way or "inductor" in way
    # Warm-up: loads libraries. Ways that compile for one image size run another network here.
    run(nn.Conv2d(3, 2, 3) if compiled else net, x[:, *(slice(n) for n in case.window)].copy())
    before, prepared, seconds = resident_bytes(), 0.0, []
    if way.startswith("ours"):
        from atrous.stream import prepare

        start = time.perf_counter()
        net = prepare(net, x.shape)  # once per network and size
        if compiled:
            run(net, x)
        prepared = time.perf_counter() - start
    result = np.empty(0)
    for _ in range(repeats):
        result = np.empty(0)  # one output at a time
        start = time.perf_counter()
        result = run(net, x)
        seconds.append(time.perf_counter() - start)
    np.save(out.with_suffix(".npy"), result)
    row = {"seconds": sorted(seconds), "prepare": prepared, "peak": peak_bytes() - before}
    out.write_text(json.dumps({**row, "work": work(way, case, net, x.shape)}))


def work(way: str, case: Case, net: Any, shape: tuple[int, ...]) -> float:
    """Return the multiply-adds that a way executes, divided by those of the network as it is on the whole input."""
    if way.startswith("monai"):
        return case.monai_work(shape, float(way.split("-")[1]))
    if way.startswith("ours"):
        from atrous.stream import plan

        stream_plan = plan(net, shape, engine="openvino" if net.cuts else "torch")
        executed = segment_work(net, stream_plan.axis, stream_plan.strip) if net.cuts else stream_plan.macs
        return executed / whole_work(net.network, shape)
    return 1.0


def whole_work(net: nn.Module, shape: tuple[int, ...]) -> float:
    """Return the multiply-adds of one forward pass on the whole input."""
    from atrous.geometry.graph import export_graph
    from atrous.geometry.memory import macs

    graph = export_graph(net, shape)
    return float(sum(macs(op, graph.ops) for op in graph.ops))


def segment_work(net: Any, axis: int, strip: int) -> float:
    """Return the multiply-adds of a run in compiled segments: those of all windows and of rows outside of windows."""
    from atrous.geometry.memory import Meter
    from atrous.geometry.program import build, full_box
    from atrous.geometry.segments import SegmentWalk

    program = build({axis: net.axes[axis]}, axis, {net.graph.output: full_box(net.axes, net.graph.output)}, (0,))
    meter, total = Meter(program, 4), 0.0
    segments, windows = next(iter(net.cuts.values()))
    for step in SegmentWalk(program, segments, strip, windows).steps():
        for run in step.runs:
            for op in run.part.ops:
                lo, hi = run.rows.get(op.index, (0, 0))
                if run.window is not None and run.part.lattice is not None:
                    lo, hi = run.part.lattice.span(op.index, run.window)
                total += meter.macs_per_row[op.index] * (hi - lo)
    return total


def compare(case: str, size: int, threads: int, repeats: int, chosen: list[str]) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        reference = None
        for way in chosen:
            out = Path(folder) / f"{way}.json"
            options = ["--size", str(size), "--threads", str(threads), "--repeats", str(repeats), "--out", str(out)]
            call = [sys.executable, "-W", "ignore", "-m", "benchmarks.streaming", "--case", case, *options]
            rates = []
            if "openvino" in way:
                subprocess.run([*call, "--rate", way], check=True)
                rates.append(json.loads(out.read_text()))
            subprocess.run([*call, "--one", way], check=True)
            row = {"way": way, **json.loads(out.read_text())}
            if "openvino" in way:  # before and after, because the speed of the machine varies
                subprocess.run([*call, "--rate", way], check=True)
                rates.append(json.loads(out.read_text()))
                row["of_rate"] = sum(rates) / 2 * size**2 / 1e6 / median(row)
            output = np.load(out.with_suffix(".npy"))
            out.with_suffix(".npy").unlink()
            if way == "whole":
                reference = output
            if reference is not None:
                row["difference"] = float(np.abs(output - reference).max() / np.abs(reference).max())
                ties = np.abs(reference[0] - reference[1]) <= 1e-4 * np.abs(reference).max()
                row["labels"] = float(((output.argmax(0) != reference.argmax(0)) & ~ties).mean())
            rows.append(row)
    return rows


def median(row: dict[str, Any]) -> float:
    """Return the median of a row's seconds."""
    return row["seconds"][len(row["seconds"]) // 2]


def table(rows: list[dict[str, Any]]) -> str:
    head = f"{'way':24} {'seconds':>8} {'prepare':>8} {'peak MiB':>9} {'work':>6} {'of rate':>8}"
    lines = [f"{head} {'difference':>11} {'labels differ':>14}"]
    for row in rows:
        part = f"{row['of_rate']:.2f}" if "of_rate" in row else ""
        lines.append(
            f"{row['way']:24} {median(row):8.2f} {row['prepare']:8.2f} {row['peak'] / 2**20:9.0f} {row['work']:6.3f} "
            f"{part:>8} {row.get('difference', float('nan')):11.2e} {row.get('labels', float('nan')):14.4%}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--case", nargs="+", choices=list(CASES), default=["image"])
    parser.add_argument("--size", type=int, help="positions along each axis; by default those of the case")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="by default all that fit the case but Inductor")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rate", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    if options.rate:
        rate = openvino_rate("bf16" if "bfloat16" in options.rate else "f32", options.threads)
        options.out.write_text(json.dumps(rate))
        return
    for name in options.case:
        case = CASES[name]
        size = options.size or case.size
        if options.one:
            measure(options.one, case, size, options.repeats, options.out)
            return
        chosen = options.ways or [way for way in USUAL if name == "image" or "openvino" not in way]
        rows = compare(name, size, options.threads, options.repeats, chosen)
        print(f"{name}, {' x '.join([str(size)] * len(case.window))}")
        print(table(rows))
        facts = {"benchmark": "streaming", "case": name, "size": size, "threads": options.threads}
        processor = platform.processor() or platform.machine()
        print(json.dumps({**facts, "torch": torch.__version__, "processor": processor, "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
