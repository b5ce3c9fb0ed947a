"""One process at a time writes into a zarr array.

A zarr array is stored in chunks, or in shards of several chunks. To write a part of one, a process reads it whole,
changes the part, and writes it whole. If two processes do that at once, what one of them has written is lost. So a run
that writes into a zarr array on disk holds a lock file beside it, which the system releases when the process ends.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from atrous.errors import UserError


def zarr_path(sink: Any) -> Path | None:
    """Return the folder of a zarr array on disk; None for every other sink."""
    root = getattr(getattr(sink, "store", None), "root", None)
    return None if root is None else Path(root) / str(getattr(sink, "path", ""))


@contextmanager
def sole_writer(sink: Any) -> Iterator[None]:
    """Hold the lock of a zarr array on disk within the block; nothing is held for other sinks.

    Raises `UserError` when another run holds it.
    """
    path = zarr_path(sink)
    if path is None:
        yield
        return
    lock = path.with_name(f".{path.name}.writer")
    with lock.open("a") as file:
        if not locked(file):
            raise UserError(
                f"{path}: another run is writing into it, and two at once would lose chunks: wait until that run is "
                "done, or give each run an array of its own"
            )
        try:
            yield
        finally:
            if os.name == "posix":  # elsewhere an open file cannot be removed
                lock.unlink(missing_ok=True)


def locked(file: IO[str]) -> bool:
    """Return whether the lock of an open file could be taken; it is released when the file is closed."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore
    except OSError:  # somebody else holds it
        return False
    return True
