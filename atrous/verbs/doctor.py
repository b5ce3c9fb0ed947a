"""`atrous doctor`: what this installation and this machine can do, as one block of text for a bug report."""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any

import torch

from atrous.machine import cores, has_bfloat16, memory_limits
from atrous.models.fcn import fcn
from atrous.stream.engines import ENGINES

PROBE_SECONDS = 4.0
"""The probe trains so long in each arithmetic, of which there are two at most."""
TRIAL_SECONDS = 120.0
"""An engine that takes longer for a network of two layers counts as one that does not work."""
TRIAL = """
import sys, warnings
import torch
from torch import nn
from atrous.stream.stream import stream
warnings.filterwarnings("error", message="OpenVINO does not work")
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1)).eval()
image = torch.randn(3, 256, 64)
with torch.inference_mode():
    whole = network(image[None])[0]
streamed = torch.from_numpy(stream(network, image.numpy(), strip=64, engine=sys.argv[1]))
worst = float((streamed - whole).abs().max())
assert worst < 1e-3, f"the result differs from that of the whole image by {worst:.2g}"
"""
"""Streams a small network with an engine and compares the result with that of the whole image."""


@dataclass(frozen=True)
class Doctor:
    """What `doctor` found.

    Attributes:
        system: operating system and kind of processor.
        python: version of Python.
        packages: versions of the installed packages that atrous can use, by name; those missing are None.
        cores: processors that this process may use.
        machine_cores: processors of the machine.
        threads: threads that torch uses.
        load: mean number of processes that wanted to run during the last minute; None where the system does not say.
        vector: the vector instructions that torch uses.
        bfloat16: whether the processor multiplies bfloat16 in hardware.
        memory: limits on this process's memory in bytes, by what sets them; the least one counts.
        devices: names of the devices that torch can use.
        engines: why an engine does not work, by its name; "" for those that do.
        speed: million pixels per second at which a small network is trained, by arithmetic.
    """

    system: str
    python: str
    packages: dict[str, str | None]
    cores: int
    machine_cores: int
    threads: int
    load: float | None
    vector: str
    bfloat16: bool
    memory: dict[str, int]
    devices: tuple[str, ...]
    engines: dict[str, str]
    speed: dict[str, float]

    def text(self) -> str:
        """Return one block of text to paste into an issue."""
        least = min(self.memory, key=lambda name: self.memory[name])
        others = [f"{name} {size / 2**30:.1f} GiB" for name, size in self.memory.items() if name != least]
        load = "" if self.load is None else f", load {self.load:.1f}"
        has = ", ".join(f"{name} {number}" for name, number in self.packages.items() if number is not None)
        missing = ", ".join(name for name, number in self.packages.items() if number is None)
        rows = [
            ("system", f"{self.system}, Python {self.python}"),
            ("processor", f"{self.vector}, {self.cores} of {self.machine_cores} cores, {self.threads} threads{load}"),
            ("bfloat16", "in hardware" if self.bfloat16 else "not in hardware: networks are trained in float32"),
            ("memory", f"{self.memory[least] / 2**30:.1f} GiB ({least})" + "".join(f"; {other}" for other in others)),
            ("devices", ", ".join(self.devices)),
            *((f"engine {name}", why or "works") for name, why in self.engines.items()),
            *((f"speed {name}", f"{rate:.3g} million pixels a second") for name, rate in self.speed.items()),
            ("packages", has),
            ("not installed", missing or "nothing"),
        ]
        return "\n".join(f"{name:<18} {value}" for name, value in rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON."""
        return {**asdict(self), "devices": list(self.devices), "memory_limit": min(self.memory.values())}


def doctor(tell: Callable[[str], None] = lambda text: None) -> Doctor:
    """Look at the installation and the machine, try the engines, and measure the speed for at most ten seconds.

    Args:
        tell: called with a line before each part that takes a while.
    """
    tell("trying the engines")
    engines = {name: engine_trouble(name) for name in ENGINES}
    tell("measuring the speed")
    return Doctor(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages=packages(),
        cores=cores(),
        machine_cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        vector=torch.backends.cpu.get_cpu_capability(),
        bfloat16=has_bfloat16(),
        memory=memory_limits(),
        devices=devices(),
        engines=engines,
        speed={name: train_speed(dtype, PROBE_SECONDS) for name, dtype in _arithmetics().items()},
    )


def packages() -> dict[str, str | None]:
    """Return the versions of atrous and of every package that it can use, optional ones included; None if missing."""
    wanted = ["atrous", *_required()]
    found: dict[str, str | None] = {}
    for name in dict.fromkeys(wanted):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _required() -> list[str]:
    """Names of the packages that atrous needs or can use, but for those that only its development needs."""
    try:
        lines = distribution("atrous").requires or []
    except PackageNotFoundError:  # the package is run from its folder, without being installed
        return ["torch", "numpy"]
    kept = [line for line in lines if not re.search(r"extra == .(dev|docs|peers).", line)]
    names = [re.match(r"[\w.-]+", line) for line in kept]
    return sorted({name[0] for name in names if name is not None} - {"atrous"}, key=str.lower)


def devices() -> tuple[str, ...]:
    """Return the names of the devices that torch can use on this machine; the CPU is always among them."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ("cpu",)
    count = torch.accelerator.device_count()
    names = [f"{accelerator.type}:{number}" for number in range(count)]
    if accelerator.type == "cuda":
        names = [f"{name} ({torch.cuda.get_device_name(number)})" for number, name in enumerate(names)]
    return ("cpu", *names)


def engine_trouble(engine: str, seconds: float = TRIAL_SECONDS) -> str:
    """Return why an engine does not work, or "" when it does: it streams a small network in a process of its own.

    Some engines end the process on some machines, and compiling needs a C++ compiler that works.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL, engine], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"does not end within {seconds:.0f} seconds"
    lines: Sequence[str] = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Warning|Refused)\b", line)]
    last = (errors or lines or [f"exit code {done.returncode}"])[-1]
    return "" if done.returncode == 0 else f"does not work: {last[:300]}"


def _arithmetics() -> dict[str, torch.dtype]:
    known = {"float32": torch.float32}
    return known | ({"bfloat16": torch.bfloat16} if has_bfloat16() else {})


def train_speed(dtype: torch.dtype, seconds: float) -> float:
    """Return how many million pixels per second a small network is trained on, on the CPU.

    The network is an FCN over a ResNet-10, the batch four crops of 64 x 64 pixels. The first step does not count.

    Args:
        dtype: arithmetic.
        seconds: the steps stop after so many.
    """
    from atrous.encoders.resnet import ResNet

    network = fcn(ResNet(2, 3, depth=10, width=16), 2, width=32)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    images = torch.randn(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    target = torch.zeros(4, 64, 64, dtype=torch.long)
    begin = start = time.perf_counter()
    steps = 0
    while True:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = network(images)
        torch.nn.functional.cross_entropy(output.float(), target).backward()
        optimizer.step()
        optimizer.zero_grad()
        now = time.perf_counter()
        if steps == 0 and now - begin < seconds:
            start = now
        elif now - begin >= seconds:
            return max(1, steps) * target.numel() / (now - start) / 1e6
        steps += 1
