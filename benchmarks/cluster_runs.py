"""Real runs of networks on the workers of this machine, and what they tell of one worker: for `cluster_sim.py`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import cloudpickle
import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from atrous.stream import Cluster, Prepared, connect, prepare, stream
from atrous.stream.dispatch import Dispatch
from atrous.stream.unit_record import State
from atrous.stream.units import Units, cut_units
from atrous.stream.worker import UnitWork
from benchmarks import cluster
from benchmarks.gigapixel import make_input
from benchmarks.simulated import Load, Speed
from benchmarks.unit_loads import Stored, loads

FOLDER = Path("runs/cluster_sim")
IDLE = 200
"""Units that do nothing, whose time is that of client, scheduler and messages."""


@dataclass(frozen=True)
class Job:
    """A network and the inputs of its runs.

    Attributes:
        network: builds it.
        channels: of the input, uint8.
        side: of the units of the run that is calibrated on.
        size: of its input, along each axis; no multiple of `side`, so that there are units of several sizes.
        ndim: number of axes.
        chunk: side of the chunks of the input, and of the output.
        excess: the work on halos that units of a plan may add.
    """

    network: Callable[[], nn.Module]
    channels: int = 3
    side: int = 1024
    size: int = 5632
    ndim: int = 2
    chunk: int = 512
    excess: float = 0.25


def bases_network() -> nn.Module:
    """A network of four convolutions over one-hot bases, dilated by 1, 4, 16; halo 154."""
    width, size = 32, 15
    layers: list[nn.Module] = [nn.Conv1d(4, width, size, padding=size // 2), nn.ReLU()]
    for dilation in (1, 4, 16):
        padding = dilation * (size // 2)
        layers += [nn.Conv1d(width, width, size, padding=padding, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv1d(width, 2, 1))


JOBS = {
    "unet": Job(lambda: cluster.SmallUNet(False)),
    "gated": Job(lambda: cluster.SmallUNet(True), size=3584),
    "resnet18": Job(cluster.resnet18, side=2048, size=5120),
    "bases": Job(bases_network, 4, 1 << 20, 9 << 19, 1, 1 << 18),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return JOBS[name].network().eval()


def source_of(job: Job, size: int) -> Any:
    """Return an input in a zarr array, written once."""
    import zarr

    path = FOLDER / f"input{job.ndim}-{size}.zarr"
    if job.ndim == 2:
        return make_input(path, size)
    if not path.exists():
        array = zarr.create_array(path, shape=(job.channels, size), chunks=(job.channels, job.chunk), dtype="uint8")
        letters = np.random.default_rng(0).integers(0, job.channels, size)
        array[...] = np.arange(job.channels)[:, None] == letters
    return zarr.open_array(path, mode="r")


def sink_of(job: Job, size: int) -> Any:
    import zarr

    shape, chunks = (2, *[size] * job.ndim), (2, *[job.chunk] * job.ndim)
    return zarr.create_array(FOLDER / "output.zarr", shape=shape, chunks=chunks, dtype="float32", overwrite=True)


@dataclass(frozen=True)
class Real:
    """A real run, as Dask recorded it.

    Attributes:
        seconds: in all, with the start of the workers.
        start: of these, until the workers were there.
        plan: from then until the first unit began.
        tasks: phase, number and seconds of each unit, in the order in which they began.
        loads: of the units, by phase.
    """

    seconds: float
    start: float
    plan: float
    tasks: list[tuple[int, int, float]]
    loads: list[list[Load]]


def real_run(name: str, workers: int, side: int, size: int, kill: float | None = None) -> Real:
    """Run a network on worker processes of this machine, and kill one of them at a share of the work."""
    job, network = JOBS[name], made(name)
    source, sink = source_of(job, size), sink_of(job, size)
    begun = time.time()
    with connect(f"local:{workers}") as client:
        there = time.time()
        client.get_task_stream()  # from now on Dask records when each unit begins and ends
        alive = list(client.run(os.getpid).values())

        def progress(share: float) -> None:
            if kill is not None and share >= kill and len(alive) == workers:
                os.kill(alive.pop(), signal.SIGKILL)

        several = Cluster(client, side=side, threads=1)
        stream(network, source, sink, client=several, resume=True, progress=progress)
        ended = time.time()
        tasks = _tasks(client.get_task_stream())
    ready = prepare(network, tuple(source.shape))
    units = cut_units(ready, chunks=(job.chunk,) * job.ndim, side=side)
    last = len(units.passes) - 1
    seconds = [(last if phase is None else phase, unit, stop - first) for phase, unit, first, stop in tasks]
    return Real(ended - begun, there - begun, tasks[0][2] - there, seconds, unit_loads(name, ready, units))


def _tasks(recorded: Any) -> list[tuple[int | None, int, float, float]]:
    """Return phase (None for the last), number, begin and end of the units that Dask recorded, in time."""
    found = []
    for each in recorded:
        named = re.match(r"(?:unit|statistics (\d+)) (\d+) of", str(each["key"]))
        if named:
            phase = None if named[1] is None else int(named[1]) - 1
            spans = [span for span in each["startstops"] if span["action"] == "compute"]
            found.append((phase, int(named[2]) - 1, spans[-1]["start"], spans[-1]["stop"]))
    return sorted(found, key=lambda task: task[2])


def unit_loads(name: str, ready: Prepared, units: Units, *, labels: bool = False) -> list[list[Load]]:
    """Return the units of a run; the output is float32 scores, or uint8 labels in chunks of a unit."""
    job = JOBS[name]
    shape = ready.graph.shape[1:]
    source = Stored(shape, (job.chunk,) * job.ndim, job.channels)
    sink = Stored(units.size, units.sides if labels else (job.chunk,) * job.ndim, 1 if labels else 8)
    return loads(ready, units, source, sink)


def calibrated(name: str, real: Real) -> Speed:
    """Return what a run on one worker tells: for each phase the line through the seconds of its units, and the rest."""
    load = {(each.phase, each.number): each for phase in real.loads for each in phase}
    (phase, number, longest), rest = real.tasks[0], real.tasks[1:]
    phases = []
    for each in range(len(real.loads)):
        measured = [(load[p, n].macs, seconds) for p, n, seconds in rest if p == each]
        phases.append(line(*np.array(measured).T))
    speed = Speed(tuple(phases))
    return replace(
        speed,
        spread=tuple(seconds / speed.seconds(load[p, n]) for p, n, seconds in rest),
        start=real.start,
        prepare=max(0.0, longest - speed.seconds(load[phase, number])),
        plan=real.plan,
        answer=idle_answer(),
        link=link_rate(JOBS[name]),
        packed=float(len(cloudpickle.dumps(made(name)))),
    )


def line(work: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Return `fixed` and `each` of the line `fixed + each * work` with the least squares of relative errors.

    Neither is negative.

    >>> fixed, each = line(np.array([1.0, 2.0, 4.0]), np.array([5.0, 7.0, 11.0]))
    >>> round(fixed, 6), round(each, 6)
    (3.0, 2.0)
    """
    scale = work.max() or 1.0
    fit, _ = nnls(np.stack([np.ones_like(work), work / scale], 1) / seconds[:, None], np.ones_like(work))
    return float(fit[0]), float(fit[1] / scale)


