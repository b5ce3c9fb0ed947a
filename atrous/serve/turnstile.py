"""A few requests at work at the same time, some more waiting, and the rest refused."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from atrous.errors import UserError

AT_WORK = 4
"""Requests that read files or draw at the same time."""
WAITING = 128
"""Requests that may wait for that."""

_Result = TypeVar("_Result")


class TooManyRequests(UserError):
    """Too many requests wait."""


class ClientGone(UserError):
    """Nobody waits for the answer any more."""


class Turnstile:
    """Runs functions in threads, a few at a time; of more than may wait, the last are refused.

    Args:
        at_work: how many run at the same time.
        waiting: how many more may wait.
    """

    def __init__(self, at_work: int = AT_WORK, waiting: int = WAITING) -> None:
        self._inside, self._most = 0, at_work + waiting
        self._pool = ThreadPoolExecutor(at_work, "requests")

    async def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Return what a function returns, computed in a thread. Called in the loop of the server.

        Raises:
            TooManyRequests: too many wait already.
        """
        if self._inside >= self._most:
            raise TooManyRequests("too many requests wait already: ask again later")
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Finish what runs, and forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def awaited(future: "Future[Any]", gone: Callable[[], Any], every: float = 0.5) -> Any:
    """Return what another thread computes; give it up when the client has gone.

    Args:
        future: the result.
        gone: an asynchronous function that says whether the client has gone.
        every: seconds between two looks.

    Raises:
        ClientGone: it was given up, by the client or by the server.
    """
    wrapped = asyncio.wrap_future(future)
    while True:
        done, _ = await asyncio.wait({wrapped}, timeout=every)
        if wrapped.cancelled():
            raise ClientGone("the server is stopping")
        if done:
            return wrapped.result()
        if await gone():
            future.cancel()
            raise ClientGone("the client has gone")
