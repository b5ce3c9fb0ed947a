"""One network on one scene: one process, a Dask cluster of one and of two workers, kills, and an S3 server.

    python -m benchmarks.cluster rows --size 8192
    python -m benchmarks.cluster kills --size 8192
    python -m benchmarks.cluster s3 --size 4096

`rows` prints, for each network: how the output is cut, the work over that of the whole image, what is read, the seconds
of one process (once) and of 1 and 2 workers of one thread each (medians), and how far logits and labels are from those
of one process. `kills` ends a worker or the scheduler with SIGKILL at random times, ten times in one run, and counts
how often a unit was begun. `s3` reads from and writes to moto's S3 server on this machine, and prints the bytes that
were read over those of the chunks that the units with their halos touch.
"""

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from atrous.extras import library
from atrous.stream import Cluster, Options, connect, prepare, stream
from atrous.stream.portable import write_chunks
from atrous.stream.units import Units, cut_units
from benchmarks.gigapixel import make_input
from benchmarks.streaming import network as resnet18

FOLDER = Path("runs/cluster")
CHUNK, SHARD = 512, 1024
KILLS = 10


class SmallUNet(nn.Module):
    """A U-Net of three levels, with squeeze-excitation at the bottom and before the head if `gated`."""

    def __init__(self, gated: bool, width: int = 16) -> None:
        super().__init__()
        sizes = [3, width, 2 * width, 4 * width]
        self.down = nn.ModuleList(_block(a, b) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(_block(b + a, a) for a, b in ((2 * width, 4 * width), (width, 2 * width)))
        self.gates = nn.ModuleList(nn.Linear(n, n) for n in (4 * width, width)) if gated else None
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = []
        for number, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if number else x)
            levels.append(x)
        x = self._gated(levels.pop(), 0)
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2), levels.pop()], 1))
        return self.head(self._gated(x, 1))

    def _gated(self, x: torch.Tensor, number: int) -> torch.Tensor:
        if self.gates is None:
            return x
        return x * self.gates[number](x.mean((2, 3))).sigmoid()[:, :, None, None]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers = (nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU())
    return nn.Sequential(*layers)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "unet": (lambda: SmallUNet(False), 0.05),
    "gated": (lambda: SmallUNet(True), 0.05),
    "resnet18": (resnet18, 0.25),
}
"""Each network, and the work on halos that its units may add."""


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name][0]().eval()


