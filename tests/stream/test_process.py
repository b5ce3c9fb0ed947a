"""Settings of the process are changed while a stream runs, and restored."""

import pytest
import torch

from atrous.stream import process
from atrous.stream.process import (
    MemoryLimit,
    exact_process,
    flushed_denormals,
    kept_memory,
    resident_bytes,
    steady_process,
)


def flushes() -> bool:
    return bool(torch.tensor(1e-39) * 1.0 == 0)


@pytest.mark.parametrize("context", [flushed_denormals, lambda: steady_process(1e9), exact_process])
@pytest.mark.parametrize("before", [False, True])
def test_denormals_are_flushed_and_the_setting_restored(context, before):
    torch.set_flush_denormal(before)
    with context():
        assert flushes()
    assert flushes() == before
    with pytest.raises(KeyError), context():
        raise KeyError
    assert flushes() == before
    torch.set_flush_denormal(False)


class Libc:
    """A C library that notes what it is asked for."""

    def __init__(self):
        self.calls: list[tuple[int, ...]] = []

    def mallopt(self, option, value):
        self.calls.append((option, value))

    def malloc_trim(self, rest):
        self.calls.append((rest,))


@pytest.fixture
def libc(monkeypatch) -> Libc:
    library = Libc()
    monkeypatch.setattr(process, "_glibc", lambda: library)
    return library


RESTORED = [(-3, 2**25), (-1, 2**26), (0,)]


def test_a_steady_process_keeps_what_it_frees(libc):
    with steady_process(100) as between:
        assert isinstance(between, MemoryLimit)
        assert libc.calls == [(-3, 2**25), (-1, 2**30)]
    assert libc.calls[2:] == RESTORED


@pytest.mark.parametrize("context", [lambda: steady_process(100), exact_process])
def test_memory_is_kept_from_run_to_run(libc, context):
    first, second = kept_memory(), kept_memory()
    with first:
        second.__enter__()
        for _ in range(2):
            with context():
                pass
            assert libc.calls[-2:] == [(-3, 2**25), (-1, 2**30)]
    assert (0,) not in libc.calls
    second.__exit__(None, None, None)
    assert libc.calls[-3:] == RESTORED
    assert libc.calls.count((0,)) == 1


def test_limits_of_runs_that_keep_memory_count_from_the_first(libc, monkeypatch):
    held = iter([1000, 1090, 5000, 4000, 7000])
    monkeypatch.setattr(process, "resident_bytes", lambda: next(held))

    def most() -> float:
        with steady_process(100) as between:
            assert isinstance(between, MemoryLimit)
            return between.most

    with kept_memory():
        assert [most(), most()] == [1100, 1100]
        assert (0,) not in libc.calls
        assert most() == 4100  # of 5000 bytes, 1000 were free
        assert libc.calls.count((0,)) == 1
    assert most() == 7100


def test_the_memory_of_another_device_is_not_that_of_the_process(libc):
    with steady_process(100, torch.device("meta")) as between:
        between()
        assert not isinstance(between, MemoryLimit)
        assert flushes()
    assert libc.calls == []


def test_an_exact_process_keeps_nothing_large(libc):
    with exact_process() as between:
        between()
        assert libc.calls == [(-3, 2**23), (-1, 2**23)]
    assert libc.calls[2:] == RESTORED
    with pytest.raises(KeyError), exact_process():
        raise KeyError
    assert libc.calls[-3:] == RESTORED


@pytest.mark.parametrize("context", [lambda: steady_process(100), exact_process])
def test_other_c_libraries_are_left_alone(context, monkeypatch):
    monkeypatch.setattr(process, "_glibc", lambda: None)
    with context() as between:
        between()
    process.give_back()


def test_memory_over_the_limit_is_given_back(libc, monkeypatch):
    held = [1000]
    monkeypatch.setattr(process, "resident_bytes", lambda: held[0])
    limit = MemoryLimit(50)
    for held[0], trims in ((1050, 0), (1051, 1)):
        limit()
        assert libc.calls == [(0,)] * trims
    assert limit.bound == 1051 + 2**24  # what is in use does not make every call try again
    held[0] = 1051 + 2**24
    limit()
    assert len(libc.calls) == 1
    held[0] += 1
    limit()
    assert len(libc.calls) == 2
    held[0] = 0
    limit.bound = -1
    limit()
    assert limit.bound == max(1050, 2**24)
    monkeypatch.setattr(process, "LEEWAY", 10)
    limit.bound = -1
    limit()
    assert limit.bound == 1050


def test_resident_bytes_grow_with_what_is_held():
    before = resident_bytes()
    block = torch.ones(2**24)  # 64 MiB, written
    assert 0.9 * 2**26 <= resident_bytes() - before <= 1.5 * 2**26
    del block


def test_the_c_library_is_known_by_its_functions(monkeypatch):
    process._glibc.cache_clear()
    monkeypatch.setattr(process.sys, "platform", "darwin")
    assert process._glibc() is None
    process._glibc.cache_clear()
    monkeypatch.setattr(process.sys, "platform", "linux")
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())
    assert process._glibc() is None
    process._glibc.cache_clear()
