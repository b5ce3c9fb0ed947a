"""Settings of the process that a stream changes while it runs, and puts back."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEPT, LARGEST = 2**30, 2**25  # bytes of free memory kept in the process; the largest that glibc allows as a threshold
EXACT = 2**23  # allocations of more bytes go back to the system as soon as they are freed
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
LEEWAY = 2**24  # bytes of holes that are not worth giving back

Settle = Callable[[], None]
"""Called between operators: gives free memory back where too much of it has gathered."""


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormals slow convolutions 5 to 50 times: flush them, and put the setting back."""
    before = bool(torch.tensor(1e-39) * 1.0 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def steady_process(limit: float) -> Iterator[Settle]:
    """Flush denormals, and keep freed memory in the process up to a limit, where the C library is glibc.

    Every step allocates the same sizes again. By default glibc gives large ones back to the system each time, and the
    system clears every page anew: an eighth of the time of a stream. But what is kept has holes, so as soon as the
    process holds more than `limit` bytes over what it held before, the holes are given back.
    """
    libc = _glibc()
    with flushed_denormals():
        if libc is None:
            yield _nothing
            return
        with _thresholds(libc, LARGEST, KEPT):
            yield Holes(limit)


@contextmanager
def exact_process() -> Iterator[Settle]:
    """Flush denormals, and give large memory back at once: for what an engine compiled, which keeps its own."""
    libc = _glibc()
    with flushed_denormals():
        if libc is None:
            yield _nothing
            return
        with _thresholds(libc, EXACT, EXACT):
            yield _nothing


class Holes:
    """Gives free memory back when the process holds more than `limit` bytes over what it held at first."""

    def __init__(self, limit: float):
        self.most = self.bound = resident_bytes() + limit

    def __call__(self) -> None:
        """Look, and give back."""
        if resident_bytes() > self.bound:
            give_back()
            self.bound = max(self.most, resident_bytes() + LEEWAY)


@contextmanager
def _thresholds(libc: Any, mapped: int, trimmed: int) -> Iterator[None]:
    libc.mallopt(M_MMAP_THRESHOLD, mapped)
    libc.mallopt(M_TRIM_THRESHOLD, trimmed)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, 2**17)
        libc.mallopt(M_TRIM_THRESHOLD, 2**17)
        libc.malloc_trim(0)


def resident_bytes() -> int:
    """What the process holds in memory now (Linux)."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE


def _nothing() -> None:
    pass


def give_back() -> None:
    """Return free memory to the system, where the C library is glibc."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version") else None
