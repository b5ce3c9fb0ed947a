"""How much memory a process may use: the machine, control groups, the address space, a job object."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from atrous import machine

V2 = "0::/user.slice/job\n"
V2_MOUNTS = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
V1 = "9:name=systemd:/\n4:memory:/docker/abc\n2:cpuacct,cpu:/docker/abc\n"
V1_MOUNTS = (
    "31 23 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 23 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_version_2_groups_count_with_all_groups_above(tmp_path):
    root = write(tmp_path, {
        "proc/self/cgroup": V2, "proc/self/mountinfo": V2_MOUNTS,
        "sys/fs/cgroup/user.slice/job/memory.max": "max\n",
        "sys/fs/cgroup/user.slice/job/memory.high": "3000000000\n",
        "sys/fs/cgroup/user.slice/memory.max": "2000000000\n",
    })  # fmt: skip
    assert machine.group_limits(root) == {
        "/sys/fs/cgroup/user.slice/job": 3_000_000_000,
        "/sys/fs/cgroup/user.slice": 2_000_000_000,
    }


def test_version_1_in_a_container_whose_mount_is_its_own_group(tmp_path):
    root = write(tmp_path, {
        "proc/self/cgroup": V1, "proc/self/mountinfo": V1_MOUNTS,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
    })  # fmt: skip
    assert machine.group_limits(root) == {"/sys/fs/cgroup/memory": 536_870_912}


def test_version_1_states_a_number_near_2_to_63_where_there_is_no_limit(tmp_path):
    root = write(tmp_path, {
        "proc/self/cgroup": V1, "proc/self/mountinfo": V1_MOUNTS,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    })  # fmt: skip
    assert machine.group_limits(root) == {}


def test_both_versions_beside_each_other_and_names_with_colons_and_spaces(tmp_path):
    root = write(tmp_path, {
        "proc/self/cgroup": "4:memory:/a:b\n0::/c d\n",
        "proc/self/mountinfo": "1 2 0:1 / /sys/my\\040groups rw - cgroup2 none rw\n"
        "3 2 0:3 / /sys/old rw - cgroup none rw,memory\n",
        "sys/my groups/c d/memory.max": "7000000\n", "sys/old/a:b/memory.limit_in_bytes": "6000000\n",
    })  # fmt: skip
    assert sorted(machine.group_limits(root).values()) == [6_000_000, 7_000_000]


def test_systems_without_proc_have_no_groups(tmp_path):
    assert machine.group_limits(tmp_path) == {}


def test_the_limit_is_the_least(monkeypatch):
    monkeypatch.setattr(machine, "physical_memory", lambda: 64 * 2**30)
    monkeypatch.setattr(machine, "group_limits", lambda: {"/a": 4 * 2**30, "/b": 8 * 2**30})
    assert machine.memory_limit() == 4 * 2**30
    assert machine.memory_limits()["control group /b"] == 8 * 2**30


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Unix")
def test_a_limit_on_addresses_counts_without_what_is_only_mapped():
    # The truth is the allocation itself: half of what is stated can be had, twice as much cannot.
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from atrous.machine import memory_limit\n"
        "limit = memory_limit(); assert limit <= 2**30, limit\n"
        "half = bytearray(limit // 2); del half\n"
        "try:\n    bytearray(2 * limit)\nexcept MemoryError:\n    print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


@pytest.mark.skipif(sys.platform != "linux", reason="compares two sources of Linux")
def test_physical_memory_without_sysconf_is_the_same(monkeypatch):
    before = machine.physical_memory()
    monkeypatch.delattr("os.sysconf")
    assert machine.physical_memory() == pytest.approx(before, rel=1e-3)


def test_peak_memory_grows_by_what_is_allocated():
    before = machine.peak_memory()
    block = bytearray(b"x") * 2**26
    assert before is None or machine.peak_memory() >= before
    assert len(block) == 2**26


class FakeKernel32:
    """Answers as Windows documents it: 16 GiB of memory, a job that may use 2 GiB, a peak of 1 GiB."""

    def GlobalMemoryStatusEx(self, place):
        status = ctypes.cast(place, ctypes.POINTER(ctypes.c_uint64 * 8)).contents
        assert status[0] & 0xFFFFFFFF == 64  # sizeof(MEMORYSTATUSEX)
        status[1] = 16 * 2**30
        return 1

    def K32GetProcessMemoryInfo(self, process, place, size):
        assert size == 72  # sizeof(PROCESS_MEMORY_COUNTERS), 64 bit
        ctypes.cast(place, ctypes.POINTER(ctypes.c_uint64 * 9)).contents[1] = 2**30
        return 1

    def QueryInformationJobObject(self, job, kind, place, size, written):
        assert (job, kind, size) == (None, 9, 144)  # sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION), 64 bit
        fields = ctypes.cast(place, ctypes.POINTER(ctypes.c_uint64 * 18)).contents
        fields[2], fields[14], fields[15] = 0x200, 0, 2 * 2**30
        return 1


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout of 64 bit")
def test_windows_is_asked_with_the_documented_structures(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "win32")
    monkeypatch.setattr(machine, "_kernel32", FakeKernel32)
    assert machine.physical_memory() == 16 * 2**30
    assert machine.peak_memory() == 2**30
    assert machine.memory_limits()["job object"] == 2 * 2**30


def test_what_started_several_processes_says_how_many(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "8")
    assert machine.processes_here() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert machine.processes_here() == 2
