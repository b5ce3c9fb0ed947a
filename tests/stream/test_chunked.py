"""Chunked arrays are read and written in whole chunks, with the same content as row by row."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from atrous.stream import chunked
from atrous.stream.chunked import ChunkedSink, ChunkedSource, chunk_rows


class Chunks:
    """An array that notes the rows of every access."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...]):
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype
        self.accesses: list[tuple[slice, ...]] = []
        self.flushed = 0

    def __getitem__(self, key):
        self.accesses.append(key)
        return self.array[key]

    def __setitem__(self, key, values):
        self.accesses.append(key)
        self.array[key] = values

    def flush(self):
        self.flushed += 1


class TwoChunks:
    shape, dtype, chunks = (2, 10), np.dtype(np.float32), (5,)


def test_rows_per_chunk(monkeypatch):
    array = Chunks(np.zeros((2, 20, 6), np.float32), (1, 8, 6))
    assert [chunk_rows(array, dim) for dim in range(3)] == [1, 8, 6]
    assert chunk_rows(np.zeros((2, 20)), 1) == 1
    assert chunk_rows(TwoChunks(), 1) == 1  # not a number of rows per dimension
    monkeypatch.setattr(chunked, "LARGEST", 2 * 8 * 6 * 4)
    assert chunk_rows(array, 1) == 8
    monkeypatch.setattr(chunked, "LARGEST", 2 * 8 * 6 * 4 - 1)
    assert chunk_rows(array, 1) == 1


@given(st.lists(st.integers(1, 11), min_size=1, max_size=9), st.integers(0, 6), st.integers(0, 2))
def test_reads_are_whole_chunks_and_each_is_read_once(strips, first, back):
    whole = np.arange(2 * 30 * 3).reshape(2, 30, 3)
    array = Chunks(whole, (1, 7, 3))
    source = ChunkedSource(array, 1)
    assert (source.shape, source.dtype, source.rows) == ((2, 30, 3), whole.dtype, 7)
    lo = first
    for count in strips:
        hi = min(30, lo + count)
        key = (slice(0, 2), slice(lo, hi), slice(1, 3))
        if hi > lo:
            assert np.array_equal(source[key], whole[key])
            lo = max(first, hi - back) if hi // 7 == (hi - back) // 7 else hi  # a strip may begin within the last one
    starts = [key[1].start for key in array.accesses]
    assert all(key[1].start % 7 == 0 and key[1].stop == min(30, key[1].start + 7) for key in array.accesses)
    assert all(key[0] == slice(0, 2) and key[2] == slice(1, 3) for key in array.accesses)
    if back == 0:
        assert len(set(starts)) == len(starts)


def test_other_columns_are_other_slabs():
    whole = np.random.default_rng(0).normal(size=(2, 14, 6))
    array = Chunks(whole, (1, 7, 6))
    source = ChunkedSource(array, 1)
    for columns in (slice(0, 3), slice(3, 6), slice(0, 3)):
        key = (slice(0, 2), slice(0, 3), columns)
        assert np.array_equal(source[key], whole[key])
    assert len(array.accesses) == 3
    source[(slice(0, 2), slice(5, 9), slice(0, 3))]
    assert len(array.accesses) == 4  # the second chunk only


@given(st.lists(st.integers(1, 11), min_size=1, max_size=9), st.integers(0, 9))
def test_writes_are_whole_chunks(strips, first):
    array = Chunks(np.zeros((2, 30, 3)), (1, 7, 3))
    values = np.random.default_rng(0).normal(size=(2, 30, 3)) + 5
    sink = ChunkedSink(array, 1)
    lo = first
    for count in strips:
        hi = min(30, lo + count)
        if hi > lo:
            rows = values[:, lo:hi].copy()
            sink[(slice(0, 2), slice(lo, hi), slice(0, 3))] = rows
            lo = hi
    before = list(array.accesses)
    sink.flush()
    assert array.flushed == 1
    assert np.array_equal(array.array[:, first:lo], values[:, first:lo])
    assert not array.array[:, :first].any()
    assert not array.array[:, lo:].any()
    assert all(key[1].stop % 7 == 0 or key[1].stop == 30 for key in before)
    assert all(key[1].start % 7 == 0 or key[1].start == first for key in array.accesses)
    assert len(array.accesses) - len(before) == (lo % 7 > 0 and lo < 30 and lo > first)
    sink.flush()
    assert len(array.accesses) <= len(before) + 1


@pytest.mark.parametrize("key", [(slice(0, 1), slice(2, 4)), (slice(0, 2), slice(6, 8))])
def test_rows_that_do_not_follow_begin_anew(key):
    array = Chunks(np.zeros((2, 20)), (1, 8))
    sink = ChunkedSink(array, 1)
    sink[(slice(0, 2), slice(0, 2))] = np.ones((2, 2))
    assert not array.array.any()
    sink[key] = np.full((key[0].stop, 2), 2.0)
    expected = np.zeros((2, 20))
    expected[:, :2] = 1
    if key[1].stop == 8:
        expected[:, 6:8] = 2
    assert np.array_equal(array.array, expected)
    sink.flush()
    expected[key] = 2
    assert np.array_equal(array.array, expected)


def test_rows_that_wait_are_copies():
    array = Chunks(np.zeros((1, 20)), (1, 8))
    sink, rows = ChunkedSink(array, 1), np.ones((1, 12))
    sink[(slice(0, 1), slice(0, 12))] = rows
    rows[:] = 7
    sink.flush()
    assert array.array[0].tolist() == [1] * 12 + [0] * 8
    assert (sink.shape, sink.dtype) == ((1, 20), array.dtype)


def test_an_array_with_shards_is_written_in_whole_shards():
    array = Chunks(np.zeros((1, 20, 6), np.float32), (1, 2, 6))
    array.shards = (1, 8, 6)
    assert chunk_rows(array, 1) == 2
    assert chunk_rows(array, 1, written=True) == 8
    sink, values = ChunkedSink(array, 1), np.random.default_rng(0).normal(size=(1, 20, 6)).astype("f4")
    for lo in range(0, 20, 3):
        sink[:, lo : min(lo + 3, 20), 0:6] = values[:, lo : lo + 3]
    sink.flush()
    assert [(key[1].start, key[1].stop) for key in array.accesses] == [(0, 8), (8, 16), (16, 20)]
    np.testing.assert_array_equal(array.array, values)
