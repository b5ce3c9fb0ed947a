"""Settings of the process that a stream changes while it runs, and puts back."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST = 2**30


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
def steady_process() -> Iterator[None]:
    """Flush denormals, and keep freed memory in the process, where the C library is glibc.

    Every step allocates the same sizes again. By default glibc gives large ones back to the system each time, and the
    system clears every page anew: a seventh of the time of a stream. Afterwards what is free is given back.
    """
    libc = _glibc()
    if libc is None:
        with flushed_denormals():
            yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
    libc.mallopt(M_TRIM_THRESHOLD, LARGEST)
    try:
        with flushed_denormals():
            yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, 2**17)
        libc.mallopt(M_TRIM_THRESHOLD, 2**17)
        libc.malloc_trim(0)


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
