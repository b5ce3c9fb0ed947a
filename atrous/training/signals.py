"""Signals that end a piece of work between two of its steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Within the block, Ctrl-C and SIGTERM are noted in the list and the step in progress ends whole."""
    received: list[int] = []
    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, lambda n, _: received.append(n))
    except ValueError:  # not the main thread: a notebook's worker, say; signals stay with whoever has them
        pass
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """Within the block, Ctrl-C raises KeyboardInterrupt as it does elsewhere, and is noted in the list first.

    Python prints and drops an exception that is raised in a destructor or in a callback of a library; the note stays.
    """
    received: list[int] = []
    previous: Any = signal.getsignal(signal.SIGINT)
    if not callable(previous) or threading.current_thread() is not threading.main_thread():
        yield received  # ignored, by a shell that started this process in the background, or not the main thread
        return

    def note(number: int, frame: Any) -> None:
        received.append(number)
        previous(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, previous)
