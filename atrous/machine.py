"""What this machine has: processors, memory, arithmetic. Nothing here needs Unix.

The memory that a process may use is the least of several limits: the machine's memory; the control groups of Linux,
which containers, systemd and batch systems set; the address space (`ulimit -v`); the job object of Windows.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

UNLIMITED = 2**60
"""Control groups of version 1 state a number near 2**63 where there is no limit."""


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes_here() -> int:
    """Return how many processes of one training share this machine, as what started them says; 1 if nobody says.

    `atrous train` and torchrun set `LOCAL_WORLD_SIZE`, SLURM sets `SLURM_NTASKS_PER_NODE`.

    >>> processes_here()
    1
    """
    said = (os.environ.get(name, "") for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"))
    return next((max(1, int(count)) for count in said if count.isdecimal()), 1)


def memory_limit() -> int:
    """Return how many bytes of memory this process may use: the least of `memory_limits`.

    >>> memory_limit() > 2**20
    True
    """
    return min(memory_limits().values())


def memory_limits() -> dict[str, int]:
    """Return every limit on this process's memory in bytes, by what sets it; "machine" is always among them."""
    limits = {"machine": physical_memory()}
    limits |= {f"control group {place}": limit for place, limit in group_limits().items()}
    space = _address_space()
    limits |= {} if space is None else {"address space": space}
    job = _job_limit()
    return limits | ({} if job is None else {"job object": job})


def physical_memory() -> int:
    """Return how many bytes of memory this machine has.

    Raises:
        RuntimeError: the system states it in none of the ways that are known here.
    """
    if sys.platform == "win32":
        return _windows_memory()
    if hasattr(os, "sysconf"):  # Linux and macOS
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    stated = _field(Path("/proc/meminfo"), "MemTotal:")
    if stated is None:
        raise RuntimeError(f"the memory of this machine is not known: {sys.platform} states it in no known way")
    return stated


def peak_memory() -> int | None:
    """Return the most bytes that this process has held in memory so far; None where the system does not say."""
    if sys.platform == "win32":
        return _windows_peak()
    stated = _field(Path("/proc/self/status"), "VmHWM:")
    if stated is not None:
        return stated
    resource = _resource()
    if resource is None:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 in hardware (oneDNN is asked)."""
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and torch.cpu._is_avx512_bf16_supported()


def group_limits(root: Path = Path("/")) -> dict[str, int]:
    """Return the memory limits of this process's control groups (Linux, versions 1 and 2), by folder.

    A process is bound by the limits of its own group and of all groups above it.

    Args:
        root: folder in which `proc` and `sys` lie.
    """
    found = {}
    for mount, group, files in _memory_groups(root):
        for place in (group, *group.parents):
            folder = root / mount.relative_to("/") / place.relative_to("/")
            limits = [limit for name in files if (limit := _limit(folder / name)) is not None]
            if limits:
                found[str(mount / place.relative_to("/"))] = min(limits)
    return found


def _memory_groups(root: Path) -> Iterator[tuple[PurePosixPath, PurePosixPath, tuple[str, ...]]]:
    """Yield for each hierarchy that limits memory: its mount, this process's group below it, the files with limits."""
    groups = {}
    for line in _lines(root / "proc/self/cgroup"):  # "4:memory:/name" (version 1), "0::/name" (version 2)
        _, controllers, name = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            groups["memory" if controllers else ""] = PurePosixPath(name)
    for line in _lines(root / "proc/self/mountinfo"):  # "... root mount options ... - type source options"
        before, _, after = line.partition(" - ")
        first, last = before.split(), after.split()
        version = {"cgroup2": "", "cgroup": "memory"}.get(last[0] if last else "")
        if version not in groups or (version and version not in last[-1].split(",")):
            continue
        top, mount, group = PurePosixPath(first[3]), PurePosixPath(first[4].replace("\\040", " ")), groups[version]
        # In a container the mount shows the container's own group as its root, under the group's full name.
        inside = group.relative_to(top) if group.is_relative_to(top) else PurePosixPath()
        files = ("memory.limit_in_bytes",) if version else ("memory.max", "memory.high")
        yield mount, PurePosixPath("/") / inside, files


def _lines(path: Path) -> list[str]:
    """The lines of a file of the system, none where the system has no such file or does not show it."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _limit(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() and int(text) < UNLIMITED else None


def _field(path: Path, name: str) -> int | None:
    """A size of a file such as /proc/meminfo in bytes, None where there is none."""
    for line in _lines(path):
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    return None


def _resource() -> ModuleType | None:
    """Python's module of Unix limits, None where there is none (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    return resource


def _address_space() -> int | None:
    """The bytes that the limit on addresses leaves for memory: what is mapped without being in memory is taken off."""
    resource = _resource()
    if resource is None or not hasattr(resource, "RLIMIT_AS"):
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    status = Path("/proc/self/status")
    mapped, resident = _field(status, "VmSize:") or 0, _field(status, "VmRSS:") or 0
    return max(limit - (mapped - resident), resident)


def _kernel32() -> Any:
    return ctypes.windll.kernel32  # pyright: ignore[reportAttributeAccessIssue]


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows."""

    _fields_ = [
        ("length", ctypes.c_uint32), ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "pages", "free_pages", "space", "free_space", "more")),
    ]  # fmt: skip


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of Windows."""

    _fields_ = [
        ("length", ctypes.c_uint32), ("faults", ctypes.c_uint32), ("peak", ctypes.c_size_t), ("now", ctypes.c_size_t),
        *((f"other{number}", ctypes.c_size_t) for number in range(6)),
    ]  # fmt: skip


class _JobLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION of Windows."""

    _fields_ = [
        ("times", ctypes.c_int64 * 2), ("flags", ctypes.c_uint32), ("least", ctypes.c_size_t),
        ("most", ctypes.c_size_t), ("processes", ctypes.c_uint32), ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32), ("scheduling", ctypes.c_uint32), ("io", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t), ("job_memory", ctypes.c_size_t),
        ("peak_process", ctypes.c_size_t), ("peak_job", ctypes.c_size_t),
    ]  # fmt: skip


def _windows_memory() -> int:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not _kernel32().GlobalMemoryStatusEx(ctypes.byref(status)):
        raise RuntimeError("the memory of this machine is not known: GlobalMemoryStatusEx failed")
    return int(status.total)


def _windows_peak() -> int | None:
    kernel32, counters = _kernel32(), _MemoryCounters(length=ctypes.sizeof(_MemoryCounters))
    process = ctypes.c_void_p(-1)  # the pseudo handle of this process
    read = kernel32.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.length)
    return int(counters.peak) if read else None


def _job_limit() -> int | None:
    """The memory limit of the job object that this process belongs to, None where there is none (Windows)."""
    if sys.platform != "win32":
        return None
    limits, extended = _JobLimits(), 9
    size = ctypes.sizeof(limits)
    if not _kernel32().QueryInformationJobObject(None, extended, ctypes.byref(limits), size, None):
        return None
    given = [(0x100, limits.process_memory), (0x200, limits.job_memory)]
    return min((int(most) for flag, most in given if limits.flags & flag), default=None)