def new_sink(place: Any, size: int, *, sharded: bool = True) -> Any:
    import zarr

    chunks = (2, *[CHUNK if sharded else min(CHUNK, size // 8)] * 2)
    shards = (2, min(SHARD, size), min(SHARD, size)) if sharded else None
    return zarr.create_array(
        place, shape=(2, size, size), chunks=chunks, shards=shards, dtype="float32", overwrite=True
    )


def rows(options: argparse.Namespace) -> None:
    source, results = make_input(FOLDER / f"input{options.size}.zarr", options.size), []
    for name in options.networks:
        ready, excess = prepare(made(name), tuple(source.shape)), NETWORKS[name][1]
        sinks = {how: new_sink(FOLDER / f"{name}-{how}.zarr", options.size) for how in ("one", "local:1", "local:2")}
        units = cut_units(ready, chunks=write_chunks(sinks["one"], 2), excess=excess)
        print(f"{name}: {units.text(source.dtype.itemsize)}", flush=True)
        seconds = {how: [] for how in sinks}
        seconds["one"].append(_timed(stream, ready, source, sinks["one"]))
        for _ in range(options.repeats):
            for how in ("local:1", "local:2"):
                with connect(how) as client:
                    cluster = Cluster(client, excess=excess, threads=1, tell=_tell)
                    seconds[how].append(_timed(stream, ready, source, sinks[how], client=cluster))
        times = {how: round(median(values), 2) for how, values in seconds.items()}
        found = {how: _difference(sinks["one"], sinks[how], options.size) for how in ("local:1", "local:2")}
        row = {
            "network": name, "units": len(units), "sides": units.sides, "phases": len(units.passes),
            "work": round(units.work, 4), "times": round(units.times, 4),
            "read_GB": round(units.numbers * source.dtype.itemsize / 1e9, 3), "seconds": times,
            "speed_up": round(times["local:1"] / times["local:2"], 3),
            "logits": {how: difference for how, (difference, _) in found.items()},
            "labels": {how: labels for how, (_, labels) in found.items()},
        }  # fmt: skip
        results.append(row)
        print(json.dumps(row), flush=True)
    print(json.dumps({"rows": results}))


def _tell(text: str) -> None:
    print("   ", text, flush=True)


def _timed(run: Callable[..., Any], *arguments: Any, **more: Any) -> float:
    start = time.perf_counter()
    run(*arguments, **more)
    return time.perf_counter() - start


def _difference(one: Any, other: Any, size: int) -> tuple[float, int]:
    """The largest difference of logits over the largest logit, and how many labels differ whose scores do not tie."""
    largest = worst = 0.0
    labels = 0
    for top in range(0, size, SHARD):
        a, b = (np.asarray(array[:, top : top + SHARD]) for array in (one, other))
        largest, worst = max(largest, float(np.abs(a).max())), max(worst, float(np.abs(a - b).max()))
        labels += int(((a.argmax(0) != b.argmax(0)) & (np.abs(a[0] - a[1]) > 1e-4)).sum())
    return worst / largest, labels


class LoggedSource:
    """A zarr array that writes down the place of every read, so that units that begin anew can be counted."""

    def __init__(self, path: Path, log: Path) -> None:
        import zarr

        self.path, self.log, self.array = path.absolute(), log.absolute(), zarr.open_array(path, mode="r")
        self.shape, self.dtype, self.chunks = self.array.shape, self.array.dtype, self.array.chunks

    def __getitem__(self, key: Any) -> Any:
        with self.log.open("a") as file:
            file.write(f"{os.getpid()} {time.time()} {key[1].start} {key[2].start}\n")
        return self.array[key]


def once(options: argparse.Namespace) -> None:
    """One command of `kills`: goes on with the run, from the scheduler that there is."""
    import zarr

    source = LoggedSource(FOLDER / f"input{options.size}.zarr", FOLDER / "begun.log")
    sink = zarr.open_array(FOLDER / "kills.zarr", mode="r+")
    with connect(options.address) as client:
        cluster = Cluster(client, side=options.size // 8, tell=_tell)
        stream(made("unet"), source, sink, client=cluster, resume=True)


def kills(options: argparse.Namespace) -> None:
    import zarr

    source, names = make_input(FOLDER / f"input{options.size}.zarr", options.size), ("expected", "kills")
    expected, sink = (new_sink(FOLDER / f"{name}.zarr", options.size, sharded=False) for name in names)
    network, log = made("unet"), FOLDER / "begun.log"
    log.unlink(missing_ok=True)
    ready = prepare(network, tuple(source.shape))
    units = cut_units(ready, chunks=write_chunks(sink, 2), side=options.size // 8)
    taken = _timed(stream, ready, source, expected)
    port, chance, done, commands, runner = 8799, random.Random(options.seed), 0, 0, None
    address = f"tcp://127.0.0.1:{port}"
    parts = {name: _started(name, address) for name in ("scheduler", "worker 1", "worker 2")}
    command = [sys.executable, "-m", "benchmarks.cluster", "once", "--size", str(options.size), "--address", address]
    try:
        runner, commands, next_kill = subprocess.Popen(command), 1, 0.0
        while True:
            if runner.poll() == 0:
                break
            if runner.poll() is not None:
                runner, commands = subprocess.Popen(command), commands + 1
            if done < KILLS and log.exists() and time.time() > next_kill:
                name = chance.choice(list(parts))
                parts[name].send_signal(signal.SIGKILL)
                parts[name].wait()
                parts[name] = _started(name, address)
                done, next_kill = done + 1, time.time() + chance.uniform(0.5, 1.5) * taken / 20
                print(f"killed the {name}", flush=True)
            time.sleep(0.05)
    finally:
        for process in (*parts.values(), *([runner] if runner else [])):
            process.kill()
    difference, labels = _difference(zarr.open_array(FOLDER / "expected.zarr"), sink, options.size)
    chunks = _chunks_apart(expected, sink, options.size)
    begun = _begun(log)
    result = {
        "units": len(units), "kills": done, "commands": commands, "begun": begun, "begun_again": begun - len(units),
        "logits": difference, "labels": labels, "chunks_apart": chunks,
    }  # fmt: skip
    print(json.dumps({"kills": result}))


def _started(name: str, address: str) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if name == "scheduler":
        arguments = ["scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    else:
        arguments = ["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
    program = "from distributed.cli import dask_scheduler, dask_worker; import sys; "
    program += f"sys.argv = sys.argv[1:]; dask_{arguments[0]}.main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", program, *arguments], env=environment, **quiet)  # type: ignore[call-overload]


def _begun(log: Path) -> int:
    """How often a unit was begun: a process reads rows in ascending order, and a unit begins elsewhere or above."""
    last: dict[str, tuple[int, int]] = {}
    begun = 0
    for line in log.read_text().splitlines():
        process, _, row, column = line.split()
        before = last.get(process)
        begun += before is None or int(column) != before[1] or int(row) <= before[0]
        last[process] = int(row), int(column)
    return begun


def _chunks_apart(one: Any, other: Any, size: int) -> int:
    """How many chunks differ by more than rounding."""
    apart = 0
    for top in range(0, size, CHUNK):
        for left in range(0, size, CHUNK):
            a, b = (np.asarray(array[:, top : top + CHUNK, left : left + CHUNK]) for array in (one, other))
            apart += int(np.abs(a - b).max() > 1e-4 * max(1.0, float(np.abs(a).max())))
    return apart


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server on this machine, with a bucket; the settings of clients are in the environment."""
    server = library("moto.server", "s3server", "an S3 server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which tells every request
    server.start()
    try:
        host, port = server.get_host_and_port()
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        library("fsspec", "cloud", "a URL").filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    finally:
        server.stop()


def s3(options: argparse.Namespace) -> None:
    import zarr
    from zarr.storage import FsspecStore, WrapperStore

    class Counting(WrapperStore[Any]):
        """Counts the bytes that are read."""

        bytes_read = 0

        async def get(self, *arguments: Any, **more: Any) -> Any:
            found = await self._store.get(*arguments, **more)
            Counting.bytes_read += 0 if found is None else len(found)
            return found

    with s3_server() as bucket:
        here, results = make_input(FOLDER / f"input{options.size}.zarr", options.size), []
        there = zarr.create_array(f"{bucket}/in.zarr", shape=here.shape, chunks=here.chunks, dtype=here.dtype)
        for top in range(0, options.size, CHUNK):
            there[:, top : top + CHUNK] = here[:, top : top + CHUNK]
        for name in options.networks:
            ready, excess = prepare(made(name), tuple(here.shape)), NETWORKS[name][1]
            source = zarr.open_array(Counting(FsspecStore.from_url(f"{bucket}/in.zarr", read_only=True)), mode="r")
            sink, expected = new_sink(f"{bucket}/{name}.zarr", options.size), new_sink(FOLDER / "s3.zarr", options.size)
            units, run = cut_units(ready, chunks=write_chunks(sink, 2), excess=excess), Options(strategy="strips")
            Counting.bytes_read = 0
            in_units(ready, units, source, sink, run)
            touched = _bytes_touched(f"{bucket}/in.zarr", ready, units)
            stream(ready, here, expected)
            difference, labels = _difference(expected, sink, options.size)
            row = {
                "network": name, "units": len(units), "read": Counting.bytes_read, "touched": touched,
                "read_over_touched": round(Counting.bytes_read / touched, 4), "logits": difference, "labels": labels,
            }  # fmt: skip
            results.append(row)
            print(json.dumps(row), flush=True)
        print(json.dumps({"s3": results}))


def in_units(ready: Any, units: Units, source: Any, sink: Any, run: Options) -> None:
    """Compute all units in this process, so that every byte that is read is counted."""
    from dataclasses import replace

    from atrous.stream.cluster import gathered
    from atrous.stream.dispatch import Here
    from atrous.stream.worker import StreamWork, layout

    asked = replace(run, axis=units.along)
    here = Here(StreamWork(ready.network, ready.graph.shape, asked, units, source, sink, layout(ready.graph)), units)
    known = gathered(here, ready, ready.dtype, None)
    for _ in here.outcomes(None, range(len(units)), known):
        pass


def _bytes_touched(url: str, ready: Any, units: Units) -> int:
    """Bytes of the objects that hold the input of all units in all phases, halos included."""
    files = library("fsspec", "cloud", "a URL").filesystem("s3")
    root = url.removeprefix("s3://")
    sizes = {path.removeprefix(f"{root}/c/"): size for path, size in files.du(f"{root}/c", total=False).items()}
    total = 0
    for phase in range(len(units.passes)):
        for number in range(len(units)):
            built = units.program(ready.axes, phase, units.index(number))
            if built is None:
                continue
            spans = [range(lo // CHUNK, -(-hi // CHUNK)) for lo, hi in (built.boxes[0][0], built.boxes[0][1])]
            total += sum(sizes[f"0/{row}/{column}"] for row in spans[0] for column in spans[1])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("rows", "kills", "once", "s3"))
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--address", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    {"rows": rows, "kills": kills, "once": once, "s3": s3}[options.what](options)


if __name__ == "__main__":
    main()
