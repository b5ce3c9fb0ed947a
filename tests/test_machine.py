"""How much memory this process may use: the machine, its control group, its address space."""

import os
import subprocess
import sys

import pytest

from atrous import machine
from atrous.machine import cgroup_limits, memory_bytes, memory_limit


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_memory_of_the_machine_is_that_of_the_kernel():
    if sys.platform.startswith("linux"):
        with open("/proc/meminfo") as file:
            total = int(file.readline().split()[1]) * 1024
        assert memory_bytes() == total
    assert 0 < memory_limit() <= memory_bytes()


@pytest.mark.parametrize(("groups", "files", "limits"), [
    ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "2000\n", "memory.max": "9000\n"}, [2000, 9000]),
    ("0::/\n", {"memory.max": "500\n"}, [500]),
    ("5:cpu:/x\n4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "300\n", "x/memory.max": "1\n"}, [300]),
    ("0::/gone\n", {}, []),
    ("", {"memory.max": "500\n"}, []),
])  # fmt: skip
def test_limits_of_control_groups_of_both_versions(tmp_path, groups, files, limits):
    put(tmp_path / "groups", groups)
    for name, text in files.items():
        put(tmp_path / "root" / name, text)
    assert cgroup_limits(tmp_path / "root", tmp_path / "groups") == limits


def test_the_limit_is_the_least_of_all(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    monkeypatch.setattr(machine, "cgroup_limits", lambda: [700, 800])
    monkeypatch.setattr(machine, "_address_space", list)
    assert memory_limit() == 700
    monkeypatch.setattr(machine, "_address_space", lambda: [5])
    assert memory_limit() == 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no ulimit")
def test_a_limited_address_space_counts_what_is_left_of_it():
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "from atrous.machine import memory_limit; print(memory_limit())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert 0 < int(said.stdout) < 1 << 30
