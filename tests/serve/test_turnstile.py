"""A few requests run at the same time, some wait, and the rest are refused."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from atrous.serve.turnstile import ClientGone, TooManyRequests, Turnstile, awaited


def test_more_than_may_wait_are_refused():
    async def crowd():
        turnstile, gate = Turnstile(at_work=2, waiting=3), threading.Event()
        tasks = [asyncio.create_task(turnstile.run(gate.wait, 10)) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await turnstile.run(gate.wait)
        gate.set()
        assert await asyncio.gather(*tasks) == [True] * 5
        assert await turnstile.run(lambda: 7) == 7
        turnstile.close()

    asyncio.run(crowd())


def test_work_that_nobody_waits_for_is_given_up():
    async def leave():
        async def gone():
            return True

        future: Future[int] = Future()
        with pytest.raises(ClientGone):
            await awaited(future, gone, every=0.01)
        assert future.cancelled()

    asyncio.run(leave())


def test_the_result_of_another_thread_is_awaited():
    async def wait():
        async def here():
            return False

        future: Future[int] = Future()
        threading.Timer(0.05, future.set_result, [3]).start()
        return await awaited(future, here, every=0.01)

    assert asyncio.run(wait()) == 3