class Idle(UnitWork):
    """Units that do nothing: what is left is the time of client, scheduler and messages."""

    def compute(self, unit: int, known: dict[int, Tensor]) -> None:
        return None

    def gather(self, phase: int, unit: int, known: dict[int, Tensor]) -> State:
        return {}


def idle_answer() -> float:
    """Return the seconds that one worker, the client and the scheduler take for a unit that does nothing."""
    units = Units((IDLE,), (1,), (), 0)
    with connect("local:1") as client, Dispatch(Cluster(client, threads=1), Idle(), units) as dispatch:
        next(iter(dispatch.outcomes(None, [0], {})))  # imports
        start = time.perf_counter()
        for _ in dispatch.outcomes(None, range(IDLE), {}):
            pass
        return (time.perf_counter() - start) / IDLE


def link_rate(job: Job) -> float:
    """Return the bytes a second that one worker reads from this machine's disk, with decoding."""
    source = source_of(job, job.size)
    start, size = time.perf_counter(), 0
    for first in range(0, job.size, job.chunk):
        size += np.asarray(source[:, first : first + job.chunk]).nbytes
    return size / (time.perf_counter() - start)


def crowding(name: str, workers: int) -> float:
    """Return how many times longer a forward pass takes in each of several processes than in one alone."""
    return mean(_rates(name, 1)) / mean(_rates(name, workers))


def _rates(name: str, processes: int) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.cluster_sim", "probe", "--networks", name]
    command += ["--at", str(time.time() + 8 + 4 * processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(processes)]
    return [json.loads(process.communicate()[0])["rate"] for process in started]
