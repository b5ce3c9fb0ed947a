"""Settings of the whole process that a streamed run changes and restores: denormals, and how memory is freed."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEPT = 2**30  # bytes of free memory that the process keeps
LARGEST = 2**25  # the largest threshold for mapping memory by itself that glibc allows
ADAPTED = 2**26  # bytes of free memory that glibc keeps once it has adapted to large blocks
EXACT = 2**23  # allocations of more bytes go back to the system as soon as they are freed
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
CPU = torch.device("cpu")
LEEWAY = 2**24  # bytes of free memory that are not worth giving back

Settle = Callable[[], None]
"""A function that is called between operators and returns free memory to the system when there is too much of it."""


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers, which slow convolutions down 5 to 50 times, as zero; restore the setting afterwards."""
    before = bool(torch.tensor(1e-39) * 1.0 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def steady_process(limit: float, device: torch.device = CPU) -> Iterator[Settle]:
    """Flush denormals, and keep freed memory in the process, where the C library is glibc.

    Every step allocates the same sizes again. By default glibc returns large blocks to the system each time, and the
    system clears every page before it hands them out again: an eighth of the time of a streamed run. But kept memory is
    fragmented. So the function that this yields returns free memory to the system as soon as the process holds more
    than `limit` bytes over what it held at the start. On another `device` than the processor it does nothing: there the
    limit is one of the device's memory, which this process's says nothing about.
    """
    libc = _glibc() if device.type == "cpu" else None
    with flushed_denormals():
        if libc is None:
            yield _nothing
            return
        with _thresholds(libc, LARGEST, KEPT):
            yield bounded(limit)


class _Keeping:
    """How many blocks of `kept_memory` are open, and what the process held when the first run within them began."""

    def __init__(self) -> None:
        self.lock, self.blocks, self.held = Lock(), 0, 0

    def before(self, limit: float) -> int:
        """Return the bytes that a run that begins now, and may hold `limit` bytes, is measured against."""
        now = resident_bytes()
        if not self.blocks:
            return now
        self.held = self.held or now
        if now <= self.held + limit:
            return self.held
        give_back()  # then what is left is in use: inputs and answers, for example
        return resident_bytes()


_keeping = _Keeping()


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block, what one run frees stays in the process for the next run; at its end it is returned.

    For many short runs, such as the units of a cluster, the files of a prediction, the steps of a training: without it,
    the system clears the same pages again for each of them. The memory limits of streamed runs then count from what the
    process held when the first one began. Blocks may overlap. Where the C library is not glibc, it does nothing.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    with _keeping.lock:
        _keeping.blocks += 1
        _keep(libc, LARGEST, KEPT)
    try:
        yield
    finally:
        with _keeping.lock:
            _keeping.blocks -= 1
            if not _keeping.blocks:
                _keeping.held = 0
                _release(libc)


@contextmanager
def exact_process() -> Iterator[Settle]:
    """Flush denormals, and return large blocks at once: for functions that an engine compiled, which keep their own."""
    libc = _glibc()
    with flushed_denormals():
        if libc is None:
            yield _nothing
            return
        with _thresholds(libc, EXACT, EXACT):
            yield _nothing


class MemoryLimit:
    """Returns free memory to the system when the process holds more than `limit` bytes over what it held at first.

    What it held at first is `held`, or what it holds now. If it still holds more afterwards, the memory is in use; the
    bound is then raised, so that not every call tries it.
    """

    def __init__(self, limit: float, held: int | None = None):
        self.most = self.bound = (resident_bytes() if held is None else held) + limit

    def __call__(self) -> None:
        """Measure the memory in use, and return what is free if that is too much."""
        if resident_bytes() > self.bound:
            give_back()
            self.bound = max(self.most, resident_bytes() + LEEWAY)


def bounded(limit: float) -> Settle:
    """Return a function that returns free memory when the process holds more than `limit` bytes over what it holds now.

    Within `kept_memory`, over what it held when the first run began. Where the C library is not glibc, it does nothing.
    """
    return _nothing if _glibc() is None else MemoryLimit(limit, _keeping.before(limit))


@contextmanager
def _thresholds(libc: Any, mapped: int, trimmed: int) -> Iterator[None]:
    """Let glibc map blocks of more than `mapped` bytes by themselves, and keep `trimmed` bytes of free memory."""
    _keep(libc, mapped, trimmed)
    try:
        yield
    finally:
        with _keeping.lock:
            if _keeping.blocks:
                _keep(libc, LARGEST, KEPT)
            else:
                _release(libc)


def _keep(libc: Any, mapped: int, trimmed: int) -> None:
    libc.mallopt(M_MMAP_THRESHOLD, mapped)
    libc.mallopt(M_TRIM_THRESHOLD, trimmed)


def _release(libc: Any) -> None:
    """Set what glibc comes to by itself in a process of large blocks: it adapts no more once it was told otherwise."""
    _keep(libc, LARGEST, ADAPTED)
    libc.malloc_trim(0)


def resident_bytes() -> int:
    """Return the bytes that the process holds in memory now (Linux)."""
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
