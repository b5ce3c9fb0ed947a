"""Run any fully convolutional network on an input of any size: the answer of the whole input, in bounded memory."""

import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from atrous.data.source import Sink, Source
from atrous.errors import UserError
from atrous.geometry.plan import StreamPlan
from atrous.stream.cluster import run_on_cluster
from atrous.stream.dispatch import Cluster
from atrous.stream.here import planned, run_here
from atrous.stream.onnx_network import OnnxNetwork, stream_file
from atrous.stream.options import Options, choose_options
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.sole import sole_writer
from atrous.stream.source import checked_source

SHARE = 0.7  # of the rate of one well-shaped convolution, which a whole network reaches


def stream(
    network: nn.Module | Prepared | OnnxNetwork | Path | str,
    source: Source,
    sink: Sink | None = None,
    options: Options | None = None,
    *,
    client: Any = None,
    **choices: Any,
) -> Any:
    """Compute the output of `network` on the whole `source`, strip by strip, and return the sink.

    The result is that of one forward pass on the whole input, in evaluation mode, but the memory that it takes does not
    grow with the length of the input.

    Arguments:
        network: a module, which is left as it was, or what `prepare` returned for it; or an ONNX file that
            `atrous export` wrote, which ONNX Runtime runs on windows (`engine="onnxruntime"`).
        source: `(C, *S)`, anything that can be sliced: an array, a memmap, a zarr array.
        sink: `(K, *S_out)`, anything whose slices can be assigned to; a new numpy array when None.
        options: the choices that `Options` documents; the defaults when None.
        client: a `dask.distributed.Client`, or a `Cluster` with choices: its workers compute units of the output, and
            write them into a zarr array or a memmap (docs/scale.md). None computes here.
        choices: single options by name, which go before those in `options`.

    A zarr array as the sink is written in whole chunks (whole shards, if it has them), by one run at a time.

    Raises `UserError` for a mistake in the arguments, and `Refused` (a `UserError`) when an operator of the network
    cannot be streamed; the message names its module.

    >>> network = nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv1d(4, 2, 3, padding=1)).eval()
    >>> signal = torch.randn(1, 1000)
    >>> out = stream(network, signal.numpy(), strip=64)
    >>> bool((torch.from_numpy(out) - network(signal[None])[0]).abs().max() < 1e-5)
    True
    """
    options = choose_options(options, choices)
    if isinstance(network, OnnxNetwork | Path | str):
        if client is not None:
            raise UserError("client= is for modules: an ONNX file runs in one process")
        file = network if isinstance(network, OnnxNetwork) else OnnxNetwork(network)
        with sole_writer(sink):
            return stream_file(file, source, sink, options)
    checked_source(source)
    ready = _ready(network, tuple(source.shape), options.output)
    with sole_writer(sink):
        if client is not None:
            cluster = client if isinstance(client, Cluster) else Cluster(client)
            return run_on_cluster(ready, source, sink, options, cluster)
        return run_here(ready, source, sink, options)


def plan(
    network: nn.Module | Prepared, shape: tuple[int, ...], options: Options | None = None, **choices: Any
) -> StreamPlan:
    """Return what `stream` would do for an input of this shape `(C, *S)` with the same options; print its `.text()`.

    The plan tells the axis, the strip, the passes, the work and the peak memory before anything is computed.

    Raises `UserError` and `Refused` as `stream` does.

    >>> run_plan = plan(nn.Conv2d(3, 8, 3, padding=1), (3, 4096, 2048))
    >>> run_plan.axis, run_plan.blocks, len(run_plan.passes), round(run_plan.macs / run_plan.macs_whole, 3)
    (0, 1, 1, 1.0)
    """
    options = choose_options(options, choices)
    return planned(_ready(network, tuple(shape), options.output), options)[1]


def _ready(network: nn.Module | Prepared, shape: tuple[int, ...], output: int | str | None) -> Prepared:
    if isinstance(network, Prepared):
        if network.graph.shape != shape:
            raise UserError(
                f"the network was prepared for inputs of shape {network.graph.shape}, not {shape}: "
                "prepare it for this shape"
            )
        return network
    return prepare(network, shape, output=output)


def plan_text(run_plan: StreamPlan, dtype: torch.dtype, engine: str, device: str = "cpu") -> str:
    """Return the text of a plan, with the time that it will take on a device of this machine.

    >>> text = plan_text(plan(nn.Conv2d(3, 8, 3), (3, 4096, 2048)), torch.float32, "torch")
    >>> text.endswith("seconds in float32 by torch")
    True
    """
    seconds = run_plan.macs / pace(dtype, torch.get_num_threads(), device)
    duration = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return f"{run_plan.text()}\n  about {duration} in {str(dtype).removeprefix('torch.')} by {engine}"


@cache
def pace(dtype: torch.dtype, threads: int, device: str = "cpu") -> float:
    """Return how many multiply-adds a second a network does here, to turn the work of a plan into seconds.

    One 3 x 3 convolution of 64 channels on 96 x 96 positions is timed five times, a tenth of a second in all; a network
    is taken to reach the share `SHARE` of its median rate. `threads` is the number of threads that torch uses: a rate
    is measured once for each. On another device there are 1024 x 1024 positions, which it takes to be busy.

    >>> pace(torch.float32, torch.get_num_threads()) > 1e8
    True
    """
    side = 96 if torch.device(device).type == "cpu" else 1024
    x = torch.randn(1, 64, side, side).to(device, dtype, memory_format=torch.channels_last)
    weight = torch.randn(64, 64, 3, 3).to(device, dtype, memory_format=torch.channels_last)
    work, seconds = 64 * 64 * 9 * side * side, []
    with torch.inference_mode():
        for _ in range(5):
            start = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            if x.device.type != "cpu":
                torch.accelerator.synchronize(x.device)
            seconds.append(time.perf_counter() - start)
    return SHARE * work / sorted(seconds)[2]
