"""How long exact inference takes on a cluster, simulated from real runs on this machine.

    python -m benchmarks.cluster_sim calibrate --networks unet gated resnet18 bases
    python -m benchmarks.cluster_sim check
    python -m benchmarks.cluster_sim plan

`calibrate` runs a network on one worker (`local:1`, one thread) and keeps what it measures in a JSON file: seconds of
every unit and the line through them over the multiply-adds, of the first unit, of the start of a worker, of client and
scheduler for each unit, of a byte. `check` calibrates on such a run, then predicts two other real runs and prints
simulated over real hours: two workers with smaller units, and two workers of which one is killed with SIGKILL after a
third of the units. `plan` prints hours, lost units, bytes and worker hours of two jobs that no machine finishes alone,
with and without failures, slow workers and a slow store, from what `calibrate` kept. `benchmarks/simulated.py` is the
simulation; it tells what is left out.
"""

import argparse
import json
import math
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from atrous.stream import prepare
from atrous.stream.units import cut_units
from benchmarks.cluster_runs import FOLDER, JOBS, Real, calibrated, crowding, made, real_run, unit_loads
from benchmarks.simulated import Course, Speed, World, courses

SEEDS, LIMIT = 5, 0.15
CHROMOSOMES, BASES = 10_000, 3_088_269_832 // 24
"""Chromosomes of the plan, and bases of one: the mean of the 24 human ones of GRCh38."""


