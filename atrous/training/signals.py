"""Signals: they end a training after the step in progress, and none of them gets lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
def interrupt_afterwards() -> Iterator[None]:
    """Run the block to its end; a Ctrl-C or SIGTERM that comes meanwhile raises KeyboardInterrupt after it."""
    with stop_on_signal() as received:
        yield
    if received:
        raise KeyboardInterrupt


@contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """Within the block, Ctrl-C raises KeyboardInterrupt as always, and is noted in the list too.

    Python drops an exception that is raised in a destructor or in the callback of a weak reference, of which the export
    of a network has many. The list still says that the user wants to stop.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    # Elsewhere than in the main thread, and where Ctrl-C is ignored or handled by others, it stays as it is.
    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield received
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
