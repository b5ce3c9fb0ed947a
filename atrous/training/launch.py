"""Starting the processes of a training on several devices: one for each device, on every machine.

torchrun, SLURM and other launchers start all processes themselves. Where none of them did, this process starts the
others by running the same command again, as `lightning_fabric` does. It tells them who they are by its environment
variables (`LOCAL_RANK`, `NODE_RANK`, `MASTER_ADDR`, `MASTER_PORT`).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from atrous.errors import UserError
from atrous.machine import cores

READY = "ATROUS_READY"
"""Environment variable that names the file by which a started process says that it is about to join the others."""
LEAVING = 10.0
"""Seconds that processes have to leave by themselves when the training is over."""
LINES = 30
"""Lines that are shown of what a process said that failed."""


@dataclass(frozen=True)
class _Started:
    """A process that was started, and what it says on standard error."""

    process: "subprocess.Popen[bytes]"
    said: IO[bytes]
    ready: Path

    def last_words(self, number: int) -> str | None:
        """What a user should know of its end: nothing where it ended well, or with an error that all were told."""
        code = self.process.poll()
        if code in (None, 0, 2, 130):
            return None
        if code < 0:
            return f"process {number} was ended by signal {-code}"
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").splitlines()[-LINES:]
        return "\n".join([f"process {number} failed with exit code {code}:", *lines])


@contextmanager
def start_processes(devices: int, nodes: int, command: Sequence[str]) -> Iterator[None]:
    """Start the other processes of this machine, unless a launcher did; within the block this is the first of them.

    When the block ends the others have ended too.

    Args:
        devices: of each machine.
        nodes: machines.
        command: what was typed, as in `sys.argv`; nothing is started where it is empty.

    Raises:
        UserError: of several machines this one was not told which it is, or a process ended before it joined.
    """
    if devices * nodes == 1 or not command or was_launched():
        yield
        return
    if nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise UserError(
            f"train.nodes = {nodes}: start atrous train on every machine by torchrun or srun, or set MASTER_ADDR, "
            "MASTER_PORT and NODE_RANK there (docs/devices.md)"
        )
    with ExitStack() as stack:
        stack.enter_context(_environment(_told(devices, nodes)))
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atrous-")))
        others: list[_Started] = []
        try:
            for number in range(1, devices):
                said = stack.enter_context((folder / f"{number}.log").open("w+b"))
                others.append(_start(command, number, folder / f"{number}.ready", said))
            _await_ready(others)
            yield
        finally:
            _end(others, patience=LEAVING)
            for number, one in enumerate(others, 1):
                if (told := one.last_words(number)) is not None:
                    print(told, file=sys.stderr, flush=True)


def was_launched() -> bool:
    """Return whether torchrun, SLURM or another launcher that Fabric knows started this process."""
    from lightning_fabric.plugins.environments.lsf import LSFEnvironment
    from lightning_fabric.plugins.environments.mpi import MPIEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    launchers = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)
    return "LOCAL_RANK" in os.environ or any(launcher.detect() for launcher in launchers)


def is_first() -> bool:
    """Return whether this is the first process, as far as its environment says before the processes have met."""
    numbers = (os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ)
    return next(numbers, "0") == "0"


def refuse_launched() -> None:
    """Raise UserError where torchrun started several processes of a training on one device.

    Raises:
        UserError: it did.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in os.environ and count != "1":
        raise UserError(f"torchrun started {count} processes for one device: give --set train.devices={count}")


def say_ready() -> None:
    """Tell the process that started this one, if one did, that it may wait for this one."""
    if READY in os.environ:
        Path(os.environ[READY]).touch()


def _told(devices: int, nodes: int) -> dict[str, str]:
    """The environment of the first process of this machine."""
    from lightning_fabric.plugins.environments.lightning import find_free_network_port

    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // devices))
    return {
        "LOCAL_RANK": "0",
        "NODE_RANK": os.environ.get("NODE_RANK", "0"),
        "WORLD_SIZE": str(devices * nodes),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(find_free_network_port()),
        "OMP_NUM_THREADS": threads,
    }


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(command: Sequence[str], number: int, ready: Path, said: IO[bytes]) -> _Started:
    environment = {**os.environ, "LOCAL_RANK": str(number), READY: str(ready)}
    process = subprocess.Popen(
        [sys.executable, "-m", "atrous", *command[1:]], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=said,
    )  # fmt: skip
    return _Started(process, said, ready)


def _await_ready(others: Sequence[_Started]) -> None:
    """Wait until all are about to join; to join itself waits for all of them, and notices no end."""
    while not all(one.ready.exists() for one in others):
        if any(one.process.poll() is not None and not one.ready.exists() for one in others):
            raise UserError("a process of this training ended before it began")
        time.sleep(0.02)


def _end(others: Sequence[_Started], patience: float) -> None:
    """Wait for the processes to leave; those that do not are ended."""
    deadline = time.monotonic() + patience
    for forced in (None, signal.SIGTERM, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM):
        for one in others:
            if forced is not None and one.process.poll() is None:
                one.process.send_signal(forced)
        for one in others:
            try:
                one.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
        deadline = time.monotonic() + 5
