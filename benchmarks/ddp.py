"""Compare the weights of a training by two processes with those of one process.

Each training takes 50 steps in float64 on the CPU (gloo), on batches of five crops that are dealt three and two, with
void labels that differ from crop to crop. The loss is cross-entropy and Dice of the whole batch. A difference is the
greatest one of all weights and running statistics, divided by the greatest number of the same tensor.

Batch norms that are not synchronized normalize by the crops of one device, so that two devices train another network:
that row shows how far apart they end.

    python -m benchmarks.ddp
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from atrous.cli.output import quiet_libraries
from atrous.data.feed.batches import Batch, Dealt
from atrous.encoders import ResNet
from atrous.labels import IGNORE
from atrous.models import fcn
from atrous.tasks.semantic import Semantic
from atrous.training.budget import Budget
from atrous.training.checkpoint import read_tensors, state_path
from atrous.training.loop import fit
from atrous.training.processes import Processes, open_processes
from atrous.training.settings import Settings, Supply
from atrous.training.stages import Stage

STEPS, CROPS, SIDE, CLASSES = 50, 5, 32, 3


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        optimizer: "sgd" or "adamw".
        norm: "batch" or "group".
        joint: whether batch norms are synchronized.
        resumed: whether two processes are stopped after half of the steps, and one resumes.
        unused: whether the network has a part that takes no part in the output.
        stages: whether the head learns first, then everything.
        most: the greatest difference that is allowed; infinite where there is no promise.
    """

    optimizer: str
    norm: str
    joint: bool = False
    resumed: bool = False
    unused: bool = False
    stages: bool = False
    most: float = float("inf")


CASES = {
    "SGD, synchronized batch norm": Case("sgd", "batch", joint=True, most=1e-9),
    "SGD, group norm": Case("sgd", "group", most=1e-9),
    "AdamW, synchronized batch norm": Case("adamw", "batch", joint=True, most=1e-6),
    "AdamW, group norm": Case("adamw", "group", most=1e-6),
    "SGD, resumed by one device": Case("sgd", "batch", joint=True, resumed=True, most=1e-9),
    "SGD, with a part that is not used": Case("sgd", "group", unused=True, most=1e-9),
    "SGD, in two stages": Case("sgd", "batch", joint=True, stages=True, most=1e-9),
    "SGD, batch norm of each device": Case("sgd", "batch"),
}


class Made:
    """Batches of noise: the labels are seen in it, and void is anywhere."""

    per_epoch = 10

    def __getitem__(self, step: int) -> Batch:
        draw = torch.Generator().manual_seed(step)
        labels = torch.randint(0, CLASSES, (CROPS, SIDE // 4, SIDE // 4), generator=draw)
        labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
        images = labels[:, None] + 0.5 * torch.randn(CROPS, 1, SIDE, SIDE, generator=draw, dtype=torch.float64)
        void = torch.rand(CROPS, SIDE, SIDE, generator=draw, dtype=torch.float64)
        share = torch.linspace(0, 0.9, CROPS, dtype=torch.float64).view(-1, 1, 1)
        return Batch(images.float(), torch.where(void < share, IGNORE, labels))


STAGES = (Stage("head", 0.5, encoder=0.0), Stage("all", 0.5))


def make_network(case: Case) -> nn.Module:
    """Return a small pyramid on a ResNet, with batch or group norm, in float64."""
    torch.manual_seed(0)
    network = fcn(ResNet(2, 1, depth=10, width=8), CLASSES, width=16)
    if case.norm == "group":
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.GroupNorm(4, child.num_features))
    if case.unused:
        network.register_module("spare", nn.Conv2d(1, 1, 1))
    return network.double()


def train(case: Case, folder: Path, processes: Processes, *, stop: bool, resume: bool) -> None:
    """Train in this process; `stop` sends Ctrl-C to it after half of the steps."""
    torch.set_default_dtype(torch.float64)
    made = Made() if processes.count == 1 else Dealt(Made(), CROPS, processes.rank, processes.count)

    def batches(step: int) -> Iterator[Batch]:
        while True:
            if stop and processes.first and step == STEPS // 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield made[step]
            step += 1

    settings = Settings(
        optimizer=case.optimizer, learning_rate=0.05 if case.optimizer == "sgd" else 3e-3, validations=1,
        precision="64-true", devices=processes.count, sync_batch_norm=case.joint,
        stages=STAGES if case.stages else (),
    )  # fmt: skip
    supply = Supply(batches, lambda network: {"loss": 0.0, "miou": 0.0, "pixel_accuracy": 0.0}, Made.per_epoch)
    network, task = make_network(case), Semantic(tuple("abc"), class_weights=(0.5, 0.2, 0.3))
    fit(
        network, task, supply, budget=Budget(steps=STEPS), settings=settings, folder=folder, resume=resume,
        processes=processes,
    )  # fmt: skip


def by_two(case: Case, folder: Path) -> None:
    """Train by two processes, of which this is one."""
    with open_processes(Settings(devices=2, precision="64-true")) as processes:
        train(case, folder, processes, stop=case.resumed, resume=False)


def start_two(name: str, folder: Path) -> None:
    """Start two processes that train, and wait for them."""
    from lightning_fabric.plugins.environments.lightning import find_free_network_port

    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port()), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ddp", "--rank-of", name, "--folder", str(folder)],
            env={**os.environ, **place, "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError(f"{name}: the processes ended with {codes}")


def difference(case: Case, folder: Path) -> float:
    """Return the greatest relative difference of a tensor of the network between one process and two."""
    name = next(name for name, other in CASES.items() if other == case)
    one, two = folder / "one", folder / "two"
    one.mkdir()
    two.mkdir()
    start_two(name, two)
    before = torch.get_default_dtype()
    try:
        if case.resumed:
            train(case, two, Processes(), stop=False, resume=True)
        train(case, one, Processes(), stop=False, resume=False)
    finally:
        torch.set_default_dtype(before)
    want, _ = read_tensors(state_path(one))
    got, facts = read_tensors(state_path(two))
    assert facts["step"] == STEPS, facts
    assert want.keys() == got.keys()
    worst = 0.0
    for key, tensor in want.items():
        if key.startswith(("network/", "average/")) and tensor.is_floating_point():
            worst = max(worst, float((got[key] - tensor).abs().max() / tensor.abs().max().clamp_min(1e-300)))
    return worst


def main() -> None:
    """Print the table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank-of", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quiet_libraries()
    if arguments.rank_of is not None:
        by_two(CASES[arguments.rank_of], arguments.folder)
        return
    found = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = difference(case, Path(folder))
        promised = "" if case.most == float("inf") else f"  (at most {case.most:g})"
        print(f"{name:36} {found[name]:.1e}{promised}", flush=True)
    print(json.dumps({"steps": STEPS, "crops": CROPS, "torch": torch.__version__, "differences": found}))


if __name__ == "__main__":
    main()
