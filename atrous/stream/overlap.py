"""Let reading and writing go on while the network computes: one thread reads a strip ahead, one writes behind."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from atrous.geometry.program import StripStep


class Ahead:
    """Reads what the next step will feed while the present one computes."""

    def __init__(self, read: Callable[[int, int, int], Any], pool: ThreadPoolExecutor):
        self.read, self.pool = read, pool
        self.waiting: dict[tuple[int, int, int], Future[Any]] = {}

    def __call__(self, value: int, lo: int, hi: int) -> Any:
        """Rows of a source: from the thread when they were asked for, else read now."""
        found = self.waiting.pop((value, lo, hi), None)
        return self.read(value, lo, hi) if found is None else found.result()

    def follow(self, steps: Iterable[StripStep]) -> Iterator[StripStep]:
        """The same steps; before each is given out, reading for the one after has begun."""
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
    """Writes in order, in one thread, at most `depth` pieces behind; an error of the writer stops the run."""

    def __init__(self, pool: ThreadPoolExecutor, depth: int = 2):
        self.pool, self.depth = pool, depth
        self.waiting: deque[Future[Any]] = deque()

    def submit(self, write: Callable[..., Any], *arguments: Any) -> None:
        """Queue one write; waits when too many are queued."""
        while len(self.waiting) >= self.depth:
            self.waiting.popleft().result()
        self.waiting.append(self.pool.submit(write, *arguments))

    def finish(self) -> None:
        """Wait until everything is written."""
        while self.waiting:
            self.waiting.popleft().result()
