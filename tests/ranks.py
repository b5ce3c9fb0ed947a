"""Processes that train together, played by threads: what they exchange is exchanged in memory.

`torch.distributed` is replaced as far as atrous calls it. Each thread has a rank; collectives meet at a barrier.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import distributed


class Meeting:
    """A process group whose members are threads."""

    def __init__(self, count: int) -> None:
        self.count, self._slots = count, [None] * count
        self._barrier, self._own = threading.Barrier(count, timeout=30), threading.local()

    @property
    def rank(self) -> int:
        return self._own.rank

    def enter(self, rank: int) -> None:
        self._own.rank = rank

    def exchange(self, value: Any) -> list[Any]:
        self._slots[self.rank] = value
        self._barrier.wait()
        values = list(self._slots)
        self._barrier.wait()
        return values

    def leave(self) -> None:
        self._barrier.abort()


def play_ranks(monkeypatch: Any, count: int, work: Callable[[Meeting], Any]) -> list[Any]:
    """Run `work(group)` in a thread for each rank, and return what the ranks give; an error of one is raised."""
    _replace(monkeypatch)
    group = Meeting(count)

    def one(rank: int) -> Any:
        group.enter(rank)
        try:
            return work(group)
        except BaseException:
            group.leave()
            raise

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(one, rank) for rank in range(count)]
        errors = [error for future in running if (error := future.exception()) is not None]
        broken = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
        for error in broken or errors:
            raise error
        return [future.result() for future in running]


def _replace(monkeypatch: Any) -> None:
    def all_reduce(tensor: torch.Tensor, op: Any = distributed.ReduceOp.SUM, group: Any = None) -> None:
        values = torch.stack(group.exchange(tensor.clone()))
        tensor.copy_(values.amax(0) if op == distributed.ReduceOp.MAX else values.sum(0))

    def all_gather(parts: list[torch.Tensor], tensor: torch.Tensor, group: Any = None) -> None:
        for part, value in zip(parts, group.exchange(tensor.clone()), strict=True):
            part.copy_(value)

    def all_gather_object(parts: list[Any], value: Any, group: Any = None) -> None:
        parts[:] = group.exchange(value)

    def broadcast_object_list(values: list[Any], source: int = 0, group: Any = None) -> None:
        values[:] = group.exchange(list(values))[source]

    for function in (all_reduce, all_gather, all_gather_object, broadcast_object_list):
        monkeypatch.setattr(distributed, function.__name__, function)
    monkeypatch.setattr(distributed, "get_world_size", lambda group=None: group.count)
    monkeypatch.setattr(distributed, "get_rank", lambda group=None: group.rank)
