"""Read and write while the network computes: one thread reads a strip ahead, another writes finished rows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from atrous.geometry.program import StripStep


class Ahead:
    """Reads the rows that the next step needs, in a thread, while the current step computes."""

    def __init__(self, read: Callable[[int, int, int], Any], pool: ThreadPoolExecutor):
        self.read, self.pool = read, pool
        self.waiting: dict[tuple[int, int, int], Future[Any]] = {}

    def __call__(self, value: int, lo: int, hi: int) -> Any:
        """Return rows of a source: those that the thread has read ahead, else read now."""
        started = self.waiting.pop((value, lo, hi), None)
        return self.read(value, lo, hi) if started is None else started.result()

    def follow(self, steps: Iterable[StripStep]) -> Iterator[StripStep]:
        """Yield the same steps. Before a step is yielded, reading for the step after it has started."""
        previous: StripStep | None = None
        for step in steps:
            for feed in step.feeds:
                self.waiting[feed] = self.pool.submit(self.read, *feed)
            if previous is not None:
                yield previous
            previous = step
        if previous is not None:
            yield previous


class Behind:
    """Writes in a thread, in order, with at most `depth` writes waiting. A later call raises the error of a write."""

    def __init__(self, pool: ThreadPoolExecutor, depth: int = 2):
        self.pool, self.depth = pool, depth
        self.waiting: deque[Future[Any]] = deque()

    def submit(self, write: Callable[..., Any], *arguments: Any) -> None:
        """Queue the call `write(*arguments)`; wait first if too many are queued."""
        while len(self.waiting) >= self.depth:
            self.waiting.popleft().result()
        self.waiting.append(self.pool.submit(write, *arguments))

    def finish(self) -> None:
        """Wait until everything queued is written."""
        while self.waiting:
            self.waiting.popleft().result()