def probe(options: argparse.Namespace) -> None:
    """Count forward passes a second in this process, from a moment on that others begin at, too."""
    job, network = JOBS[options.networks[0]], made(options.networks[0])
    tile = torch.rand(1, job.channels, *[1 << (18 // job.ndim)] * job.ndim)
    with torch.inference_mode():
        network(tile)
        time.sleep(max(0.0, options.at - time.time()))
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < options.seconds:
            network(tile)
            count += 1
    print(json.dumps({"rate": count / (time.perf_counter() - start)}))


def calibrate(options: argparse.Namespace) -> None:
    """Measure networks on one worker, and keep what was measured."""
    cores = os.cpu_count() or 1
    for name in options.networks:
        job = JOBS[name]
        speed = calibrated(name, real_run(name, 1, options.side or job.side, options.size or job.size))
        kept = {"network": name, "cores": cores, "crowding": crowding(name, cores), "speed": asdict(speed)}
        print(described(kept), flush=True)
        _file(options, name).write_text(json.dumps(kept), encoding="utf-8")
        print(json.dumps({"calibrate": kept | {"torch": torch.__version__}}), flush=True)


def _file(options: argparse.Namespace, name: str) -> Path:
    return options.keep / f"{name}.json"


def speed_of(kept: dict[str, Any]) -> Speed:
    speed = kept["speed"]
    return Speed(**{**speed, "phases": tuple(map(tuple, speed["phases"])), "spread": tuple(speed["spread"])})


def described(kept: dict[str, Any]) -> str:
    speed = speed_of(kept)
    units = ", ".join(f"{fixed:.3g} s + {each * 1e9:.3g} s per 10^9 multiply-adds" for fixed, each in speed.phases)
    return (
        f"{kept['network']}: a unit takes {units} ({min(speed.spread):.2f} to {max(speed.spread):.2f} times that)\n"
        f"  start {speed.start:.2f} s, plan {speed.plan:.2f} s, first unit of a worker {speed.prepare:.2f} s more, "
        f"client and scheduler {1e3 * speed.answer:.1f} ms a unit, {speed.link / 1e6:.0f} MB/s read\n"
        f"  {kept['cores']} processes at once: {kept['crowding']:.3f} times longer"
    )


def check(options: argparse.Namespace) -> None:
    """Calibrate on one real run, and compare two others with what the simulation says of them."""
    name = options.networks[0]
    job, several = JOBS[name], options.workers or 2
    side, size = options.side or job.side, options.size or job.size
    first = real_run(name, 1, side, size)
    speed, slowed = calibrated(name, first), crowding(name, several)
    print(described({"network": name, "cores": several, "crowding": slowed, "speed": asdict(speed)}), flush=True)
    rows = [_compared("1 worker (calibrated on)", first, speed, World(1), options.seeds)]
    for text, sides, kill in ((f"{several} workers, smaller units", side // 2, None), ("one killed", side, 1 / 3)):
        real = real_run(name, several, sides, size, kill)
        kills = () if kill is None else (math.ceil(kill * sum(map(len, real.loads))),)
        world = World(several, slowed=slowed, kills=kills)
        rows.append(_compared(f"{text}, units of {sides}", real, speed, world, options.seeds))
    within = all(abs(row["simulated_over_real"] - 1) <= LIMIT for row in rows[1:])
    print(f"within {100 * LIMIT:.0f} %: {'yes' if within else 'no'}")
    print(json.dumps({"check": rows, "network": name, "size": size, "within": within, "torch": torch.__version__}))


def _compared(text: str, real: Real, speed: Speed, world: World, seeds: int) -> dict[str, Any]:
    found = courses([real.loads], speed, world, seeds)
    hours = mean(course.seconds for course in found) / 3600
    ratio = 3600 * hours / real.seconds
    print(
        f"{text}: {len(real.loads[-1])} units, {len(real.loads)} phases: real {real.seconds / 3600:.4f} hours "
        f"({real.seconds:.1f} s), simulated {hours:.4f} ({3600 * hours:.1f} s): {ratio:.3f} of it; "
        f"{mean(course.redone for course in found):g} units lost",
        flush=True,
    )
    return {
        "run": text, "units": len(real.loads[-1]), "real_seconds": real.seconds, "simulated_seconds": 3600 * hours,
        "simulated_over_real": ratio, "redone": mean(course.redone for course in found),
    }  # fmt: skip


def plan(options: argparse.Namespace) -> None:
    """Print what jobs past one machine take, on a quiet cluster and on others."""
    scene, genome = (json.loads(_file(options, name).read_text(encoding="utf-8")) for name in ("resnet18", "bases"))
    workers = options.workers or 64
    rows: list[dict[str, Any]] = []
    for title, kept, side, inputs in (
        (f"{options.side or 320_000}^2 pixels", scene, options.side or 320_000, 1),
        (f"{CHROMOSOMES} x {BASES} bases", genome, BASES, CHROMOSOMES),
    ):
        name = kept["network"]
        job, ready = JOBS[name], prepare(made(name), (JOBS[name].channels, *[side] * JOBS[name].ndim))
        shards = {1: 1 << 20, 2: 2048}[job.ndim]
        units = cut_units(ready, chunks=(shards,) * job.ndim, excess=job.excess)
        run, repeats = unit_loads(name, ready, units, labels=True), min(inputs, options.inputs)
        print(f"\n{title}, {name}, {workers} workers: {units.text(1)}\n")
        print("| cluster | hours | units | lost | waiting | TB moved | worker hours |\n|---|---|---|---|---|---|---|")
        for text, world in worlds(options, workers, kept["crowding"]).items():
            found = courses([run] * repeats, speed_of(kept), world, options.seeds)
            row = _row(text, found, inputs / repeats, workers)
            rows.append({"job": title, **row})
            print(
                f"| {text} | {row['hours']:.2f} | {row['units']:.0f} | {row['lost']:.0f} | "
                f"{100 * row['waiting']:.1f} % | {row['bytes'] / 1e12:.3g} | {row['worker_hours']:.0f} |",
                flush=True,
            )
    print("\ncost = worker hours / workers of an instance x price of an instance's hour + requests + bytes that leave")
    print(json.dumps({"plan": rows, "workers": workers, "seeds": options.seeds}))


def worlds(options: argparse.Namespace, workers: int, slowed: float) -> dict[str, World]:
    """Return the clusters of the plan: nothing goes wrong, one thing does, all do."""
    failing = {"failures": options.failures, "back": options.back, "noticed": options.noticed}
    slow = {"stragglers": options.stragglers, "slower": options.slower}
    store = {"store": options.store * 1e6, "latency": options.latency / 1e3}
    calm = World(workers, slowed)
    return {
        "nothing goes wrong": calm,
        f"{options.failures:g} failures a worker hour": replace(calm, **failing),
        f"{100 * options.stragglers:g} % are {options.slower:g} x slower": replace(calm, **slow),
        f"store {options.store:g} MB/s, {options.latency:g} ms": replace(calm, **store),
        "all three": replace(calm, **failing, **slow, **store),
    }


def _row(text: str, found: list[Course], times: float, workers: int) -> dict[str, Any]:
    """Return the means of several courses; a part of the inputs was simulated, and there are `times` as many."""
    hours = times * mean(course.seconds for course in found) / 3600
    return {
        "cluster": text, "hours": hours, "units": times * mean(course.units for course in found),
        "lost": times * mean(course.redone for course in found), "waiting": mean(course.waiting for course in found),
        "bytes": times * mean(course.moved for course in found), "worker_hours": hours * workers,
    }  # fmt: skip


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("calibrate", "check", "plan", "probe"))
    parser.add_argument("--networks", nargs="+", default=["unet"], choices=list(JOBS))
    parser.add_argument("--keep", type=Path, default=FOLDER, help="folder of what was measured")
    parser.add_argument("--size", type=int, help="of the input of a real run, along each axis")
    parser.add_argument("--side", type=int, help="of the units of a real run; of the scene of a plan")
    parser.add_argument("--workers", type=int, help="of a check (2) or of a plan (64)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="simulations, of which the mean is printed")
    parser.add_argument("--inputs", type=int, default=100, help="chromosomes that are simulated; the rest is like them")
    parser.add_argument("--failures", type=float, default=0.1, help="of one worker in an hour")
    parser.add_argument("--back", type=float, default=120.0, help="seconds until a lost worker starts again")
    parser.add_argument("--noticed", type=float, default=300.0, help="seconds until a loss is noticed")
    parser.add_argument("--stragglers", type=float, default=0.05, help="share of the workers that are slower")
    parser.add_argument("--slower", type=float, default=3.0, help="by this factor")
    parser.add_argument("--store", type=float, default=100.0, help="MB/s of a slow store, for all workers together")
    parser.add_argument("--latency", type=float, default=100.0, help="ms that a request to a slow store waits")
    parser.add_argument("--at", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=6.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parsed()
    torch.set_num_threads(1)
    for folder in (FOLDER, options.keep):
        folder.mkdir(parents=True, exist_ok=True)
    {"calibrate": calibrate, "check": check, "plan": plan, "probe": probe}[options.what](options)


if __name__ == "__main__":
    main()
