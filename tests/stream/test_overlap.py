"""Reading ahead and writing behind: the same rows in the same order, and errors that are not lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from atrous.geometry.program import StripStep
from atrous.stream.overlap import Ahead, Behind

STEPS = [StripStep(((0, i, i + 1), (7, i, i + 2)), (), ()) for i in range(4)]


def test_the_next_step_is_read_while_this_one_computes():
    reads, here = [], threading.current_thread()

    def read(value, lo, hi):
        assert threading.current_thread() is not here
        reads.append((value, lo, hi))
        return value, lo, hi

    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(read, pool)
        taken = []
        for step in ahead.follow(STEPS):
            taken.append(step)
            pending = [feed for other in STEPS[len(taken) : len(taken) + 1] for feed in other.feeds]
            assert set(pending) <= set(ahead.waiting)
            assert len(ahead.waiting) == len(pending) + 2
            for feed in step.feeds:
                assert ahead(*feed) == feed
    assert taken == STEPS
    assert reads == [feed for step in STEPS for feed in step.feeds]
    assert not ahead.waiting


def test_rows_that_were_not_asked_for_are_read_at_once():
    calls = []
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(lambda *feed: calls.append(threading.current_thread()) or feed, pool)
        assert ahead(0, 3, 5) == (0, 3, 5)
        assert list(ahead.follow([])) == []
        assert list(ahead.follow(STEPS[:1])) == STEPS[:1]
    assert calls[0] is threading.current_thread()


def test_errors_of_a_read_reach_the_reader():
    def read(value, lo, hi):
        raise OSError("the disk is gone")

    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(read, pool)
        for step in ahead.follow(STEPS[:1]):
            with pytest.raises(OSError, match="disk is gone"):
                ahead(*step.feeds[0])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_at_most_so_many_writes_wait(depth):
    release, written = threading.Semaphore(0), []

    def write(number, text):
        release.acquire()
        written.append((number, text))

    with ThreadPoolExecutor(1) as pool:
        behind = Behind(pool, depth)
        for number in range(depth):
            behind.submit(write, number, "row")  # does not block
        assert len(behind.waiting) == depth
        assert written == []
        release.release()
        behind.submit(write, depth, "row")  # waits for the first
        assert written == [(0, "row")]
        for _ in range(depth):
            release.release()
        behind.finish()
        assert written == [(i, "row") for i in range(depth + 1)]
        assert not behind.waiting


def test_two_writes_wait_by_default_and_errors_stop_the_run():
    def fail():
        raise OSError("no space left")

    with ThreadPoolExecutor(1) as pool:
        behind = Behind(pool)
        assert behind.depth == 2
        behind.submit(fail)
        with pytest.raises(OSError, match="no space left"):
            behind.finish()
