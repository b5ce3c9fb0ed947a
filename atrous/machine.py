"""What this machine has: processors, memory, arithmetic; and how much of its memory this process may use."""

import os
import sys
from pathlib import Path


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Return how many bytes of memory this machine has."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _windows_memory()


def memory_limit() -> int:
    """Return how many bytes of memory this process may use.

    It is the least of the memory of the machine, the limit of its control group (containers and cluster jobs; versions
    1 and 2), and what is left of its address space where that is limited (`ulimit -v`).
    """
    return min([memory_bytes(), *cgroup_limits(), *_address_space()])


def cgroup_limits(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Return the memory limits in bytes of the control groups of this process and of those that hold them.

    Args:
        root: where control groups are mounted.
        groups: the file that lists the groups of this process, as `NUMBER:CONTROLLERS:PATH`.
    """
    limits = []
    for line in filter(None, _lines(groups)):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":  # version 2, one tree for everything
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        here = base / path.strip("/")
        for folder in (here, *here.parents):
            if folder == base or base in folder.parents:
                limits += [int(text) for text in _lines(folder / name) if text.isdigit()]
    return limits


def _lines(path: Path) -> list[str]:
    """Return the lines of a small file; none where there is no such file."""
    try:
        return path.read_text(encoding="ascii", errors="replace").split("\n")
    except OSError:
        return []


def _address_space() -> list[int]:
    """Return what is left of the address space in bytes; nothing where it has no limit."""
    if sys.platform == "win32":
        return []
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return []
    pages = (_lines(Path("/proc/self/statm")) or ["0"])[0].split()[0]
    return [max(0, limit - int(pages) * os.sysconf("SC_PAGE_SIZE"))]


def _windows_memory() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "total_page", "free_page")),
            *((name, ctypes.c_ulonglong) for name in ("total_virtual", "free_virtual", "free_extended")),
        )

    status = Status()
    status.length = ctypes.sizeof(status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.total)


def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 in hardware (oneDNN is asked)."""
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and torch.cpu._is_avx512_bf16_supported()
